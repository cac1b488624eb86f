import MPTCPWire

// Answers to segments of no connection, or of none that is sure: so many in a second, and no more.
extension Endpoint {
  /// A challenge ACK (RFC 5961 §3.2, §4.2, §5.2), as far as the budget of this second goes (§7), and at most two a
  /// second on one subflow: where the ends disagree on the numbers, each challenge is the other's next reason for one.
  /// Requirement 5961-3-02, 5961-4-01, 5961-7-01
  func challenge(_ subflow: Subflow, now: Instant) {
    guard now >= subflow.nextChallenge else { return }
    guard spendChallenge(now: now) else { return }
    subflow.nextChallenge = now + .milliseconds(500)
    statistics.challengeAcknowledgments += 1
    if subflow.state == .synReceived, !subflow.isInitiator {
      // Its SYN/ACK says the same: what is acknowledged, and what comes next.
      subflow.emitSyn(now: now)
      return
    }
    subflow.mustAcknowledge = true
    subflow.connection.markDirty()
    reschedule(subflow)
  }

  // Each kind has a budget of its own, so that a flood of one silences no other. How large it is in this second nobody
  // outside knows: who could count the answers that are left would learn what others' packets were answered with.

  func spendEcho(now: Instant) -> Bool { spend(\.echoBudget, now: now) }
  func spendReset(now: Instant) -> Bool { spend(\.resetBudget, now: now) }
  func spendTimeWaitAnswer(now: Instant) -> Bool { spend(\.timeWaitBudget, now: now) }
  private func spendChallenge(now: Instant) -> Bool { spend(\.challengeBudget, now: now) }

  /// Takes one; false when there are none left.
  private func spend(_ budget: ReferenceWritableKeyPath<Endpoint, RateBudget>, now: Instant) -> Bool {
    if self[keyPath: budget].isOver(at: now) {
      // More than a billion is without limit, and half as many again is still a number.
      let limit = min(max(configuration.challengeAcknowledgmentsPerSecond, 1), 1 << 30)
      self[keyPath: budget].refill(limit / 2 + Int(random() % UInt64(limit)), at: now)
    }
    return self[keyPath: budget].spend()
  }
}

/// So many of something in a second, and no more (RFC 5961 §7).
struct RateBudget {
  private var refilledAt: Instant?
  private var left = 0

  /// Whether its second is over.
  func isOver(at now: Instant) -> Bool { refilledAt.map { now - $0 >= .seconds(1) } ?? true }

  mutating func refill(_ count: Int, at now: Instant) {
    refilledAt = now
    left = count
  }

  /// Takes one, if this second has one left.
  mutating func spend() -> Bool {
    guard left > 0 else { return false }
    left -= 1
    return true
  }
}
