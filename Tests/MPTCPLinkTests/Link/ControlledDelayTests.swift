import MPTCPWire
import PacketFactory
import Testing

@testable import MPTCPLink

/// RFC 8289, with numbers worked out by hand from its control law.
@Suite struct ControlledDelayTests {
  @Test func theSpacingOfDropsFallsWithTheSquareRootOfTheirNumber() {
    // §5.6: interval / √count, for 100 ms.
    let expected: [(Int64, Double)] = [
      (1, 100_000_000), (2, 70_710_678.1), (3, 57_735_026.9), (4, 50_000_000), (9, 33_333_333.3), (100, 10_000_000),
      (10_000, 1_000_000),
    ]
    for (count, nanoseconds) in expected {
      let spacing = ControlledDelay.spacing(.milliseconds(100), count: count)
      #expect(abs(Double(spacing.count) / nanoseconds - 1) < 1.0 / 65_536, "\(count)")
    }
    #expect(ControlledDelay.spacing(.milliseconds(100), count: .max) > .zero)
    #expect(ControlledDelay.squareRoot(0) == 0 && ControlledDelay.squareRoot(.max) == 4_294_967_295)
    for value: UInt64 in [1, 2, 3, 4, 15, 16, 17, 1 << 40] {
      let root = ControlledDelay.squareRoot(value)
      #expect(root * root <= value && (root + 1) * (root + 1) > value)
    }
  }

  /// The milliseconds at which packets are dropped while all that are looked at, one each, have waited for `sojourn`.
  private func drops(_ state: inout ControlledDelay, _ range: Range<Int64>, sojourn: Nanoseconds) -> [Int64] {
    range.filter { time in
      var isDropped = false
      while state.decides(sojourn: sojourn, byteCount: 100_000, at: milliseconds(time)) { isDropped = true }
      return isDropped
    }
  }

  @Test func dropsComeAtTheTimesOfTheControlLaw() {
    var state = ControlledDelay(ControlledDelayConfiguration())
    // Above the target from 0 on: at 100 for an interval (§5.6), then 100 later, then 70.7, 57.7, 50, 44.7 and 40.8.
    let first = drops(&state, 0..<465, sojourn: .milliseconds(10))
    #expect(first == [100, 200, 271, 329, 379, 424, 464])
    #expect(state.isDropping && state.count == 7)
    // Below the target it ends at once.
    #expect(drops(&state, 465..<470, sojourn: .milliseconds(4)) == [])
    #expect(!state.isDropping)
    // Soon above again: an interval to see it, and on with 6 (§5.5: 7 less the 1 of the beginning), 100 / √6 = 40.8.
    let second = drops(&state, 470..<612, sojourn: .milliseconds(10))
    #expect(second == [570, 611])
    #expect(state.count == 7)
  }

  @Test func longAfterTheLastDropTheRateBeginsAnew() {
    var state = ControlledDelay(ControlledDelayConfiguration())
    _ = drops(&state, 0..<465, sojourn: .milliseconds(10))
    _ = drops(&state, 465..<3000, sojourn: .zero)
    // 16 intervals are over: 100, then 100 later.
    let times = drops(&state, 3000..<3250, sojourn: .milliseconds(10))
    #expect(times == [3100, 3200])
  }

  @Test func oneWaitingPacketIsNotWorthADrop() {
    var state = ControlledDelay(ControlledDelayConfiguration())
    for time in 0..<1000 {
      let isDropped = state.decides(
        sojourn: .milliseconds(500), byteCount: ControlledDelay.leastByteCount, at: milliseconds(Int64(time)))
      #expect(!isDropped)
    }
  }

  @Test func aStandingQueueLosesItsHead() {
    // A packet takes 1 ms. The one that leaves after 5 ms is the first that waited for 5; from 105 ms on the head goes.
    var link = Link(
      LinkConfiguration(
        bitsPerSecond: 12_000_000, queueDiscipline: .controlledDelay(ControlledDelayConfiguration())), at: .zero)
    for number in 0..<300 { link.send(numbered(number), at: .zero) }
    let packets = link.drain()
    let lost = Set(0..<300).subtracting(packets.map(\.number)).sorted()
    // At 105, at 205 and at 205 + 70.7; each drop brings those behind it forward by one.
    #expect(lost == [105, 206, 278])
    #expect(link.counters.dropped(.controlledDelay).packetCount == 3)
    #expect(packets.map(\.arrival) == (1...297).map { milliseconds($0) })
  }

