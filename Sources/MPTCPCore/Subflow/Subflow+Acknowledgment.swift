import MPTCPPolicy
import MPTCPWire

// What an acknowledgement does to the sending side: RFC 9293 §3.10.7.4, RFC 2018, RFC 2883, RFC 8985.
extension Subflow {
  /// How an acknowledgement number is to be taken (RFC 5961 §5.2).
  /// Requirement 5961-5-01
  enum AcknowledgmentValidity {
    case acceptable
    /// Older than anything we could have in flight, or of data never sent: a challenge ACK, and the segment is dropped.
    case unacceptable
  }

  /// Takes in the acknowledgement, the SACK blocks and the window of a segment.
  func processAcknowledgment(_ segment: Segment, now: Instant) -> AcknowledgmentValidity {
    let acknowledgment = sendOffset(segment.header.acknowledgmentNumber)
    guard acknowledgment <= sendNext, acknowledgment >= sendUnacknowledged - max(largestSendWindow, 1) else {
      return .unacceptable
    }
    var delivery = Delivery()
    if samplesDelivery { noteApplicationLimit() }
    recovery.hasDuplicateReport = false
    let previous = sendUnacknowledged
    let priorInFlight = pipeByteCount
    let isRepetition = repeatsAcknowledgment(segment, acknowledgment)
    // Requirement 5681-3.2-02
    let isDuplicate = isRepetition && sendUnacknowledged < sendNext
    recovery.lastWindow = segment.header.window

    if acknowledgment > sendUnacknowledged {
      acknowledgeCumulatively(upTo: acknowledgment, &delivery)
      consecutiveTimeouts = 0
      persistCount = 0
    }
    if isSackPermitted {
      if let blocks = segment.options.sack { processSack(blocks, acknowledgment: acknowledgment, &delivery, now: now) }
    } else {
      countDuplicate(isDuplicate, &delivery)
    }
    let advancedByteCount = max(acknowledgment - previous, 0)
    let isProgress = advancedByteCount > 0 || delivery.byteCount > 0
    updateSendWindow(segment, acknowledgment: acknowledgment, now: now)

    let echo = segment.options.timestamps?.echo
    let sample = takeSamples(delivery, echo: echo, now: now)
    let foundLoss = detectLoss(
      isDuplicate: isDuplicate, advanced: advancedByteCount > 0,
      delivered: delivery.byteCount + delivery.presumedByteCount, now: now)
    let isMarked = usesECN && segment.flags.contains(.ece) && !segment.flags.contains(.syn)
    adjustWindow(
      delivered: delivery.byteCount, priorInFlight: priorInFlight, advancedByteCount: advancedByteCount,
      presumed: delivery.presumedByteCount, foundLoss: foundLoss, isMarked: isMarked, echo: echo, sample: sample,
      now: now)
    if isMarked { respondToCongestionEcho(now: now) }
    endProbeEpisode(acknowledgment, isDuplicate: isRepetition && segment.options.sack == nil, now: now)
    if samplesDelivery { completeSample(roundTrip: sample, now: now) }

    if isProgress {
      toldSoftErrors = 0
      if isStalled { recoverFromStall(now: now) }
      if advancedByteCount > 0 {
        // What was sent again tells nothing of the time that an answer takes, and without timestamps nothing else may
        // come for long on a path that has become slower than the time-out (RFC 6298 §5, Karn's algorithm).
        if roundTrip.hasSampleSinceBackOff { roundTrip.resetBackOff() }
        noteMTUProbe(now: now)
      }
      unacknowledgedSince = sendUnacknowledged < sendNext ? now : .distantFuture
    }
    // Requirement 6298-5-02
    if isProgress || foundLoss { rearmRetransmission(now: now) }
    return .acceptable
  }

  // MARK: Cumulative part

