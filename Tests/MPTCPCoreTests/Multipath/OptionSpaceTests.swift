import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Forty octets of TCP options: what goes first where not everything fits (RFC 8684 appendix A; the order stands in
/// `Subflow+Transmit.swift`).
@Suite struct OptionSpaceTests {
  private static let addressV4 = Pair.address(7, 0, .v4)
  private static let addressV6 = Pair.address(7, 0, .v6)

  /// Everything that is said once, on an ACK without data.
  private static let oneShots: [MultipathOption] = [
    .addAddress(AddAddress(addressID: AddressID(7), address: addressV4, port: nil, hmac: 1)),
    .addAddress(AddAddress(addressID: AddressID(7), address: addressV4, port: 80, hmac: 1)),
    .addAddress(AddAddress(addressID: AddressID(7), address: addressV6, port: nil, hmac: 1)),
    .addAddress(AddAddress(addressID: AddressID(7), address: addressV6, port: 80, hmac: 1)),
    .addAddress(AddAddress(isEcho: true, addressID: AddressID(7), address: addressV4, port: 80)),
    .addAddress(AddAddress(isEcho: true, addressID: AddressID(7), address: addressV6, port: 80)),
    .removeAddress(RemoveAddress(AddressID(7), AddressID(8))),
    .priority(MPPriority(backup: true)),
    .fail(MPFail(dsn: 1)),
  ]

  /// The octets of the option field as it goes out, padding included.
  private func byteCount(_ packet: WirePacket) -> Int {
    var block = TCPOptionBlock()
    for option in packet.options { _ = block.append(option) }
    return block.byteCount
  }

  // Requirement 8684-A-04, 8684-A-05
  @Test(arguments: [false, true], 0...4)
  func everythingThatIsSaidOnceFitsWithTimestampsAndIsFollowedByTheDataAck(timestamps: Bool, holes: Int) throws {
    for option in Self.oneShots {
      for longDataAck in [false, true] {
        let script = Script()
        let connection = try #require(
          try ScriptedConnection.accepted(by: script, options: lonely, timestamps: timestamps, sack: true))
        connection.initial.send(
          .ack, [connection.mapping(at: 1, subflowOffset: 1, octets(10), four: !longDataAck)], payload: octets(10))
        for hole in 0..<holes {
          let at = 100 * (hole + 1)
          connection.initial.send(
            .ack, at: at, [connection.mapping(at: at, subflowOffset: at, octets(10), four: !longDataAck)],
            payload: octets(10))
        }
        _ = script.takeAll()
        let engine = try #require(script.endpoint.connection(connection.id))
        engine.queue(option, on: engine.subflows[0])
        // News for the DATA_ACK at the same time.
        connection.initial.send(
          .ack, at: 11, [connection.mapping(at: 11, subflowOffset: 11, octets(10), four: !longDataAck)],
          payload: octets(10))
        let sent = script.takeAll()
        #expect((1...2).contains(sent.count), "\(option)")
        #expect(sent.contains { $0.multipath.contains(option) }, "\(option), \(holes) holes")
        #expect(sent.contains { connection.acknowledged(by: $0) == 21 }, "\(option), \(holes) holes")
        #expect(sent.allSatisfy { byteCount($0) <= TCPOptionBlock.limit })
        // RFC 7323 §3.2: on every segment; unpadded, even the longest option leaves ten octets.
        #expect(sent.allSatisfy { $0.hasTimestamps == timestamps }, "\(option)")
        // Blocks go where room is: where nothing is said once, there are always some.
        if holes > 0 {
          connection.initial.send(.ack, at: 11, payload: octets(10))
          #expect(script.takeAll().last?.options.contains { if case .sack = $0 { true } else { false } } == true)
        }
      }
    }
  }

  /// Data carries timestamps, its mapping, its checksum and the DATA_ACK, all at once; a one-shot option waits for an
  /// ACK of its own, and never takes room from data.
  // Requirement 8684-A-02
  @Test(arguments: [false, true], [false, true])
  func dataCarriesItsMappingAndTheDataAck(timestamps: Bool, checksum: Bool) throws {
    for longDataAck in [false, true] { try carries(timestamps, checksum, longDataAck) }
  }

  private func carries(_ timestamps: Bool, _ checksum: Bool, _ longDataAck: Bool) throws {
    let script = Script()
    var options = lonely
    options.noDelay = true
    let connection = try #require(
      try ScriptedConnection.accepted(
        by: script, options: options, flags: checksum ? [.hmac, .checksumRequired] : .hmac, timestamps: timestamps,
        sack: true))
    connection.initial.send(
      .ack, [connection.mapping(at: 1, subflowOffset: 1, octets(10), ack: 1, four: !longDataAck)],
      payload: octets(10))
    _ = script.takeAll()
    let engine = try #require(script.endpoint.connection(connection.id))
    engine.queue(Self.oneShots[3], on: engine.subflows[0])
    _ = try script.endpoint.write(ByteSlice(octets(2000)), to: connection.id, at: script.now)
    let sent = script.takeAll()
    let data = sent.filter { !$0.payload.isEmpty }
    #expect(data.count == 2)
    for packet in data {
      #expect(packet.hasTimestamps == timestamps)
      #expect(packet.multipath.count == 1)
      #expect((packet.dss?.mapping?.checksum != nil) == checksum)
      #expect(connection.acknowledged(by: packet) == 11)
      #expect(packet.dss?.dataAck.map { if case .eight = $0 { true } else { false } } == longDataAck)
      #expect(byteCount(packet) <= TCPOptionBlock.limit)
      // 1,500 octets hold the segment, its options and the IP header.
      #expect(40 + byteCount(packet) + packet.payload.count <= 1500)
    }
    #expect(sent.contains { $0.payload.isEmpty && $0.multipath.contains(Self.oneShots[3]) })
  }

  /// Both versions' handshakes beside everything that a SYN of ours says: 4 for the segment size, 2, 3, and 10.
  // Requirement 8684-A-01
  @Test func everyHandshakeOptionFitsOnASYN() {
    let plain: [TCPOption] = [
      .maximumSegmentSize(1460), .sackPermitted, .timestamps(TCPTimestamps(value: 1, echo: 0)), .windowScale(9),
    ]
    let offer = { (version: UInt8, sender: Key?) in
      MultipathOption.capable(MPCapable(version: version, flags: .hmac, senderKey: sender))
    }
    let table: [(MultipathOption, Int)] = [
      (offer(1, nil), 4), (offer(1, Key(1)), 12), (offer(0, Key(1)), 12),
      (.join(.syn(backup: false, addressID: AddressID(1), token: Token(1), nonce: 1)), 12),
      (.join(.synAck(backup: false, addressID: AddressID(1), hmac: 1, nonce: 1)), 16),
    ]
    for (option, byteCount) in table {
      var block = TCPOptionBlock()
      for option in plain { _ = block.append(option) }
      // 19 of 40, and 21 remain (appendix A).
      let before = block.remaining
      #expect(before >= 20)
      let fits = block.append(.multipath(option))
      #expect(fits, "\(option)")
      #expect(block.byteCount <= 19 + byteCount + 3)
    }
  }
}
