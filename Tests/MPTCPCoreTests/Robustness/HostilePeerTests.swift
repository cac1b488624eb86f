import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// A peer, or somebody who claims to be one, that wants to cost us memory, time, or other people's connections. Each
/// test counts what it got, prints that as a line that begins with "figure:", and sees that another connection, which
/// was there before, works while it goes on.
@Suite struct HostilePeerTests {
  /// Another connection, to a port of its own, that the hostile peer owns.
  private func hostile(_ script: Script, port: UInt16 = 6000, options: ConnectionOptions? = nil) throws
    -> ScriptedConnection
  {
    let connection = try #require(
      try ScriptedConnection.accepted(
        by: script, options: options ?? lonely, key: Key(0x2222_3333_4444_5555), port: Port(port), to: 8080))
    connection.send(octets(10), at: 1)
    _ = try script.endpoint.read(from: connection.id, upTo: 100, at: script.now)
    _ = script.takeAll()
    return connection
  }

  // MARK: Floods of handshakes

  @Test func aFloodOfSYNsTakesBoundedState() throws {
    let script = Script()
    let bystander = try Bystander(script)
    let before = script.endpoint.connectionCount
    let clock = ContinuousClock()
    var most = 0
    let count = 20_000
    let spent = try clock.measure {
      for index in 0..<count {
        let subflow = ScriptedSubflow(
          script, path: index & 1,
          local: TransportAddress(IPAddress(v4: 0x0b00_0000 | UInt32(index)), Port(UInt16(1024 + index % 50_000))),
          remote: TransportAddress(Pair.address(0, 0, .v4), 80))
        subflow.send(.syn, [.capable(MPCapable(flags: .hmac))], plain: [.maximumSegmentSize(1460)])
        most = max(most, script.endpoint.connectionCount)
        if index % 5000 == 4999 { try bystander.works() }
        if index % 1000 == 999 { _ = script.takeAll() }
      }
    }
    let limit = script.endpoint.configuration.maximumHalfOpenCount
    report(
      "SYN flood: \(count) SYNs, \(most - before) half-open connections at most, \(script.endpoint.statistics.cookiesSent)"
        + " cookies, \(spent / count) each (debug build)")
    #expect(most - before <= limit)
    #expect(script.endpoint.statistics.cookiesSent == count - limit)
    // Somebody honest gets in by a cookie, while it goes on.
    _ = script.takeAll()
    let late = try #require(try ScriptedConnection.accepted(by: script, options: lonely, port: 6001))
    late.send(octets(10), at: 1)
    #expect(script.endpoint.statistics.cookiesAccepted == 1)
    // The half-open ones end by themselves.
    script.pass(.seconds(200))
    #expect(script.endpoint.halfOpenCount == 0)
    #expect(script.endpoint.connectionCount == before + 1)
    try bystander.works()
  }

  @Test func aFloodOfJoinsWithBadHMACsReachesOneConnectionAndLeavesItWhole() throws {
    let script = Script()
    let bystander = try Bystander(script)
    let target = try hostile(script)
    let connection = try #require(script.endpoint.connection(target.id))
    var most = 0
    var answers = 0
    let count = 4000
    for index in 0..<count {
      let subflow = ScriptedSubflow(
        script, path: 1, local: TransportAddress(IPAddress(v4: 0x0b00_0000 | UInt32(index)), 5000),
        remote: TransportAddress(Pair.address(1, 0, .v4), 80))
      subflow.send(
        .syn,
        [.join(.syn(backup: false, addressID: AddressID(3), token: target.engineKey.token(), nonce: UInt32(index)))])
      if subflow.take(where: \.isSynAck) != nil {
        // Half of them prove themselves wrongly, and half never do.
        if index & 1 == 0 { subflow.send(.ack, [.join(.ack(hmac: HMAC160(high: 1, middle: 2, low: UInt32(index))))]) }
      }
      most = max(most, connection.subflows.count)
      answers += script.takeAll().count
    }
    let refused = script.endpoint.statistics.badJoinAuthentications
    report(
      "join flood: \(count) SYNs with the right token, \(most - 1) half-open at most, \(refused) wrong proofs,"
        + " \(answers) further answers")
    #expect(most <= 9)
    #expect(refused > 0)
    #expect(script.endpoint.description(of: target.id)?.isMultipath == true)
    try bystander.works()
    // The connection under attack works too, and so does an honest join once the half-open ones have ended.
    target.send(octets(10), at: 11)
    #expect(try target.readAll() == octets(10))
    script.pass(.seconds(100))
    #expect(connection.subflows.count == 1)
    #expect(target.join() != nil)
  }

  @Test func guessingTokensGetsFewAnswersAndNoState() throws {
    let script = Script()
    let bystander = try Bystander(script)
    let before = script.endpoint.connectionCount
    let count = 20_000
    for index in 0..<count {
      let subflow = ScriptedSubflow(
        script, path: 1, local: TransportAddress(IPAddress(v4: 0x0b00_0000 | UInt32(index)), 5000),
        remote: TransportAddress(Pair.address(1, 0, .v4), 80))
      subflow.send(
        .syn,
        [.join(.syn(backup: false, addressID: AddressID(3), token: Token(UInt32(index) &* 2_654_435_761), nonce: 1))])
    }
    let answers = script.takeAll()
    report("token guessing: \(count) guesses in a second, \(answers.count) RSTs")
    #expect(answers.allSatisfy { $0.isReset && $0.resetReason == .mptcpSpecific })
    // RFC 5961 §7's budget: between half and one and a half times the configured 1,000.
    #expect((500..<1500).contains(answers.count))
    #expect(script.endpoint.statistics.unknownTokens == count)
    #expect(script.endpoint.connectionCount == before)
    script.pass(.seconds(1))
    try bystander.works()
  }

  // MARK: Floods of signals

  /// The policy asks for everything that it is told of.
  private var eager: ConnectionOptions {
    var options = ConnectionOptions()
    options.policy = .fullMesh()
    return options
  }

  // Requirement 8684-3.4.1-06, 8684-3.4.1-07, 8684-3.9.2-03, 8684-5-04
  @Test func aFloodOfAnnouncementsCausesFewJoinsAndAnswers() throws {
    let script = Script()
    let bystander = try Bystander(script)
    let flooder = try hostile(script, options: eager)
    script.events.removeAll()
    // Each refreshes one of 255 addresses of somebody else, and each SYN that it causes is refused at once.
    var syns = 0
    var echoes = 0
    let count = 20_000
    let start = script.now
    for index in 0..<count {
      let id = UInt8(1 + index % 255)
      flooder.initial.send(
        .ack, [flooder.announcement(IPAddress(v4: 0x0b00_0000 | UInt32(id)), id: AddressID(id))])
      for packet in script.takeAll() {
        if packet.addAddress?.isEcho == true { echoes += 1 }
        guard packet.isSyn else { continue }
        syns += 1
        let victim = ScriptedSubflow(
          script, path: packet.path, local: TransportAddress(packet.destination, packet.tcp.destinationPort),
          remote: TransportAddress(packet.source, packet.tcp.sourcePort))
        victim.note(packet)
        victim.send([.rst, .ack], at: 0, ack: 1)
      }
      script.pass(.microseconds(500))
    }
    let seconds = Int((script.now - start).seconds)
    let told = script.connectionEvents.filter { if case .addressAnnounced = $0 { true } else { false } }.count
    let ignored = script.endpoint.statistics.ignoredSignals
    report(
      "ADD_ADDR flood: \(count) in \(seconds) s; a second: \(told / seconds) events, \(echoes / seconds) echoes,"
        + " \(syns / seconds) SYNs; \(ignored) not looked at")
    #expect(told <= (seconds + 1) * Limits.signalsPerSecond)
    #expect(echoes <= (seconds + 1) * Limits.signalsPerSecond)
    #expect(syns <= (seconds + 1) * Limits.joinsPerSecond)
    #expect(ignored >= count - (seconds + 1) * Limits.signalsPerSecond)
    let connection = try #require(script.endpoint.connection(flooder.id))
    #expect(connection.remoteAddresses.count <= Limits.remoteAddresses)
    #expect(connection.subflows.allSatisfy { $0.pendingOptions.count <= Limits.pendingOptions })
    try bystander.works()
  }

  @Test func aFloodOfRemovalsAndPrioritiesCausesFewEventsAndProbes() throws {
    let script = Script()
    let bystander = try Bystander(script)
    let flooder = try hostile(script)
    var joined: [ScriptedSubflow] = []
    for index in 0..<8 { if let subflow = flooder.join(port: Port(UInt16(7000 + index))) { joined.append(subflow) } }
    #expect(joined.count == 8)
    for subflow in joined { subflow.send(.ack, [flooder.dataAck(1)]) }
    _ = script.takeAll()
    script.events.removeAll()
    var probes = 0
    let count = 10_000
    let start = script.now
    for index in 0..<count {
      flooder.initial.send(
        .ack,
        [
          .removeAddress(RemoveAddress(AddressID(2), AddressID(77))),
          .priority(MPPriority(backup: index & 1 == 0)),
        ])
      for packet in script.takeAll() {
        for subflow in joined where subflow.local.port == packet.tcp.destinationPort {
          probes += 1
          subflow.send(.ack)
        }
      }
      script.pass(.microseconds(500))
    }
    let seconds = Int((script.now - start).seconds)
    report(
      "REMOVE_ADDR and MP_PRIO flood: \(count) of each in \(seconds) s; a second: \(script.events.count / seconds) events,"
        + " \(probes / seconds) probes of 8 subflows")
    #expect(script.events.count <= (seconds + 1) * Limits.signalsPerSecond)
    #expect(probes <= (seconds + 1) * Limits.signalsPerSecond * joined.count)
    #expect(script.endpoint.description(of: flooder.id)?.subflows.count == 9)
    try bystander.works()
  }

  // MARK: Lies about data

  @Test func mappingsThatOverlapAndAgreeDeliverEachOctetOnce() throws {
    let script = Script()
    let bystander = try Bystander(script)
    let peer = try hostile(script)
    let all = octets(2000, from: 10)
    // Every run of 100 octets is mapped from each of its tenths on, once more with each segment.
    for start in stride(from: 0, to: 2000, by: 10) {
      let run = Array(all[start..<min(start + 100, 2000)])
      peer.initial.send(
        .ack, at: 11 + start, [peer.mapping(at: 11 + start, subflowOffset: 11 + start, run)], payload: run)
    }
    #expect(try peer.readAll() == all)
    let held = try #require(script.endpoint.connection(peer.id)).subflows[0].receivedMappings.count
    report("overlapping mappings: 200 of 100 octets each, \(held) kept")
    #expect(held <= 1)
    try bystander.works()
  }

  @Test func mappingsThatLieCostTheirSubflowAndNoMore() throws {
    let script = Script()
    let bystander = try Bystander(script)
    let peer = try hostile(script)
    var resets = 0
    for round in 0..<20 {
      let liar = try #require(peer.join(port: Port(UInt16(7000 + round))))
      liar.send(.ack, [peer.dataAck(1)])
      let claim = peer.mapping(at: 1000, subflowOffset: 1, octets(100))
      let lie =
        switch round % 4 {
        // The same octets of the subflow for other data; later data mapped to what came before it; a length that ends
        // elsewhere; and one that begins inside of the first.
        case 0: peer.mapping(at: 2000, subflowOffset: 1, octets(100))
        case 1: peer.mapping(at: 900, subflowOffset: 51, octets(100))
        case 2: peer.mapping(at: 1001, subflowOffset: 1, octets(50))
        default: peer.mapping(at: 1000, subflowOffset: 51, octets(10))
        }
      liar.send(.ack, at: 1, [claim], payload: octets(10))
      liar.send(.ack, at: 11, [lie], payload: octets(10))
      resets += script.takeAll().filter { $0.isReset && $0.resetReason == .mptcpSpecific }.count
    }
    report("contradicting mappings: 20 subflows with one lie each, \(resets) reset")
    #expect(resets == 20)
    #expect(script.endpoint.description(of: peer.id)?.subflows.count == 1)
    peer.send(octets(10), at: 11)
    #expect(try peer.readAll().prefix(10) == octets(10)[...])
    try bystander.works()
  }

  @Test func mappingsOfDataFarAwayAreNeitherKeptNorAcknowledged() throws {
    let script = Script()
    let bystander = try Bystander(script)
    var options = lonely
    options.receiveBufferByteCount = 64 << 10
    let peer = try hostile(script, options: options)
    for index in 0..<2000 {
      peer.send(octets(1000), at: 1_000_000 + index * 1000)
      if index % 64 == 0 { _ = script.takeAll() }
    }
    let connection = try #require(script.endpoint.connection(peer.id))
    let held = connection.pendingByteCount + connection.reassembly.memoryByteCount + connection.receiveQueue.byteCount
    report("data outside the window: 2,000,000 octets sent, \(held) kept")
    #expect(held <= 2 * options.receiveBufferByteCount)
    peer.initial.send(.ack)
    #expect(script.takeAll().allSatisfy { peer.acknowledged(by: $0).map { $0 == 11 } ?? true })
    try bystander.works()
  }

  @Test func windowsThatLieNeverMakeUsKeepMoreThanTheSendBuffer() throws {
    let script = Script()
    let bystander = try Bystander(script)
    var options = lonely
    options.sendBufferByteCount = 256 << 10
    let peer = try hostile(script, options: options)
    let connection = try #require(script.endpoint.connection(peer.id))
    var offered = 0
    var taken = 0
    var sent = 0
    // The largest window, then none, then one octet, over and over; never a DATA_ACK of anything.
    for round in 0..<3000 {
      peer.initial.window = [65_535, 0, 1][round % 3]
      offered += 1000
      taken += try script.endpoint.write(ByteSlice(octets(1000)), to: peer.id, at: script.now)
      for packet in script.takeAll() where packet.tcp.destinationPort == peer.initial.local.port {
        sent += 1
        peer.initial.note(packet)
      }
      peer.initial.send(.ack, [peer.dataAck(1)])
      script.pass(.milliseconds(1))
    }
    report(
      "windows that lie: \(offered) octets offered, \(taken) taken, \(sent) packets in 3 s,"
        + " right edge at \(connection.sendWindowEdge)")
    #expect(taken <= options.sendBufferByteCount + 1000)
    // The edge is the largest that was said, and never comes back (RFC 8684 §3.3.5).
    #expect(connection.sendWindowEdge == 1 + 65_535)
    // A window that stays closed is probed at growing intervals.
    peer.initial.window = 0
    peer.initial.send(.ack, [peer.dataAck(1)])
    _ = script.takeAll()
    script.pass(.seconds(60))
    let probes = script.takeAll().filter { $0.tcp.destinationPort == peer.initial.local.port }.count
    report("a closed window: \(probes) packets in a minute")
    #expect(probes <= 100)
    try bystander.works()
  }

  @Test func acknowledgementsOfDataNeverSentFreeNothing() throws {
    let script = Script()
    let bystander = try Bystander(script)
    let peer = try hostile(script)
    _ = try script.endpoint.write(ByteSlice(octets(500)), to: peer.id, at: script.now)
    _ = script.takeAll()
    var challenges = 0
    let count = 5000
    for index in 0..<count {
      // Of the connection, and of the subflow.
      if index & 1 == 0 {
        peer.initial.send(.ack, ack: 1, [peer.dataAck(502 + index * 1000)])
      } else {
        peer.initial.send(.ack, ack: 502 + index * 1000, [peer.dataAck(1)])
      }
      challenges += script.takeAll().filter { $0.payload.isEmpty }.count
    }
    let connection = try #require(script.endpoint.connection(peer.id))
    report("ACKs of data never sent: \(count), \(challenges) answers in the same moment")
    #expect(connection.sendBuffer.byteCount == 500)
    #expect(connection.sendUnacknowledged == 1)
    #expect(challenges <= 3)
    peer.initial.send(.ack, ack: 501, [peer.dataAck(501)])
    #expect(connection.sendBuffer.byteCount == 0)
    try bystander.works()
  }

  // MARK: Wraps

  /// Data sequence numbers that pass 2^64, or 2^32 where they are said in four octets, on both sides, under loss. The
  /// engine itself maps with eight octets, so those of four are made on the way: as a peer would that has no more of
  /// them.
  // Requirement 8684-3.3.1-22, 8684-3.3.1-23, 8684-3.3.2-03
  @Test(arguments: [UInt64.max - 100_000, (7 << 32) - 100_000, (1 << 63) - 100_000] as [UInt64], [false, true])
  func dataSequenceNumbersWrap(initial: UInt64, areShort: Bool) throws {
    var link = quick
    link.lossRate = Probability(0.02)
    let pair = Pair([link, slow], offload: false)
    let exchange = try Exchange(pair, clientSends: 400_000, serverSends: 400_000)
    // Nothing is written before the numbers are what they are to be.
    let step = pair.onStep
    pair.onStep = {}
    pair.run(for: .milliseconds(500))
    let sides = pair.endpoints.compactMap { endpoint in endpoint.connectionSlots.compactMap { $0 }.first }
    #expect(sides.count == 2)
    #expect(sides.allSatisfy { $0.phase == .open })
    for side in 0..<2 {
      // As if the keys had given these.
      sides[side].localInitialNumber = DataSequenceNumber(initial)
      sides[1 - side].remoteInitialNumber = DataSequenceNumber(initial)
    }
    // By direction: the short numbers of mappings and of DATA_ACKs, below the wrap and above it.
    var mapped = [[0, 0], [0, 0]]
    var acknowledged = [[0, 0], [0, 0]]
    var longAcknowledgments = 0
    if areShort {
      pair.onPacket = { side, _, bytes in
        guard var packet = WirePacket(bytes), var dss = packet.dss else { return bytes }
        switch dss.dataAck {
        case .eight: longAcknowledgments += 1
        case .four(let low): acknowledged[side][low > 1 << 31 ? 0 : 1] += 1
        case nil: break
        }
        guard case .eight(let number)? = dss.mapping?.dsn else { return bytes }
        let low = UInt32(truncatingIfNeeded: number)
        mapped[side][low > 1 << 31 ? 0 : 1] += 1
        dss.mapping?.dsn = .four(low)
        packet.rewrite { if case .dss = $0 { .dss(dss) } else { $0 } }
        return packet.bytes
      }
    }
    pair.onStep = step
    step()
    exchange.expectWhole(isMultipath: true)
    guard areShort else { return }
    // Who was never told eight octets acknowledges with four, of its own accord.
    #expect(longAcknowledgments == 0)
    #expect((mapped + acknowledged).allSatisfy { $0[0] > 10 && $0[1] > 10 }, "\(mapped) \(acknowledged)")
    report(
      "DSNs from \(initial) on: 400,000 octets each way, whole; 4-octet mappings below and above the wrap \(mapped),"
        + " DATA_ACKs \(acknowledged)")
  }

  /// Relative subflow sequence numbers have 32 bits as well; a subflow that carried 4 GiB goes on (RFC 8684 §3.3.1).
  @Test func subflowSequenceNumbersWrap() throws {
    let script = Script()
    let peer = try hostile(script)
    let subflow = try #require(script.endpoint.connection(peer.id)).subflows[0]
    // As if it had carried that much already.
    let distance = (1 << 32) - 2000
    subflow.receiveNext += distance
    subflow.receiveWindowEdge += distance
    subflow.lastSentAcknowledgment += distance
    subflow.sendWindowUpdateSequence += distance
    subflow.initialReceiveSequenceNumber = subflow.initialReceiveSequenceNumber + 2000
    subflow.receivedMappings.removeAll()
    let all = octets(4000, from: 10)
    for start in stride(from: 0, to: 4000, by: 500) {
      let run = Array(all[start..<start + 500])
      let relative = UInt32(truncatingIfNeeded: distance + 11 + start)
      peer.initial.send(
        .ack,
        [
          .dss(
            DSS(
              mapping: DSSMapping(
                dsn: .four(peer.number(11 + start).low32), subflowSequenceNumber: relative, length: 500)))
        ], payload: run)
    }
    #expect(try peer.readAll() == all)
    #expect(peer.acknowledged(by: try #require(script.takeAll().last)) == 4011)
    report("SSNs across 2^32: 4,000 octets, whole")
  }
}