  private func acknowledgeCumulatively(upTo acknowledgment: Int, _ delivery: inout Delivery) {
    var hasRepair = false
    while let first = sentSegments.first, first.start < acknowledgment {
      var segment = first
      if segment.end > acknowledgment {
        // The peer has a part of it.
        sentSegments[0].start = acknowledgment
        segment.end = acknowledgment
      } else {
        sentSegments.removeFirst()
      }
      forget(segment)
      if !segment.isSacked { note(segment, &delivery) }
      hasRepair = hasRepair || segment.isRetransmitted
    }
    // What lay behind a hole waited there for the repair: its time is no round trip.
    if hasRepair { delivery.newestOriginal = nil }
    let data = min(acknowledgment, sentFinOffset ?? acknowledgment)
    acknowledgedByteCount += max(data - max(sendUnacknowledged, 1), 0)
    sendUnacknowledged = acknowledgment
    // Requirement 2018-8-01
    while let mapping = sentMappings.first, mapping.end <= acknowledgment {
      sentMappings.removeFirst()
      connection.subflowAcknowledged(mapping, on: self)
    }
    if !connection.isMultipath, let mapping = sentMappings.first, acknowledgment > mapping.subflowOffset {
      connection.subflowAcknowledgedPart(of: mapping, upTo: acknowledgment)
    }
  }

  /// Takes a segment out of the sums that it is part of.
  func forget(_ segment: SentSegment) {
    if segment.isSacked {
      sackedByteCount -= segment.count
    } else if segment.isLost {
      lostByteCount -= segment.count
    } else {
      inFlightByteCount -= segment.count
    }
  }

  var sentFinOffset: Int? {
    guard isFinSent else { return nil }
    return sendNext - 1
  }

  // MARK: Window

  /// Requirement 8684-3.3.5-03
  private func updateSendWindow(_ segment: Segment, acknowledgment: Int, now: Instant) {
    // While our window is closed the peer's numbers may run one ahead, and come back (RFC 9293 §3.8.6.1).
    let ahead = receiveOffset(segment.header.sequenceNumber)
    let sequence = receiveWindowEdge <= receiveNext ? min(ahead, receiveNext) : ahead
    let window = Int(segment.header.window) << (segment.flags.contains(.syn) ? 0 : Int(sendWindowShift))
    largestSendWindow = max(largestSendWindow, window)
    // RFC 9293 §3.10.7.4: only the newest segment's window counts. RFC 8684 §3.3.4: Multipath TCP moves no edge back.
    // Requirement 9293-3.8.6-06
    guard
      sequence > sendWindowUpdateSequence
        || (sequence == sendWindowUpdateSequence && acknowledgment >= sendWindowUpdateAcknowledgment)
    else { return }
    sendWindowUpdateSequence = sequence
    sendWindowUpdateAcknowledgment = acknowledgment
    let edge = acknowledgment + window
    let wasClosed = isPeerWindowClosed
    if edge > sendWindowEdge {
      // Requirement 9293-3.8.6-02
      sendWindowEdge = edge
      persistDeadline = .distantFuture
    } else if !connection.isMultipath {
      // A peer that shrinks its window should not, and is obeyed all the same (SHLD-15): it takes nothing behind it.
      sendWindowEdge = edge
    }
    if wasClosed, !isPeerWindowClosed, !sentSegments.isEmpty {
      // What went out while it was closed has been dropped; its repetitions begin anew.
      unacknowledgedSince = now
      roundTrip.resetBackOff()
      rearmRetransmission(now: now)
    }
    connection.peerWindow(window, on: self, segment: segment)
  }

  /// A duplicate acknowledgement by RFC 5681 §2, if something is outstanding.
  /// Requirement 5681-3.2-02
  private func repeatsAcknowledgment(_ segment: Segment, _ acknowledgment: Int) -> Bool {
    // RFC 8684 §3: one that carries another Multipath TCP option is no sign of loss.
    // Requirement 8684-3-03
    acknowledgment == sendUnacknowledged && segment.payload.isEmpty
      && segment.header.window == recovery.lastWindow && !segment.flags.contains(.syn) && !segment.flags.contains(.fin)
      && (segment.options.multipath.isEmpty || segment.options.multipath.isOnlyDSS)
  }

  /// Without SACK a duplicate says that a segment has arrived behind the hole, and a later acknowledgement covers it
  /// (RFC 6937 §3.1). It leaves room in the window as it is, with SACK only a block does (RFC 5681 §3.2 step 1).
  /// Requirement 5681-3.2-03, 5681-3.2-04, 5681-3.2-05
  private func countDuplicate(_ isDuplicate: Bool, _ delivery: inout Delivery) {
    if delivery.byteCount > 0 {
      let known = min(recovery.presumedByteCount, max(delivery.byteCount - fullPayloadByteCount, 0))
      recovery.presumedByteCount =
        recovery.phase == .fast ? min(recovery.presumedByteCount - known, inFlightByteCount) : 0
      delivery.byteCount -= known
    } else if isDuplicate, recovery.phase == .fast || recovery.duplicateAcknowledgments < 3 {
      let arrived = min(fullPayloadByteCount, max(pipeByteCount, 0))
      recovery.presumedByteCount += arrived
      delivery.presumedByteCount = arrived
    }
  }

