import MPTCPWire

/// Congestion control of a connection: one object, and a window for each subflow, so that algorithms may couple them.
///
/// Everything is in octets and integers. Acknowledged octets drive growth; how many there are to an acknowledgement is
/// not limited, because subflows are paced (RFC 9406 §4.3 for slow start).
/// In fast recovery the subflow sets the window itself, by ``ProportionalRateReduction``, unless the algorithm
/// ``governsRecovery``.
///
/// This class is the frame that all algorithms share; what it leaves open does as RFC 5681 says. An algorithm is a
/// subclass in a file of its own that overrides what it does differently, and a case of ``CongestionAlgorithm``.
class CongestionController {
  /// The windows by slot. Slots of removed windows stay, marked as not in use, until they are used again.
  /// Requirement 8684-3.3.7-01
  final var windows: [CongestionWindow] = []
  /// Whether the algorithm wants delivery rate samples: only then the subflows call ``transmitted(_:_:at:)``,
  /// ``delivered(_:byteCount:sentAt:end:at:)``, ``lost(_:byteCount:sentAt:start:)``,
  /// ``markApplicationLimited(_:inFlight:)`` and ``acknowledgmentCompleted(_:_:)``.
  final let samplesDelivery: Bool
  /// Whether the algorithm sets window and pacing rate in recovery too, instead of proportional rate reduction.
  final let governsRecovery: Bool

  init(samplesDelivery: Bool = false, governsRecovery: Bool = false) {
    self.samplesDelivery = samplesDelivery
    self.governsRecovery = governsRecovery
  }

  // MARK: What an algorithm may override

  /// The algorithm's name, for reports.
  var name: String { "newreno" }

  /// Whether the first slow start ends early, when the round-trip time rises (RFC 9406).
  var endsSlowStartEarly: Bool { false }

  /// A slot has a new window: what the algorithm keeps of it begins anew.
  func windowAdded(_ slot: Int, at: Instant) {}

  /// Windows were reduced, restored or removed.
  func windowsChanged() {}

  /// An acknowledgement came, whatever the subflow does and whether or not its window may grow.
  func observe(_ slot: Int, _ acknowledgment: CongestionAcknowledgment) {}

  /// Lets the window grow: it was used, and no loss is being repaired by fast recovery.
  /// Requirement 9293-3.8.2-01
  func grow(_ slot: Int, _ acknowledgment: CongestionAcknowledgment) {
    var rest = acknowledgment.byteCount
    if windows[slot].isInSlowStart { rest = growSlowStart(slot, acknowledgment) }
    guard rest > 0, !windows[slot].isInSlowStart else { return }
    avoidCongestion(slot, byteCount: rest, acknowledgment)
  }

  /// Congestion avoidance for `byteCount` of the acknowledged octets: a segment for each window (RFC 5681 §3.1).
  func avoidCongestion(_ slot: Int, byteCount: Int, _ acknowledgment: CongestionAcknowledgment) {
    windows[slot].growAsReno(byteCount: byteCount)
  }

  /// The threshold after a loss or a mark, when a window of `used` octets was in use (RFC 5681 §3.1).
  /// Requirement 5681-3.1-04
  func threshold(_ slot: Int, after used: Int, at: Instant) -> Int { used / 2 }

  /// The retransmission timer has expired; the window is one segment already.
  func timedOut(_ slot: Int) {}

  /// Recovery is complete: the window is what the threshold says. After a timeout it stays where slow start has it.
  func recoveryEnded(_ slot: Int, at: Instant) {
    if windows[slot].phase == .recovery { windows[slot].setWindow(windows[slot].slowStartThresholdByteCount) }
    if windows[slot].isInRecovery { windows[slot].phase = .open }
    windows[slot].credit = 0
  }

  /// A mark by a router (RFC 3168 §6.1.2): the same response as to a loss, with nothing to repair.
  func congestionMarked(_ slot: Int, inFlight: Int, at: Instant) {
    congestionEvent(slot, inFlight: inFlight, at: at)
    recoveryEnded(slot, at: at)
  }

  /// A loss: sets the threshold and begins recovery, unless one is going on.
  ///
  /// The window itself stays for proportional rate reduction to lead down.
  /// - Parameter inFlight: FlightSize, octets sent and not cumulatively acknowledged (RFC 5681 §2).
  func congestionEvent(_ slot: Int, inFlight: Int, at: Instant) {
    // Requirement 6582-3.2-02
    guard windows[slot].phase == .open else { return }
    windows[slot].savePrior()
    reduce(slot, inFlight: inFlight, at: at)
    windows[slot].phase = .recovery
    windowsChanged()
  }

  /// A loss in a window that a mark has reduced already: recovery begins, and the window is what it is.
  func recoveryBegan(_ slot: Int, at: Instant) {
    guard windows[slot].phase == .open else { return }
    windows[slot].savePrior()
    windows[slot].phase = .recovery
    windowsChanged()
  }

