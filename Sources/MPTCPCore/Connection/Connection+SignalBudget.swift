import MPTCPWire

// How much work a peer can cause by options that say nothing of data: ADD_ADDR, REMOVE_ADDR, MP_PRIO. Each costs an
// HMAC, a consultation of the policy, an event or an answer, and an announcement can send SYNs to whom its sender likes
// (RFC 8684 §3.9.2 and §5 ask for limits; §3.4.1 lets a host discard announcements at will: they are repeated).
extension Connection {
  /// Whether one more such option of the peer is looked at in this second.
  /// Requirement 8684-5-04
  func maySpendSignal(now: Instant) -> Bool {
    if signalBudget.isOver(at: now) { signalBudget.refill(Limits.signalsPerSecond, at: now) }
    guard signalBudget.spend() else {
      endpoint.statistics.ignoredSignals += 1
      return false
    }
    return true
  }

  /// Whether the policy may open one more subflow in this second; if not, it is asked again when the next one begins.
  /// Requirement 8684-3.9.2-03
  func maySpendJoin(now: Instant) -> Bool {
    if joinBudget.isOver(at: now) { joinBudget.refill(Limits.joinsPerSecond, at: now) }
    guard joinBudget.spend() else {
      policyDeadline = min(policyDeadline, now + .seconds(1))
      endpoint.reschedule(self)
      return false
    }
    return true
  }
}
