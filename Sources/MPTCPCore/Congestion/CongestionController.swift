import MPTCPWire

/// Congestion control of a connection: one algorithm, and a window for each subflow.
///
/// Everything is in octets and integers. Acknowledged octets drive growth; how many there are to an acknowledgement is
/// not limited, because subflows are paced (RFC 9406 §4.3 for slow start).
/// In fast recovery the subflow sets the window itself, by ``ProportionalRateReduction``.
struct CongestionController {
  typealias Algorithm = CongestionAlgorithm

  private enum Kind: UInt8 { case newReno, cubic, lia, custom }

  /// The windows by slot. Slots of removed windows stay, marked as not in use, until they are used again.
  private(set) var windows: [CongestionWindow] = []
  private let kind: Kind
  private var linked = LinkedIncreases()
  private var custom: (any CustomCongestionControl)?

  init(_ algorithm: Algorithm) {
    switch algorithm {
    case .newReno: kind = .newReno
    case .cubic: kind = .cubic
    case .lia: kind = .lia
    case .custom(let control):
      kind = .custom
      custom = control
    }
  }

  /// The algorithm's name, for reports.
  var name: String {
    switch kind {
    case .newReno: "newreno"
    case .cubic: "cubic"
    case .lia: "lia"
    case .custom: custom?.name ?? "custom"
    }
  }

  /// Makes a window for a new subflow, and returns its slot.
  mutating func addWindow(maximumSegmentByteCount: Int, at: Instant) -> Int {
    let window = CongestionWindow(maximumSegmentByteCount: maximumSegmentByteCount)
    let slot: Int
    if let vacant = windows.firstIndex(where: { $0.phase == .vacant }) {
      slot = vacant
      windows[slot] = window
    } else {
      slot = windows.count
      windows.append(window)
    }
    return slot
  }

  /// Gives up the window of a subflow that is gone.
  mutating func removeWindow(_ slot: Int) {
    guard windows.indices.contains(slot) else { return }
    windows[slot].phase = .vacant
    if kind == .lia { linked.update(windows: windows) }
  }

  /// The handshake is done and the segment size known: the initial window (RFC 6928 §2).
  mutating func begin(_ slot: Int, maximumSegmentByteCount: Int) {
    windows[slot].maximumSegmentByteCount = min(max(maximumSegmentByteCount, 1), 65_535)
    windows[slot].setWindow(CongestionWindow.initialByteCount(windows[slot].maximumSegmentByteCount))
  }

  /// The path's segment size has changed; the window keeps its octets, but holds at least one segment. An initial window
  /// is counted anew: in small segments it would be too many at once (RFC 5681 §3.1).
  mutating func setMaximumSegment(_ slot: Int, byteCount: Int) {
    let initial = CongestionWindow.initialByteCount(windows[slot].maximumSegmentByteCount)
    let isInitial = windows[slot].congestionWindowByteCount == initial && windows[slot].phase == .open
    windows[slot].maximumSegmentByteCount = min(max(byteCount, 1), 65_535)
    let window = windows[slot].congestionWindowByteCount
    windows[slot].setWindow(
      isInitial ? min(window, CongestionWindow.initialByteCount(windows[slot].maximumSegmentByteCount)) : window)
  }

