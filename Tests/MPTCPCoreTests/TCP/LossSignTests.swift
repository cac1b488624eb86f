import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Single segments lost, and what a peer's acknowledgements say of it: RFC 5681, RFC 6582, RFC 6675, RFC 8985.
@Suite struct LossSignTests {
  /// A connection on which `count` full segments are out, with a round trip of 20 ms known.
  private func sending(
    _ count: Int, sack: Bool = true, timestamps: Bool = false, family: IPAddress.Family = .v4,
    options: ConnectionOptions = Puppet.plain
  ) throws -> (Puppet, [SeenSegment]) {
    let puppet = try Puppet(family: family, options: options)
    puppet.usesSACK = sack
    puppet.usesTimestamps = timestamps
    puppet.windowScale = 7
    #expect(puppet.open(roundTrip: .milliseconds(20)))
    _ = puppet.take()
    // Some round trips of data open the window and tell the time.
    for _ in 0..<4 {
      puppet.write(20_000)
      puppet.wait(.milliseconds(20))
      while !puppet.takeData().isEmpty {
        puppet.send()
        puppet.wait(.milliseconds(20))
      }
    }
    puppet.send()
    #expect(puppet.take().map(\.payload.count).isEmpty)
    puppet.write(count * (timestamps ? 1448 : 1460))
    puppet.wait(.milliseconds(15))
    let sent = puppet.takeData()
    #expect(sent.count == count)
    return (puppet, sent)
  }

  private func blocks(_ ranges: [(SeenSegment, SeenSegment)]) -> TCPOption {
    var blocks = SACKBlocks()
    for (first, last) in ranges {
      _ = blocks.append(
        SACKBlock(left: first.tcp.sequenceNumber, right: last.tcp.sequenceNumber + last.payload.count))
    }
    return .sack(blocks)
  }

  /// The peer acknowledges up to the beginning of `segment`.
  private func acknowledge(
    _ puppet: Puppet, before segment: SeenSegment, sacking ranges: [(SeenSegment, SeenSegment)] = [],
    window: UInt16? = nil
  ) {
    let next = puppet.expected
    puppet.expected = segment.tcp.sequenceNumber
    puppet.send(window: window, options: ranges.isEmpty ? [] : [blocks(ranges)])
    puppet.expected = next
  }

  @Test func threeSmallSegmentsBehindAHoleAreThree() throws {
    let puppet = try Puppet()
    #expect(puppet.open(roundTrip: .milliseconds(20)))
    _ = puppet.take()
    for _ in 0..<4 { puppet.write(100) }
    puppet.wait(.milliseconds(19))
    let sent = puppet.takeData()
    #expect(sent.count == 4)
    acknowledge(puppet, before: sent[0], sacking: [(sent[1], sent[1])])
    acknowledge(puppet, before: sent[0], sacking: [(sent[1], sent[2])])
    #expect(puppet.take().map(\.payload.count).isEmpty)
    acknowledge(puppet, before: sent[0], sacking: [(sent[1], sent[3])])
    #expect(puppet.take().map(\.tcp.sequenceNumber) == [sent[0].tcp.sequenceNumber])
  }

  // Requirement 8985-6-05, 5681-3.2-01
  @Test func threeFullSegmentsWithTimestampsAreThree() throws {
    let (puppet, sent) = try sending(4, timestamps: true)
    acknowledge(puppet, before: sent[0], sacking: [(sent[1], sent[2])])
    #expect(puppet.take().map(\.payload.count).isEmpty)
    acknowledge(puppet, before: sent[0], sacking: [(sent[1], sent[3])])
    #expect(puppet.take().map(\.tcp.sequenceNumber) == [sent[0].tcp.sequenceNumber])
  }

  @Test func anAcknowledgementThatShowsALossProvesNoRepairNeedless() throws {
    let (puppet, sent) = try sending(10, timestamps: true)
    // One acknowledgement says that the first has come, and that the second is missing.
    acknowledge(puppet, before: sent[1], sacking: [(sent[2], sent[9])])
    #expect(puppet.take().first?.tcp.sequenceNumber == sent[1].tcp.sequenceNumber)
    #expect(puppet.endpoint.statistics.retransmissionTimeouts == 0)
  }

