import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct DeliveryRateSamplerTests {
  private static func at(_ milliseconds: Int64) -> Instant { .zero + .milliseconds(milliseconds) }

  @Test func `a sample is what was delivered over the time that it took`() {
    // Draft §4.1.1.2. Ten segments of 1,000 octets leave at 0 … 9 ms and are acknowledged at 100, 110, … 190 ms.
    var sampler = DeliveryRateSampler()
    for index in 0..<10 {
      sampler.transmitted(byteCount: 1_000, inFlight: 1_000 * (index + 1), at: Self.at(Int64(index)))
    }
    // The first: 1,000 octets, sent in no time, acknowledged 100 ms after the flight began: 10,000 a second.
    sampler.delivered(byteCount: 1_000, sentAt: Self.at(0), end: 1_000, at: Self.at(100))
    var sample = sampler.takeSample(leastRTT: .milliseconds(100))
    #expect(sample.rate == 10_000)
    #expect(sample.inFlightAtTransmission == 1_000)
    // The second and third together: 3,000 in 120 ms.
    sampler.delivered(byteCount: 1_000, sentAt: Self.at(1), end: 2_000, at: Self.at(120))
    sampler.delivered(byteCount: 1_000, sentAt: Self.at(2), end: 3_000, at: Self.at(120))
    sample = sampler.takeSample(leastRTT: .milliseconds(100))
    #expect(sample.delivered == 3_000)
    #expect(sample.newlyDelivered == 2_000)
    #expect(sample.rate == 25_000)
    #expect(sample.inFlightAtTransmission == 3_000)
    // One that leaves at 120 ms is acknowledged at 240 with seven others: 8,000 in 120 ms, and the window's end.
    sampler.transmitted(byteCount: 1_000, inFlight: 8_000, at: Self.at(120))
    for index in 3..<10 {
      sampler.delivered(
        byteCount: 1_000, sentAt: Self.at(Int64(index)), end: 1_000 * (index + 1), at: Self.at(190))
      _ = sampler.takeSample(leastRTT: .milliseconds(100))
    }
    sampler.delivered(byteCount: 1_000, sentAt: Self.at(120), end: 11_000, at: Self.at(240))
    sample = sampler.takeSample(leastRTT: .milliseconds(100))
    #expect(sample.delivered == 8_000)
    #expect(sample.rate == 66_666)
  }

  @Test func `acknowledgements that come compressed do not look like a rate`() {
    // §4.1.1.2.4: the sending took 50 ms, the acknowledging 10; the longer one counts.
    var sampler = DeliveryRateSampler()
    sampler.transmitted(byteCount: 1_000, inFlight: 1_000, at: Self.at(0))
    sampler.delivered(byteCount: 1_000, sentAt: Self.at(0), end: 1_000, at: Self.at(10))
    _ = sampler.takeSample(leastRTT: nil)
    sampler.transmitted(byteCount: 1_000, inFlight: 1_000, at: Self.at(20))
    sampler.transmitted(byteCount: 1_000, inFlight: 2_000, at: Self.at(70))
    sampler.delivered(byteCount: 1_000, sentAt: Self.at(20), end: 2_000, at: Self.at(75))
    _ = sampler.takeSample(leastRTT: nil)
    sampler.delivered(byteCount: 1_000, sentAt: Self.at(70), end: 3_000, at: Self.at(76))
    let sample = sampler.takeSample(leastRTT: nil)
    // Since the transmission at 70, when nothing had been delivered after 20: two segments, in max(70 − 20, 76 − 20).
    #expect(sample.delivered == 2_000)
    #expect(sample.rate == 2_000 * 1_000 / 56)
  }

  @Test func `an interval below the least round-trip time proves nothing`() {
    var sampler = DeliveryRateSampler()
    sampler.transmitted(byteCount: 1_000, inFlight: 1_000, at: Self.at(0))
    sampler.delivered(byteCount: 1_000, sentAt: Self.at(0), end: 1_000, at: Self.at(9))
    let sample = sampler.takeSample(leastRTT: .milliseconds(10))
    #expect(sample.rate == 0)
    #expect(sample.delivered == 1_000)
  }

  @Test func `samples are limited by the application until what was in flight then is delivered`() {
    var sampler = DeliveryRateSampler()
    sampler.transmitted(byteCount: 1_000, inFlight: 1_000, at: Self.at(0))
    sampler.markApplicationLimited(inFlight: 1_000)
    sampler.transmitted(byteCount: 1_000, inFlight: 2_000, at: Self.at(1))
    sampler.delivered(byteCount: 1_000, sentAt: Self.at(0), end: 1_000, at: Self.at(10))
    let first = sampler.takeSample(leastRTT: nil)
    #expect(!first.isApplicationLimited)
    #expect(sampler.isApplicationLimited)
    sampler.delivered(byteCount: 1_000, sentAt: Self.at(1), end: 2_000, at: Self.at(11))
    let second = sampler.takeSample(leastRTT: nil)
    #expect(second.isApplicationLimited)
    #expect(!sampler.isApplicationLimited)
  }

  @Test func `losses since the transmission are counted, and what was known of a lost segment is told`() {
    var sampler = DeliveryRateSampler()
    for index in 0..<3 {
      sampler.transmitted(byteCount: 1_000, inFlight: 1_000 * (index + 1), at: Self.at(Int64(index)))
    }
    sampler.delivered(byteCount: 1_000, sentAt: Self.at(2), end: 3_000, at: Self.at(50))
    let known = sampler.lost(byteCount: 1_000, sentAt: Self.at(1))
    #expect(known?.inFlight == 2_000)
    let sample = sampler.takeSample(leastRTT: nil)
    #expect(sample.lost == 1_000)
    let unknown = sampler.lost(byteCount: 1_000, sentAt: Self.at(17))
    #expect(unknown?.inFlight == nil)
  }

  @Test func `the memory of transmissions is bounded, and short where nothing is outstanding`() {
    var sampler = DeliveryRateSampler()
    for index in 0..<(3 * DeliveryRateSampler.snapshotLimit) {
      sampler.transmitted(byteCount: 1, inFlight: index + 1, at: Instant(nanoseconds: Int64(index)))
    }
    #expect(sampler.snapshots.count == DeliveryRateSampler.snapshotLimit)
    sampler.forget(before: Instant(nanoseconds: Int64(3 * DeliveryRateSampler.snapshotLimit - 1)))
    #expect(sampler.snapshots.count == 1)
    sampler.forget(before: .distantFuture)
    #expect(sampler.snapshots.isEmpty)
  }

  @Test func `the greatest of the last rounds is remembered and forgotten in time`() {
    var maximum = WindowedMaximum()
    let values = [5, 9, 3, 7, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1]
    for (round, value) in values.enumerated() {
      maximum.sample(value, round: round, window: 4)
      // The true maximum of the last four rounds, or at worst something in between after a better one went.
      let recent = values[max(0, round - 3)...round]
      #expect(maximum.value <= values[max(0, round - 3)...round].max() ?? 0, "\(recent)")
      #expect(maximum.value >= value)
    }
    #expect(maximum.value == 1)
  }
}
