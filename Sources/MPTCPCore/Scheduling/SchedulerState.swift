import MPTCPPolicy
import MPTCPWire

/// The scheduler of one connection, and what it remembers.
struct SchedulerState {
  enum Kind: UInt8 { case predictive, lowestRoundTripTime, roundRobin, redundant, blest, ecf, custom }

  let kind: Kind
  let relief: WindowRelief
  var turns = Turns(segments: 1, isStrict: false)
  var blocking = BlockingEstimation()
  var completion = EarliestCompletion()
  /// The application's own, where that is what decides: apart, so that other connections do not carry its weight.
  private let custom: CustomState?

  init(_ scheduler: Scheduler) {
    if case .custom(let own) = scheduler { custom = CustomState(own) } else { custom = nil }
    switch scheduler {
    case .predictive:
      kind = .predictive
      relief = .retransmission
    case .lowestRoundTripTime(let wanted):
      kind = .lowestRoundTripTime
      relief = wanted
    case .roundRobin(let segments, let isStrict):
      kind = .roundRobin
      relief = .none
      turns = Turns(segments: segments, isStrict: isStrict)
    case .redundant:
      kind = .redundant
      relief = .none
    case .blest:
      kind = .blest
      relief = .retransmission
    case .ecf:
      kind = .ecf
      relief = .retransmissionAndPenalty
    case .custom:
      kind = .custom
      relief = .none
    }
  }

  /// Asks the custom scheduler about what `gather` shows; nil where nothing has room.
  func askCustom(_ waiting: WaitingData, gather: (inout [SubflowSnapshot]) -> Void) -> SubflowID? {
    guard let custom else { return nil }
    custom.snapshots.removeAll(keepingCapacity: true)
    gather(&custom.snapshots)
    let snapshots = custom.snapshots
    guard snapshots.contains(where: { $0.roomByteCount > 0 }) else { return nil }
    return custom.scheduler.choose(snapshots.span, for: waiting)
  }

  private final class CustomState {
    var scheduler: any CustomScheduler
    /// What it is shown; kept, so that showing it allocates nothing.
    var snapshots: [SubflowSnapshot] = []

    init(_ scheduler: any CustomScheduler) { self.scheduler = scheduler }
  }
}

/// What the scheduler of a connection remembers of one subflow.
struct SubflowScheduling {
  /// Redundant scheduling: the data offset up to which this subflow has carried everything.
  var position = 0
  /// Until when it is not penalised again.
  var penaltyHeldUntil = Instant.zero
  /// Predictive scheduling: when an idle subflow is tried again.
  var nextTrial = Instant.zero
  /// Predictive scheduling: what the path delivers.
  var forecast = DeliveryForecast()
  /// The least and greatest smoothed round-trip times so far; nil before the first.
  private(set) var roundTripRange: ClosedRange<Nanoseconds>?

  /// Takes the smoothed round-trip time down, and gives the range that it has had.
  mutating func noteRoundTrip(_ smoothed: Nanoseconds) -> ClosedRange<Nanoseconds> {
    let known = roundTripRange ?? smoothed...smoothed
    let range = min(known.lowerBound, smoothed)...max(known.upperBound, smoothed)
    roundTripRange = range
    return range
  }
}
