import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// What is remembered where Multipath TCP failed (RFC 8684 §3.9.3, RFC 6824 §3.8.3).
@Suite struct PeerMemoryTests {
  private let start = Instant(nanoseconds: 1_000_000_000)
  private let limits = PeerMemoryLimits()
  private func host(_ number: Int) -> IPAddress { IPAddress(v4: 0xc000_0200 + UInt32(number)) }

  private func offers(_ memory: PeerMemory, _ number: Int, over path: Int32 = 0, at now: Instant) -> Bool {
    memory.advice(.enabled, to: host(number), over: PathID(path), at: now) != .withhold
  }

  // MARK: The table

  @Test func withholdingGrowsWithEachFailureAndEnds() {
    var memory = PeerMemory()
    var now = start
    for delay in [300, 600, 1200, 2400] as [Int64] {
      memory.noteLost(to: host(1), over: PathID(0), at: now, limits: limits)
      #expect(!offers(memory, 1, at: now + .seconds(delay - 1)))
      now = now + .seconds(delay)
      #expect(offers(memory, 1, at: now))
    }
    // Another destination, and the same over another path, are not concerned.
    memory.noteLost(to: host(1), over: PathID(0), at: now, limits: limits)
    #expect(offers(memory, 2, at: now))
    #expect(offers(memory, 1, over: 1, at: now))
    memory.noteWorking(.v1, to: host(1), over: PathID(0))
    #expect(memory == PeerMemory())
    for _ in 0..<100 { memory.noteLost(to: host(1), over: PathID(0), at: now, limits: limits) }
    #expect(!offers(memory, 1, at: now + (limits.longestDelay - .seconds(1))))
    #expect(offers(memory, 1, at: now + limits.longestDelay))
  }

  @Test func severalDestinationsMakeThePathSuspectUntilItWorks() {
    var memory = PeerMemory()
    for number in 1...2 {
      memory.noteLost(to: host(number), over: PathID(0), at: start, limits: limits)
      memory.noteLost(to: host(number), over: PathID(0), at: start, limits: limits)
    }
    #expect(offers(memory, 9, at: start))
    memory.noteLost(to: host(3), over: PathID(0), at: start, limits: limits)
    #expect(!offers(memory, 9, at: start))
    #expect(offers(memory, 9, over: 1, at: start))
    #expect(offers(memory, 9, at: start + .seconds(300)))
    // The next failure there is the path's again, for longer.
    let later = start + .seconds(300)
    memory.noteLost(to: host(4), over: PathID(0), at: later, limits: limits)
    #expect(!offers(memory, 9, at: later + .seconds(599)))
    memory.noteWorking(.v1, to: host(5), over: PathID(0))
    #expect(offers(memory, 9, at: later))
    #expect(!offers(memory, 4, at: later))
    memory.forget(PathID(0))
    #expect(memory == PeerMemory())
  }

  @Test func theTableIsBoundedAndForgetsTheOldest() {
    var limits = limits
    limits.destinationCount = 8
    limits.pathCount = 3
    var memory = PeerMemory()
    memory.noteSuspicious(to: host(0), over: PathID(0), at: start, limits: limits)
    for number in 1...100 {
      memory.noteLost(to: host(number), over: PathID(Int32(number)), at: start, limits: limits)
    }
    #expect(memory.destinations.count == 8)
    #expect(memory.paths.count == 3)
    // What holds for good outlives what would be found out again.
    #expect(memory.destinations.map(\.address) == [host(0)] + (94...100).map(host))
    for number in 1...50 {
      memory.noteSuspicious(to: host(number), over: PathID(0), at: start, limits: limits)
    }
    #expect(memory.destinations.count == 8)
    for number in 1...50 { memory.noteLost(to: host(number), over: PathID(0), at: start, limits: limits) }
    #expect(memory.paths.last?.destinations.count == limits.failuresOfPath)
  }

  @Test func recordsAgeButWhatHoldsForGoodDoesNot() {
    var memory = PeerMemory()
    memory.noteLost(to: host(1), over: PathID(0), at: start, limits: limits)
    memory.note(.onlyTCP, of: host(2), over: PathID(0), at: start, limits: limits)
    memory.noteSuspicious(to: host(3), over: PathID(0), at: start, limits: limits)
    memory.age(at: start + (limits.lifetime - .seconds(1)), limits: limits)
    #expect(memory.destinations.count == 3)
    memory.age(at: start + limits.lifetime, limits: limits)
    #expect(memory.destinations.map(\.address) == [host(1), host(3)])
    memory.age(at: start + limits.lifetime + .seconds(300), limits: limits)
    #expect(memory.destinations.map(\.address) == [host(3)])
    #expect(memory.paths.isEmpty)
    #expect(!offers(memory, 3, at: start + limits.lifetime * 1000))
    memory.forget(host(3))
    #expect(memory == PeerMemory())
  }

