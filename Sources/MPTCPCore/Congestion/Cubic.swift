import MPTCPWire

/// CUBIC's memory of one subflow (RFC 9438 §4.1.2), in octets and in units of 2⁻²⁰ seconds.
/// Requirement 9438-4-01, 9438-4-02, 9438-4-03
struct CubicState: Sendable {
  /// W_max: the window at the last congestion event, after fast convergence.
  var maximumByteCount = 0
  /// cwnd_prior: the window before the last congestion event.
  var priorByteCount = 0
  /// W_est: what a Reno-like flow would have by now; meaningful within an epoch.
  var estimateByteCount = 0
  /// Parts of an octet that are due to the estimate.
  var estimateCredit = 0
  /// K: when the window is back at W_max, counted from the beginning of the epoch.
  var timeToMaximum: Int64 = 0
  /// When this stretch of congestion avoidance began; nil before it has.
  var epochStart: Instant?
  var lastAcknowledgment = Instant.zero
}

/// The arithmetic of CUBIC (RFC 9438 §4), integers only: the same inputs give the same windows on every machine.
///
/// W_cubic(t) = C·(t − K)³ + W_max with C = 0.4 segments a second³. With t in units of 2⁻²⁰ s, C·t³ in octets is
/// 2·segment·t³ / 5 / 2⁶⁰.
enum Cubic {
  /// The largest |t − K|, 2³³ units (2.3 hours): its cube times the largest segment fits 128 bits.
  static let largestTime: Int64 = 1 << 33

  /// β_cubic = 0.7.
  /// Requirement 9438-4-04
  static func reduced(_ byteCount: Int) -> Int { byteCount / 10 * 7 + byteCount % 10 * 7 / 10 }

  /// (1 + β_cubic) / 2 = 17/20: what fast convergence makes of the window (RFC 9438 §4.7).
  static func converged(_ byteCount: Int) -> Int { byteCount / 20 * 17 + byteCount % 20 * 17 / 20 }

  /// A length of time in units of 2⁻²⁰ s, at most ``largestTime``.
  static func units(_ span: Nanoseconds) -> Int64 {
    // 2²⁰ / 10⁹ = 2¹¹ / 5⁹.
    let bounded = min(max(span.count, 0), 1 << 50)
    return min((bounded << 11) / 1_953_125, largestTime)
  }

  /// C·t³ in octets; the sign is t's.
  static func growth(over time: Int64, segment: Int) -> Int {
    let span = UInt128(min(time.magnitude, largestTime.magnitude))
    let octets = Int(clamping: UInt64(truncatingIfNeeded: (span * span * span * UInt128(2 * segment)) >> 60) / 5)
    return time < 0 ? -octets : octets
  }

  /// K = ∛((W_max − cwnd) / C), in units of 2⁻²⁰ s (RFC 9438 §4.2).
  static func timeToMaximum(from window: Int, to maximum: Int, segment: Int) -> Int64 {
    guard maximum > window else { return 0 }
    let deficit = UInt128(min(maximum - window, CongestionWindow.largestByteCount))
    return Int64(cubeRoot((deficit * 5) << 60 / UInt128(2 * max(segment, 1))))
  }

  /// ⌊∛value⌋, a binary digit at a time.
  static func cubeRoot(_ value: UInt128) -> UInt64 {
    var root: UInt64 = 0
    var rest = value
    // The digits of `value` in groups of three; 3·root·(root + 1) + 1 is the step from root³ to (root + 1)³.
    var shift = (127 - min(value.leadingZeroBitCount, 127)) / 3 * 3
    while shift >= 0 {
      root <<= 1
      let step = 3 * UInt128(root) * UInt128(root + 1) + 1
      if rest >> UInt128(shift) >= step {
        rest -= step << UInt128(shift)
        root += 1
      }
      shift -= 3
    }
    return root
  }
}

/// CUBIC on each subflow by itself, leaving the first slow start as HyStart++ does.
final class CubicController: CongestionController {
  override var name: String { "cubic" }
  override var endsSlowStartEarly: Bool { true }

