import DequeModule
import MPTCPPolicy
import MPTCPWire

// Finding and repairing loss: RACK-TLP (RFC 8985), RTO (RFC 6298), and duplicate acknowledgements where the peer has no
// SACK (RFC 5681, RFC 6582).
extension Subflow {
  // MARK: Detection

  /// Marks what must be lost by now; true if something new was.
  func detectLoss(isDuplicate: Bool, advanced: Bool, delivered: Int, now: Instant) -> Bool {
    let lostBefore = lostByteCount
    if isSackPermitted {
      detectByTime(now: now)
    } else {
      detectByDuplicates(isDuplicate: isDuplicate, advanced: advanced)
    }
    let found = lostByteCount > lostBefore
    // Requirement 5681-3.2-01, 6582-3.2-02
    if found, recovery.phase == .open { enterFastRecovery(delivered: delivered, now: now) }
    return found
  }

  /// RFC 8985 §6.2 step 5.
  /// Requirement 8985-6-02
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
    // Requirement 8985-6-05
    if !rack.hasSeenReordering, recovery.phase != .open || hasDuplicateThreshold { return .zero }
    guard let minimum = roundTrip.minimum, let smoothed = roundTrip.smoothed else { return .zero }
    // Requirement 8985-6-04
    return min(minimum * rack.windowMultiplier / 4, smoothed)
  }

  /// Whether three segments behind a hole have arrived: DupThresh counts segments, however small they are.
  /// Requirement 8985-6-05
  private var hasDuplicateThreshold: Bool {
    guard sackedByteCount > 0 else { return false }
    let mss = fullestSentPayloadByteCount
    if sackedByteCount > 2 * mss { return true }
    var count = 0
    for segment in sentSegments where segment.isSacked {
      count += segment.segmentCount(mss)
      if count >= 3 { return true }
    }
    return false
  }

  /// RFC 5681 §3.2, RFC 6582 §3.2.
  private func detectByDuplicates(isDuplicate: Bool, advanced: Bool) {
    if advanced {
      recovery.duplicateAcknowledgments = 0
      // A partial acknowledgement in recovery: the next hole is lost too, and goes out at once.
      // Requirement 6582-3.2-01
      if recovery.phase == .fast, sendUnacknowledged < recovery.end, !sentSegments.isEmpty {
        markHeadLost()
        recovery.mustRetransmit = true
      }
      return
    }
    guard isDuplicate else { return }
    recovery.duplicateAcknowledgments += 1
    // Those that a repair provoked say nothing of what was sent after it.
    // Requirement 5681-3.2-01
    if recovery.duplicateAcknowledgments == 3, recovery.phase == .open, sendUnacknowledged > recovery.end {
      markHeadLost()
    }
  }

  private func markHeadLost() {
    guard let first = sentSegments.first, !first.isLost else { return }
    cutHeadToPacket()
    markLost(0)
  }

  /// Leaves one wire packet in the first entry.
  private func cutHeadToPacket() {
    guard let first = sentSegments.first, sentSegments.count < Limits.sentSegments * 2 else { return }
    let byteCount = repeatedPayloadByteCount(of: first)
    guard first.count > byteCount else { return }
    var rest = first
    rest.start = first.start + byteCount
    sentSegments[0].end = rest.start
    sentSegments.insert(rest, at: 1)
  }

  /// What was too large for the path is lost without congestion.
  func presumeLost(_ index: Int) { markLost(index, isCongestion: false) }

  private func markLost(_ index: Int, isCongestion: Bool = true) {
    // Requirement 2018-5-01
    guard sentSegments[index].isInFlight else { return }
    sentSegments[index].isLost = true
    if samplesDelivery, isCongestion { noteLost(sentSegments[index]) }
    if let probe = mtuProbe?.range, sentSegments[index].start <= probe.lowerBound,
      sentSegments[index].end > probe.lowerBound
    {
      // Requirement 4821-7.6.2-01
      mtuProbe?.fail(at: endpoint.now)
      // A suspicion that is confirmed is worth remembering for those who come after.
      endpoint.notePathMTU(pathMTU, to: tuple.remote.address, on: path)
    }
    if recovery.phase != .open, sentSegments[index].start >= recovery.end { recovery.hasLaterLoss = true }
    inFlightByteCount -= sentSegments[index].count
    lostByteCount += sentSegments[index].count
  }

  // MARK: Entering recovery

  func enterFastRecovery(delivered: Int, now: Instant) {
    recovery.phase = .fast
    recovery.end = sendNext
    recovery.firstRetransmissionTimestamp = nil
    recovery.awaitsFirstRetransmission = usesTimestamps && lostByteCount > 0
    recovery.mustRetransmit = false
    recovery.hasLaterLoss = false
    // RFC 8985 §7.1.
    rack.probeEnd = nil
    let pipe = pipeByteCount
    reduceForLoss(now: now)
    recovery.reduction = ProportionalRateReduction(
      inFlightAtRecovery: pipe + lostByteCount + delivered,
      slowStartThreshold: connection.congestion.windows[windowSlot].slowStartThresholdByteCount)
    announcesWindowReduction = usesECN
    if rack.hasSeenReordering {
      rack.windowPersistence -= 1
      if rack.windowPersistence <= 0 { rack.windowMultiplier = 1 }
    }
  }

  /// The losses and the marks of one window reduce it once (RFC 3168 §6.1.2).
  /// Requirement 3168-6.1-03
  private func reduceForLoss(now: Instant) {
    if usesECN, sendUnacknowledged < recovery.congestionEchoEnd {
      connection.congestion.recoveryBegan(windowSlot, at: now)
    } else {
      // Requirement 8684-3.3.7-03
      connection.congestion.congestionEvent(windowSlot, inFlight: flightByteCount, at: now)
    }
    recovery.congestionEchoEnd = sendNext
  }

  /// RFC 6298 §5.4 to §5.7.
  /// Requirement 6298-5-03
  func retransmissionTimeout(now: Instant) {
    endpoint.statistics.retransmissionTimeouts += 1
    roundTrip.backOff()
    rack.probeEnd = nil
    probeDeadline = .distantFuture
    if state == .synSent || state == .synReceived {
      retransmitSyn(now: now)
      return
    }
    consecutiveTimeouts += 1
    if consecutiveTimeouts == Self.firstBound { tell(.retransmissions) }
    if join != nil, isInitiator, !isFullyEstablished {
      repeatJoinProof(now: now)
      return
    }
    // Requirement 9293-3.8.6-05
    if isPeerWindowClosed {
      probeWithHead(now: now)
      return
    }
    // Requirement 2018-8-02
    if sentSegments.first?.isSacked == true { forgetSacks() }
    recovery.presumedByteCount = 0
    markLostByTimeout(now: now)
    if recovery.phase != .timeout {
      recovery.firstRetransmissionTimestamp = nil
      recovery.awaitsFirstRetransmission = usesTimestamps
    }
    if usesECN, recovery.phase == .open, sendUnacknowledged < recovery.congestionEchoEnd {
      connection.congestion.recoveryBegan(windowSlot, at: now)
    }
    connection.congestion.retransmissionTimeout(windowSlot, inFlight: flightByteCount, at: now)
    recovery.congestionEchoEnd = sendNext
    announcesWindowReduction = usesECN
    recovery.phase = .timeout
    recovery.end = sendNext
    recovery.hasLaterLoss = false
    // One may have been the path's silence; two of full segments look like a size that it does not carry.
    if consecutiveTimeouts % 2 == 0 { suspectBlackHole() }
    noteStall(now: now)
    retransmitDeadline = now + cappedTimeout(now)
    sendLost(now: now, isForced: true)
  }

  /// RFC 8985 §6.3: the first segment is lost, and those that are older than a round trip and the reordering window;
  /// what left a moment ago has its chance. Without SACK there is no telling, and everything is sent again.
  /// Requirement 8985-6-07
  private func markLostByTimeout(now: Instant) {
    let patience = max(rack.roundTripTime, roundTrip.smoothed ?? .zero) + reorderingWindow
    for index in sentSegments.indices
    where index == 0 || !isSackPermitted || sentSegments[index].sentAt + patience <= now { markLost(index) }
  }

  /// What is out lies behind the edge of the peer's window, which has shrunk or which only our FIN has passed: its
  /// repetition is a probe of the window (RFC 9293 §3.8.6.1), and says nothing about the path.
  /// Requirement 9293-3.8.6-04
  private func probeWithHead(now: Instant) {
    guard let first = sentSegments.first else { return }
    consecutiveTimeouts = 0
    if first.isSacked { forgetSacks() }
    cutHeadToPacket()
    resend(0, now: now)
    retransmitDeadline = now + roundTrip.retransmissionTimeout
  }

  /// The first outstanding segment was reported and is still not acknowledged: the peer has thrown away what it had out
  /// of order, as it may (RFC 2018 §8). What it reported counts no more.
  /// Requirement 2018-8-02
  private func forgetSacks() {
    var segments = Deque<SentSegment>(minimumCapacity: sentSegments.count)
    for segment in sentSegments {
      guard segment.isSacked else {
        segments.append(segment)
        continue
      }
      sackedByteCount -= segment.count
      inFlightByteCount += segment.count
      var rest = segment
      rest.isSacked = false
      rest.mergedCount = 1
      // What was joined is cut where mappings end: none is crossed by what is sent.
      while let mapping = mapping(covering: rest.start), mapping.end < rest.end {
        var piece = rest
        piece.end = mapping.end
        segments.append(piece)
        rest.start = mapping.end
      }
      segments.append(rest)
    }
    sentSegments = segments
  }

  /// With other subflows at work a dead one is probed at least every 200 ms for ten seconds, then every two, so that a
  /// path that comes back is used again soon; a probe is one segment, so this cannot congest the path. Alone it backs
  /// off as RFC 6298 §5.5 has it.
  func cappedTimeout(_ now: Instant) -> Nanoseconds {
    let timeout = roundTrip.retransmissionTimeout
    guard connection.hasOtherUsableSubflow(than: self) else { return timeout }
    let isRecent = unacknowledgedSince == .distantFuture || now - unacknowledgedSince < .seconds(10)
    let base = max((roundTrip.smoothed ?? .zero) * 2, .milliseconds(200))
    return min(timeout, isRecent ? base : max(base, .seconds(2)))
  }

  /// Repeated time-outs of full segments while nothing comes back: ICMP may be filtered and the path's MTU smaller
  /// (RFC 4821 §7.7, RFC 8899 §4.6.1 calls it a black hole). Segments shrink to what every path carries. As it may just
  /// as well have been a path that was dead for a while, the old size is tried as soon as something comes through.
  /// Requirement 4821-7-01, 4821-7.7-01, 4821-7.7-02
  private func suspectBlackHole() {
    let floor = 1_280
    let smaller = pathMTU > floor ? floor : max(576, min(pathMTU, 576))
    guard smaller < pathMTU, tuple.remote.address.family == .v4 || smaller >= 1_280,
      let first = sentSegments.first, first.count > smaller - 100
    else { return }
    mtuProbe = MTUProbe(byteCount: max(pathMTU, mtuProbe?.byteCount ?? 0), notBefore: .distantFuture)
    pathMTU = smaller
    connection.congestion.setMaximumSegment(windowSlot, byteCount: maximumSegmentByteCount)
  }

  // MARK: Repair

  /// Sends lost segments again as far as the congestion window allows; `isForced` lets one go in any case.
  func sendLost(now: Instant, isForced: Bool = false) {
    guard lostByteCount > 0 else { return }
    var isForced = isForced || recovery.mustRetransmit
    var index = 0
    while index < sentSegments.count {
      guard sentSegments[index].isLost else {
        index += 1
        continue
      }
      let packet = repeatedPayloadByteCount(of: sentSegments[index])
      let mss = max(packet, fullPayloadByteCount)
      let room = max(congestionWindow - pipeByteCount, 0)
      guard isForced || room >= min(mss, sentSegments[index].count) else { return }
      if !isForced, !paceAllows(now) { return }
      // Cut to what the window, and one super-segment, hold.
      let isWhole = isForced || !endpoint.offersSegmentation(path)
      var limit = max(isWhole ? mss : room / mss * mss, packet)
      // Requirement 4821-7.4-01
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
      recovery.mustRetransmit = false
      if lostByteCount == 0 { return }
      index += 1
    }
  }

  func resend(_ index: Int, now: Instant) {
    let segment = sentSegments[index]
    if recovery.awaitsFirstRetransmission {
      recovery.awaitsFirstRetransmission = false
      recovery.firstRetransmissionTimestamp = timestamp(now)
    }
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
    if samplesDelivery { noteTransmission(segment.count, now: now) }
    notePace(segment.count, now: now)
    emitData(
      mapping, range: segment.start..<segment.end, push: true,
      fin: connection.mayFinish(with: mapping, on: self) && takeFinAlong(behind: index, now: now),
      isRetransmission: true, now: now)
  }

  /// Whether our FIN stands right behind the segment at `index` and is not known to have arrived: it rides along.
  private func takeFinAlong(behind index: Int, now: Instant) -> Bool {
    guard index + 1 < sentSegments.count, sentSegments[index + 1].isFin, !sentSegments[index + 1].isSacked else {
      return false
    }
    if sentSegments[index + 1].isLost {
      lostByteCount -= 1
      inFlightByteCount += 1
    }
    sentSegments[index + 1].isLost = false
    sentSegments[index + 1].isRetransmitted = true
    sentSegments[index + 1].sentAt = now
    return true
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
  /// Requirement 8684-3.3.6-06
  func noteStall(now: Instant) {
    guard !isStalled, isFullyEstablished else { return }
    isStalled = true
    stalledAt = now
    connection.subflowStalled(self, now: now)
  }

  func recoverFromStall(now: Instant) {
    isStalled = false
    // Beside others it was asked far more often than by a time-out that doubles: the count says nothing of the path now.
    if connection.hasOtherUsableSubflow(than: self) { roundTrip.resetBackOff() }
    stalledAt = .distantFuture
    connection.subflowRecovered(self, now: now)
  }

  // MARK: Timer

  /// RFC 6298 §5.1 to §5.3.
  /// Requirement 6298-5-02
  func rearmRetransmission(now: Instant) {
    if sentSegments.isEmpty {
      retransmitDeadline = .distantFuture
      probeDeadline = .distantFuture
      silenceDeadline = .distantFuture
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
    // The initial window is meant to leave at once: an answer that fits it is there half a round trip sooner.
    guard let smoothed = roundTrip.smoothed, acknowledgedByteCount >= firstMappedOffset else { return 0 }
    return connection.congestion.pacingRate(windowSlot, smoothedRTT: smoothed)
  }
}
