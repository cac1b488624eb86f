import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Loss found and repaired: RFC 6298, RFC 8985, RFC 6582, RFC 3168.
@Suite struct RecoveryTests {
  static let link = LinkConfiguration(bitsPerSecond: 20_000_000, delay: .milliseconds(20), queueByteCount: 400_000)
  static var plain: ConnectionOptions {
    var options = ConnectionOptions()
    options.multipath = .disabled
    return options
  }

  /// Transfers `count` bytes from the client, and gives the pair afterwards.
  private func transfer(
    _ count: Int, _ link: LinkConfiguration = Self.link, offload: Bool = false, options: ConnectionOptions = Self.plain,
    onPacket: @escaping (Int, [UInt8]) -> [UInt8]? = { $1 }
  ) throws -> (Pair, Exchange) {
    let pair = Pair([link], offload: offload)
    pair.onPacket = { side, _, bytes in onPacket(side, bytes) }
    let exchange = try Exchange(pair, clientSends: count, serverSends: 0, options: options)
    #expect(pair.run(for: .seconds(120)) { exchange.isDone || exchange.mismatch != nil })
    #expect(exchange.mismatch == nil)
    #expect(exchange.closed == [.finished, .finished])
    return (pair, exchange)
  }

  // Requirement 6298-5-01
  @Test func retransmissionTimeoutsBackOff() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    puppet.write(100)
    var times: [Instant] = []
    for _ in 0..<2000 {
      puppet.wait(.milliseconds(10))
      if !puppet.take().isEmpty { times.append(puppet.now) }
    }
    let gaps = zip(times, times.dropFirst()).map { $1 - $0 }
    #expect(gaps.count >= 4)
    // Each wait is twice the one before it (RFC 6298 §5.5), up to the tick of this test.
    for (first, second) in zip(gaps.dropFirst(2), gaps.dropFirst(3)) {
      #expect(second >= first * 2 - .milliseconds(20) && second <= first * 2 + .milliseconds(20))
    }
    puppet.expected = puppet.expected + 100
    puppet.send()
    puppet.wait(.seconds(60))
    #expect(puppet.take().isEmpty)
  }

  /// A peer without SACK, so that there are no probes: only the time-out repeats.
  private func withoutProbes() throws -> (Puppet, Subflow) {
    let puppet = try Puppet()
    puppet.usesSACK = false
    #expect(puppet.open(roundTrip: .milliseconds(100)))
    _ = puppet.take()
    return (puppet, try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first))
  }

  // Requirement 6298-5-02
  @Test func anAcknowledgementOfNewDataStartsTheTimerAnewAndOneOfAllStopsIt() throws {
    let (puppet, subflow) = try withoutProbes()
    puppet.write(2 * 1460)
    let sent = puppet.takeData()
    #expect(sent.count == 2)
    // One round trip of 100 ms: 100 + 4 × 50.
    #expect(subflow.roundTrip.retransmissionTimeout == .milliseconds(300))
    puppet.wait(.milliseconds(299))
    #expect(puppet.take().isEmpty)
    puppet.expected = sent[1].tcp.sequenceNumber
    puppet.send()
    let timeout = subflow.roundTrip.retransmissionTimeout
    // One that acknowledges nothing new does not.
    puppet.wait(timeout / 2)
    puppet.send()
    puppet.wait(timeout - timeout / 2 - .milliseconds(1))
    #expect(puppet.take().isEmpty)
    puppet.wait(.milliseconds(2))
    #expect(puppet.takeData().map(\.tcp.sequenceNumber) == [sent[1].tcp.sequenceNumber])
    puppet.send()
    puppet.wait(.seconds(300))
    #expect(puppet.take().isEmpty)
    #expect(puppet.endpoint.statistics.retransmissionTimeouts == 1)
  }

  // Requirement 6298-5-03
  @Test func aTimeoutRepeatsTheFirstThatIsUnacknowledgedAndWaitsTwiceAsLong() throws {
    let (puppet, subflow) = try withoutProbes()
    puppet.write(5 * 1460)
    let sent = puppet.takeData()
    #expect(sent.count == 5)
    puppet.wait(.milliseconds(100))
    puppet.expected = sent[2].tcp.sequenceNumber
    puppet.send()
    let timeout = subflow.roundTrip.retransmissionTimeout
    for time in [timeout, timeout * 2, timeout * 4, timeout * 8] {
      puppet.wait(time - .milliseconds(1))
      #expect(!puppet.take().contains { $0.tcp.sequenceNumber == sent[2].tcp.sequenceNumber })
      puppet.wait(.milliseconds(1))
      // In smaller pieces after the second, as the path may not carry it whole (RFC 4821 §7.7).
      let again = puppet.take()
      #expect(again.first?.tcp.sequenceNumber == sent[2].tcp.sequenceNumber)
      #expect(again.allSatisfy { $0.tcp.sequenceNumber - sent[3].tcp.sequenceNumber < 0 })
    }
  }

  /// The round trip has grown beyond the time-out, and without timestamps an acknowledgement of what was repeated
  /// measures nothing: were the back-off forgotten with it, each segment would be repeated needlessly for ever (Karn).
  // Requirement 6298-3-01, 9293-3.8.1-01
  @Test func theBackOffLastsUntilARoundTripWasMeasured() throws {
    let (puppet, subflow) = try withoutProbes()
    for count in [3, 1, 1] {
      puppet.write(100)
      puppet.wait(.milliseconds(1000))
      #expect(puppet.takeData().count == count)
      puppet.send()
    }
    #expect(subflow.roundTrip.backOffCount == 0)
    #expect(try #require(subflow.roundTrip.smoothed) > .milliseconds(200))
  }

  /// Beside other subflows a path that is silent is asked far more often than by a time-out that doubles; when it
  /// answers, how often that was says nothing of its round trip. Alone it is Karn's rule again.
  // Requirement 6298-5-03
  @Test(arguments: [false, true])
  func theBackOffOfASilentPathEndsWithTheSilenceWhereOthersWork(isAlone: Bool) throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.send(octets(1), at: 1)
    let second = try #require(connection.join())
    second.send(.ack, [connection.dataAck(1)])
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    let subflow = try #require(script.endpoint.connection(connection.id)?.subflows.first { !$0.isInitial })
    func write() throws -> WirePacket {
      _ = script.takeAll()
      _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
      return try #require(second.take { !$0.payload.isEmpty })
    }
    _ = try write()
    script.pass(.milliseconds(20))
    second.send(.ack, [connection.dataAck(101)])
    if isAlone { connection.initial.send(.rst) }
    _ = try write()
    for _ in 0..<50 {
      script.pass(.milliseconds(100))
      // What the silent one held goes over the other one, which answers.
      if !isAlone, connection.initial.take(where: { !$0.payload.isEmpty }) != nil {
        connection.initial.send(.ack, [connection.dataAck(201)])
      }
    }
    #expect(subflow.isStalled && subflow.roundTrip.backOffCount > 0)
    second.send(.ack, [connection.dataAck(201)])
    #expect(!subflow.isStalled && (subflow.roundTrip.backOffCount > 0) == isAlone)
  }

  // Requirement 8985-7-01
  @Test func aLostTailIsRepairedByAProbeAndNotByATimeout() throws {
    // The last data, with the FIN.
    var dropped = 0
    let (pair, _) = try transfer(50_000) { side, bytes in
      guard side == 0, let segment = SeenSegment(bytes), dropped == 0, segment.flags.contains(.fin) else {
        return bytes
      }
      #expect(!segment.payload.isEmpty)
      dropped += 1
      return nil
    }
    #expect(dropped == 1)
    #expect(pair.endpoints[0].statistics.tailLossProbes >= 1)
    #expect(pair.endpoints[0].statistics.retransmissionTimeouts == 0)
  }

  // Requirement 2018-4-01
  @Test func aFinAheadOfAGapIsReportedSoThatTheGapIsFilled() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    puppet.send([.fin, .ack], offset: 10)
    let answer = try #require(puppet.take().last?.options.sack)
    #expect(answer.count == 1)
    #expect(answer[0].left == puppet.sequence + 10)
    #expect(answer[0].right == puppet.sequence + 11)
    puppet.send(offset: 5, payload: [1, 2, 3, 4, 5])
    let both = try #require(puppet.take().last?.options.sack)
    #expect(both.count == 1)
    #expect(both[0].left == puppet.sequence + 5)
    #expect(both[0].right == puppet.sequence + 11)
    puppet.send(payload: [1, 2, 3, 4, 5])
    #expect(puppet.take().last?.tcp.acknowledgmentNumber == puppet.sequence + 11)
    #expect(puppet.state == .closeWait)
  }

  // Requirement 2018-5-01
  @Test func oneLostSegmentIsSentOnceMoreAndNothingElse() throws {
    var seen = 0
    let (pair, _) = try transfer(200_000) { side, bytes in
      guard side == 0, let segment = SeenSegment(bytes), !segment.payload.isEmpty else { return bytes }
      seen += 1
      return seen == 30 ? nil : bytes
    }
    #expect(pair.endpoints[0].statistics.retransmittedSegments == 1)
    #expect(pair.endpoints[0].statistics.retransmissionTimeouts == 0)
  }

  @Test func reorderingCostsFewRetransmissions() throws {
    var link = Self.link
    link.reorderRate = .percent(10)
    link.reorderDelay = .milliseconds(4)
    let (pair, _) = try transfer(2_000_000, link)
    // Until reordering has been seen once, three segments overtaken look like a loss (RFC 8985 §6.2).
    #expect(pair.endpoints[0].statistics.retransmittedSegments <= 20)
    #expect(pair.endpoints[0].statistics.retransmissionTimeouts == 0)
  }

  @Test func aPeerWithoutSackRecoversFromLoss() throws {
    var seen = 0
    let (pair, exchange) = try transfer(400_000) { side, bytes in
      let bytes = withoutOptions(bytes, kinds: [4, 5])
      guard side == 0, let segment = SeenSegment(bytes), !segment.payload.isEmpty else { return bytes }
      seen += 1
      return seen % 50 == 20 ? nil : bytes
    }
    #expect(exchange.received[1] == 400_000)
    #expect(pair.endpoints[0].statistics.retransmittedSegments < 30)
  }

  @Test(arguments: [[UInt8(3)], [8], [3, 8], [3, 4, 5, 8], [2, 3, 4, 5, 8]])
  func whateverOptionsTheSynLosesTheDataArrives(kinds: [UInt8]) throws {
    var seen = 0
    let (_, exchange) = try transfer(150_000) { side, bytes in
      let bytes = withoutOptions(bytes, kinds: Set(kinds))
      guard let segment = SeenSegment(bytes), !segment.payload.isEmpty else { return bytes }
      seen += 1
      return seen % 40 == 15 ? nil : bytes
    }
    #expect(exchange.received[1] == 150_000)
  }

  @Test(arguments: [false, true])
  func aMarkIsEchoedUntilTheSenderSaysThatItSlowedDown(offload: Bool) throws {
    var link = Self.link
    link.markingByteCount = 30_000
    var options = Self.plain
    options.explicitCongestionNotification = true
    var echoes = 0
    var reductions = 0
    var marked = 0
    let pair = Pair([link], backward: [Self.link], offload: offload)
    pair.onPacket = { side, _, bytes in
      guard let segment = SeenSegment(bytes), !segment.flags.contains(.syn) else { return bytes }
      if side == 1, segment.flags.contains(.ece) { echoes += 1 }
      if side == 0, segment.flags.contains(.cwr) { reductions += 1 }
      if side == 0, !segment.payload.isEmpty, segment.ip.trafficClass & 3 == 2 { marked += 1 }
      return bytes
    }
    let exchange = try Exchange(pair, clientSends: 3_000_000, serverSends: 0, options: options)
    #expect(pair.run(for: .seconds(60)) { exchange.isDone })
    #expect(exchange.closed == [.finished, .finished])
    #expect(marked > 100)
    #expect(echoes > 0)
    #expect(reductions > 0)
    // No packet had to be lost, and the echo ended each time.
    #expect(pair.endpoints[0].statistics.retransmittedSegments == 0)
    #expect((pair.now - Instant(nanoseconds: 1_000_000_000)).seconds < 2.5)
  }

  @Test func aTransferThroughABlackHoleForLargePacketsCompletes() throws {
    var link = Self.link
    link.maximumTransmissionUnit = 1280
    var options = ConnectionOptions()
    for multipath in [MultipathMode.enabled, .disabled] {
      options.multipath = multipath
      let (_, exchange) = try transfer(300_000, link, offload: true, options: options)
      #expect(exchange.received[1] == 300_000)
    }
  }

  // Requirement 4821-7-01, 4821-7.7-01, 4821-7.7-02
  @Test(arguments: [1000, 600])
  func aPathMTUBelowTheUsualLeastIsFoundWithoutMessages(mtu: Int) throws {
    let (pair, exchange) = try transfer(20_000) { side, bytes in side == 0 && bytes.count > mtu ? nil : bytes }
    #expect(exchange.received[1] == 20_000)
    #expect((pair.now - Instant(nanoseconds: 1_000_000_000)).seconds < 20)
  }

  // Requirement 9293-3.8.3-01, 9293-3.8.3-02
  @Test func theUserTimeoutEndsADeadConnection() throws {
    let puppet = try Puppet()
    var options = Puppet.plain
    options.userTimeout = .seconds(5)
    #expect(try puppet.accept(options: options))
    _ = puppet.take()
    puppet.write(10)
    puppet.wait(.milliseconds(4900))
    #expect(puppet.closed == nil)
    // To the moment, whatever the other timers say (RFC 9293 §3.9.1.8).
    puppet.wait(.milliseconds(101))
    #expect(puppet.closed == .timedOut)
  }

  // Requirement 9293-3.8.4-01, 9293-3.8.4-04, 9293-3.8.4-06, 9293-3.8.4-07
  @Test func keepAliveEndsADeadConnectionAndKeepsALivingOne() throws {
    let puppet = try Puppet()
    var options = Puppet.plain
    options.keepAlive = .seconds(10)
    #expect(try puppet.accept(options: options))
    _ = puppet.take()
    for _ in 0..<20 {
      puppet.wait(.seconds(10))
      let probe = try #require(puppet.take().last)
      #expect(probe.tcp.sequenceNumber == puppet.expected + -1)
      puppet.send()
    }
    #expect(puppet.closed == nil)
    puppet.wait(.seconds(800))
    #expect(puppet.closed == .timedOut)
  }

  // Requirement 5681-4.1-01
  @Test func afterASilenceTheWindowIsSmallAgain() throws {
    let puppet = try Puppet()
    puppet.windowScale = 7
    #expect(puppet.open(roundTrip: .milliseconds(20)))
    _ = puppet.take()
    let id = try #require(puppet.id)
    func window() -> Int { puppet.endpoint.description(of: id)?.subflows.first?.congestionWindowByteCount ?? 0 }
    puppet.write(200_000)
    puppet.wait(.milliseconds(20))
    while !puppet.takeData().isEmpty {
      puppet.send()
      puppet.wait(.milliseconds(20))
    }
    let before = window()
    #expect(before > 60_000)
    // Less than a time-out is no silence (RFC 5681 §4.1).
    puppet.wait(.milliseconds(100))
    puppet.write(1000)
    _ = puppet.takeData()
    puppet.send()
    #expect(window() >= before)
    puppet.wait(.seconds(30))
    puppet.write(200_000)
    #expect(window() == 14_600)
    puppet.wait(.milliseconds(19))
    #expect(puppet.takeData().count == 10)
  }

  /// What a peer may say that brings nothing new.
  enum SignOfLife: CaseIterable { case data, repetition, windowProbe, keepAlive }

  // Requirement 9293-3.8.4-03
  @Test(arguments: SignOfLife.allCases)
  func aPeerThatIsHeardIsNotProbed(sign: SignOfLife) throws {
    let puppet = try Puppet()
    var options = Puppet.plain
    options.keepAlive = .seconds(10)
    options.receiveBufferByteCount = 20_000
    #expect(try puppet.accept(options: options))
    for _ in 0..<(sign == .windowProbe ? 20 : 1) { puppet.sendNext([UInt8](repeating: 1, count: 1000)) }
    _ = puppet.take()
    for _ in 0..<20 {
      puppet.wait(.seconds(8))
      #expect(puppet.take().allSatisfy { $0.tcp.sequenceNumber == puppet.expected })
      switch sign {
      case .data: puppet.sendNext([1])
      case .repetition: puppet.send(offset: -1000, payload: [UInt8](repeating: 1, count: 1000))
      case .windowProbe: puppet.send(payload: [1])
      case .keepAlive: puppet.send(offset: -1)
      }
    }
    puppet.wait(.milliseconds(9900))
    #expect(puppet.take().allSatisfy { $0.tcp.sequenceNumber == puppet.expected })
    puppet.wait(.milliseconds(200))
    #expect(puppet.take().map(\.tcp.sequenceNumber) == [puppet.expected + -1])
  }

  // Requirement 9293-3.8.4-03
  // Requirement 9293-3.8.3-03
  @Test func whileDataIsOutTheUserTimeoutCountsAndNoKeepAliveLeaves() throws {
    let puppet = try Puppet()
    var options = Puppet.plain
    options.keepAlive = .seconds(10)
    #expect(try puppet.accept(options: options))
    _ = puppet.take()
    puppet.write(100)
    puppet.wait(.seconds(299))
    #expect(puppet.closed == nil)
    #expect(puppet.take().allSatisfy { !$0.payload.isEmpty })
    puppet.wait(.seconds(2))
    #expect(puppet.closed == .timedOut)
  }

  // Requirement 3168-6.1-04, 3168-6.1.2-02, 3168-6.1.2-03
  @Test func afterATimeoutTheFirstNewDataSaysThatTheWindowWasReduced() throws {
    var options = Puppet.plain
    options.explicitCongestionNotification = true
    let puppet = try Puppet(options: options)
    puppet.send([.syn, .ece, .cwr], options: puppet.synOptions)
    puppet.expected = try #require(puppet.take().last).tcp.sequenceNumber + 1
    puppet.sequence = puppet.sequence + 1
    puppet.send()
    puppet.write(2000)
    puppet.wait(.milliseconds(10))
    let first = puppet.takeData()
    puppet.wait(.seconds(2))
    let again = puppet.takeData()
    #expect(puppet.endpoint.statistics.retransmissionTimeouts > 0)
    #expect(!again.isEmpty)
    #expect((first + again).allSatisfy { !$0.flags.contains(.cwr) })
    puppet.send()
    puppet.write(3000)
    puppet.wait(.milliseconds(10))
    let told = puppet.takeData()
    #expect(told.map { $0.flags.contains(.cwr) } == [true, false, false])
    // Sent again it does not say so.
    puppet.wait(.seconds(2))
    let repeated = puppet.take().filter { $0.tcp.sequenceNumber == told[0].tcp.sequenceNumber }
    #expect(!repeated.isEmpty && repeated.allSatisfy { !$0.flags.contains(.cwr) })
  }

  // Requirement 5681-4.2-01, 9293-3.10.7-06
  @Test func aHoleIsReportedThoughDataLeavesInTheSamePass() throws {
    for sack in [true, false] {
      let puppet = try Puppet()
      puppet.usesSACK = sack
      #expect(puppet.open())
      _ = puppet.take()
      puppet.write(100_000)
      puppet.wait(.milliseconds(10))
      let sent = puppet.takeData()
      puppet.expected = sent[0].tcp.sequenceNumber + 1460
      puppet.send(offset: 1460, payload: [UInt8](repeating: 1, count: 1460))
      let answers = puppet.take()
      #expect(answers.contains { $0.payload.count == 1460 })
      let reports = answers.filter(\.payload.isEmpty)
      #expect(reports.count == 1)
      #expect(reports.allSatisfy { ($0.options.sack?.count ?? 0) == (sack ? 1 : 0) })
    }
  }

  @Test func dataBothWaysWithLossesKeepsItsRate() throws {
    var link = Self.link
    link.lossRate = .percent(1)
    let pair = Pair([link], offload: false)
    let exchange = try Exchange(pair, clientSends: 3_000_000, serverSends: 3_000_000, options: Self.plain)
    #expect(pair.run(for: .seconds(120)) { exchange.isDone || exchange.mismatch != nil })
    #expect(exchange.mismatch == nil)
    #expect(pair.endpoints.map(\.statistics.retransmissionTimeouts) == [0, 0])
    // 1 % is what holds it: the square root law gives 4 Mbit/s or so each way.
    #expect((pair.now - Instant(nanoseconds: 1_000_000_000)).seconds < 8)
  }

  @Test func twoEndpointsKeepEachOtherAlive() throws {
    let pair = Pair([Self.link])
    var options = Self.plain
    options.keepAlive = .seconds(10)
    var listen = ListenerOptions()
    listen.connection = options
    _ = try pair.endpoints[1].listen(on: TransportAddress(.anyV4, 80), options: listen, at: pair.now)
    _ = try pair.endpoints[0].connect(to: TransportAddress(Pair.address(0, 1, .v4), 80), options: options, at: pair.now)
    pair.run(for: .seconds(300))
    for side in 0..<2 {
      #expect(pair.events[side].contains { if case .established = $0.event { true } else { false } })
      #expect(pair.events[side].allSatisfy { if case .closed = $0.event { false } else { true } })
    }
  }
}