  @Test func aHostMayKeepRecordsAndGiveThemBack() throws {
    let script = Script()
    script.endpoint.peerMemory.noteSuspicious(
      to: Pair.address(0, 1, .v4), over: PathID(0), at: script.now, limits: limits)
    let kept = script.endpoint.peerMemory
    let other = Script()
    other.endpoint.peerMemory = PeerMemory(destinations: kept.destinations, paths: kept.paths)
    _ = try other.endpoint.connect(to: TransportAddress(Pair.address(0, 1, .v4), 80), at: other.now)
    #expect(try #require(other.take(where: \.isSyn)).multipath.isEmpty)
    other.endpoint.peerMemory = PeerMemory()
    _ = try other.endpoint.connect(to: TransportAddress(Pair.address(0, 1, .v4), 80), at: other.now)
    #expect(try #require(other.take(where: \.isSyn)).capable != nil)
    // More than the configuration allows is cut.
    let many = (0..<2000).map {
      PeerMemory.Destination(
        address: host($0), path: PathID(0), withheldUntil: other.now + .seconds(9), learntAt: other.now)
    }
    other.endpoint.peerMemory = PeerMemory(destinations: many, paths: [])
    #expect(other.endpoint.peerMemory.destinations.count == limits.destinationCount)
  }

  // MARK: The endpoint

  // Requirement 8684-3.9.3-02, 8684-3.1-53
  @Test func whereTheOptionIsWhatGetsSYNsLostTheNextConnectionLeavesItOut() throws {
    let pair = Pair([quick])
    var syns: [Bool] = []
    pair.middlebox { side, packet in
      guard side == 0, packet.isSyn else { return true }
      syns.append(packet.capable != nil)
      return packet.capable == nil
    }
    func connect() throws -> ConnectionID {
      syns = []
      let id = try pair.endpoints[0].connect(
        to: TransportAddress(Pair.address(0, 1, .v4), 80), options: lonely, at: pair.now)
      pair.run(for: .seconds(12)) { pair.endpoints[0].description(of: id)?.subflows.first?.state == .established }
      return id
    }
    _ = try pair.endpoints[1].listen(on: TransportAddress(.anyV4, 80), at: pair.now)
    let first = try connect()
    #expect(syns == [true, true, true, false])
    #expect(pair.endpoints[0].description(of: first)?.fallback == .synsLost)
    let second = try connect()
    #expect(syns == [false])
    #expect(pair.endpoints[0].description(of: second)?.fallback == .withheld)
    #expect(pair.endpoints[0].description(of: second)?.isMultipath == false)
    // Its time is up: another attempt, and the box is gone.
    pair.run(for: .seconds(301))
    pair.middlebox { _, packet in
      if packet.isSyn { syns.append(packet.capable != nil) }
      return true
    }
    let third = try connect()
    #expect(syns == [true])
    #expect(pair.endpoints[0].description(of: third)?.isMultipath == true)
    #expect(pair.endpoints[0].peerMemory == PeerMemory())
  }

  @Test func aHostThatIsAwayIsNoReasonToWithholdAnything() throws {
    let script = Script()
    _ = try script.endpoint.connect(to: TransportAddress(Pair.address(0, 1, .v4), 80), at: script.now)
    script.pass(.seconds(181))
    #expect(script.closeReason == .connectTimedOut)
    #expect(script.endpoint.peerMemory == PeerMemory())
  }

