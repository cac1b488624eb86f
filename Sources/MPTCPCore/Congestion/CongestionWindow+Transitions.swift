import MPTCPWire

extension CongestionWindow {
  /// Takes down what an acknowledgement says about use and progress, and returns whether the window may grow.
  mutating func note(_ acknowledgment: CongestionAcknowledgment) -> Bool {
    let priorInFlight = acknowledgment.priorInFlight
    if let smoothed = acknowledgment.smoothedRoundTripTime { smoothedRoundTripTime = smoothed }
    isWindowLimited = acknowledgment.isWindowLimited
    inFlightByteCount = priorInFlight
    // In slow start half a window in flight is use enough: the rest may not have been allowed out yet.
    let isUsed = isWindowLimited || (isInSlowStart && congestionWindowByteCount < priorInFlight &* 2)
    // Requirement 9438-4-07
    if !isUsed, let start = cubic.epochStart {
      // Time in which the window was not used does not count for the curve (RFC 9438 §5.8).
      cubic.epochStart = start + max(acknowledgment.at - cubic.lastAcknowledgment, .zero)
    }
    cubic.lastAcknowledgment = acknowledgment.at

    switch phase {
    case .vacant, .recovery: return false
    case .open: return isUsed
    case .loss:
      unrepairedByteCount -= acknowledgment.byteCount
      if unrepairedByteCount <= 0 { phase = .open }
      return isUsed
    }
  }

  /// Slow start (RFC 5681 §3.1), and returns what is left of the acknowledged octets for congestion avoidance.
  /// Requirement 5681-3.1-02
  mutating func growSlowStart(byteCount: Int, priorInFlight: Int, rtt: Nanoseconds?, exitsEarly: Bool) -> Int {
    var growth = byteCount
    var isOver = false
    if exitsEarly, slowStartThresholdByteCount == Self.unboundedThreshold {
      (growth, isOver) = slowStart.acknowledged(byteCount: byteCount, priorInFlight: priorInFlight, rtt: rtt)
    }
    let room = slowStartThresholdByteCount - congestionWindowByteCount
    let taken = min(growth, room)
    setWindow(congestionWindowByteCount &+ taken)
    if isOver { slowStartThresholdByteCount = congestionWindowByteCount }
    return growth > room ? byteCount - taken : 0
  }

  /// Keeps what a spurious reduction has to give back.
  mutating func savePrior() {
    priorWindowByteCount = congestionWindowByteCount
    priorThresholdByteCount = slowStartThresholdByteCount
    priorCubic = cubic
  }

  /// Everything in flight is presumed lost, until as much has been acknowledged.
  mutating func enterLoss(inFlight: Int) {
    phase = .loss
    unrepairedByteCount = max(inFlight, 0)
  }

  /// Takes the last reduction back, once; false if there is none.
  /// Requirement 9438-4-06
  mutating func restorePrior() -> Bool {
    guard priorWindowByteCount > 0, phase != .vacant else { return false }
    setWindow(max(congestionWindowByteCount, priorWindowByteCount))
    slowStartThresholdByteCount = max(slowStartThresholdByteCount, priorThresholdByteCount)
    let lastAcknowledgment = cubic.lastAcknowledgment
    cubic = priorCubic
    cubic.lastAcknowledgment = lastAcknowledgment
    priorWindowByteCount = 0
    phase = .open
    credit = 0
    return true
  }

  /// Halves the window for each retransmission timeout that the subflow was idle.
  /// Requirement 5681-4.1-01
  mutating func restart(idle: Nanoseconds, retransmissionTimeout: Nanoseconds) {
    if let start = cubic.epochStart {
      cubic.epochStart = start + max(idle, .zero)
      cubic.lastAcknowledgment = cubic.lastAcknowledgment + max(idle, .zero)
    }
    guard phase == .open else { return }
    let timeout = max(retransmissionTimeout, .milliseconds(1))
    guard idle > timeout else { return }
    let window = congestionWindowByteCount
    let restartWindow = min(Self.initialByteCount(maximumSegmentByteCount), window)
    if slowStartThresholdByteCount != Self.unboundedThreshold {
      slowStartThresholdByteCount = max(slowStartThresholdByteCount, window / 4 * 3)
    }
    let halvings = min(idle.count / timeout.count, 40)
    setWindow(max(window >> halvings, restartWindow))
    credit = 0
  }
}
