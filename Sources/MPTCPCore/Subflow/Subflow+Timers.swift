import MPTCPPolicy
import MPTCPWire

// Timers of one subflow, and sending SYNs and probes again.
extension Subflow {
  /// The earliest deadline; the endpoint wakes the subflow then.
  var nextDeadline: Instant {
    var next = min(retransmitDeadline, min(probeDeadline, silenceDeadline))
    next = min(next, min(reorderDeadline, acknowledgmentDeadline))
    next = min(next, min(persistDeadline, keepAliveDeadline))
    next = min(next, min(paceDeadline, closeDeadline))
    next = min(next, min(removalDeadline, mappingDeadline))
    return min(next, userDeadline)
  }

  /// Nothing is due any more.
  func stopTimers() {
    retransmitDeadline = .distantFuture
    probeDeadline = .distantFuture
    silenceDeadline = .distantFuture
    reorderDeadline = .distantFuture
    acknowledgmentDeadline = .distantFuture
    persistDeadline = .distantFuture
    keepAliveDeadline = .distantFuture
    paceDeadline = .distantFuture
    closeDeadline = .distantFuture
    removalDeadline = .distantFuture
    mappingDeadline = .distantFuture
  }

  /// Does what is due.
  func fire(now: Instant) {
    if acknowledgmentDeadline <= now {
      acknowledgmentDeadline = .distantFuture
      mustAcknowledge = true
    }
    if paceDeadline <= now { paceDeadline = .distantFuture }
    if samplesDelivery { noteApplicationLimit() }
    // Requirement 8985-6-06
    if reorderDeadline <= now {
      reorderDeadline = .distantFuture
      if detectLoss(isDuplicate: false, advanced: false, delivered: 0, now: now) {
        limitRecovery(delivered: 0, lossDetected: true)
        rearmRetransmission(now: now)
      }
    }
    if isTimedOut(now: now) {
      connection.subflowFailed(self, reason: .timedOut, now: now)
      return
    }
    if probeDeadline <= now { sendProbe(now: now) }
    if silenceDeadline <= now { noteSilence(now: now) }
    if retransmitDeadline <= now { retransmissionTimeout(now: now) }
    guard state != .closed else { return }
    if persistDeadline <= now { probeWindow(now: now) }
    if keepAliveDeadline <= now { keepAlive(now: now) }
    guard state != .closed else { return }
    if removalDeadline <= now {
      removalDeadline = .distantFuture
      connection.resetSubflow(self, reason: .unacceptablePerformance, isTransient: true, now: now)
      return
    }
    if mappingDeadline <= now {
      mappingDeadline = .distantFuture
      connection.mappingOverdue(on: self, now: now)
      guard state != .closed else { return }
    }
    if closeDeadline <= now {
      closeDeadline = .distantFuture
      connection.closeDeadlinePassed(self, now: now)
    }
    connection.markDirty()
  }

  /// RFC 9293 §3.9.1.8. A stalled subflow beside working ones goes sooner: its data is elsewhere, and the policy opens
  /// a new one when the path is back.
  /// Requirement 9293-3.8.3-01, 9293-3.8.3-02, 8684-3.3.6-07, 8684-3.3.6-08
  private func isTimedOut(now: Instant) -> Bool {
    guard unacknowledgedSince != .distantFuture, isSynchronized else { return false }
    let limit =
      isStalled && connection.hasOtherUsableSubflow(than: self)
      ? min(.seconds(20), connection.options.userTimeout) : connection.options.userTimeout
    return now - silentSince >= limit
  }

  /// R1 of RFC 9293 §3.8.3: so many retransmissions in a row are worth a word to the application.
  /// Requirement 9293-3.8.3-06, 9293-3.8.3-07
  static let firstBound = 3

  /// Tells the application of trouble that may pass, once for each kind until there is progress.
  func tell(_ error: SoftError) {
    let kind: UInt8 =
      switch error {
      case .retransmissions: 1
      case .unreachable: 2
      case .timeExceeded: 4
      case .parameterProblem: 8
      }
    guard toldSoftErrors & kind == 0 else { return }
    toldSoftErrors |= kind
    connection.emit(.softError(id, error))
  }

  /// Whether the peer takes nothing of what is out: its window has closed before it, or shrunk.
  var isPeerWindowClosed: Bool { sendWindowEdge <= sendUnacknowledged }

  /// From when the user time-out counts. A window may stay closed for as long as the peer says so (RFC 9293 §3.8.6.1).
  /// Requirement 9293-3.8.6-05
  private var silentSince: Instant {
    isPeerWindowClosed ? max(unacknowledgedSince, lastReceivedAt) : unacknowledgedSince
  }