  // MARK: Delivery and round trips (RFC 8985 §6.2)

  /// What one acknowledgement newly reports.
  struct Delivery {
    var byteCount = 0
    /// Of these, what a duplicate without SACK lets presume.
    var presumedByteCount = 0
    /// The highest offset.
    var end = 0
    /// The segment that was sent last.
    var newest: SentSegment?
    /// The same of those that were sent only once: no doubt which transmission is acknowledged.
    var newestOriginal: SentSegment?
  }

  func note(_ segment: SentSegment, _ delivery: inout Delivery) {
    delivery.byteCount += segment.count
    if samplesDelivery { noteDelivered(segment) }
    if delivery.newest.map({ $0.isSent(before: segment) }) ?? true { delivery.newest = segment }
    if !segment.isRetransmitted {
      if delivery.newestOriginal.map({ $0.isSent(before: segment) }) ?? true { delivery.newestOriginal = segment }
      // Compared with what was known before this acknowledgement: the blocks of one come in no order.
      if segment.end < rack.forwardAcknowledgment { rack.hasSeenReordering = true }
    }
    delivery.end = max(delivery.end, segment.end)
  }

  /// Gives the sample that counts for the congestion window; nil where only segments that were sent again arrived.
  private func takeSamples(_ delivery: Delivery, echo: UInt32?, now: Instant) -> Nanoseconds? {
    guard let newest = delivery.newest else { return nil }
    rack.forwardAcknowledgment = max(rack.forwardAcknowledgment, delivery.end)
    if newest.isRetransmitted {
      if let original = delivery.newestOriginal { takeSample(now - original.sentAt, of: original, now: now) }
      if isOfLastTransmission(newest, echo: echo, now: now) { noteForRACK(newest, now: now) }
      return delivery.newestOriginal.map { now - $0.sentAt }
    }
    takeSample(now - newest.sentAt, of: newest, now: now)
    return now - newest.sentAt
  }

  /// Requirement 7323-4-03
  private func takeSample(_ sample: Nanoseconds, of segment: SentSegment, now: Instant) {
    roundTrip.sample(sample, at: now)
    rack.hasSampleSinceProbe = true
    noteForRACK(segment, now: now)
  }

  /// Which transmission of a segment was acknowledged? An echo says, of what is not behind a gap (RFC 7323 §4.1): one
  /// that is older than the last transmission speaks of the first, any other of the last. On a path that came back
  /// changed there may be no other samples for long.
  /// Requirement 6298-3-01, 7323-4-01, 9293-3.8.1-01
  private func isOfLastTransmission(_ segment: SentSegment, echo: UInt32?, now: Instant) -> Bool {
    let sample = now - segment.sentAt
    if let echo, usesTimestamps, segment.end <= sendUnacknowledged {
      guard Int32(bitPattern: echo &- timestamp(segment.sentAt)) >= 0 else { return false }
      roundTrip.sample(sample, at: now)
      rack.hasSampleSinceProbe = true
    } else if let minimum = roundTrip.minimum, sample < minimum - minimum / 8 {
      // Requirement 8985-6-03
      // Less than the path can do; a small segment may take a little less than the least that full ones took.
      return false
    }
    return true
  }

  private func noteForRACK(_ segment: SentSegment, now: Instant) {
    guard (segment.sentAt, segment.end) >= (rack.sentAt, rack.end) else { return }
    rack.sentAt = segment.sentAt
    rack.end = segment.end
    rack.roundTripTime = now - segment.sentAt
  }

  func noteDuplicateReport(now: Instant) {
    recovery.hasDuplicateReport = true
    // RFC 8985 §6.2 step 4: each round trip with a DSACK widens the reordering window.
    if let round = rack.duplicateRound, sendUnacknowledged < round { return }
    rack.duplicateRound = sendNext
    // Requirement 8985-6-04
    rack.windowMultiplier = min(rack.windowMultiplier + 1, 64)
    rack.windowPersistence = 16
  }

  // MARK: Congestion window

