import MPTCPWire
import Testing

@testable import MPTCPCore

/// BLEST by hand: n = ⌊linger/rtt_f⌋ + 1 rounds of the fast subflow, λ = 1.2 to begin with.
@Suite struct BlockingEstimationTests {
  private let range = Nanoseconds.milliseconds(100)...Nanoseconds.milliseconds(100)

  @Test func inTheInitialSlowStartTheFastSubflowDoublesEachRound() {
    // n = 100/10 + 1 = 11; 10·(2¹¹ − 1) = 20,470 segments.
    let fast = snapshot(milliseconds: 10, window: 10_000)
    #expect(BlockingEstimation.bytes(of: fast, over: .milliseconds(100)) == 20_470_000)
    // More than 16 rounds are taken for 16: 10·65,535 segments.
    #expect(BlockingEstimation.bytes(of: fast, over: .seconds(10)) == 655_350_000)
  }

  @Test func inCongestionAvoidanceItGrowsByASegmentEachRound() {
    // w = max(10, 8 + 1) = 10, n = 11: (10 + 10/2)·11 = 165.
    #expect(
      BlockingEstimation.bytes(
        of: snapshot(milliseconds: 10, window: 10_000, threshold: 8000), over: .milliseconds(100))
        == 165_000)
    // w = max(10, 20 + 1) = 21, n = 2: (21 + 1/2)·2 = 43.
    #expect(
      BlockingEstimation.bytes(
        of: snapshot(milliseconds: 60, window: 10_000, threshold: 20_000), over: .milliseconds(100))
        == 43_000)
  }

  @Test func theSlowSubflowWaitsExactlyWhereTheFastOneWouldBeBlocked() {
    let fast = snapshot(milliseconds: 10, window: 10_000, threshold: 8000)
    let slow = snapshot(milliseconds: 100, window: 20_000, inFlight: 5000)
    let estimation = BlockingEstimation()
    // λ·165,000 = 198,000 against the window less 1,000 + 5,000.
    #expect(!estimation.waits(fast: fast, slow: slow, slowRange: range, window: 204_000))
    #expect(estimation.waits(fast: fast, slow: slow, slowRange: range, window: 203_999))
    #expect(estimation.waits(fast: fast, slow: slow, slowRange: range, window: 0))
  }

  @Test func aFullerWindowLingersLonger() {
    let range = Nanoseconds.milliseconds(80)...Nanoseconds.milliseconds(200)
    // 80 + (200 − 80)·(5 + 1)/10 = 152.
    let fuller = snapshot(milliseconds: 100, window: 10_000, inFlight: 5000)
    #expect(BlockingEstimation.linger(of: fuller, range: range) == .milliseconds(152))
    // 80 + 120·1/10 = 92, but at least SRTT.
    let empty = snapshot(milliseconds: 100, window: 10_000)
    #expect(BlockingEstimation.linger(of: empty, range: range) == .milliseconds(100))
  }

  @Test func lambdaGrowsAfterBlockingAndShrinksOtherwiseOnceInASlowRoundTrip() {
    var estimation = BlockingEstimation()
    let start = Instant(nanoseconds: 1_000_000_000)
    func adapt(_ milliseconds: Int64) {
      estimation.adapt(slowRoundTrip: .milliseconds(100), at: start + .milliseconds(milliseconds))
    }
    adapt(0)
    #expect(estimation.factor == 1200)
    estimation.noteBlocking()
    adapt(50)
    #expect(estimation.factor == 1200)
    adapt(100)
    #expect(estimation.factor == 1240)
    adapt(200)
    #expect(estimation.factor == 1230)
    for round in 3..<60 { adapt(Int64(round) * 100) }
    #expect(estimation.factor == 1000)
    for round in 60..<80 {
      estimation.noteBlocking()
      adapt(Int64(round) * 100)
    }
    #expect(estimation.factor == 1300)
  }

  @Test func extremesSaturate() {
    let fast = snapshot(milliseconds: 0, window: 1 << 40)
    let slow = snapshot(milliseconds: .max / 1_000_000, window: 0, inFlight: .max / 4)
    #expect(
      BlockingEstimation().waits(
        fast: fast, slow: slow, slowRange: .zero...(.max), window: 1 << 50))
  }
}