  // Requirement 6582-3.2-01, 6675-5-02
  @Test func withoutSACKTheSecondHoleIsRepairedAtOnce() throws {
    let (puppet, sent) = try sending(20, sack: false)
    puppet.write(40 * 1460)
    puppet.wait(.milliseconds(1))
    let behind = puppet.takeData()
    let more = 17 + behind.count
    // The first and the third are lost: each of the others repeats the acknowledgement.
    for _ in 0..<(more + 1) {
      acknowledge(puppet, before: sent[0])
      puppet.wait(.microseconds(200))
    }
    let repair = puppet.takeData()
    #expect(repair.contains { $0.tcp.sequenceNumber == sent[0].tcp.sequenceNumber })
    // Duplicates say that something has left the network: new data follows the repair (RFC 5681 §3.2 step 4).
    #expect(repair.contains { $0.tcp.sequenceNumber - sent[19].tcp.sequenceNumber > 0 })
    acknowledge(puppet, before: sent[2])
    #expect(puppet.takeData().first?.tcp.sequenceNumber == sent[2].tcp.sequenceNumber)
    #expect(puppet.endpoint.statistics.retransmissionTimeouts == 0)
  }

  // Requirement 5681-3.2-02
  @Test func windowUpdatesAreNoDuplicates() throws {
    let (puppet, sent) = try sending(5, sack: false)
    for window in [UInt16(20_000), 30_000, 40_000] { acknowledge(puppet, before: sent[0], window: window) }
    #expect(puppet.take().map(\.payload.count).isEmpty)
    // Nor is what speaks of data acknowledged long ago.
    for _ in 0..<5 {
      puppet.expected = sent[0].tcp.sequenceNumber + -1460
      puppet.send(window: 40_000)
    }
    #expect(puppet.take().map(\.payload.count).isEmpty)
  }

