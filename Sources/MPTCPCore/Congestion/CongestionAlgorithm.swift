import MPTCPWire

/// How a connection's subflows find the rates that their paths bear.
public enum CongestionAlgorithm: Sendable {
  /// NewReno on each subflow by itself (RFC 5681, RFC 6582).
  case newReno
  /// CUBIC on each subflow by itself (RFC 9438), leaving slow start as HyStart++ does (RFC 9406).
  case cubic
  /// Linked increases: together no more aggressive than one TCP on the best path (RFC 6356).
  case lia
  /// Opportunistic linked increases: as LIA, and windows move to the paths that are presumably best
  /// (draft-khalili-mptcp-congestion-control).
  case olia
  /// Balanced linked adaptation: friendliness against responsiveness (draft-walid-mptcp-congestion-control).
  case balia
  /// Weighted Vegas: equal queueing on all paths, found by delay instead of loss (Cao, Xu, Fu 2012).
  case wVegas
  /// BBR version 3 on each subflow by itself: by a model of the path's rate and delay (draft-ietf-ccwg-bbr).
  case bbr
  /// An algorithm of the application's own. Each connection works on a copy of the value.
  case custom(any CustomCongestionControl)

  /// The algorithms that are built in.
  public static let builtIn: [CongestionAlgorithm] = [.newReno, .cubic, .lia, .olia, .balia, .wVegas, .bbr]

  /// The names of the algorithms that are built in, in lower case.
  public static var allNames: [String] { builtIn.map(\.name) }

  /// The built-in algorithm of that name, in upper or lower case; nil if there is none. `reno` is NewReno.
  public init?(name: String) {
    let name = name.lowercased()
    guard let known = Self.builtIn.first(where: { $0.name == (name == "reno" ? "newreno" : name) }) else { return nil }
    self = known
  }

  /// The name, for command lines and reports.
  public var name: String { makeController().name }

  /// The object that runs it in one connection.
  ///
  /// - Parameter seed: unpredictable bits, drawn only for an algorithm that probes at random times.
  func makeController(seed: @autoclosure () -> UInt64 = 0) -> CongestionController {
    switch self {
    case .newReno: NewReno()
    case .cubic: CubicController()
    case .lia: LinkedIncreases()
    case .olia: OpportunisticLinkedIncreases()
    case .balia: BalancedLinkedAdaptation()
    case .wVegas: WeightedVegas()
    case .bbr: BBR(seed: seed())
    case .custom(let control): CustomController(control)
    }
  }
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
