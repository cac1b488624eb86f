import MPTCPPolicy
import MPTCPWire

// Finding and repairing loss: RACK-TLP (RFC 8985), RTO (RFC 6298), and duplicate acknowledgements where the peer has no
// SACK (RFC 5681, RFC 6582).
extension Subflow {
  // MARK: Detection

  /// Marks what must be lost by now; true if something new was.
  func detectLoss(isDuplicate: Bool, delivered: Int, now: Instant) -> Bool {
    let lostBefore = lostByteCount
    if isSackPermitted {
      detectByTime(now: now)
    } else {
      detectByDuplicates(isDuplicate: isDuplicate, delivered: delivered)
    }
    let found = lostByteCount > lostBefore
    if found, recovery.phase == .open { enterFastRecovery(delivered: delivered, now: now) }
    return found
  }

  /// RFC 8985 §6.2 step 5.
  func detectByTime(now: Instant) {
    reorderDeadline = .distantFuture
    guard sackedByteCount > 0 || recovery.phase != .open || rack.probeEnd != nil else { return }
    let tolerance = reorderingWindow
    var wait = Nanoseconds.max
    for index in sentSegments.indices {
      let segment = sentSegments[index]
      if segment.isSacked || segment.isLost { continue }
      guard (segment.sentAt, segment.end) < (rack.sentAt, rack.end) else {
        // Sent in order up to here, unless something was sent again: then older ones may follow.
        if !segment.isRetransmitted, recovery.phase == .open || segment.start >= recovery.end { break }
        continue
      }
      let remaining = (segment.sentAt + rack.roundTripTime + tolerance) - now
      if remaining <= .zero {
        markLost(index)
      } else {
        wait = min(wait, remaining)
      }
    }
    if wait != .max { reorderDeadline = now + wait }
  }

  /// RFC 8985 §6.2 step 4.
  private var reorderingWindow: Nanoseconds {
    if !rack.hasSeenReordering,
      recovery.phase != .open || sackedByteCount >= 3 * maximumSegmentByteCount
    {
      return .zero
    }
    guard let minimum = roundTrip.minimum, let smoothed = roundTrip.smoothed else { return .zero }
    return min(minimum * rack.windowMultiplier / 4, smoothed)
  }

  private func detectByDuplicates(isDuplicate: Bool, delivered: Int) {
    if delivered > 0 {
      recovery.duplicateAcknowledgments = 0
      // A partial acknowledgement in recovery: the next hole is lost too (RFC 6582 §3.2).
      if recovery.phase == .fast, sendUnacknowledged < recovery.end, !sentSegments.isEmpty { markHeadLost() }
      return
    }
    guard isDuplicate else { return }
    recovery.duplicateAcknowledgments += 1
    if recovery.duplicateAcknowledgments == 3, recovery.phase == .open { markHeadLost() }
  }

  private func markHeadLost() {
    guard let first = sentSegments.first, !first.isLost else { return }
    if first.count > maximumSegmentByteCount, sentSegments.count < Limits.sentSegments * 2 {
      var rest = first
      rest.start = first.start + maximumSegmentByteCount
      sentSegments[0].end = rest.start
      sentSegments.insert(rest, at: 1)
    }
    markLost(0)
  }

  func presumeLost(_ index: Int) { markLost(index) }

  private func markLost(_ index: Int) {
    guard sentSegments[index].isInFlight else { return }
    sentSegments[index].isLost = true
    if let probe = mtuProbe?.range, sentSegments[index].start <= probe.lowerBound,
      sentSegments[index].end > probe.lowerBound
    {
      mtuProbe?.fail(at: endpoint.now)
    }
    inFlightByteCount -= sentSegments[index].count
    lostByteCount += sentSegments[index].count
  }

  // MARK: Entering recovery

  private func enterFastRecovery(delivered: Int, now: Instant) {
    recovery.phase = .fast
    recovery.end = sendNext
    recovery.firstRetransmissionTimestamp = usesTimestamps ? timestamp(now) : 0
    connection.congestion.congestionEvent(windowSlot, inFlight: inFlightByteCount + lostByteCount, at: now)
    recovery.reduction = ProportionalRateReduction(
      inFlightAtRecovery: inFlightByteCount + lostByteCount + delivered,
      slowStartThreshold: connection.congestion.windows[windowSlot].slowStartThresholdByteCount)
    announcesWindowReduction = usesECN
    if rack.hasSeenReordering {
      rack.windowPersistence -= 1
      if rack.windowPersistence <= 0 { rack.windowMultiplier = 1 }
    }
  }

