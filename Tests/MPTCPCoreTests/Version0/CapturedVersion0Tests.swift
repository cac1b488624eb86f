import MPTCPPolicy
import MPTCPWire
import PacketFactory
import TestSupport
import Testing

@testable import MPTCPCore

/// The handshakes of version 0 that others' implementations made, played through ours: with the same keys and nonces it
/// says the same, octet by octet (RFC 6824 §3.1, §3.2).
@Suite(.enabled(if: Captures.folder != nil, "no captures: set MPTCP_CAPTURES"))
struct CapturedVersion0Tests {
  /// A handshake that a capture holds whole.
  struct Handshake {
    var syn: WirePacket
    var synAck: WirePacket
    var ack: WirePacket
  }

  struct Captured {
    var first: Handshake
    /// Joins that came from the initiator.
    var joins: [Handshake]
  }

  /// Says what the test wants drawn next.
  struct Told: EntropySource {
    var numbers: [UInt64]
    mutating func next() -> UInt64 { numbers.isEmpty ? 1 : numbers.removeFirst() }
  }

  static func connections(_ name: String) throws -> [Captured] {
    let file = try CaptureFile(path: Captures.path(name))
    let packets = file.packets.compactMap { packet -> WirePacket? in
      guard let range = file.ipRange(packet) else { return nil }
      return WirePacket(Array(file.octets[range]))
    }
    func handshake(_ index: Int, _ isMatching: (WirePacket) -> Bool) -> Handshake? {
      let syn = packets[index]
      func isReverse(_ packet: WirePacket) -> Bool {
        packet.source == syn.destination && packet.destination == syn.source
          && packet.tcp.sourcePort == syn.tcp.destinationPort && packet.tcp.destinationPort == syn.tcp.sourcePort
      }
      func isSame(_ packet: WirePacket) -> Bool {
        packet.source == syn.source && packet.destination == syn.destination
          && packet.tcp.sourcePort == syn.tcp.sourcePort && packet.tcp.destinationPort == syn.tcp.destinationPort
      }
      guard let answer = packets[(index + 1)...].firstIndex(where: { $0.isSynAck && isReverse($0) && isMatching($0) }),
        let third = packets[(answer + 1)...].first(where: { $0.isPureAck && isSame($0) && isMatching($0) })
      else { return nil }
      return Handshake(syn: syn, synAck: packets[answer], ack: third)
    }
    var result: [Captured] = []
    var known: [Key] = []
    for (index, syn) in packets.enumerated() where syn.isSyn {
      if let capable = syn.capable, capable.version == 0, let key = capable.senderKey, !known.contains(key),
        let found = handshake(index, { $0.capable != nil }), found.ack.capable?.senderKey == key,
        found.ack.capable?.receiverKey == found.synAck.capable?.senderKey
      {
        known.append(key)
        result.append(Captured(first: found, joins: []))
      } else if case .syn(_, _, let token, _)? = syn.join,
        let owner = result.lastIndex(where: { $0.first.synAck.capable?.senderKey?.token(.v0) == token }),
        !result[owner].joins.contains(where: { $0.syn.join == syn.join }),
        let found = handshake(index, { $0.join != nil })
      {
        result[owner].joins.append(found)
      }
    }
    return result
  }

  /// How many handshakes each capture holds whole, and how many joins of theirs at least: fewer would be a reader's
  /// fault. `neohapsis_mptcp_challenge` is left out: its third ACK takes back the checksums that its SYN/ACK asked for.
  static let counts: [String: (Int, Int)] = [
    "real/dpi_mp_capable.pcapng": (2, 1), "real/ns3dce_iperf-mptcp-0-0_ppp.pcap": (1, 0),
    "real/tcpdump_mptcp-fclose.pcap": (1, 0), "real/tcpdump_mptcp-v0.pcap": (1, 1),
    "real/teto_client_2_head.pcap": (4, 8), "real/teto_iperf-mptcp-0-0.pcap": (1, 1),
    "real/teto_server_2_head.pcap": (4, 8),
  ]

  private func options(_ handshake: Handshake, _ packet: KeyPath<Handshake, WirePacket>) -> ConnectionOptions {
    var options = lonely
    options.multipath = .version0
    options.checksum = handshake[keyPath: packet].capable?.flags.contains(.checksumRequired) == true
    return options
  }

  private func written(_ option: MultipathOption?) -> [UInt8] {
    guard let option else { return [] }
    var block = TCPOptionBlock()
    _ = block.append(.multipath(option))
    return block.withBytes { Array($0) }
  }

  private func endpoint(_ addresses: [IPAddress]) -> (Endpoint, Instant) {
    let now = Instant(nanoseconds: 1_000_000_000)
    let endpoint = Endpoint(entropy: SeededEntropy(seed: 1), at: now)
    var distinct: [IPAddress] = []
    for address in addresses where !distinct.contains(address) { distinct.append(address) }
    _ = endpoint.addPath(
      PathConfiguration(
        name: "p", addresses: distinct.map { IPPrefix($0, length: $0.family == .v4 ? 32 : 128) }), at: now)
    return (endpoint, now)
  }