  override func avoidCongestion(_ slot: Int, byteCount: Int, _ acknowledgment: CongestionAcknowledgment) {
    windows[slot].growCubic(
      byteCount: byteCount, smoothedRTT: acknowledgment.smoothedRoundTripTime ?? .zero, at: acknowledgment.at)
  }

  override func threshold(_ slot: Int, after used: Int, at: Instant) -> Int { windows[slot].reduceCubic(from: used) }

  override func timedOut(_ slot: Int) { windows[slot].forgetCubicPlateau() }
}

extension CongestionWindow {
  /// Congestion avoidance (RFC 9438 §4.2 to §4.5), for an acknowledgement of `byteCount` octets.
  mutating func growCubic(byteCount: Int, smoothedRTT: Nanoseconds, at: Instant) {
    let segment = maximumSegmentByteCount
    let window = congestionWindowByteCount
    let acknowledged = min(byteCount, window)
    if cubic.epochStart == nil { beginCubicEpoch(at: at) }

    // RFC 9438 §4.3: α_cubic = 3(1 − β)/(1 + β) = 9/17 until the estimate reaches cwnd_prior, then 1.
    let hasCaughtUp = cubic.estimateByteCount >= cubic.priorByteCount
    let product = min(acknowledged &* segment, 1 << 56) &* (hasCaughtUp ? 17 : 9)
    let (octets, rest) = (cubic.estimateCredit &+ product).quotientAndRemainder(dividingBy: 17 &* window)
    cubic.estimateCredit = rest
    cubic.estimateByteCount = min(cubic.estimateByteCount &+ octets, Self.largestByteCount)

    let elapsed = Cubic.units(at - (cubic.epochStart ?? at))
    let now = cubicWindow(elapsed)
    if now < cubic.estimateByteCount {
      // The Reno-friendly region.
      setWindow(max(window, cubic.estimateByteCount))
      return
    }
    // Concave and convex regions: towards where the curve will be one round-trip time from now, at most half as much
    // again (RFC 9438 §4.2).
    let target = min(max(cubicWindow(elapsed &+ Cubic.units(smoothedRTT)), window), window + window / 2)
    let gain = (target - window).multipliedFullWidth(by: acknowledged)
    if gain.high == 0, gain.low < 1 << 62 {
      grow(by: Int(gain.low), over: window)
    } else {
      setWindow(window + window.dividingFullWidth(gain).quotient)
    }
  }

  private func cubicWindow(_ elapsed: Int64) -> Int {
    let growth = Cubic.growth(over: elapsed &- cubic.timeToMaximum, segment: maximumSegmentByteCount)
    let (sum, overflow) = cubic.maximumByteCount.addingReportingOverflow(growth)
    return overflow ? .max : sum
  }

  private mutating func beginCubicEpoch(at: Instant) {
    let window = congestionWindowByteCount
    cubic.epochStart = at
    // After slow start without a loss there is no plateau to climb back to: the curve starts at its centre.
    if cubic.maximumByteCount <= window { cubic.maximumByteCount = window }
    cubic.timeToMaximum = Cubic.timeToMaximum(
      from: window, to: cubic.maximumByteCount, segment: maximumSegmentByteCount)
    cubic.estimateByteCount = window
    cubic.estimateCredit = 0
    credit = 0
  }

  /// After a timeout the next stretch of congestion avoidance starts at the curve's centre: K is 0 and W_max the window
  /// that it begins with (RFC 9438 §4.8).
  /// Requirement 9438-4-08
  mutating func forgetCubicPlateau() {
    cubic.maximumByteCount = 0
    cubic.epochStart = nil
  }

  /// The threshold after a congestion event (RFC 9438 §4.6), with fast convergence (§4.7).
  /// Requirement 9438-4-04
  mutating func reduceCubic(from byteCount: Int) -> Int {
    cubic.priorByteCount = congestionWindowByteCount
    let isShrinking = congestionWindowByteCount < cubic.maximumByteCount
    // Requirement 9438-4-05
    cubic.maximumByteCount = isShrinking ? Cubic.converged(congestionWindowByteCount) : congestionWindowByteCount
    cubic.epochStart = nil
    return Cubic.reduced(byteCount)
  }
}