  /// RFC 6298 §5.4 to §5.7, RFC 8985 §6.3: everything not SACKed is presumed lost.
  func retransmissionTimeout(now: Instant) {
    endpoint.statistics.retransmissionTimeouts += 1
    consecutiveTimeouts += 1
    roundTrip.backOff()
    rack.probeEnd = nil
    probeDeadline = .distantFuture
    if state == .synSent || state == .synReceived {
      retransmitSyn(now: now)
      return
    }
    if join != nil, isInitiator, !isFullyEstablished {
      repeatJoinProof(now: now)
      return
    }
    if sentSegments.first?.isSacked == true { forgetSacks() }
    for index in sentSegments.indices { markLost(index) }
    if recovery.phase != .timeout { recovery.firstRetransmissionTimestamp = usesTimestamps ? timestamp(now) : 0 }
    connection.congestion.retransmissionTimeout(windowSlot, inFlight: lostByteCount, at: now)
    recovery.phase = .timeout
    recovery.end = sendNext
    if consecutiveTimeouts == 2 { suspectBlackHole() }
    noteStall(now: now)
    retransmitDeadline = now + cappedTimeout(now)
    sendLost(now: now, isForced: true)
  }

  /// The first outstanding segment was reported and is still not acknowledged: the peer has thrown away what it had out
  /// of order, as it may (RFC 2018 §8). What it reported counts no more.
  private func forgetSacks() {
    for index in sentSegments.indices where sentSegments[index].isSacked {
      sentSegments[index].isSacked = false
      sackedByteCount -= sentSegments[index].count
      inFlightByteCount += sentSegments[index].count
    }
  }

  /// With other subflows at work a dead one is probed at least every 200 ms for ten seconds, then every two, so that a
  /// path that comes back is used again soon; a probe is one segment, so this cannot congest the path. Alone it backs off
  /// as RFC 6298 §5.5 has it.
  private func cappedTimeout(_ now: Instant) -> Nanoseconds {
    let timeout = roundTrip.retransmissionTimeout
    guard connection.hasOtherUsableSubflow(than: self) else { return timeout }
    let isRecent = unacknowledgedSince == .distantFuture || now - unacknowledgedSince < .seconds(10)
    let base = max((roundTrip.smoothed ?? .zero) * 2, .milliseconds(200))
    return min(timeout, isRecent ? base : max(base, .seconds(2)))
  }

  /// Repeated time-outs of full segments while nothing comes back: ICMP may be filtered and the path's MTU smaller
  /// (RFC 4821 §7.7, RFC 8899 §4.6.1 calls it a black hole). Segments shrink to what every path carries. As it may just
  /// as well have been a path that was dead for a while, the old size is tried as soon as something comes through.
  private func suspectBlackHole() {
    let floor = 1_280
    let smaller = pathMTU > floor ? floor : max(576, min(pathMTU, 576))
    guard smaller < pathMTU, tuple.remote.address.family == .v4 || smaller >= 1_280,
      let first = sentSegments.first, first.count > smaller - 100
    else { return }
    endpoint.notePathMTU(smaller, to: tuple.remote.address, on: path)
    mtuProbe = MTUProbe(byteCount: max(pathMTU, mtuProbe?.byteCount ?? 0), notBefore: .distantFuture)
    pathMTU = smaller
    connection.congestion.setMaximumSegment(windowSlot, byteCount: maximumSegmentByteCount)
  }

  // MARK: Tail loss probes (RFC 8985 §7)

