import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Which acknowledgements measure a round trip, and what RACK makes of time: RFC 7323 §3 and §4, RFC 8985 §6.
@Suite struct RoundTripTests {
  private func opened(
    roundTrip: Nanoseconds = .milliseconds(100), timestamps: Bool = false
  ) throws -> (Puppet, Subflow) {
    let puppet = try Puppet()
    puppet.usesTimestamps = timestamps
    #expect(puppet.open(roundTrip: roundTrip))
    _ = puppet.take()
    return (puppet, try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first))
  }

  private func block(_ segment: SeenSegment) -> TCPOption {
    var blocks = SACKBlocks()
    _ = blocks.append(
      SACKBlock(left: segment.tcp.sequenceNumber, right: segment.tcp.sequenceNumber + segment.payload.count))
    return .sack(blocks)
  }

  /// The SYN of ours echoes nothing, and what a peer's SYN claims to echo measures nothing.
  // Requirement 7323-3-03, 7323-3-08
  @Test func theEchoOfASegmentWithoutAcknowledgementIsNone() throws {
    let puppet = try Puppet()
    puppet.usesTimestamps = true
    puppet.echo = 0xdead_beef
    #expect(puppet.open(roundTrip: .milliseconds(80)))
    let subflow = try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first)
    #expect(subflow.roundTrip.smoothed == .milliseconds(80))
    let active = try Puppet()
    _ = try active.endpoint.connect(to: active.theirs, options: Puppet.plain, at: active.now)
    active.drain()
    #expect(try #require(active.take().last?.options.timestamps).echo == 0)
  }

  /// Each acknowledgement of new data moves the estimate towards its own round trip, also one for data that was sent
  /// again, as its echo says which transmission it answers.
  // Requirement 7323-4-01, 7323-4-03
  @Test func eachAcknowledgementOfNewDataIsASample() throws {
    let (puppet, subflow) = try opened(timestamps: true)
    for time in [60, 150, 90, 200] as [Int64] {
      let before = try #require(subflow.roundTrip.smoothed)
      puppet.write(1000)
      puppet.wait(.milliseconds(time))
      _ = puppet.takeData()
      puppet.send()
      let after = try #require(subflow.roundTrip.smoothed)
      // RFC 6298 §2.3: an eighth of the way.
      let expected = before.count - before.count / 8 + Nanoseconds.milliseconds(time).count / 8
      #expect(abs(after.count - expected) < 10_000, "\(time) ms")
    }
    // Sent again, and the last transmission is answered after 50 ms.
    puppet.write(1000)
    while puppet.take().count < 2 { puppet.wait(.milliseconds(700)) }
    puppet.write(1)
    _ = puppet.takeData()
    let statistics = puppet.endpoint.statistics
    #expect(statistics.retransmissionTimeouts + statistics.tailLossProbes > 0)
    let last = try #require(subflow.sentSegments.first)
    #expect(last.isRetransmitted)
    puppet.now = last.sentAt + .milliseconds(50)
    puppet.echo = subflow.timestamp(last.sentAt)
    let before = try #require(subflow.roundTrip.smoothed)
    puppet.expected = subflow.sequenceNumber(last.end)
    puppet.send()
    #expect(try #require(subflow.roundTrip.smoothed) < before)
  }

  /// Less than the path's least round trip after the retransmission, without timestamps: it is the first transmission
  /// that was acknowledged.
  // Requirement 8985-6-03
  @Test(arguments: [true, false])
  func anAnswerThatComesTooSoonAfterARetransmissionIsNoSample(isTooSoon: Bool) throws {
    let (puppet, subflow) = try opened()
    puppet.write(1000)
    puppet.wait(.milliseconds(100))
    _ = puppet.takeData()
    puppet.send()
    puppet.write(1000)
    puppet.wait(.milliseconds(600))
    let sentAt = try #require(subflow.sentSegments.first).sentAt
    #expect(subflow.sentSegments.first?.isRetransmitted == true)
    let known = (subflow.rack.sentAt, subflow.rack.roundTripTime)
    puppet.now = max(puppet.now, sentAt + .milliseconds(isTooSoon ? 1 : 120))
    let waited = puppet.now - sentAt
    _ = puppet.takeData()
    puppet.send()
    if waited < .milliseconds(87) {
      #expect(subflow.rack.sentAt == known.0 && subflow.rack.roundTripTime == known.1)
    } else {
      #expect(subflow.rack.sentAt == sentAt && subflow.rack.roundTripTime == waited)
    }
    #expect(isTooSoon == (waited < .milliseconds(87)))
  }

  /// Two segments behind a hole are no three, so it has a quarter of the least round trip to be filled. Then no ACK
  /// comes.
  // Requirement 8985-6-06
  @Test func theReorderingTimerFindsALossWithoutAnAcknowledgement() throws {
    let (puppet, subflow) = try opened()
    puppet.write(3 * 1460)
    let sent = puppet.takeData()
    #expect(sent.count == 3)
    puppet.wait(.milliseconds(100))
    puppet.expected = sent[0].tcp.sequenceNumber
    puppet.send(options: [block(sent[1])])
    #expect(puppet.take().isEmpty)
    #expect(subflow.reorderDeadline - puppet.now <= .milliseconds(26))
    puppet.wait(.milliseconds(23))
    #expect(puppet.take().isEmpty)
    puppet.wait(.milliseconds(4))
    #expect(puppet.take().first?.tcp.sequenceNumber == sent[0].tcp.sequenceNumber)
    #expect(puppet.endpoint.statistics.retransmissionTimeouts == 0)
    #expect(puppet.endpoint.statistics.tailLossProbes == 0)
  }

  /// The loss of most of a flight, found by the timer: recovery begins with one segment, and each acknowledgement lets
  /// out what it says has left the network (RFC 9937 §6.2). Between acknowledgements nothing does.
  // Requirement 8985-6-06, 6937-3-01, 6937-3-02
  @Test func whatTheReorderingTimerFindsLostIsNotSentInABurst() throws {
    let (puppet, subflow) = try opened()
    puppet.write(10 * 1460)
    let sent = puppet.takeData()
    #expect(sent.count == 10)
    puppet.wait(.milliseconds(100))
    puppet.expected = sent[0].tcp.sequenceNumber
    puppet.send(options: [block(sent[7])])
    puppet.wait(.milliseconds(60))
    #expect(puppet.take().map(\.tcp.sequenceNumber) == [sent[0].tcp.sequenceNumber])
    #expect(subflow.recovery.phase == .fast)
    puppet.send(options: [block(sent[8])])
    puppet.wait(.milliseconds(10))
    #expect(puppet.take().map(\.tcp.sequenceNumber) == [sent[1].tcp.sequenceNumber])
    #expect(puppet.endpoint.statistics.retransmissionTimeouts == 0)
  }

  /// Sends five small segments; the peer reports the last four, and the first is repeated: how long after RACK's time,
  /// which is when the first should have been answered, that is. At the end all is acknowledged.
  private func waitForRepair(_ puppet: Puppet, _ subflow: Subflow, isNeedless: Bool) throws -> Nanoseconds {
    // As far apart as the pace of a small window has them.
    for _ in 0..<5 {
      puppet.write(50)
      puppet.wait(.milliseconds(3))
    }
    puppet.wait(.milliseconds(97))
    let sent = puppet.takeData()
    try #require(sent.map(\.payload.count) == [50, 50, 50, 50, 50])
    try #require(subflow.sentSegments.count == 5)
    let (first, last) = (subflow.sentSegments[0].sentAt, subflow.sentSegments[4].sentAt)
    let due = first + (puppet.now - last)
    let end = puppet.expected
    puppet.expected = sent[0].tcp.sequenceNumber
    var blocks = SACKBlocks()
    _ = blocks.append(SACKBlock(left: sent[1].tcp.sequenceNumber, right: end))
    puppet.send(options: [.sack(blocks)])
    puppet.expected = end
    var again = puppet.take()
    for _ in 0..<200_000 where again.isEmpty {
      puppet.wait(.microseconds(100))
      again = puppet.take()
    }
    let found = puppet.now
    #expect(again.map(\.tcp.sequenceNumber) == [sent[0].tcp.sequenceNumber])
    #expect(puppet.endpoint.statistics.retransmissionTimeouts + puppet.endpoint.statistics.tailLossProbes == 0)
    puppet.wait(.milliseconds(1))
    puppet.send(options: isNeedless ? [block(sent[0])] : [])
    return found - due
  }

  // Requirement 8985-6-02, 8985-6-04
  @Test func whereReorderingWasSeenALateSegmentHasAQuarterOfARoundTripMoreWithEachDuplicate() throws {
    let (puppet, subflow) = try opened()
    // Before, three segments that came are enough (RFC 8985 §6.2 step 4): the report has it repeated at once, which is
    // the 12 ms between the first and the last after RACK's time.
    #expect(try waitForRepair(puppet, subflow, isNeedless: false) == .milliseconds(12))
    // One overtakes the other.
    puppet.write(100)
    puppet.write(100)
    puppet.wait(.milliseconds(100))
    let sent = puppet.takeData()
    puppet.expected = sent[0].tcp.sequenceNumber
    puppet.send(options: [block(sent[1])])
    puppet.wait(.milliseconds(5))
    puppet.expected = sent[1].tcp.sequenceNumber + 100
    puppet.send()
    #expect(puppet.take().isEmpty)

    func waits(_ quarters: Int64, isNeedless: Bool) throws {
      let wait = try waitForRepair(puppet, subflow, isNeedless: isNeedless)
      let (least, smoothed) = (try #require(subflow.roundTrip.minimum), try #require(subflow.roundTrip.smoothed))
      let window = min(least * quarters / 4, smoothed)
      #expect(wait >= window && wait <= window + .microseconds(200), "\(quarters): \(wait), not \(window)")
    }
    // Without a duplicate it stays a quarter of the least round trip.
    try waits(1, isNeedless: false)
    try waits(1, isNeedless: true)
    // Each report of one adds a quarter, up to the smoothed round trip.
    for quarters in [2, 3, 4, 5, 6] as [Int64] { try waits(quarters, isNeedless: true) }
    // What sixteen recoveries did not need is given up.
    for _ in 0..<16 { try waits(7, isNeedless: false) }
    try waits(1, isNeedless: false)
  }

  /// Neither of what was never sent, nor of what was acknowledged long ago.
  // Requirement 2018-5-02
  @Test func aBlockOutsideOfWhatIsOutstandingReportsNothing() throws {
    let (puppet, subflow) = try opened()
    puppet.write(4 * 1460)
    puppet.wait(.milliseconds(30))
    let sent = puppet.takeData()
    let start = sent[0].tcp.sequenceNumber
    puppet.expected = start
    let lies: [(Int, Int)] = [
      (4 * 1460, 5 * 1460), (3 * 1460, 4 * 1460 + 1), (1_000_000, 1_001_460), (-3000, -1460), (2920, 1460),
      (1460, 1460),
      (Int(Int32.max) - 10, Int(Int32.max)),
    ]
    for (left, right) in lies {
      var blocks = SACKBlocks()
      _ = blocks.append(SACKBlock(left: start + left, right: start + right))
      puppet.send(options: [.sack(blocks)])
    }
    #expect(subflow.sackedByteCount == 0 && subflow.lostByteCount == 0)
    #expect(subflow.inFlightByteCount == 4 * 1460)
    #expect(puppet.take().isEmpty)
    puppet.expected = start + 4 * 1460
    puppet.send()
    #expect(subflow.inFlightByteCount == 0)
  }
}
