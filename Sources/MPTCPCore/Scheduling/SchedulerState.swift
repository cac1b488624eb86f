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
  private var custom: (any CustomScheduler)?
  /// What the custom scheduler is shown; kept, so that showing it allocates nothing.
  private var snapshots: [SubflowSnapshot] = []

  init(_ scheduler: Scheduler) {
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
    case .custom(let scheduler):
      kind = .custom
      relief = .none
      custom = scheduler
    }
  }

  /// Asks the custom scheduler. It is taken out meanwhile: the snapshots are borrowed from the same value.
  mutating func askCustom(
    _ waiting: WaitingData, gather: (inout [SubflowSnapshot]) -> Void
  ) -> SubflowID? {
    guard var scheduler = custom else { return nil }
    custom = nil
    snapshots.removeAll(keepingCapacity: true)
    gather(&snapshots)
    defer { custom = scheduler }
    guard snapshots.contains(where: { $0.roomByteCount > 0 }) else { return nil }
    return scheduler.choose(snapshots.span, for: waiting)
  }
}

/// What the scheduler of a connection remembers of one subflow.
struct SubflowScheduling {
  /// Redundant scheduling: the data offset up to which this subflow has carried everything.
  var position = 0
  /// Until when it is not penalised again.
  var penaltyHeldUntil = Instant.zero
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