  /// When the user time-out ends the subflow, unless something is acknowledged before; `isTimedOut` is true by then.
  private var userDeadline: Instant {
    guard unacknowledgedSince != .distantFuture, isSynchronized else { return .distantFuture }
    return silentSince + connection.options.userTimeout
  }

  // MARK: SYN

  /// The first SYN or SYN/ACK.
  func sendSyn(now: Instant, fastOpen: FastOpenOffer? = nil) {
    synSentAt = now
    emitSyn(now: now, fastOpen: fastOpen)
    // Requirement 6298-2-01
    retransmitDeadline = min(now + .seconds(1), connectDeadline)
  }

  /// When the application no longer wants to wait for an answer to its SYN.
  private var connectDeadline: Instant {
    isInitial && isInitiator ? connection.openedAt + connection.options.connectTimeout : .distantFuture
  }

  func retransmitSyn(now: Instant) {
    synRetransmissions += 1
    // Requirement 9293-3.8.3-04
    if synRetransmissions == Self.firstBound { tell(.retransmissions) }
    // An application waits for as long as it says (RFC 9293 §3.8.3, MUST-23 wants three minutes to be possible); nobody
    // waits for a join, nor for what may be a forged SYN.
    // Requirement 9293-3.8.3-05
    let limit = isInitiator ? (isInitial ? Int.max : 3) : 5
    // Requirement 9293-3.8.3-04
    guard synRetransmissions <= limit, now < connectDeadline else {
      connection.subflowFailed(self, reason: .connectTimedOut, now: now)
      return
    }
    connection.willRetransmitSyn(self)
    // Requirement 7413-4.2.1-01, 7413-4.2.2-01, 7413-4.2.2-02
    emitSyn(now: now)
    retransmitDeadline = min(
      now + min(.seconds(1) * (1 << Int64(min(synRetransmissions, 6))), .seconds(60)), connectDeadline)
  }

  /// No fourth ACK: the third goes again (RFC 8684 §3.2), as often as a SYN would.
  /// Requirement 8684-3.2-17, 6824-3.2-02
  func repeatJoinProof(now: Instant) {
    guard consecutiveTimeouts <= 5 else {
      connection.subflowFailed(self, reason: .connectTimedOut, now: now)
      return
    }
    mustAcknowledge = true
    retransmitDeadline = now + roundTrip.retransmissionTimeout
    connection.markDirty()
  }

  // MARK: Zero windows (RFC 9293 §3.8.6.1)

  /// Requirement 9293-3.8.6.1-03
  func armPersist(now: Instant) {
    guard persistDeadline == .distantFuture, isOpen else { return }
    let base = roundTrip.retransmissionTimeout
    // Requirement 9293-3.8.6.1-04
    persistDeadline = now + min(base * (1 << Int64(min(persistCount, 8))), .seconds(60))
  }

  /// Requirement 9293-3.8.6.1-01
  private func probeWindow(now: Instant) {
    persistDeadline = .distantFuture
    guard connection.isBlockedByWindow(self) else { return }
    // A window may stay closed for as long as the peer says so (RFC 9293 §3.8.6.1); one that says nothing is gone.
    // Requirement 9293-3.8.6.1-02
    guard persistCount == 0 || now - lastReceivedAt < connection.options.userTimeout else {
      connection.subflowFailed(self, reason: .timedOut, now: now)
      return
    }
    persistCount += 1
    emitProbe(now: now)
    armPersist(now: now)
  }

  // MARK: Keep-alive (RFC 9293 §3.8.4)

  private func keepAlive(now: Instant) {
    keepAliveDeadline = .distantFuture
    guard isSynchronized, let interval = connection.options.keepAlive else { return }
    // Only an idle connection is probed (MUST-26): whatever is unacknowledged has timers of its own.
    // Requirement 9293-3.8.4-03
    guard sentSegments.isEmpty, !connection.isBlockedByWindow(self) else {
      keepAliveDeadline = now + interval
      return
    }
    // Nor one that has heard something meanwhile, be it a repetition or a probe of its window.
    let due = lastReceivedAt + (unansweredKeepAlives > 0 ? min(interval, .seconds(75)) : interval)
    guard due <= now else {
      keepAliveDeadline = due
      return
    }
    // Requirement 9293-3.8.4-06
    guard unansweredKeepAlives < 8 else {
      connection.subflowFailed(self, reason: .timedOut, now: now)
      return
    }
    unansweredKeepAlives += 1
    emitProbe(now: now)
    keepAliveDeadline = now + min(interval, .seconds(75))
  }

  /// Asks whether the path still works, and has the subflow reset if no answer comes (RFC 8684 §3.4.2).
  /// Requirement 8684-3.4.2-05
  func challengePath(now: Instant) {
    guard removalDeadline == .distantFuture, isSynchronized else { return }
    emitProbe(now: now)
    removalDeadline = now + roundTrip.retransmissionTimeout * 2
  }
}
