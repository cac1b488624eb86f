import MPTCPPolicy
import MPTCPWire

// Tail loss probes (RFC 8985 §7): a loss at the end of what was sent shows in a round trip or two, not in a time-out.
extension Subflow {
  /// RFC 8985 §7.2, with §7.3's conditions: no second probe while one is out, nor without a round trip measured since.
  func armProbe(now: Instant) {
    armSilence(now: now)
    // Requirement 8985-7-03
    guard isSackPermitted, recovery.phase == .open, rack.probeEnd == nil, rack.hasSampleSinceProbe, isSynchronized,
      !sentSegments.isEmpty, sackedByteCount == 0, !isPeerWindowClosed, let smoothed = roundTrip.smoothed
    else {
      probeDeadline = .distantFuture
      return
    }
    // A lone segment may wait for the peer's delayed acknowledgement. The floor keeps a peer that was off its processor
    // for some milliseconds from looking like a dead path.
    // Requirement 8985-7-01
    var timeout = max(smoothed * 2, .milliseconds(10))
    // Requirement 8985-7-01
    if sentSegments.count == 1 { timeout = timeout + .milliseconds(200) }
    probeDeadline = now + min(timeout, roundTrip.retransmissionTimeout)
  }

  /// RFC 8985 §7.3: new data if there is some and the peer has room for it, whatever the congestion window says;
  /// otherwise the last segment again. Either makes the peer report what is missing before it.
  func sendProbe(now: Instant) {
    probeDeadline = .distantFuture
    guard let last = sentSegments.last, !last.isSacked else { return }
    endpoint.statistics.tailLossProbes += 1
    rack.hasSampleSinceProbe = false
    let isSilent = connection.showsLife(besides: self, now: now)
    // Beside a path that works new data is better off there.
    // Requirement 8985-7-02
    rack.probeIsRetransmission = isSilent || !connection.sendOneSegment(on: self, now: now)
    if rack.probeIsRetransmission { resendTail(now: now) }
    rack.probeEnd = sendNext
    probeDeadline = .distantFuture
    retransmitDeadline = now + cappedTimeout(now)
    if isSilent { noteStall(now: now) }
  }

  /// The last segment's worth of the last entry, with the FIN behind it.
  private func resendTail(now: Instant) {
    var index = sentSegments.count - 1
    if sentSegments[index].isFin, index > 0, !sentSegments[index - 1].isSacked,
      let mapping = mapping(covering: sentSegments[index - 1].start), connection.mayFinish(with: mapping, on: self)
    {
      index -= 1
    }
    let mss = repeatedPayloadByteCount(of: sentSegments[index])
    if sentSegments[index].count > mss {
      var tail = sentSegments[index]
      tail.start = tail.end - mss
      sentSegments[index].end = tail.start
      index += 1
      sentSegments.insert(tail, at: index)
    }
    resend(index, now: now)
  }

  /// RFC 8985 §7.4.2. An acknowledgement of more than the probe, with no word of a segment that came twice, tells that
  /// the probe itself repaired a loss, which costs a window like any other.
  /// Requirement 8985-7-04
  func endProbeEpisode(_ acknowledgment: Int, isDuplicate: Bool, now: Instant) {
    guard let end = rack.probeEnd, acknowledgment >= end else { return }
    if !rack.probeIsRetransmission || recovery.hasDuplicateReport || (acknowledgment == end && isDuplicate) {
      rack.probeEnd = nil
    } else if acknowledgment > end {
      rack.probeEnd = nil
      guard recovery.phase == .open else { return }
      connection.congestion.congestionEvent(windowSlot, inFlight: flightByteCount, at: now)
      connection.congestion.recoveryEnded(windowSlot, at: now)
      announcesWindowReduction = usesECN
    }
  }

  // MARK: Silence

  /// No probe is armed in recovery, nor behind selective acknowledgements, nor a second one; only the retransmission
  /// time-out is left then, and on a short path that is long. Beside another subflow a path that tells nothing for as
  /// long as a probe would wait is suspected all the same: what it holds goes over the others, and nothing else
  /// happens.
  private func armSilence(now: Instant) {
    guard connection.subflows.count > 1, isFullyEstablished, !isStalled, !sentSegments.isEmpty, !isPeerWindowClosed,
      unacknowledgedSince != .distantFuture, let smoothed = roundTrip.smoothed
    else {
      silenceDeadline = .distantFuture
      return
    }
    var timeout = max(smoothed * 2, .milliseconds(10))
    // Less than two full segments may wait for the peer's delayed acknowledgement.
    if inFlightByteCount < 2 * fullestSentPayloadByteCount { timeout = timeout + .milliseconds(200) }
    let deadline = unacknowledgedSince + timeout
    guard deadline > now else {
      // It is being looked at already; what is sent meanwhile changes nothing.
      if silenceDeadline == .distantFuture { silenceDeadline = now }
      return
    }
    isConspicuouslySilent = false
    hasProbedElsewhere = false
    silenceDeadline = deadline
  }

  /// It has been silent for as long. The others must be heard twice, a moment apart: a peer that comes back from a
  /// pause answers on one path a little before it does on the next.
  func noteSilence(now: Instant) {
    silenceDeadline = .distantFuture
    guard !isStalled, !sentSegments.isEmpty, unacknowledgedSince != .distantFuture else { return }
    let pause = max((roundTrip.smoothed ?? .zero) / 4, .milliseconds(5))
    if !isConspicuouslySilent, !hasProbedElsewhere {
      hasProbedElsewhere = true
      connection.probeElsewhere(for: self)
    }
    guard connection.showsLife(besides: self, now: now) else {
      // Nobody is heard: perhaps the peer is away. Ask again soon.
      silenceDeadline = now + pause
      return
    }
    if isConspicuouslySilent {
      noteStall(now: now)
    } else {
      isConspicuouslySilent = true
      silenceDeadline = now + pause
    }
  }
}
