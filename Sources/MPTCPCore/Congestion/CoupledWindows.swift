import MPTCPWire

/// ⌊value · factor / divisor⌋ of numbers that are not negative; saturates, also where the divisor is zero.
@inline(__always)
func scaled(_ value: Int, by factor: Int, over divisor: Int) -> Int {
  guard value > 0, factor > 0 else { return 0 }
  let product = value.magnitude.multipliedFullWidth(by: factor.magnitude)
  guard divisor > 0, product.high < divisor.magnitude else { return .max }
  return Int(clamping: divisor.magnitude.dividingFullWidth(product).quotient)
}

/// What coupled algorithms ask of a connection's windows.
extension CongestionController {
  /// Sums of windows saturate here.
  static var largestSum: Int { 1 << 60 }

  /// Relative windows are counted in units of 2⁻¹⁰ octets: of many small ones nothing is lost by rounding.
  static var relativeShift: Int { 10 }

  /// The windows of a connection, each as large as it would be for the same rate at one subflow's round-trip time: the
  /// ratios of rates, in units of 2⁻¹⁰ octets.
  struct RelativeWindows {
    /// The subflow's own.
    var own = 0
    /// Σ w_i · rtt_r / rtt_i.
    var sum = 0
    /// The largest of them.
    var largest = 0
  }

  /// Compares all windows with that of `slot` by rate; nil while the subflow's round-trip time is not known.
  ///
  /// - Parameter time: the round-trip time, in microseconds, at which they are compared; the subflow's own where nil.
  /// Requirement 6356-2-01, 6356-2-02, 6356-2-03, 8684-3.3.7-02
  final func relativeWindows(_ slot: Int, at time: Int? = nil) -> RelativeWindows? {
    guard windows[slot].isCounted else { return nil }
    let time = time ?? windows[slot].microseconds
    var relative = RelativeWindows(own: share(of: slot, at: time))
    for index in windows.indices where windows[index].isCounted {
      let share = share(of: index, at: time)
      relative.sum = min(relative.sum + share, Self.largestSum)
      relative.largest = max(relative.largest, share)
    }
    return relative
  }

  private func share(of slot: Int, at time: Int) -> Int {
    min(
      scaled(windows[slot].effectiveByteCount << Self.relativeShift, by: time, over: windows[slot].microseconds),
      Self.largestSum)
  }

  /// The least round-trip time of all, in microseconds. At it no relative window is above its window: of 2⁴⁰ octets
  /// there would have to be a thousand before their sum saturates.
  final var leastMicroseconds: Int {
    var least = Int.max
    for index in windows.indices where windows[index].isCounted { least = min(least, windows[index].microseconds) }
    return least
  }
}

extension CongestionWindow {
  /// Whether coupled algorithms count it: it belongs to a subflow whose round-trip time is known.
  var isCounted: Bool { phase != .vacant && smoothedRoundTripTime != nil }

  /// The smoothed round-trip time in microseconds, from one to 2³⁴ (almost five hours).
  var microseconds: Int {
    Int(min(max((smoothedRoundTripTime ?? .zero).count / 1_000, 1), 1 << 34))
  }

  /// Octets of growth are counted in units of 2⁻²⁴ by algorithms whose growth may be less than nothing.
  static var fixedPointShift: Int { 24 }

  /// Lets the window grow, or shrink, by `growth` units of 2⁻²⁴ octets; fractions of an octet wait in the credit.
  mutating func grow(byFixedPoint growth: Int) {
    let bounded = min(max(growth, -(1 << 61)), 1 << 61)
    let sum = credit &+ bounded
    credit = sum & (1 << Self.fixedPointShift - 1)
    setWindow(congestionWindowByteCount &+ (sum >> Self.fixedPointShift))
  }

  /// acked · segment, which divided by a window is the growth of a Reno-like flow: below 2⁵⁶.
  func growthProduct(_ byteCount: Int) -> Int { min(byteCount, congestionWindowByteCount) &* maximumSegmentByteCount }
}