  /// Lets the window grow for an acknowledgement of `byteCount` octets that were not acknowledged before.
  ///
  /// - Parameters:
  ///   - priorInFlight: octets in flight before the acknowledgement.
  ///   - rtt: the round-trip time that it measured.
  ///   - smoothedRTT: the subflow's SRTT after it.
  ///   - isCongestionWindowLimited: whether the window, not the application or the peer, limited what was sent. A
  ///     window that is not used does not grow (RFC 9438 §5.8, RFC 7661).
  mutating func acknowledged(
    _ slot: Int, byteCount: Int, priorInFlight: Int, rtt: Nanoseconds?, smoothedRTT: Nanoseconds?,
    isCongestionWindowLimited: Bool, at: Instant
  ) {
    let byteCount = min(max(byteCount, 0), CongestionWindow.largestByteCount)
    let inFlight = min(max(priorInFlight, 0), CongestionWindow.largestByteCount)
    let isUsed = windows[slot].noteAcknowledgment(
      byteCount: byteCount, priorInFlight: inFlight, smoothedRTT: smoothedRTT,
      isWindowLimited: isCongestionWindowLimited, at: at)
    guard isUsed, byteCount > 0 else { return }

    if kind == .custom {
      let acknowledgment = CongestionAcknowledgment(
        byteCount: byteCount, priorInFlight: inFlight, roundTripTime: rtt, smoothedRoundTripTime: smoothedRTT,
        isWindowLimited: isCongestionWindowLimited, at: at)
      let wanted = withCustom { $0.congestionWindow(after: acknowledgment, of: slot, windows: $1) }
      if let wanted { windows[slot].setWindow(wanted) }
      return
    }

    var rest = byteCount
    if windows[slot].isInSlowStart {
      rest = windows[slot].growSlowStart(
        byteCount: byteCount, priorInFlight: inFlight, rtt: rtt, exitsEarly: kind == .cubic)
    }
    guard rest > 0, !windows[slot].isInSlowStart else { return }
    switch kind {
    case .newReno:
      // RFC 5681 §3.1: a segment for each window that is acknowledged.
      let window = windows[slot].congestionWindowByteCount
      windows[slot].grow(by: min(rest, window) &* windows[slot].maximumSegmentByteCount, over: window)
    case .cubic:
      windows[slot].growCubic(byteCount: rest, smoothedRTT: smoothedRTT ?? .zero, at: at)
    case .lia:
      linked.updateIfDue(windows: windows, smoothedRTT: smoothedRTT ?? .zero, at: at)
      windows[slot].growLinked(byteCount: rest, divisor: linked.divisor)
    case .custom: break
    }
  }

  /// A loss or a congestion mark: sets the threshold and begins recovery, unless one is going on.
  ///
  /// The window itself stays for proportional rate reduction to lead down.
  /// - Parameter inFlight: FlightSize, octets sent and not cumulatively acknowledged (RFC 5681 §2).
  mutating func congestionEvent(_ slot: Int, inFlight: Int, at: Instant) {
    guard windows[slot].phase == .open else { return }
    windows[slot].savePrior()
    reduce(slot, inFlight: inFlight, at: at)
    windows[slot].phase = .recovery
    if kind == .lia { linked.update(windows: windows) }
  }

  /// Recovery is complete: the window is what the threshold says. After a timeout it stays where slow start has it.
  mutating func recoveryEnded(_ slot: Int, at: Instant) {
    if windows[slot].phase == .recovery { windows[slot].setWindow(windows[slot].slowStartThresholdByteCount) }
    if windows[slot].isInRecovery { windows[slot].phase = .open }
    windows[slot].credit = 0
  }

  /// Sets the window, as proportional rate reduction does during recovery.
  mutating func setWindow(_ slot: Int, byteCount: Int) { windows[slot].setWindow(byteCount) }

