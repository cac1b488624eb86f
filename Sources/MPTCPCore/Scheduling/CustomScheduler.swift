import MPTCPPolicy
import MPTCPWire

/// A scheduler that is not built in.
///
/// Calls come in the order of events, and must depend on nothing but their arguments and what earlier calls left
/// behind. It is asked for new data only; what is sent again goes where it arrives soonest.
public protocol CustomScheduler: Sendable {
  /// A short name for reports, such as `by-price`.
  var name: String { get }

  /// The subflow that takes the next segment, or nil to wait until something has changed: an acknowledgement, a timer,
  /// more data.
  ///
  /// A subflow without ``SubflowSnapshot/roomByteCount`` is no answer and counts as nil. While nothing at all is in
  /// flight nothing would change by itself: an answer of nil then leaves the choice to the least round-trip time.
  /// - Parameters:
  ///   - subflows: the fully established ones, in the order of their IDs; at least one of them has room.
  ///   - waiting: what is to be sent.
  mutating func choose(_ subflows: Span<SubflowSnapshot>, for waiting: WaitingData) -> SubflowID?
}

/// The data that waits for a subflow.
public struct WaitingData: Sendable, Hashable {
  /// Octets that the application wrote and no subflow has carried yet.
  public var byteCount: Int
  /// Octets of them that the peer's window for the connection still takes (RFC 8684 §3.3.4).
  public var windowByteCount: Int
  /// Octets sent and not acknowledged at the data level.
  public var outstandingByteCount: Int
  /// The time.
  public var at: Instant
}

/// A subflow as a scheduler sees it.
public struct SubflowSnapshot: Sendable, Hashable {
  /// Its number in the connection.
  public var id: SubflowID
  /// SRTT; nil before the first sample.
  public var smoothedRoundTripTime: Nanoseconds?
  /// RTTVAR.
  public var roundTripTimeVariation: Nanoseconds
  /// The congestion window, in octets.
  public var congestionWindowByteCount: Int
  /// The slow start threshold, in octets; `Int.max` until something has set it.
  public var slowStartThresholdByteCount: Int
  /// What is believed to be in the network, in octets.
  public var inFlightByteCount: Int
  /// What it could take right now, in octets; 0 where it cannot, for whatever reason.
  public var roomByteCount: Int
  /// The payload of a full segment, in octets.
  public var segmentByteCount: Int
  /// Whether either side asked to use it only where no others work.
  public var isBackup: Bool
  /// Whether it is suspected dead.
  public var isStalled: Bool
  /// Whether it repairs a loss.
  public var isRepairing: Bool
}

extension SubflowSnapshot {
  init(_ subflow: Subflow, room: Int) {
    let window = subflow.connection.congestion.windows[subflow.windowSlot]
    id = subflow.id
    smoothedRoundTripTime = subflow.roundTrip.smoothed
    roundTripTimeVariation = subflow.roundTrip.variation
    congestionWindowByteCount = window.congestionWindowByteCount
    slowStartThresholdByteCount = window.slowStartThresholdByteCount
    inFlightByteCount = subflow.pipeByteCount
    roomByteCount = room
    segmentByteCount = subflow.fullPayloadByteCount
    isBackup = subflow.isBackup || subflow.isPeerBackup
    isStalled = subflow.isStalled
    isRepairing = subflow.lostByteCount > 0
  }

  /// Whether a built-in scheduler considers it at all, with room or without.
  var isEligible: Bool { !isStalled && !isRepairing }
}
