import MPTCPWire

/// How a connection's subflows find the rates that their paths bear.
public enum CongestionAlgorithm: Sendable {
  /// NewReno on each subflow by itself (RFC 5681, RFC 6582).
  case newReno
  /// CUBIC on each subflow by itself (RFC 9438), leaving slow start as HyStart++ does (RFC 9406).
  case cubic
  /// Linked increases: together no more aggressive than one TCP on the best path (RFC 6356).
  case lia
  /// An algorithm of the application's own. Each connection works on a copy of the value.
  case custom(any CustomCongestionControl)
}

/// What an acknowledgement tells a ``CustomCongestionControl``.
public struct CongestionAcknowledgment: Sendable {
  /// Octets newly acknowledged.
  public var byteCount: Int
  /// Octets that were in flight before it.
  public var priorInFlight: Int
  /// The round-trip time that it measured.
  public var roundTripTime: Nanoseconds?
  /// The subflow's smoothed round-trip time.
  public var smoothedRoundTripTime: Nanoseconds?
  /// Whether the window, and not the application or the peer, kept the subflow from sending more.
  public var isWindowLimited: Bool
  /// When it came.
  public var at: Instant
}

/// A congestion control algorithm that is not built in.
///
/// One value serves a whole connection and sees the windows of all of its subflows, so it may couple them. It decides
/// on growth and on thresholds; recovery itself (when it begins, proportional rate reduction, the collapse after a
/// timeout) is the engine's. Calls come in the order of events, and must depend on nothing but their arguments.
public protocol CustomCongestionControl: Sendable {
  /// A short name for reports, such as `olia`.
  var name: String { get }

  /// The congestion window in octets of `windows[index]` after `acknowledgment`, outside recovery.
  mutating func congestionWindow(
    after acknowledgment: CongestionAcknowledgment, of index: Int, windows: Span<CongestionWindow>
  ) -> Int

  /// The slow start threshold in octets of `windows[index]` after a loss or a congestion mark.
  ///
  /// - Parameter inFlight: octets that were sent and not acknowledged when the event was noticed.
  mutating func slowStartThreshold(
    afterCongestionOf index: Int, inFlight: Int, windows: Span<CongestionWindow>, at: Instant
  ) -> Int
}
