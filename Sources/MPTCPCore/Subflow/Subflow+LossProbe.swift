import MPTCPPolicy
import MPTCPWire

// Tail loss probes (RFC 8985 §7): a loss at the end of what was sent shows in a round trip or two, not in a time-out.
extension Subflow {
  /// RFC 8985 §7.2, with §7.3's conditions: no second probe while one is out, nor without a round trip measured since.
  func armProbe(now: Instant) {
    guard isSackPermitted, recovery.phase == .open, rack.probeEnd == nil, rack.hasSampleSinceProbe, isSynchronized,
      !sentSegments.isEmpty, sackedByteCount == 0, !isPeerWindowClosed, let smoothed = roundTrip.smoothed
    else {
      probeDeadline = .distantFuture
      return
    }
    // A lone segment may wait for the peer's delayed acknowledgement. The floor keeps a peer that was off its processor
    // for some milliseconds from looking like a dead path.
    var timeout = max(smoothed * 2, .milliseconds(10))
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
    if sentSegments[index].isFin, index > 0, !sentSegments[index - 1].isSacked { index -= 1 }
    let mss = repeatedPayloadByteCount(of: sentSegments[index].count)
    if sentSegments[index].count > mss {
      var tail = sentSegments[index]
      tail.start = tail.end - mss
      sentSegments[index].end = tail.start
      index += 1
      sentSegments.insert(tail, at: index)
    }
    resend(index, now: now)
  }

  /// RFC 8985 §7.4.2. An acknowledgement of more than the probe, with no word of a segment that came twice, tells that the
  /// probe itself repaired a loss, which costs a window like any other.
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
}