  private func adjustWindow(
    delivered: Int, priorInFlight: Int, advancedByteCount: Int, presumed: Int, foundLoss: Bool, isMarked: Bool,
    echo: UInt32?, sample: Nanoseconds?, now: Instant
  ) {
    if recovery.phase != .open, advancedByteCount > 0, isSpurious(echo) { undoRecovery(now: now) }
    switch recovery.phase {
    case .open:
      // What is acknowledged behind a hole lets new data out, and the window grow only when the hole is filled
      // (RFC 5681 §3.2 step 1, RFC 3042 §2). Nor does it grow by an acknowledgement that tells of congestion; a model
      // of the path hears of every one.
      // Requirement 3168-6.1-07
      if advancedByteCount > 0, !isMarked || connection.congestion.governsRecovery {
        growWindow(advancedByteCount, priorInFlight: priorInFlight, sample: sample, now: now)
      }
    case .fast: break
    case .timeout:
      if delivered > 0 { growWindow(delivered, priorInFlight: priorInFlight, sample: sample, now: now) }
    }
    // Requirement 6582-3.2-01
    if recovery.phase != .open, sendUnacknowledged >= recovery.end {
      recovery.phase = .open
      recovery.presumedByteCount = 0
      connection.congestion.recoveryEnded(windowSlot, at: now)
      // What was sent meanwhile and is lost as well is another window's loss (RFC 6675 §5).
      if recovery.hasLaterLoss { enterFastRecovery(delivered: delivered, now: now) }
    }
    limitRecovery(delivered: delivered + presumed, lossDetected: foundLoss || advancedByteCount == 0)
  }

  /// While a loss is repaired the window is what is in flight and what may follow it now. That holds too where a timer
  /// found the loss: all that is lost has left the flight at once, and would go out at once.
  /// Requirement 6937-3-01, 6937-3-02
  func limitRecovery(delivered: Int, lossDetected: Bool) {
    guard recovery.phase == .fast, !connection.congestion.governsRecovery else { return }
    let window = recovery.reduction.congestionWindow(
      delivered: delivered, inFlight: pipeByteCount, lossDetected: lossDetected,
      maximumSegmentByteCount: maximumSegmentByteCount)
    connection.congestion.setWindow(windowSlot, byteCount: max(window, maximumSegmentByteCount))
  }

  private func growWindow(_ delivered: Int, priorInFlight: Int, sample: Nanoseconds?, now: Instant) {
    // RFC 7661's concern in its simplest form: a window that was not used does not grow.
    let window = congestionWindow
    let isLimited = priorInFlight + 2 * maximumSegmentByteCount >= window || priorInFlight * 2 >= window
    connection.congestion.acknowledged(
      windowSlot, byteCount: delivered, priorInFlight: priorInFlight, rtt: sample,
      smoothedRTT: roundTrip.smoothed ?? .milliseconds(100), isCongestionWindowLimited: isLimited, at: now)
  }

  /// Requirement 3168-6.1-03, 3168-6.1-08
  private func respondToCongestionEcho(now: Instant) {
    // CWR rides on what is sent next: before that is acknowledged the peer echoes the same mark.
    guard recovery.phase == .open, sendUnacknowledged > recovery.congestionEchoEnd else { return }
    connection.congestion.congestionMarked(windowSlot, inFlight: flightByteCount, at: now)
    recovery.congestionEchoEnd = sendNext
    announcesWindowReduction = true
  }

  /// Eifel detection (RFC 3522 §3.2): the first acknowledgement after a retransmission echoes a timestamp from before.
  ///
  /// With a duplicate report it answers the retransmission all the same: the original had arrived and its
  /// acknowledgement was lost (step 5), as on a path that died. Nothing is known then of the segments behind it.
  private func isSpurious(_ echo: UInt32?) -> Bool {
    guard usesTimestamps, let echo, let first = recovery.firstRetransmissionTimestamp else { return false }
    recovery.firstRetransmissionTimestamp = nil
    guard !recovery.hasDuplicateReport else { return false }
    return Int32(bitPattern: echo &- first) < 0
  }

  private func undoRecovery(now: Instant) {
    for index in sentSegments.indices where sentSegments[index].isLost {
      sentSegments[index].isLost = false
      lostByteCount -= sentSegments[index].count
      inFlightByteCount += sentSegments[index].count
    }
    connection.congestion.undo(windowSlot, at: now)
    recovery.phase = .open
    recovery.congestionEchoEnd = 0
    recovery.presumedByteCount = 0
    recovery.hasLaterLoss = false
  }
}
