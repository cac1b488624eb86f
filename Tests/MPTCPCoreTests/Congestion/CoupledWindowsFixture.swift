import MPTCPWire

@testable import MPTCPCore

extension CongestionController {
  /// Makes a window in congestion avoidance, of `segments` segments of 1,000 octets, for a subflow of that round-trip
  /// time.
  @discardableResult
  func addAvoiding(segments: Int, milliseconds: Int64) -> Int {
    let slot = addWindow(maximumSegmentByteCount: 1_000, at: .zero)
    setAvoiding(slot, byteCount: segments * 1_000, rtt: .milliseconds(milliseconds))
    return slot
  }

  func setAvoiding(_ slot: Int, byteCount: Int, rtt: Nanoseconds) {
    windows[slot].slowStartThresholdByteCount = windows[slot].maximumSegmentByteCount
    windows[slot].smoothedRoundTripTime = rtt
    windows[slot].isWindowLimited = true
    windows[slot].credit = 0
    windows[slot].setWindow(byteCount)
  }

  /// An acknowledgement that a full window waited for.
  func acknowledge(_ slot: Int, _ byteCount: Int, sample: Nanoseconds? = nil, inFlight: Int? = nil, at: Instant = .zero)
  {
    acknowledged(
      slot, byteCount: byteCount, priorInFlight: inFlight ?? windows[slot].congestionWindowByteCount, rtt: sample,
      smoothedRTT: windows[slot].smoothedRoundTripTime, isCongestionWindowLimited: true, at: at)
  }

  func window(_ slot: Int) -> Int { windows[slot].congestionWindowByteCount }
}

/// A random connection of up to 32 subflows, with windows up to 2³⁰ octets and round-trip times from a microsecond to
/// three hours.
struct RandomWindows {
  var generator: SeededGenerator

  mutating func fill(_ controller: CongestionController) -> Int {
    let count = Int.random(in: 1...32, using: &generator)
    for _ in 0..<count {
      let segment = Int.random(in: 48...65_535, using: &generator)
      let slot = controller.addWindow(maximumSegmentByteCount: segment, at: .zero)
      let window = max(1 << Int.random(in: 8...30, using: &generator), 2 * segment)
      let rtt = Nanoseconds(
        Int64.random(in: 1...9, using: &generator) * Self.power(Int.random(in: 3...12, using: &generator)))
      controller.setAvoiding(slot, byteCount: window + Int.random(in: 0..<window, using: &generator), rtt: rtt)
    }
    return count
  }

  private static func power(_ exponent: Int) -> Int64 { (0..<exponent).reduce(1) { value, _ in value * 10 } }
}

extension CongestionController {
  /// Σ w/rtt, w/rtt of one and the greatest, in octets a second, as real numbers: what the integers are checked
  /// against.
  func rates(_ slot: Int) -> (own: Double, sum: Double, largest: Double, rtt: Double) {
    let rates = windows.map { Double($0.congestionWindowByteCount) / ($0.smoothedRoundTripTime?.seconds ?? .infinity) }
    return (
      rates[slot], rates.reduce(0, +), rates.max() ?? 0, windows[slot].smoothedRoundTripTime?.seconds ?? .infinity
    )
  }
}