  @Test func aSenderThatTakesPartInECNIsToldWithoutLoss() {
    var link = Link(
      LinkConfiguration(
        bitsPerSecond: 12_000_000, queueDiscipline: .controlledDelay(ControlledDelayConfiguration(marks: true))),
      at: .zero)
    var template = SegmentTemplate(payloadByteCount: 1448)
    template.trafficClass = 2
    let packet = template.packet()
    #expect(packet.count == 1500)
    for _ in 0..<300 { link.send(packet, at: .zero) }
    let packets = link.drain()
    #expect(packets.count == 300)
    // At 105, 205 and 275.7, now without others moving forward.
    #expect(packets.indices.filter { packets[$0].bytes != packet } == [105, 205, 276])
    #expect(link.counters.marked.packetCount == 3)
  }

  // RFC 3168 §5: to a router CE is as good as ECT; it says that the sender takes part.
  @Test func whatIsMarkedAlreadyIsNotDropped() {
    var link = Link(
      LinkConfiguration(
        bitsPerSecond: 12_000_000, queueDiscipline: .controlledDelay(ControlledDelayConfiguration(marks: true))),
      at: .zero)
    var template = SegmentTemplate(payloadByteCount: 1448)
    template.trafficClass = 3
    let marked = template.packet()
    template.trafficClass = 0
    let incapable = template.packet()
    // CoDel looks for one to tell at 105, 205 and 275.7.
    for number in 0..<300 { link.send(number == 205 ? incapable : marked, at: .zero) }
    let packets = link.drain()
    #expect(packets.count == 299 && packets.allSatisfy { $0.bytes == marked })
    #expect(link.counters.marked.packetCount == 0)
    #expect(link.counters.dropped(.controlledDelay).packetCount == 1)
  }

  @Test func aPacketIsMarkedOnceAlsoWhereTheQueueMarksAtBothEnds() {
    var link = Link(
      LinkConfiguration(
        bitsPerSecond: 12_000_000, markingByteCount: 0,
        queueDiscipline: .controlledDelay(ControlledDelayConfiguration(marks: true))), at: .zero)
    var template = SegmentTemplate(payloadByteCount: 1448)
    template.trafficClass = 2
    let packet = template.packet()
    for _ in 0..<300 { link.send(packet, at: .zero) }
    let packets = link.drain()
    #expect(packets.count == 300)
    // All but the one that did not wait.
    #expect(packets.count { $0.bytes != packet } == 299)
    #expect(link.counters.marked.packetCount == 299)
  }

  @Test func everyArrivalIsAtADeadlineAlsoWhereAShortPacketStandsBehindALongOne() {
    var configuration = LinkConfiguration(
      bitsPerSecond: 4_000_000, delay: .milliseconds(3), queueByteCount: 200_000,
      schedule: [
        LinkEvent(after: .milliseconds(300), .rate(400_000)), LinkEvent(after: .milliseconds(600), .rate(40_000_000)),
        LinkEvent(after: .milliseconds(700), .delay(.zero)), LinkEvent(after: .milliseconds(800), .rate(2_000_000)),
        LinkEvent(after: .milliseconds(900), .delay(.milliseconds(40))),
      ], seed: 5, queueDiscipline: .controlledDelay(ControlledDelayConfiguration()))
    for seed in 0..<20 {
      configuration.seed = UInt64(seed)
      var generator = SeededGenerator(seed: UInt64(seed))
      var link = Link(configuration, at: .zero)
      var sending = Instant.zero
      var remaining = 2000
      var last = Instant.zero
      while let time = [link.nextDeadline, remaining > 0 ? sending : nil].compactMap({ $0 }).min() {
        for packet in link.receiveAll(at: time) where packet.arrival != time || packet.arrival < last {
          Issue.record("arrived at \(packet.arrival), learned at \(time)")
          return
        }
        last = time
        if let deadline = link.nextDeadline, deadline <= time {
          Issue.record("at \(time) the deadline \(deadline) has passed")
          return
        }
        if time == sending, remaining > 0 {
          link.send(numbered(remaining, byteCount: Bool.random(using: &generator) ? 40 : 1500), at: time)
          remaining -= 1
          sending = sending + .microseconds(Int64.random(in: 0...1000, using: &generator))
        }
      }
      #expect(link.packetCount == 0)
      #expect(link.counters.dropped(.controlledDelay).packetCount > 0)
      #expect(link.counters.sent.packetCount == link.counters.delivered.packetCount + link.counters.dropped.packetCount)
    }
  }

  @Test func aSuperSegmentIsCutWherePacketsMayGoOneByOne() {
    var link = Link(
      LinkConfiguration(queueDiscipline: .controlledDelay(ControlledDelayConfiguration())), at: .zero)
    let isTaken = link.send(
      PacketRun(1, headerByteCount: 40, payloadByteCount: 3000, segmentByteCount: 1000), at: .zero)
    #expect(!isTaken)
  }
}
