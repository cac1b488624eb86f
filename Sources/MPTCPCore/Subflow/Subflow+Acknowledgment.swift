import MPTCPPolicy
import MPTCPWire

// What an acknowledgement does to the sending side: RFC 9293 §3.10.7.4, RFC 2018, RFC 2883, RFC 8985.
extension Subflow {
  /// How an acknowledgement number is to be taken (RFC 5961 §5.2).
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
    var delivered = 0
    var newest: SentSegment?
    recovery.hasDuplicateReport = false
    let previous = sendUnacknowledged
    let priorInFlight = inFlightByteCount

    if acknowledgment > sendUnacknowledged {
      delivered += acknowledgeCumulatively(upTo: acknowledgment, newest: &newest)
      consecutiveTimeouts = 0
      persistCount = 0
    }
    if isSackPermitted, let blocks = segment.options.sack {
      delivered += processSack(blocks, acknowledgment: acknowledgment, newest: &newest, now: now)
    }
    let advanced = acknowledgment > previous
    updateSendWindow(segment, acknowledgment: acknowledgment)

    let sample = newest.flatMap { sampleRoundTrip($0, echo: segment.options.timestamps?.echo, now: now) }
    let foundLoss = detectLoss(
      isDuplicate: isDuplicateAcknowledgment(segment, advanced: advanced), delivered: delivered, now: now)
    adjustWindow(
      delivered: delivered, priorInFlight: priorInFlight, advanced: advanced, foundLoss: foundLoss,
      echo: segment.options.timestamps?.echo, sample: sample, now: now)
    if usesECN, segment.flags.contains(.ece), !segment.flags.contains(.syn) { respondToCongestionEcho(now: now) }