  /// The retransmission timer has expired: a window of one segment, then slow start (RFC 5681 §3.1).
  ///
  /// The threshold is reduced by the first expiry only: those after it concern segments sent again. Nor is it reduced
  /// when fast recovery has just done so, whose loss this still is; the path's share is not divided twice in a round trip.
  mutating func retransmissionTimeout(_ slot: Int, inFlight: Int, at: Instant) {
    switch windows[slot].phase {
    case .vacant: return
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
    windows[slot].setWindow(windows[slot].maximumSegmentByteCount)
    windows[slot].credit = 0
    windows[slot].forgetCubicPlateau()
    if kind == .lia { linked.update(windows: windows) }
  }

  /// Penalisation (Raiciu et al., NSDI 2012, §4.2): half the window, and half the threshold unless in slow start. The
  /// subflow holds back a faster one; nothing was lost, so recovery does not begin.
  mutating func penalize(_ slot: Int) {
    guard windows[slot].phase == .open else { return }
    let isInSlowStart = windows[slot].isInSlowStart
    windows[slot].setWindow(windows[slot].congestionWindowByteCount / 2)
    if !isInSlowStart {
      windows[slot].slowStartThresholdByteCount = max(
        windows[slot].slowStartThresholdByteCount / 2, windows[slot].leastThresholdByteCount)
    }
    windows[slot].credit = 0
    if kind == .lia { linked.update(windows: windows) }
  }

  /// The last reduction was for nothing (RFC 8985 §7.4 by DSACK, RFC 3522 by timestamps, RFC 9438 §4.9): takes it back.
  mutating func undo(_ slot: Int) {
    guard windows[slot].restorePrior() else { return }
    if kind == .lia { linked.update(windows: windows) }
  }

  /// Nothing was in flight for `idle`: the window halves for each timeout of that, down to the restart window
  /// (RFC 2861 §3, RFC 5681 §4.1), while the threshold remembers three quarters of it.
  mutating func restartAfterIdle(
    _ slot: Int, idle: Nanoseconds, retransmissionTimeout: Nanoseconds, at: Instant
  ) {
    windows[slot].restart(idle: idle, retransmissionTimeout: retransmissionTimeout)
  }

  /// The rate in octets a second at which to send: the window in a smoothed round-trip time, doubled in slow start, with
  /// a fifth on top otherwise, so that pacing never holds growth back. `Int.max` while no round trip is known.
  func pacingRate(_ slot: Int, smoothedRTT: Nanoseconds?) -> Int {
    guard let rtt = smoothedRTT?.count, rtt > 0 else { return .max }
    let span = Int(rtt)
    // Proportional rate reduction says how much may leave; its window follows what is in flight down to nothing, and a
    // rate made of that would keep it there.
    let isReducing = windows[slot].phase == .recovery
    let window = max(
      windows[slot].congestionWindowByteCount, isReducing ? windows[slot].slowStartThresholdByteCount : 0)
    // Half a threshold is Linux's limit as well: the last doubling is not driven at twice the rate.
    let isDoubled = !isReducing && window < windows[slot].slowStartThresholdByteCount / 2
    let product = (window &* (isDoubled ? 10 : 6)).multipliedFullWidth(by: 200_000_000)
    guard product.high < span / 2 else { return .max }
    return span.dividingFullWidth((product.high, product.low)).quotient
  }

  private mutating func reduce(_ slot: Int, inFlight: Int, at: Instant) {
    // A window that was in use is what the path failed to bear; of one that was not, only what was in flight has been
    // tried (RFC 5681 §3.1, RFC 9438 §4.6). The former does not depend on how much was acknowledged selectively before
    // the loss was noticed.
    let window = windows[slot].congestionWindowByteCount
    let flight = windows[slot].isWindowLimited ? window : min(max(inFlight, 0), window)
    let threshold: Int
    switch kind {
    case .newReno, .lia: threshold = flight / 2
    case .cubic: threshold = windows[slot].reduceCubic(from: flight)
    case .custom:
      let wanted = withCustom {
        $0.slowStartThreshold(afterCongestionOf: slot, inFlight: flight, windows: $1, at: at)
      }
      threshold = wanted ?? flight / 2
    }
    windows[slot].slowStartThresholdByteCount = min(
      max(threshold, windows[slot].leastThresholdByteCount), CongestionWindow.largestByteCount)
    windows[slot].credit = 0
  }

  /// Calls the custom algorithm. It is taken out meanwhile: the windows are borrowed from the same value.
  private mutating func withCustom(
    _ body: (inout any CustomCongestionControl, Span<CongestionWindow>) -> Int
  ) -> Int? {
    guard var control = custom else { return nil }
    custom = nil
    defer { custom = control }
    return body(&control, windows.span)
  }
}