  // Requirement 5681-3.2-03, 5681-3.2-04
  @Test func withoutSACKTheFirstTwoDuplicatesLetNewDataOut() throws {
    let (puppet, sent) = try sending(5, sack: false)
    let subflow = try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first)
    // So much that the window is full.
    puppet.write(400_000)
    puppet.wait(.milliseconds(14))
    _ = puppet.takeData()
    let window = subflow.congestionWindow
    acknowledge(puppet, before: sent[0])
    puppet.wait(.milliseconds(1))
    #expect(puppet.takeData().map(\.payload.count) == [1460])
    acknowledge(puppet, before: sent[0])
    puppet.wait(.milliseconds(1))
    #expect(puppet.takeData().map(\.payload.count) == [1460])
    #expect(subflow.congestionWindow == window)
  }

  // Requirement 5681-3.2-05
  @Test func withSACKADuplicateThatReportsNothingLetsNothingOut() throws {
    let (puppet, sent) = try sending(5)
    puppet.write(400_000)
    puppet.wait(.milliseconds(14))
    _ = puppet.takeData()
    for _ in 0..<2 {
      acknowledge(puppet, before: sent[0])
      puppet.wait(.milliseconds(1))
      #expect(puppet.takeData().isEmpty)
    }
    acknowledge(puppet, before: sent[0], sacking: [(sent[1], sent[1])])
    puppet.wait(.milliseconds(1))
    #expect(puppet.takeData().map(\.payload.count) == [1460])
  }

  // Requirement 6675-5-01
  @Test func whatIsLostAndNotRepeatedIsNotInFlight() throws {
    let (puppet, sent) = try sending(20)
    let subflow = try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first)
    #expect(subflow.pipeByteCount == 20 * 1460)
    // The first eight are lost, three behind them have arrived.
    acknowledge(puppet, before: sent[0], sacking: [(sent[8], sent[10])])
    var repeated = puppet.take().count
    #expect((1..<8).contains(repeated))
    #expect(subflow.pipeByteCount == (20 - 3 - 8 + repeated) * 1460)
    // What else arrives leaves too, and what is repeated is in flight again.
    acknowledge(puppet, before: sent[0], sacking: [(sent[8], sent[13])])
    puppet.wait(.milliseconds(5))
    repeated += puppet.take().count
    #expect(subflow.pipeByteCount == (20 - 6 - 8 + repeated) * 1460)
    #expect(subflow.pipeByteCount <= subflow.congestionWindow)
  }

  // Requirement 6675-5-01
  @Test func theWindowDoesNotGrowOnWhatIsReportedBehindAHole() throws {
    let puppet = try Puppet()
    #expect(puppet.open(roundTrip: .milliseconds(20)))
    _ = puppet.take()
    let id = try #require(puppet.id)
    puppet.write(100_000)
    puppet.wait(.milliseconds(19))
    let sent = puppet.takeData()
    let before = try #require(puppet.endpoint.description(of: id)?.subflows.first?.congestionWindowByteCount)
    acknowledge(puppet, before: sent[0], sacking: [(sent[1], sent[1])])
    puppet.wait(.milliseconds(3))
    #expect(puppet.endpoint.description(of: id)?.subflows.first?.congestionWindowByteCount == before)
    // One segment has left the network, one follows (RFC 3042).
    #expect(puppet.takeData().count == 1)
    acknowledge(puppet, before: sent[2])
    let after = try #require(puppet.endpoint.description(of: id)?.subflows.first?.congestionWindowByteCount)
    #expect(after == before + 2 * 1460)
  }

  // Requirement 6582-3.2-02
  @Test func lossOfWhatWasSentDuringARepairCostsAWindowToo() throws {
    let (puppet, sent) = try sending(10)
    let id = try #require(puppet.id)
    func threshold() -> Int {
      puppet.endpoint.connectionSlots.compactMap { $0 }.first { $0.id == id }?.congestion.windows[0]
        .slowStartThresholdByteCount ?? 0
    }
    acknowledge(puppet, before: sent[0], sacking: [(sent[1], sent[8])])
    puppet.write(60_000)
    let first = threshold()
    puppet.wait(.milliseconds(10))
    let behind = puppet.takeData().filter { $0.tcp.sequenceNumber - sent[9].tcp.sequenceNumber > 0 }
    try #require(behind.count >= 4)
    // Of what left meanwhile the second is lost as well, which shows before the repair is acknowledged.
    acknowledge(puppet, before: sent[0], sacking: [(behind[2], behind[3]), (sent[1], behind[0])])
    #expect(threshold() == first)
    acknowledge(puppet, before: behind[1], sacking: [(behind[2], behind[3])])
    #expect(threshold() < first)
  }

  @Test func reportsOfCrumbsMakeNoLongLists() throws {
    let (puppet, sent) = try sending(14)
    let subflow = try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first)
    let start = sent[0].tcp.sequenceNumber
    for step in stride(from: 1, to: 14 * 1460, by: 2) {
      var blocks = SACKBlocks()
      _ = blocks.append(SACKBlock(left: start + step, right: start + step + 1))
      puppet.expected = start
      puppet.send(options: [.sack(blocks)])
    }
    #expect(subflow.sentSegments.count < 60)
    // The same from the back, in larger pieces.
    for step in stride(from: 14 * 1460 - 50, to: 0, by: -51) {
      var blocks = SACKBlocks()
      _ = blocks.append(SACKBlock(left: start + step, right: start + step + 50))
      puppet.expected = start
      puppet.send(options: [.sack(blocks)])
    }
    #expect(subflow.sentSegments.count < 14 * 1460 / 24)
    #expect(subflow.sentSegments.first?.start == subflow.sendUnacknowledged)
    #expect(zip(subflow.sentSegments, subflow.sentSegments.dropFirst()).allSatisfy { $0.end == $1.start })
  }

  // Requirement 2018-8-02
  @Test func whatHasArrivedBehindAHoleIsOneEntry() throws {
    let (puppet, sent) = try sending(14)
    let subflow = try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first)
    for last in 1..<14 { acknowledge(puppet, before: sent[0], sacking: [(sent[1], sent[last])]) }
    #expect(subflow.sentSegments.count <= 3)
    #expect(subflow.sackedByteCount == 13 * 1460)
    // The peer throws it away (RFC 2018 §8): all of it comes again, whole segments as before.
    puppet.expected = sent[1].tcp.sequenceNumber
    _ = puppet.take()
    puppet.send()
    puppet.wait(.seconds(2))
    #expect(subflow.sackedByteCount == 0)
    let again = puppet.takeData()
    #expect(again.first?.tcp.sequenceNumber == sent[1].tcp.sequenceNumber)
    #expect(again.allSatisfy { $0.ip.totalByteCount <= 1500 })
  }

  // Requirement 8985-7-01, 8985-7-02
  @Test func aProbeIsNewDataWhereThePeerHasRoom() throws {
    let puppet = try Puppet()
    #expect(puppet.open(roundTrip: .milliseconds(20)))
    _ = puppet.take()
    puppet.write(100_000)
    puppet.wait(.milliseconds(19))
    let sent = puppet.takeData()
    let end = puppet.expected
    #expect(sent.count == 10)
    puppet.wait(.milliseconds(170))
    #expect(puppet.endpoint.statistics.retransmissionTimeouts == 0)
    let probe = puppet.takeData()
    #expect(probe.map(\.tcp.sequenceNumber) == [end])
    #expect(probe.map(\.payload.count) == [1460])
    #expect(puppet.endpoint.statistics.tailLossProbes == 1)
  }

  // Requirement 8985-7-03
  @Test func inRecoveryNoProbeLeaves() throws {
    let (puppet, sent) = try sending(10)
    acknowledge(puppet, before: sent[0], sacking: [(sent[1], sent[7])])
    #expect(puppet.take().map(\.tcp.sequenceNumber) == [sent[0].tcp.sequenceNumber])
    // The repair has come, and of what had left before it the last two are out: recovery goes on. A probe would come
    // after two round trips.
    puppet.wait(.milliseconds(1))
    acknowledge(puppet, before: sent[8])
    puppet.wait(.milliseconds(180))
    #expect(puppet.take().map(\.tcp.sequenceNumber).isEmpty)
    puppet.wait(.milliseconds(100))
    #expect(puppet.take().first?.tcp.sequenceNumber == sent[8].tcp.sequenceNumber)
    #expect(puppet.endpoint.statistics.retransmissionTimeouts == 1)
    #expect(puppet.endpoint.statistics.tailLossProbes == 0)
  }

  // Requirement 8985-7-03
  // Requirement 6298-3-01, 9293-3.8.1-01
  @Test func noSecondProbeLeavesBeforeARoundTripWasMeasured() throws {
    let puppet = try Puppet()
    #expect(puppet.open(roundTrip: .milliseconds(20)))
    _ = puppet.take()
    puppet.write(100)
    puppet.wait(.milliseconds(245))
    let first = puppet.takeData()
    #expect(puppet.endpoint.statistics.tailLossProbes == 1)
    #expect(first.count == 2)
    // Acknowledged so soon that it may have been either: no sample without timestamps.
    puppet.send()
    puppet.write(100)
    puppet.wait(.milliseconds(235))
    #expect(puppet.endpoint.statistics.tailLossProbes == 1)
  }

  // Requirement 8985-7-02, 8985-7-04
  // Requirement 2883-4-03
  @Test(arguments: [false, true])
  func aLossThatAProbeRepairedCostsAWindow(isNeedless: Bool) throws {
    let puppet = try Puppet()
    #expect(puppet.open(roundTrip: .milliseconds(20)))
    _ = puppet.take()
    let id = try #require(puppet.id)
    puppet.write(5 * 1460)
    puppet.wait(.milliseconds(45))
    let sent = puppet.takeData()
    #expect(puppet.endpoint.statistics.tailLossProbes == 1)
    // With nothing new to send it was the last segment once more.
    try #require(sent.count == 6)
    #expect(sent[5].tcp.sequenceNumber == sent[4].tcp.sequenceNumber && sent[5].payload == sent[4].payload)
    let before = try #require(puppet.endpoint.description(of: id)?.subflows.first?.congestionWindowByteCount)
    puppet.wait(.milliseconds(20))
    puppet.send()
    if isNeedless {
      puppet.send(options: [blocks([(sent[4], sent[4])])])
    }
    puppet.write(1460)
    puppet.wait(.milliseconds(20))
    _ = puppet.takeData()
    puppet.send()
    let after = try #require(puppet.endpoint.description(of: id)?.subflows.first?.congestionWindowByteCount)
    #expect(isNeedless ? after >= before : after < before)
  }

  // Requirement 8985-6-07
  @Test func aTimeoutSendsAgainWhatIsOldAndNotWhatHasJustLeft() throws {
    let (puppet, sent) = try sending(3)
    let subflow = try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first)
    // The probe of a silent tail, then more data half a round trip before the time-out.
    puppet.wait(.milliseconds(50))
    #expect(puppet.endpoint.statistics.tailLossProbes == 1)
    puppet.wait(subflow.retransmitDeadline - puppet.now - .milliseconds(10))
    puppet.write(1460)
    let late = try #require(puppet.takeData().last)
    #expect(puppet.endpoint.statistics.retransmissionTimeouts == 0)
    puppet.wait(.milliseconds(10))
    #expect(puppet.endpoint.statistics.retransmissionTimeouts == 1)
    let again = puppet.takeData()
    #expect(again.first?.tcp.sequenceNumber == sent[0].tcp.sequenceNumber)
    #expect(!again.contains { $0.tcp.sequenceNumber == late.tcp.sequenceNumber })
    let entry = try #require(
      subflow.sentSegments.first { late.tcp.sequenceNumber == subflow.sequenceNumber($0.start) })
    #expect(!entry.isLost && !entry.isRetransmitted)
    #expect(subflow.sentSegments.first?.isRetransmitted == true)
    // The others are lost.
    #expect(subflow.lostByteCount == 2 * 1460)
  }
}