  /// The retransmission timer has expired: a window of one segment, then slow start (RFC 5681 §3.1).
  ///
  /// The threshold is reduced by the first expiry only: those after it concern segments sent again. Nor is it reduced
  /// when fast recovery has just done so, whose loss this still is; the path's share is not divided twice in a round
  /// trip.
  func retransmissionTimeout(_ slot: Int, inFlight: Int, at: Instant) {
    switch windows[slot].phase {
    case .vacant: return
    // Requirement 5681-3.1-06
    case .loss: break
    case .recovery:
      // Should the timeout prove spurious, recovery's reduction still holds.
      windows[slot].setWindow(windows[slot].slowStartThresholdByteCount)
      windows[slot].savePrior()
      windows[slot].enterLoss(inFlight: inFlight)
    case .open:
      windows[slot].savePrior()
      reduce(slot, inFlight: inFlight, at: at)
      windows[slot].enterLoss(inFlight: inFlight)
    }
    // Requirement 5681-3.1-05, 9438-4-08
    windows[slot].setWindow(windows[slot].maximumSegmentByteCount)
    windows[slot].credit = 0
    timedOut(slot)
    windowsChanged()
  }

  /// Penalisation (Raiciu et al., NSDI 2012, §4.2): half the window, and half the threshold unless in slow start. The
  /// subflow holds back a faster one; nothing was lost, so recovery does not begin.
  func penalize(_ slot: Int) {
    guard windows[slot].phase == .open else { return }
    let isInSlowStart = windows[slot].isInSlowStart
    windows[slot].setWindow(windows[slot].congestionWindowByteCount / 2)
    if !isInSlowStart {
      windows[slot].slowStartThresholdByteCount = max(
        windows[slot].slowStartThresholdByteCount / 2, windows[slot].leastThresholdByteCount)
    }
    windows[slot].credit = 0
    windowsChanged()
  }

  /// The last reduction was for nothing (RFC 8985 §7.4 by DSACK, RFC 3522 by timestamps, RFC 9438 §4.9): takes it back.
  /// Requirement 9438-4-06
  func undo(_ slot: Int, at: Instant) {
    guard windows[slot].restorePrior() else { return }
    windowsChanged()
  }

  /// Nothing was in flight for `idle`: the window halves for each timeout of that, down to the restart window
  /// (RFC 2861 §3, RFC 5681 §4.1), while the threshold remembers three quarters of it.
  func restartAfterIdle(_ slot: Int, idle: Nanoseconds, retransmissionTimeout: Nanoseconds, at: Instant) {
    windows[slot].restart(idle: idle, retransmissionTimeout: retransmissionTimeout)
  }

  /// Sets the window, as proportional rate reduction does during recovery.
  func setWindow(_ slot: Int, byteCount: Int) { windows[slot].setWindow(byteCount) }

  /// The rate in octets a second at which to send: the window in a smoothed round-trip time, doubled in slow start,
  /// with a fifth on top otherwise, so that pacing never holds growth back. `Int.max` while no round trip is known.
  func pacingRate(_ slot: Int, smoothedRTT: Nanoseconds?) -> Int {
    guard let rtt = smoothedRTT?.count, rtt > 0 else { return .max }
    // Proportional rate reduction says how much may leave; its window follows what is in flight down to nothing, and a
    // rate made of that would keep it there.
    // (A threshold that an algorithm of its own recovery never sets is no rate either.)
    let isReducing = windows[slot].phase == .recovery && !governsRecovery
    let window = max(
      windows[slot].congestionWindowByteCount, isReducing ? windows[slot].slowStartThresholdByteCount : 0)
    // Half a threshold is Linux's limit as well: the last doubling is not driven at twice the rate.
    let isDoubled = !isReducing && window < windows[slot].slowStartThresholdByteCount / 2
    return scaled(window &* (isDoubled ? 10 : 6), by: 200_000_000, over: Int(rtt))
  }

  // MARK: Delivery rate samples, where the algorithm wants them

  /// Data was sent, or sent again.
  func transmitted(_ slot: Int, _ transmission: Transmission, at: Instant) {}

  /// Octets that were not known to have arrived have; they were sent last at `sentAt`, and end at offset `end`.
  func delivered(_ slot: Int, byteCount: Int, sentAt: Instant, end: Int, at: Instant) {}

  /// Octets from offset `start` on that were sent at `sentAt` are presumed lost.
  func lost(_ slot: Int, byteCount: Int, sentAt: Instant, start: Int, at: Instant) {}

  /// There was room to send and nothing to be sent, with `inFlight` octets in the network.
  func markApplicationLimited(_ slot: Int, inFlight: Int) {}

  /// All that one acknowledgement says has been told.
  func acknowledgmentCompleted(_ slot: Int, _ completion: AcknowledgmentCompletion, at: Instant) {}

  // MARK: Windows

  /// Makes a window for a new subflow, and returns its slot.
  final func addWindow(maximumSegmentByteCount: Int, at: Instant) -> Int {
    let window = CongestionWindow(maximumSegmentByteCount: maximumSegmentByteCount)
    let slot: Int
    if let vacant = windows.firstIndex(where: { $0.phase == .vacant }) {
      slot = vacant
      windows[slot] = window
    } else {
      slot = windows.count
      windows.append(window)
    }
    windowAdded(slot, at: at)
    return slot
  }