  @Test func aLateAnswerWithTheOptionShowsThatItWasNotLost() throws {
    let script = Script()
    _ = try script.endpoint.connect(to: TransportAddress(Pair.address(0, 1, .v4), 80), at: script.now)
    script.pass(.seconds(8))
    let syns = script.takeAll()
    #expect(syns.last?.capable == nil)
    let subflow = ScriptedSubflow(
      script, path: 0, local: TransportAddress(Pair.address(0, 1, .v4), 80),
      remote: TransportAddress(Pair.address(0, 0, .v4), try #require(syns.first).tcp.sourcePort))
    for syn in syns { subflow.note(syn) }
    subflow.send([.syn, .ack], [.capable(MPCapable(senderKey: Key(5)))])
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
    #expect(script.endpoint.peerMemory == PeerMemory())
  }

  // Requirement 8684-3.9.3-02
  @Test func threeDestinationsMakeThePathTheSuspect() throws {
    let script = Script()
    for side in 1...4 {
      let address = Pair.address(0, side, .v4)
      _ = try script.endpoint.connect(to: TransportAddress(address, 80), options: lonely, at: script.now)
      let syn = try #require(script.take(where: \.isSyn))
      #expect((syn.capable != nil) == (side < 4))
      script.pass(.seconds(8))
      let plain = try #require(script.takeAll().last)
      let subflow = ScriptedSubflow(
        script, path: 0, local: TransportAddress(address, 80),
        remote: TransportAddress(plain.source, plain.tcp.sourcePort))
      subflow.note(plain)
      subflow.send([.syn, .ack])
    }
    // The other path is another matter, and what is learnt of one goes with it.
    var options = lonely
    options.path = PathID(1)
    _ = try script.endpoint.connect(
      to: TransportAddress(Pair.address(0, 9, .v4), 80), options: options, at: script.now)
    #expect(try #require(script.take(where: \.isSyn)).capable != nil)
    script.endpoint.removePath(PathID(0), at: script.now)
    #expect(script.endpoint.peerMemory == PeerMemory())
  }

  /// RFC 8684 §3.1: a box that copies or cuts options is nothing to speak Multipath TCP through.
  @Test func anAnswerThatContradictsTheOfferEndsItForGood() throws {
    let broken: [(MultipathMode, (WirePacket) -> MPCapable)] = [
      (.enabled, { _ in MPCapable() }),
      (.enabled, { _ in MPCapable(senderKey: Key(1), receiverKey: Key(2)) }),
      (.enabled, { _ in MPCapable(flags: [], senderKey: Key(1)) }),
      (.version0, { $0.capable ?? MPCapable() }),
    ]
    for (mode, answer) in broken {
      let script = Script()
      var options = lonely
      options.multipath = mode
      for attempt in 0..<2 {
        _ = try script.endpoint.connect(
          to: TransportAddress(Pair.address(0, 1, .v4), 80), options: options, at: script.now)
        let syn = try #require(script.take(where: \.isSyn))
        #expect((syn.capable != nil) == (attempt == 0))
        let subflow = ScriptedSubflow(
          script, path: 0, local: TransportAddress(syn.destination, 80),
          remote: TransportAddress(syn.source, syn.tcp.sourcePort))
        subflow.note(syn)
        subflow.send([.syn, .ack], [.capable(answer(syn))])
        script.pass(.seconds(1_000_000))
      }
      #expect(script.endpoint.peerMemory.destinations.first?.withheldUntil == .distantFuture)
    }
    // An extension, or another version, is nobody's fault.
    for (flags, version) in [([.hmac, .extensibility], 1), (.hmac, 0), (.hmac, 2)] as [(MPCapableFlags, UInt8)] {
      let script = Script()
      _ = try ScriptedConnection.opened(by: script, flags: flags, version: version)
      #expect(script.endpoint.peerMemory == PeerMemory())
    }
  }

  /// Many clients may stand behind one address.
  @Test func aListenerRemembersNothingOfItsClients() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely, sendsKeys: false))
    connection.usesChecksum = true
    connection.initial.send(.ack, [connection.thirdAcknowledgment()])
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
    #expect(script.endpoint.peerMemory == PeerMemory())
  }

  /// RFC 8684 §3.4.1: an address that does not answer is not tried again until it is announced again.
  @Test func anAnnouncedAddressThatNeverAnswersIsLeftAloneUntilItIsAnnouncedAgain() throws {
    let script = Script()
    var options = ConnectionOptions()
    options.userTimeout = .seconds(100_000)
    let connection = try ScriptedConnection.opened(by: script, options: options)
    let address = Pair.address(1, 7, .v4)
    connection.initial.send(.ack, [connection.dataAck(1)])
    connection.initial.send(.ack, [connection.announcement(address, id: AddressID(7))])
    script.pass(.seconds(400))
    #expect(script.takeAll().contains { $0.isSyn && $0.destination == address })
    script.pass(.seconds(400))
    #expect(!script.takeAll().contains { $0.isSyn && $0.destination == address })
    connection.initial.send(.ack, [connection.announcement(address, id: AddressID(7))])
    #expect(script.takeAll().contains { $0.isSyn && $0.destination == address })
  }
}
