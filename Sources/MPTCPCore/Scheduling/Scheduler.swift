/// Which subflow carries the next data.
///
/// Under every scheduler but ``redundant`` a segment of new data goes out on one subflow. All of them leave aside what
/// is not fully established, suspected dead, repairing a loss, or without room in its congestion window or in the
/// peer's, and use backups only where nothing else works (RFC 8684 §3.3.8). Data that is sent again goes before new
/// data, on the subflow with room that has the least round-trip time.
public enum Scheduler: Sendable {
  /// The least round-trip time, except where a forecast says that the segment would stop the others at the connection's
  /// window, or come later than if it waited for a faster subflow. See `Connection+Predictive.swift` for the reasoning.
  case predictive
  /// The subflow with room that has the least smoothed round-trip time.
  ///
  /// The default of Linux's first implementation (Paasch et al., "Experimental Evaluation of Multipath TCP Schedulers",
  /// 2014), with opportunistic retransmission and penalisation as `relief` says (Raiciu et al., NSDI 2012).
  case lowestRoundTripTime(relief: WindowRelief = .retransmission)
  /// The subflows by turns, `segments` segments each (at least one).
  ///
  /// Strictly, a subflow whose turn it is and that has no room is waited for, and all carry the same; otherwise it is
  /// passed over, and each carries what its window holds (Paasch et al. 2014).
  case roundRobin(segments: Int = 1, isStrict: Bool = false)
  /// Every segment on every subflow: what arrives first counts, so that neither loss nor delay on one path is felt.
  case redundant
  /// Blocking estimation (Ferlin et al., "BLEST", 2016): a slow subflow is left idle where what it would hold of the
  /// connection's window would stop a faster one. Opportunistic retransmission without penalisation tunes its margin.
  case blest
  /// Earliest completion first (Lim et al., "ECF", 2017): a slow subflow is left idle where what waits is sooner there
  /// if it waits for the faster one. With opportunistic retransmission and penalisation, like the default it was built
  /// on.
  case ecf
  /// A scheduler of the application's own. Each connection works on a copy of the value.
  case custom(any CustomScheduler)

  /// The names of those that have one of their own, in the order in which to list them.
  public static let allNames = [
    "predictive", "lowest-rtt", "round-robin", "round-robin-strict", "redundant", "blest", "ecf",
  ]

  /// The scheduler of this name, with its usual parameters; `default` is the one that connections have unless told
  /// otherwise. nil for a name that is none of ``allNames``.
  public init?(name: String) {
    switch name {
    case "default": self = .standard
    case "predictive": self = .predictive
    case "lowest-rtt": self = .lowestRoundTripTime()
    case "round-robin": self = .roundRobin()
    case "round-robin-strict": self = .roundRobin(isStrict: true)
    case "redundant": self = .redundant
    case "blest": self = .blest
    case "ecf": self = .ecf
    default: return nil
    }
  }

  /// What connections use unless told otherwise.
  public static var standard: Scheduler { .predictive }

  /// Its name, for reports.
  public var name: String {
    switch self {
    case .predictive: "predictive"
    case .lowestRoundTripTime: "lowest-rtt"
    case .roundRobin(_, let isStrict): isStrict ? "round-robin-strict" : "round-robin"
    case .redundant: "redundant"
    case .blest: "blest"
    case .ecf: "ecf"
    case .custom(let scheduler): scheduler.name
    }
  }
}

/// What is done when the connection's window is full while a fast subflow has room and a slower one holds the window's
/// head (Raiciu et al., "How Hard Can It Be? Designing and Implementing a Deployable Multipath TCP", NSDI 2012, §4.2).
public enum WindowRelief: Sendable, Hashable {
  /// Nothing: the fast subflow waits.
  case none
  /// The head is sent on the fast subflow as well (opportunistic retransmission).
  case retransmission
  /// That, and the slow subflow's congestion window is halved, at most once in its round-trip time (penalisation).
  case retransmissionAndPenalty
}