    if advanced || delivered > 0 {
      if isStalled { recoverFromStall(now: now) }
      if advanced { roundTrip.resetBackOff() }
      endProbeEpisode(acknowledgment)
      if advanced { noteMTUProbe(now: now) }
      unacknowledgedSince = sendUnacknowledged < sendNext ? now : .distantFuture
    }
    if advanced || delivered > 0 || foundLoss { rearmRetransmission(now: now) }
    return .acceptable
  }

  // MARK: Cumulative part

  private func acknowledgeCumulatively(upTo acknowledgment: Int, newest: inout SentSegment?) -> Int {
    var delivered = 0
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
      if !segment.isSacked {
        delivered += segment.count
        noteDelivery(segment, newest: &newest)
      }
    }
    let data = min(acknowledgment, sentFinOffset ?? acknowledgment)
    acknowledgedByteCount += max(data - max(sendUnacknowledged, 1), 0)
    sendUnacknowledged = acknowledgment
    while let mapping = sentMappings.first, mapping.end <= acknowledgment {
      sentMappings.removeFirst()
      connection.subflowAcknowledged(mapping, on: self)
    }
    if !connection.isMultipath, let mapping = sentMappings.first, acknowledgment > mapping.subflowOffset {
      connection.subflowAcknowledgedPart(of: mapping, upTo: acknowledgment)
    }
    return delivered
  }

  /// Takes a segment out of the sums that it is part of.
  private func forget(_ segment: SentSegment) {
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

  // MARK: SACK

  private func processSack(
    _ blocks: SACKBlocks, acknowledgment: Int, newest: inout SentSegment?, now: Instant
  ) -> Int {
    var delivered = 0
    for index in 0..<blocks.count {
      let block = blocks[index]
      let left = sendOffset(block.left)
      let right = sendOffset(block.right)
      guard left < right, right <= sendNext else { continue }
      if left < acknowledgment || (index == 0 && isInsideNext(block, of: blocks)) {
        noteDuplicateReport(now: now)
        continue
      }
      delivered += markSacked(left..<right, newest: &newest)
    }
    return delivered
  }

  /// A first block inside the second reports a duplicate (RFC 2883 §4.1.2).
  private func isInsideNext(_ block: SACKBlock, of blocks: SACKBlocks) -> Bool {
    guard blocks.count > 1 else { return false }
    let next = blocks[1]
    return block.left - next.left >= 0 && next.right - block.right >= 0
  }

  private func markSacked(_ range: Range<Int>, newest: inout SentSegment?) -> Int {
    var delivered = 0
    var index = firstSegment(endingAfter: range.lowerBound)
    while index < sentSegments.count, sentSegments[index].start < range.upperBound {
      if sentSegments[index].isSacked {
        index += 1
        continue
      }
      index = splitting(at: range.lowerBound, index: index)
      if sentSegments[index].end > range.upperBound { _ = splitting(at: range.upperBound, index: index) }
      let segment = sentSegments[index]
      guard segment.start >= range.lowerBound, segment.end <= range.upperBound else { return delivered }
      forget(segment)
      sentSegments[index].isSacked = true
      sentSegments[index].isLost = false
      sackedByteCount += segment.count
      delivered += segment.count
      noteDelivery(segment, newest: &newest)
      index += 1
    }
    return delivered
  }

  /// Cuts the segment at `index` at `offset`, where it covers it, and gives the index of the part that begins there.
  /// A peer that reports crumbs cannot make the list longer than ``Limits/sentSegments``.
  private func splitting(at offset: Int, index: Int) -> Int {
    let segment = sentSegments[index]
    guard segment.start < offset, offset < segment.end, sentSegments.count < Limits.sentSegments * 2 else {
      return index
    }
    sentSegments[index].end = offset
    var rest = segment
    rest.start = offset
    sentSegments.insert(rest, at: index + 1)
    return index + 1
  }

  /// The index of the first segment that ends after `offset`.
  func firstSegment(endingAfter offset: Int) -> Int {
    var low = 0
    var high = sentSegments.count
    while low < high {
      let middle = (low + high) / 2
      if sentSegments[middle].end <= offset { low = middle + 1 } else { high = middle }
    }
    return low
  }

  // MARK: Window

  private func updateSendWindow(_ segment: Segment, acknowledgment: Int) {
    let sequence = receiveOffset(segment.header.sequenceNumber)
    let window = Int(segment.header.window) << (segment.flags.contains(.syn) ? 0 : Int(sendWindowShift))
    largestSendWindow = max(largestSendWindow, window)
    // RFC 9293 §3.10.7.4: only the newest segment's window counts. RFC 8684 §3.3.4: a right edge is not moved back.
    guard
      sequence > sendWindowUpdateSequence
        || (sequence == sendWindowUpdateSequence && acknowledgment >= sendWindowUpdateAcknowledgment)
    else { return }
    sendWindowUpdateSequence = sequence
    sendWindowUpdateAcknowledgment = acknowledgment
    let edge = acknowledgment + window
    if edge > sendWindowEdge {
      sendWindowEdge = edge
      persistDeadline = .distantFuture
    }
    connection.peerWindow(window, on: self, segment: segment)
  }

  private func isDuplicateAcknowledgment(_ segment: Segment, advanced: Bool) -> Bool {
    // RFC 8684 §3.3.5 (item on duplicate ACKs): one that carries another Multipath TCP option is no sign of loss.
    !advanced && segment.payload.isEmpty && sendUnacknowledged < sendNext
      && (segment.options.multipath.isEmpty || segment.options.multipath.isOnlyDSS)
  }

  // MARK: Delivery and round trips (RFC 8985 §6.2)

  private func noteDelivery(_ segment: SentSegment, newest: inout SentSegment?) {
    if let known = newest, (known.sentAt, known.end) >= (segment.sentAt, segment.end) {
      // Not the most recent one.
    } else {
      newest = segment
    }
    if segment.end < rack.forwardAcknowledgment, !segment.isRetransmitted { rack.hasSeenReordering = true }
    rack.forwardAcknowledgment = max(rack.forwardAcknowledgment, segment.end)
  }

  /// Gives the sample that counts for the congestion window; nil for a segment that was sent again.
  private func sampleRoundTrip(_ segment: SentSegment, echo: UInt32?, now: Instant) -> Nanoseconds? {
    let sample = now - segment.sentAt
    if segment.isRetransmitted {
      // Which transmission was acknowledged? An echo says, of what is not behind a gap (RFC 7323 §4.1): one that is
      // older than the last transmission speaks of the first, any other of the last. On a path that came back changed
      // there may be no other samples for long.
      if let echo, usesTimestamps, segment.end <= sendUnacknowledged {
        guard Int32(bitPattern: echo &- timestamp(segment.sentAt)) >= 0 else { return nil }
        roundTrip.sample(sample, at: now)
      } else if let minimum = roundTrip.minimum, sample < minimum - minimum / 8 {
        // Less than the path can do; a small segment may take a little less than the least that full ones took.
        return nil
      }
    } else {
      roundTrip.sample(sample, at: now)
    }
    if (segment.sentAt, segment.end) >= (rack.sentAt, rack.end) {
      rack.sentAt = segment.sentAt
      rack.end = segment.end
      rack.roundTripTime = sample
    }
    return segment.isRetransmitted ? nil : sample
  }

  private func noteDuplicateReport(now: Instant) {
    recovery.hasDuplicateReport = true
    // RFC 8985 §6.2 step 4: each round trip with a DSACK widens the reordering window.
    if let round = rack.duplicateRound, sendUnacknowledged < round { return }
    rack.duplicateRound = sendNext
    rack.windowMultiplier = min(rack.windowMultiplier + 1, 64)
    rack.windowPersistence = 16
    if rack.probeEnd != nil, rack.probeIsRetransmission {
      // The probe was not needed: nothing had been lost (RFC 8985 §7.4.2).
      rack.probeEnd = nil
    }
  }

  // MARK: Congestion window

  private func adjustWindow(
    delivered: Int, priorInFlight: Int, advanced: Bool, foundLoss: Bool, echo: UInt32?,
    sample: Nanoseconds?, now: Instant
  ) {
    if recovery.phase != .open, advanced, isSpurious(echo) { undoRecovery(now: now) }
    switch recovery.phase {
    case .open:
      if delivered > 0 { growWindow(delivered, priorInFlight: priorInFlight, sample: sample, now: now) }
    case .fast:
      if sendUnacknowledged >= recovery.end {
        recovery.phase = .open
        connection.congestion.recoveryEnded(windowSlot, at: now)
      } else {
        let window = recovery.reduction.congestionWindow(
          delivered: delivered, inFlight: inFlightByteCount, lossDetected: foundLoss || !advanced,
          maximumSegmentByteCount: maximumSegmentByteCount)
        connection.congestion.setWindow(windowSlot, byteCount: max(window, maximumSegmentByteCount))
      }
    case .timeout:
      if delivered > 0 { growWindow(delivered, priorInFlight: priorInFlight, sample: sample, now: now) }
      if sendUnacknowledged >= recovery.end {
        recovery.phase = .open
        connection.congestion.recoveryEnded(windowSlot, at: now)
      }
    }
  }

  private func growWindow(_ delivered: Int, priorInFlight: Int, sample: Nanoseconds?, now: Instant) {
    // RFC 7661's concern in its simplest form: a window that was not used does not grow.
    let window = congestionWindow
    let isLimited = priorInFlight + 2 * maximumSegmentByteCount >= window || priorInFlight * 2 >= window
    connection.congestion.acknowledged(
      windowSlot, byteCount: delivered, priorInFlight: priorInFlight, rtt: sample,
      smoothedRTT: roundTrip.smoothed ?? .milliseconds(100), isCongestionWindowLimited: isLimited, at: now)
  }

  private func respondToCongestionEcho(now: Instant) {
    guard recovery.phase == .open, sendUnacknowledged >= recovery.congestionEchoEnd else { return }
    connection.congestion.congestionEvent(windowSlot, inFlight: inFlightByteCount, at: now)
    connection.congestion.recoveryEnded(windowSlot, at: now)
    recovery.congestionEchoEnd = sendNext
    announcesWindowReduction = true
  }

  /// Eifel detection (RFC 3522 §3.2): the first acknowledgement after a retransmission echoes a timestamp from before.
  ///
  /// With a duplicate report it answers the retransmission all the same: the original had arrived and its acknowledgement
  /// was lost (step 5), as on a path that died. Nothing is known then of the segments behind it.
  private func isSpurious(_ echo: UInt32?) -> Bool {
    guard usesTimestamps, let echo, recovery.firstRetransmissionTimestamp != 0 else { return false }
    defer { recovery.firstRetransmissionTimestamp = 0 }
    guard !recovery.hasDuplicateReport else { return false }
    return Int32(bitPattern: echo &- recovery.firstRetransmissionTimestamp) < 0
  }

  private func undoRecovery(now: Instant) {
    for index in sentSegments.indices where sentSegments[index].isLost {
      sentSegments[index].isLost = false
      lostByteCount -= sentSegments[index].count
      inFlightByteCount += sentSegments[index].count
    }
    connection.congestion.undo(windowSlot)
    recovery.phase = .open
  }
}

/// Bounds on what one subflow keeps, whatever its peer does.
enum Limits {
  /// Segments in flight; no new ones leave beyond it, and SACK splits stop at twice as many.
  static let sentSegments = 8192
  /// Mappings that the peer declared ahead of their data.
  static let receivedMappings = 4096
  /// Octets that arrived in order with no mapping (RFC 8684 §3.3.1): beyond it the subflow is reset.
  static let unmappedByteCount = 256 << 10
  /// The pieces in which they came.
  static let unmappedSlices = 4096
  /// Runs of data behind holes, on a subflow and in the connection.
  static let intervals = 16_384
  /// Announcements of the peer that a connection keeps.
  static let remoteAddresses = 32
  /// One-shot options that wait for a pure ACK.
  static let pendingOptions = 32
  /// Ranges of data that wait to be sent again on another subflow.
  static let reinjections = 4096
}