  func armProbe(now: Instant) {
    guard isSackPermitted, recovery.phase == .open, rack.probeEnd == nil, isSynchronized,
      !sentSegments.isEmpty, sackedByteCount == 0, let smoothed = roundTrip.smoothed
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

  func sendProbe(now: Instant) {
    probeDeadline = .distantFuture
    guard let last = sentSegments.last, !last.isSacked else { return }
    endpoint.statistics.tailLossProbes += 1
    rack.probeEnd = sendNext
    rack.probeIsRetransmission = true
    // The last segment's worth: it makes the peer report what is missing before it.
    let index = sentSegments.count - 1
    let mss = fullPayloadByteCount
    if last.count > mss {
      var tail = last
      tail.start = last.end - mss
      sentSegments[index].end = tail.start
      sentSegments.append(tail)
    }
    resend(sentSegments.count - 1, now: now)
    retransmitDeadline = now + cappedTimeout(now)
    if connection.showsLife(besides: self, now: now) { noteStall(now: now) }
  }

  func endProbeEpisode(_ acknowledgment: Int) {
    guard let end = rack.probeEnd, acknowledgment >= end else { return }
    rack.probeEnd = nil
  }

  // MARK: Repair

  /// Sends lost segments again as far as the congestion window allows; `isForced` lets one go in any case.
  func sendLost(now: Instant, isForced: Bool = false) {
    guard lostByteCount > 0 else { return }
    var isForced = isForced
    var index = 0
    while index < sentSegments.count {
      guard sentSegments[index].isLost else {
        index += 1
        continue
      }
      let mss = fullPayloadByteCount
      let room = max(congestionWindow - inFlightByteCount, 0)
      guard isForced || room >= min(mss, sentSegments[index].count) else { return }
      if !isForced, !paceAllows(now) { return }
      // Cut to what the window, and one super-segment, hold.
      let isWhole = isForced || !endpoint.offersSegmentation(path)
      var limit = max(isWhole ? mss : room / mss * mss, mss)
      if !isForced, let probe = dueMTUProbe(available: min(sentSegments[index].count, room), now: now) {
        limit = probe
        mtuProbe?.range = sentSegments[index].start..<(sentSegments[index].start + probe)
      }
      if sentSegments[index].count > limit {
        var rest = sentSegments[index]
        rest.start = sentSegments[index].start + limit
        sentSegments[index].end = rest.start
        sentSegments.insert(rest, at: index + 1)
      }
      resend(index, now: now)
      isForced = false
      if lostByteCount == 0 { return }
      index += 1
    }
  }

  private func resend(_ index: Int, now: Instant) {
    let segment = sentSegments[index]
    if segment.isLost {
      lostByteCount -= segment.count
      inFlightByteCount += segment.count
    }
    sentSegments[index].isLost = false
    sentSegments[index].isRetransmitted = true
    sentSegments[index].sentAt = now
    endpoint.statistics.retransmittedSegments += 1
    if recovery.phase == .fast { recovery.reduction.sent(segment.count) }
    if segment.isFin {
      emitFin(now: now)
      return
    }
    guard let mapping = mapping(covering: segment.start) else { return }
    retransmittedByteCount += segment.count
    notePace(segment.count, now: now)
    emitData(mapping, range: segment.start..<segment.end, push: true, isRetransmission: true, now: now)
  }

  /// The mapping that holds `offset`; segments never cross one.
  func mapping(covering offset: Int) -> SentMapping? {
    var low = 0
    var high = sentMappings.count
    while low < high {
      let middle = (low + high) / 2
      if sentMappings[middle].end <= offset { low = middle + 1 } else { high = middle }
    }
    guard low < sentMappings.count, sentMappings[low].subflowOffset <= offset else { return nil }
    return sentMappings[low]
  }

  // MARK: Stalls

  /// Nothing came back for a probe time-out: what this subflow holds is sent on others as well.
  func noteStall(now: Instant) {
    guard !isStalled, isFullyEstablished else { return }
    isStalled = true
    stalledAt = now
    connection.subflowStalled(self, now: now)
  }

  func recoverFromStall(now: Instant) {
    isStalled = false
    stalledAt = .distantFuture
    connection.subflowRecovered(self, now: now)
  }

  // MARK: Timer

  /// RFC 6298 §5.1 to §5.3.
  func rearmRetransmission(now: Instant) {
    if sentSegments.isEmpty {
      retransmitDeadline = .distantFuture
      probeDeadline = .distantFuture
      reorderDeadline = .distantFuture
      return
    }
    retransmitDeadline = now + roundTrip.retransmissionTimeout
    armProbe(now: now)
  }

  // MARK: Pacing

  func paceAllows(_ now: Instant) -> Bool {
    if paceUntil <= now { return true }
    paceDeadline = min(paceDeadline, paceUntil)
    return false
  }

  func notePace(_ byteCount: Int, now: Instant) {
    let rate = pacingRate
    guard rate > 0 else { return }
    let (full, low) = byteCount.multipliedReportingOverflow(by: 1_000_000_000)
    let span = low ? Int.max / 2 : full / rate
    // A sender that was idle does not save up the time: it may lag one millisecond behind the clock at most.
    let from = max(paceUntil, now + .milliseconds(-1))
    paceUntil = from + Nanoseconds(Int64(clamping: span))
  }

  /// Bytes a second, 0 while there is no round trip to divide by.
  var pacingRate: Int {
    guard let smoothed = roundTrip.smoothed else { return 0 }
    return connection.congestion.pacingRate(windowSlot, smoothedRTT: smoothed)
  }
}