  private func give(_ packet: WirePacket, to endpoint: Endpoint, at now: Instant) -> [WirePacket] {
    var packet = packet
    packet.payload = []
    endpoint.receive(ByteSlice(packet.bytes), on: PathID(0), at: now)
    var answers: [WirePacket] = []
    while let answer = endpoint.nextPacket() {
      if let answer = WirePacket(answer.copyBytes()) { answers.append(answer) }
    }
    return answers
  }

  /// The packet as it would be had the other side begun with the number that ours did.
  private func shifted(_ packet: WirePacket, of handshake: Handshake, to number: SequenceNumber) -> WirePacket {
    var packet = packet
    let theirs = packet.isSynAck ? handshake.syn.tcp.sequenceNumber : handshake.synAck.tcp.sequenceNumber
    packet.tcp.acknowledgmentNumber = number + (packet.tcp.acknowledgmentNumber - theirs)
    // Timestamps of ours it cannot echo.
    packet.options = packet.options.map {
      if case .timestamps(let stamps) = $0 { .timestamps(TCPTimestamps(value: stamps.value, echo: 0)) } else { $0 }
    }
    return packet
  }

  @Test(arguments: counts.keys.sorted())
  func ourListenerAnswersAsTheirsDid(name: String) throws {
    let connections = try Self.connections(name)
    let expected = try #require(Self.counts[name])
    #expect(connections.count == expected.0)
    #expect(connections.reduce(0) { $0 + $1.joins.count } >= expected.1)
    for captured in connections {
      let first = captured.first
      let (endpoint, now) = endpoint([first.syn.destination] + captured.joins.map(\.syn.destination))
      let key = try #require(first.synAck.capable?.senderKey)
      endpoint.entropy = Told(numbers: [key.rawValue])
      var listen = ListenerOptions()
      listen.connection = options(first, \.synAck)
      _ = try endpoint.listen(
        on: TransportAddress(first.syn.destination, first.syn.tcp.destinationPort), options: listen, at: now)
      let answer = try #require(give(first.syn, to: endpoint, at: now).first)
      #expect(written(answer.multipath.first) == written(first.synAck.multipath.first))
      _ = give(shifted(first.ack, of: first, to: answer.tcp.sequenceNumber), to: endpoint, at: now)
      let event = try #require(endpoint.nextEvent())
      #expect(event.event == .established(isMultipath: true))
      let description = try #require(endpoint.description(of: event.connection))
      #expect(description.version == .v0)
      #expect(description.localToken == key.token(.v0))
      #expect(description.usesChecksum == first.ack.capable?.flags.contains(.checksumRequired))
      for (index, join) in captured.joins.enumerated() {
        guard case .synAck(_, _, let hmac, let nonce)? = join.synAck.join else {
          Issue.record("no MP_JOIN")
          continue
        }
        endpoint.entropy = Told(numbers: [UInt64(nonce)])
        let answer = try #require(give(join.syn, to: endpoint, at: now).first { $0.isSynAck })
        guard case .synAck(_, _, let ours, nonce)? = answer.join else {
          Issue.record("another MP_JOIN: \(answer.multipath)")
          continue
        }
        #expect(ours == hmac)
        let fourth = give(shifted(join.ack, of: join, to: answer.tcp.sequenceNumber), to: endpoint, at: now)
        #expect(fourth.contains { $0.isPureAck })
        #expect(endpoint.description(of: event.connection)?.subflows.count == index + 2)
      }
      #expect(endpoint.statistics.badJoinAuthentications == 0)
    }
  }

  @Test(arguments: counts.keys.sorted())
  func ourInitiatorSaysWhatTheirsDid(name: String) throws {
    for captured in try Self.connections(name) {
      let first = captured.first
      let (endpoint, now) = endpoint([first.syn.source])
      let key = try #require(first.syn.capable?.senderKey)
      endpoint.entropy = Told(numbers: [key.rawValue])
      var options = options(first, \.syn)
      options.localPort = first.syn.tcp.sourcePort
      let id = try endpoint.connect(
        to: TransportAddress(first.syn.destination, first.syn.tcp.destinationPort), options: options, at: now)
      let syn = try #require(endpoint.nextPacket().flatMap { WirePacket($0.copyBytes()) })
      #expect(written(syn.multipath.first) == written(first.syn.multipath.first))
      let answer = shifted(first.synAck, of: first, to: syn.tcp.sequenceNumber)
      let third = try #require(give(answer, to: endpoint, at: now).first)
      #expect(written(third.multipath.first) == written(first.ack.multipath.first))
      #expect(endpoint.description(of: id)?.remoteToken == first.synAck.capable?.senderKey?.token(.v0))
    }
  }
}
