import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct RTTEstimatorTests {
  private let start = Instant.zero

  // Requirement 6298-2-01, 6298-2-05, 6298-5-03
  @Test func `before a sample the timeout is one second, and doubles up to its ceiling`() {
    // RFC 6298 §2.1, §2.5, §5.5
    var estimator = RTTEstimator()
    #expect(estimator.smoothed == nil)
    #expect(estimator.minimum == nil)
    #expect(estimator.retransmissionTimeout == .seconds(1))
    estimator.backOff()
    #expect(estimator.retransmissionTimeout == .seconds(2))
    for _ in 0..<100 { estimator.backOff() }
    #expect(estimator.retransmissionTimeout == .seconds(60))
    estimator.resetBackOff()
    #expect(estimator.retransmissionTimeout == .seconds(1))
  }

  // Requirement 6298-2-02, 6298-2-03, 6298-2-04
  @Test func `samples move the estimates as RFC 6298 says`() {
    var estimator = RTTEstimator()
    // First: SRTT = 100, RTTVAR = 50, RTO = 100 + max(200, 4 · 50) = 300 ms.
    estimator.sample(.milliseconds(100), at: start)
    #expect(estimator.smoothed == .milliseconds(100))
    #expect(estimator.variation == .milliseconds(50))
    #expect(estimator.retransmissionTimeout == .milliseconds(300))
    // Then 180: RTTVAR = 3/4 · 50 + 1/4 · |100 − 180| = 57.5; SRTT = 7/8 · 100 + 1/8 · 180 = 110; RTO = 110 + 230.
    estimator.sample(.milliseconds(180), at: start)
    #expect(estimator.variation == .microseconds(57_500))
    #expect(estimator.smoothed == .milliseconds(110))
    #expect(estimator.retransmissionTimeout == .milliseconds(340))
    // Then 30: RTTVAR = 3/4 · 57.5 + 1/4 · 80 = 63.125; SRTT = 7/8 · 110 + 1/8 · 30 = 100; RTO = 100 + 252.5.
    estimator.sample(.milliseconds(30), at: start)
    #expect(estimator.variation == .microseconds(63_125))
    #expect(estimator.smoothed == .milliseconds(100))
    #expect(estimator.retransmissionTimeout == .microseconds(352_500))
    #expect(estimator.latest == .milliseconds(30))
    #expect(estimator.minimum == .milliseconds(30))
    // A path with next to no delay: the floor under the variation is the least that a time-out can be.
    var near = RTTEstimator()
    for _ in 0..<50 { near.sample(.microseconds(100), at: start) }
    #expect(near.retransmissionTimeout == .microseconds(200_100))
  }

  @Test func `the minimum forgets what is older than ten seconds`() {
    var estimator = RTTEstimator()
    estimator.sample(.milliseconds(10), at: start)
    for second in 1...9 { estimator.sample(.milliseconds(40), at: start + .seconds(Int64(second))) }
    #expect(estimator.minimum == .milliseconds(10))
    for second in 10...12 { estimator.sample(.milliseconds(40), at: start + .seconds(Int64(second))) }
    #expect(estimator.minimum == .milliseconds(40))
  }

  @Test(arguments: 1...10 as ClosedRange<UInt64>)
  func `the minimum is never below the true one of the window, nor above that of its last half`(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var minimum = WindowedMinimum()
    var samples: [(at: Int64, value: Int64)] = []
    var now: Int64 = 0
    for _ in 0..<2_000 {
      now += Int64.random(in: 0..<400, using: &generator)
      let value = Int64.random(in: 1...1_000, using: &generator)
      samples.append((now, value))
      minimum.sample(Nanoseconds(value), at: Instant(nanoseconds: now), window: Nanoseconds(10_000))
      let inWindow = samples.filter { now - $0.at <= 10_000 }.map(\.value).min() ?? 0
      let recent = samples.filter { now - $0.at <= 4_000 }.map(\.value).min() ?? 0
      agree(minimum.value.count >= inWindow, true)
      agree(minimum.value.count <= recent, true)
      samples.removeAll { now - $0.at > 20_000 }
    }
  }

  @Test func `extreme samples saturate`() {
    var estimator = RTTEstimator()
    for sample in [Nanoseconds.max, .zero, Nanoseconds(.min), .seconds(36_000), .max, .zero] {
      estimator.sample(sample, at: start)
      #expect(estimator.retransmissionTimeout <= .seconds(60))
      #expect(estimator.retransmissionTimeout >= .milliseconds(200))
      #expect((estimator.smoothed ?? .zero) >= .zero)
    }
    for _ in 0..<40 { estimator.backOff() }
    #expect(estimator.retransmissionTimeout == .seconds(60))
  }

  @Test func `an estimator is small`() { #expect(MemoryLayout<RTTEstimator>.size <= 100) }
}