  /// Gives up the window of a subflow that is gone.
  final func removeWindow(_ slot: Int) {
    guard windows.indices.contains(slot) else { return }
    windows[slot].phase = .vacant
    windowsChanged()
  }

  /// The handshake is done and the segment size known: the initial window (RFC 6928 §2).
  /// Requirement 5681-3.1-01
  final func begin(_ slot: Int, maximumSegmentByteCount: Int) {
    windows[slot].maximumSegmentByteCount = min(max(maximumSegmentByteCount, 1), 65_535)
    setWindow(slot, byteCount: CongestionWindow.initialByteCount(windows[slot].maximumSegmentByteCount))
  }

  /// The path's segment size has changed; the window keeps its octets, but holds at least one segment. An initial
  /// window is counted anew: in small segments it would be too many at once (RFC 5681 §3.1).
  final func setMaximumSegment(_ slot: Int, byteCount: Int) {
    let initial = CongestionWindow.initialByteCount(windows[slot].maximumSegmentByteCount)
    let isInitial = windows[slot].congestionWindowByteCount == initial && windows[slot].phase == .open
    windows[slot].maximumSegmentByteCount = min(max(byteCount, 1), 65_535)
    let window = windows[slot].congestionWindowByteCount
    setWindow(
      slot,
      byteCount: isInitial
        ? min(window, CongestionWindow.initialByteCount(windows[slot].maximumSegmentByteCount)) : window)
  }

  /// Lets the window grow for an acknowledgement of `byteCount` octets that were not acknowledged before.
  ///
  /// - Parameters:
  ///   - priorInFlight: octets in flight before the acknowledgement.
  ///   - rtt: the round-trip time that it measured.
  ///   - smoothedRTT: the subflow's SRTT after it.
  ///   - isCongestionWindowLimited: whether the window, not the application or the peer, limited what was sent. A
  ///     window that is not used does not grow (RFC 9438 §5.8, RFC 7661).
  final func acknowledged(
    _ slot: Int, byteCount: Int, priorInFlight: Int, rtt: Nanoseconds?, smoothedRTT: Nanoseconds?,
    isCongestionWindowLimited: Bool, at: Instant
  ) {
    let acknowledgment = CongestionAcknowledgment(
      byteCount: min(max(byteCount, 0), CongestionWindow.largestByteCount),
      priorInFlight: min(max(priorInFlight, 0), CongestionWindow.largestByteCount), roundTripTime: rtt,
      smoothedRoundTripTime: smoothedRTT, isWindowLimited: isCongestionWindowLimited, at: at)
    let mayGrow = windows[slot].note(acknowledgment)
    observe(slot, acknowledgment)
    if mayGrow, acknowledgment.byteCount > 0 { grow(slot, acknowledgment) }
  }

  /// Slow start (RFC 5681 §3.1), and returns what is left of the acknowledged octets for congestion avoidance.
  final func growSlowStart(_ slot: Int, _ acknowledgment: CongestionAcknowledgment) -> Int {
    windows[slot].growSlowStart(
      byteCount: acknowledgment.byteCount, priorInFlight: acknowledgment.priorInFlight,
      rtt: acknowledgment.roundTripTime, exitsEarly: endsSlowStartEarly)
  }

  /// Requirement 5681-3.1-04
  private func reduce(_ slot: Int, inFlight: Int, at: Instant) {
    // A window that was in use is what the path failed to bear; of one that was not, only what was in flight has been
    // tried (RFC 5681 §3.1, RFC 9438 §4.6). The former does not depend on how much was acknowledged selectively before
    // the loss was noticed.
    let window = windows[slot].congestionWindowByteCount
    let used = windows[slot].isWindowLimited ? window : min(max(inFlight, 0), window)
    windows[slot].slowStartThresholdByteCount = min(
      max(threshold(slot, after: used, at: at), windows[slot].leastThresholdByteCount),
      CongestionWindow.largestByteCount)
    windows[slot].credit = 0
  }
}

/// One transmission of data, as an algorithm that samples delivery sees it.
struct Transmission {
  /// Octets of it.
  var byteCount: Int
  /// Octets in flight, these included.
  var inFlight: Int
}

/// What there is to know at the end of the processing of an acknowledgement.
struct AcknowledgmentCompletion {
  /// Octets in flight now.
  var inFlight: Int
  /// The round-trip time that it measured.
  var roundTripTime: Nanoseconds?
  /// The smoothed and the least round-trip time of the subflow.
  var smoothedRoundTripTime: Nanoseconds?
  var leastRoundTripTime: Nanoseconds?
  /// When the oldest transmission that is outstanding was made, where that is known; `.distantFuture` where none is.
  var oldestSentAt: Instant?
  /// Whether the peer reports selectively what arrived (RFC 2018).
  var isSelective: Bool
}
