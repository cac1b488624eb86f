import MPTCPWire

/// The congestion state of one subflow.
public struct CongestionWindow: Sendable {
  /// What a subflow does about congestion.
  enum Phase: UInt8, Sendable {
    /// The slot belongs to no subflow.
    case vacant
    /// Slow start or congestion avoidance, by where the window stands.
    case open
    /// Fast recovery: proportional rate reduction sets the window.
    case recovery
    /// After a timeout, until what was in flight then has been acknowledged.
    case loss
  }

  /// The window before slow start has found anything: no threshold.
  static let unboundedThreshold = Int.max
  /// Windows saturate here, a tebibyte: products of a window and a 16-bit segment size stay far from overflow.
  static let largestByteCount = 1 << 40

  /// The window in octets.
  public internal(set) var congestionWindowByteCount: Int
  /// Slow start ends when the window reaches this many octets; `Int.max` until something has set it.
  public internal(set) var slowStartThresholdByteCount = CongestionWindow.unboundedThreshold
  /// The subflow's segment size in octets.
  public internal(set) var maximumSegmentByteCount: Int
  /// The smoothed round-trip time that came with the last acknowledgement.
  public internal(set) var smoothedRoundTripTime: Nanoseconds?
  var phase = Phase.open
  /// Whether the window limited what was sent when the last acknowledgement came.
  var isWindowLimited = true
  /// What was in flight before the last acknowledgement.
  var inFlightByteCount = 0
  /// Acknowledged octets, or products of them, that have not yet amounted to an octet of growth.
  var credit = 0
  /// In phase `loss`: octets in flight at the timeout that have not been acknowledged.
  var unrepairedByteCount = 0

  var cubic = CubicState()
  var slowStart = SlowStartExit()

  // What a spurious reduction gives back.
  var priorWindowByteCount = 0
  var priorThresholdByteCount = 0
  var priorCubic = CubicState()

  init(maximumSegmentByteCount: Int) {
    let segment = min(max(maximumSegmentByteCount, 1), 65_535)
    self.maximumSegmentByteCount = segment
    congestionWindowByteCount = Self.initialByteCount(segment)
  }

  /// Whether the window is below its threshold.
  public var isInSlowStart: Bool { congestionWindowByteCount < slowStartThresholdByteCount }

  /// Whether a loss is being repaired, by fast recovery or after a timeout.
  public var isInRecovery: Bool { phase == .recovery || phase == .loss }

  /// Whether the slot belongs to a subflow. A custom algorithm passes over those that do not.
  public var isInUse: Bool { phase != .vacant }

  /// The window that coupled algorithms count (RFC 6356 §3): in fast recovery the threshold, and no more than is in
  /// flight when something else limits the subflow.
  /// Requirement 6356-3-04
  public var effectiveByteCount: Int {
    let window = phase == .recovery ? slowStartThresholdByteCount : congestionWindowByteCount
    return max(isWindowLimited ? window : min(window, inFlightByteCount), maximumSegmentByteCount)
  }

  /// The initial window (RFC 6928 §2).
  /// Requirement 5681-3.1-01
  static func initialByteCount(_ segment: Int) -> Int { min(10 * segment, max(2 * segment, 14_600)) }

  /// The least threshold that a reduction leaves (RFC 5681 §3.1).
  var leastThresholdByteCount: Int { 2 * maximumSegmentByteCount }

  /// Sets the window, within what a window may be.
  mutating func setWindow(_ byteCount: Int) {
    congestionWindowByteCount = min(max(byteCount, maximumSegmentByteCount), Self.largestByteCount)
  }

  /// Lets the window grow by the whole octets that `numerator / denominator` and the credit amount to.
  ///
  /// Both are non-negative and below 2⁶², so their sums are too.
  mutating func grow(by numerator: Int, over denominator: Int) {
    let sum = min(credit, denominator) &+ numerator
    let (octets, rest) = sum.quotientAndRemainder(dividingBy: max(denominator, 1))
    credit = rest
    setWindow(congestionWindowByteCount &+ octets)
  }
}
