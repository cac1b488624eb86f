import MPTCPPolicy
import MPTCPWire

// The sending side: the scheduler gives each piece of data to a subflow that can send it now, and only then is it mapped.
extension Connection {
  // MARK: The application's side

  /// How much the application may have written and not yet acknowledged: twice what the subflows can have in flight, so
  /// that neither an acknowledgement nor a stalled path leaves them without data, within the configured bound.
  private var sendLimit: Int {
    var window = 0
    for subflow in subflows { window += min(subflow.congestionWindow, options.sendBufferByteCount) }
    return min(options.sendBufferByteCount, max(512 << 10, window * 3))
  }

  var hasSendRoom: Bool { sendBuffer.byteCount < sendLimit }

  /// Takes as much of `slice` as there is room for.
  func write(_ slice: ByteSlice) -> Int {
    let room = max(sendLimit - sendBuffer.byteCount, 0)
    let taken = slice.prefix(room)
    if taken.count < slice.count { wantsWritable = true }
    guard !taken.isEmpty else { return 0 }
    sendBuffer.append(taken)
    writtenByteCount += taken.count
    markDirty()
    return taken.count
  }

  // MARK: One output pass

  /// Sends what may be sent now: repairs, reinjections, new data, the end of the data, acknowledgements.
  func output(now: Instant) {
    isDirty = false
    for subflow in subflows where subflow.isSynchronized { subflow.sendLost(now: now) }
    if phase == .open || phase == .closed {
      updateReceiveWindow()
      sendReinjections(now: now)
      sendNewData(now: now)
      sendEnd(now: now)
    }
    var index = 0
    while index < subflows.count {
      let subflow = subflows[index]
      index += 1
      guard subflow.isSynchronized else { continue }
      if subflow.isOpen, receiveWindowEdge - subflow.lastSentDataWindowEdge >= windowUpdateThreshold(subflow) {
        subflow.mustAcknowledge = true
      }
      let hasOptions = !subflow.pendingOptions.isEmpty && subflow.maySendOptions && subflow.optionsHeldUntil <= now
      if subflow.mustAcknowledge || hasOptions {
        subflow.emitAcknowledgment(now: now)
      }
      if isBlockedByWindow(subflow) { subflow.armPersist(now: now) }
    }
    armDataRetransmission(now: now)
    if wantsWritable, hasSendRoom, !finishRequested, phase == .open {
      wantsWritable = false
      emit(.writable)
    }
  }

  // MARK: Scheduling

  /// What a subflow can take of `wanted` bytes right now, in bytes of payload; 0 where it cannot.
  private func room(on subflow: Subflow, wanted: Int, now: Instant) -> Int {
    guard subflow.acceptsData, !subflow.isStalled, subflow.lostByteCount == 0,
      subflow.sentSegments.count < Limits.sentSegments
    else { return 0 }
    let window = min(
      subflow.congestionWindow - subflow.pipeByteCount, subflow.sendWindowEdge - subflow.sendNext)
    guard window > 0, subflow.paceAllows(now) else { return 0 }
    return window < wanted && isCrumb(window, of: subflow) ? 0 : window
  }

  /// Acknowledgements open the window by what each covers. While nearly all of it is in flight nothing is lost by waiting
  /// for a few more; sent at once, each crumb would come back as the next one, and segments stay small for ever. At rates
  /// where that costs nobody much, a smooth flow is worth more to the queues.
  private func isCrumb(_ window: Int, of subflow: Subflow) -> Bool {
    let share = (subflow.inFlightByteCount + window) / 8
    guard window < share, subflow.recovery.phase == .open else { return false }
    let burst = burstLimit(subflow)
    return window < min(share, burst) && burst >= 8 * subflow.fullPayloadByteCount
  }

  /// The most that goes out as one segment: what one super-segment holds, and at most a millisecond's worth at the pacing
  /// rate so that queues see no great bursts.
  private func burstLimit(_ subflow: Subflow) -> Int {
    let mss = subflow.fullPayloadByteCount
    guard endpoint.offersSegmentation(subflow.path) else { return mss }
    let limit = subflow.largestSuperSegmentByteCount / mss * mss
    let rate = subflow.pacingRate
    return rate > 0 ? min(limit, max(rate / 1000 / mss * mss, 2 * mss)) : limit
  }

  /// Lowest round-trip time first; backups only when no regular subflow works (RFC 8684 §3.3.8).
  /// Requirement 8684-3.3.8-01, 8684-3.3.8-02, 8684-3.3.8-05, 8684-3.2-11
  func choose(now: Instant, wanted: Int, avoiding origin: SubflowID? = nil) -> (Subflow, Int)? {
    if subflows.count == 1 {
      let only = subflows[0]
      let room = room(on: only, wanted: wanted, now: now)
      return room > 0 && only.id != origin ? (only, room) : nil
    }
    let onlyBackups = !subflows.contains {
      $0.acceptsData && !$0.isStalled && !$0.isBackup && !$0.isPeerBackup && $0.id != origin
    }
    var best: (Subflow, Int)?
    for subflow in subflows where subflow.id != origin && (onlyBackups || !(subflow.isBackup || subflow.isPeerBackup)) {
      let room = room(on: subflow, wanted: wanted, now: now)
      guard room >= min(wanted, subflow.fullPayloadByteCount) || (room > 0 && subflow.sentSegments.isEmpty) else {
        continue
      }
      if let known = best, known.0.schedulingTime <= subflow.schedulingTime { continue }
      best = (subflow, room)
    }
    return best
  }

  private func sendNewData(now: Instant) {
    guard sendNext < dataEnd else { return }
    for subflow in subflows { subflow.restartAfterIdle(now: now) }
    while sendNext < dataEnd {
      let window = isFallback ? Int.max : sendWindowEdge - sendNext
      guard window > 0 else { return }
      let waiting = dataEnd - sendNext
      let available = min(waiting, window)
      guard let (subflow, room) = choose(now: now, wanted: available) else { return }
      let length = segmentLength(available: available, waiting: waiting, room: room, subflow)
      guard length > 0 else { return }
      let sent = transmit(at: sendNext, count: length, on: subflow, isReinjection: false, now: now)
      guard sent > 0 else { return }
      sendNext += sent
    }
  }

  /// One segment of new data on `subflow` beyond its congestion window, if there is some and the peer has room for it: a
  /// probe (RFC 8985 §7.3). True if it went.
  func sendOneSegment(on subflow: Subflow, now: Instant) -> Bool {
    guard phase == .open, sendNext < dataEnd, subflow.acceptsData, !subflow.isStalled, subflow.lostByteCount == 0,
      subflow.sentSegments.count < Limits.sentSegments
    else { return false }
    let window = min(isFallback ? Int.max : sendWindowEdge - sendNext, subflow.sendWindowEdge - subflow.sendNext)
    let length = min(dataEnd - sendNext, window, subflow.fullPayloadByteCount)
    guard length > 0 else { return false }
    let sent = transmit(at: sendNext, count: length, on: subflow, isReinjection: false, now: now)
    sendNext += sent
    return sent > 0
  }

  /// How much goes out as one (super-)segment: sender's silly window avoidance and Nagle's algorithm (RFC 9293 §3.8.6.2
  /// and §3.7.4).
  /// Requirement 9293-3.7.4-01, 9293-3.8.6.2-01
  private func segmentLength(available: Int, waiting: Int, room: Int, _ subflow: Subflow) -> Int {
    let mss = subflow.fullPayloadByteCount
    var limit = burstLimit(subflow)
    // The keys of the third ACK ride on this segment: a one-shot option, so no super-segment.
    if isInitiator, multipath == .keyed, sendNext == 1 { limit = mss - 4 }
    // CWR stands on one segment (RFC 3168 §6.1.2); without it the peer goes on echoing.
    if subflow.announcesWindowReduction { limit = min(limit, mss) }
    if let probe = subflow.dueMTUProbe(available: min(available, room), now: endpoint.now) {
      subflow.mtuProbe?.range = subflow.sendNext..<(subflow.sendNext + probe)
      return probe
    }
    var length = min(available, min(room, limit))
    if length < waiting, length > mss { length = length / mss * mss }
    if length < mss {
      let isTail = length == waiting
      let isIdle = sendUnacknowledged == sendNext
      if isTail {
        if !options.noDelay, !finishRequested, !isIdle { return 0 }
      } else if length < min(waiting, subflow.largestSendWindow / 2), !subflow.sentSegments.isEmpty, limit >= mss {
        // A window or congestion window that opened by crumbs: wait for a full segment.
        return 0
      }
    }
    return length
  }

  /// Declares a mapping for `count` octets at data offset `offset` on `subflow` and sends them. Gives what was sent,
  /// which may be less: a mapping holds at most two runs of the send buffer.
  func transmit(at offset: Int, count: Int, on subflow: Subflow, isReinjection: Bool, now: Instant) -> Int {
    let (first, second) = sendBuffer.slices(at: offset - 1, upTo: count)
    let length = first.count + (second?.count ?? 0)
    guard length > 0 else { return 0 }
    let start = subflow.sendNext
    // A probe that the send buffer cannot give in two runs is none.
    if let probe = subflow.mtuProbe?.range, probe.lowerBound == start, probe.count != length {
      subflow.mtuProbe?.range = nil
    }
    let isLast = offset + length == dataEnd && finishRequested
    let isImplied = isInitiator && multipath == .keyed && offset == 1 && subflow.isInitial && start == 1
    var mapping = SentMapping(
      subflowOffset: start, dataOffset: offset, count: length, first: first, second: second, checksum: nil,
      hasDataFin: isLast && isMultipath && !isImplied && length < 65_535, isImplied: isImplied)
    if isMultipath, usesChecksum {
      var sum = DSSChecksum()
      sum.add(first.bytes)
      if let second { sum.add(second.bytes) }
      mapping.checksum = sum.value(
        dsn: sendDataNumber(offset), subflowSequenceNumber: UInt32(truncatingIfNeeded: start),
        length: UInt16(clamping: length + (mapping.hasDataFin ? 1 : 0)))
    }
    if mapping.hasDataFin { isDataFinSent = true }
    subflow.sentMappings.append(mapping)
    subflow.sentSegments.append(SentSegment(start: start, end: start + length, sentAt: now))
    subflow.sendNext = start + length
    subflow.inFlightByteCount += length
    subflow.sentByteCount += length
    if isReinjection {
      isLinear = false
      subflow.reinjectedByteCount += length
      endpoint.statistics.reinjectedByteCount += length
    }
    if subflow.unacknowledgedSince == .distantFuture { subflow.unacknowledgedSince = now }
    subflow.notePace(length, now: now)
    if subflow.recovery.phase == .fast { subflow.recovery.reduction.sent(length) }
    // The FIN of plain TCP rides on the last data.
    let carriesFin = isFallback && isLast && subflow.beginFin(now: now)
    subflow.emitData(
      mapping, range: start..<(start + length), push: offset + length == dataEnd, fin: carriesFin,
      isRetransmission: false, now: now)
    if subflow.retransmitDeadline == .distantFuture {
      subflow.retransmitDeadline = now + subflow.roundTrip.retransmissionTimeout
    }
    subflow.armProbe(now: now)
    return length
  }

  // MARK: The end of the data (RFC 8684 §3.3.3)

  private func sendEnd(now: Instant) {
    guard finishRequested, sendNext == dataEnd else { return }
    if isFallback {
      for subflow in subflows where subflow.acceptsData { subflow.requestFin(now: now) }
      return
    }
    guard isConfirmed || (dataEnd == 1 && hasSentKeys) else { return }
    if !isDataFinSent || resendsDataFin, !isDataFinAcknowledged, let carrier = carrierForControl() {
      isDataFinSent = true
      resendsDataFin = false
      dataFinCarrier = carrier.id
      carrier.mustAcknowledge = true
    }
    // RFC 8684 §3.3.3 has the subflows closed as soon as our DATA_FIN is DATA_ACKed. We wait for the peer's, as Linux does:
    // what it still sends needs subflows that can be replaced, and a half-closed one lives shorter in a middlebox.
    // Requirement 8684-3.3.3-09, 8684-3.3.3-10
    if isDataFinAcknowledged, isRemoteFinished {
      for subflow in subflows where subflow.isSynchronized { subflow.requestFin(now: now) }
    }
  }

  /// The best subflow for something that is no data: working ones before stalled ones, then the shortest round trip.
  func carrierForControl() -> Subflow? {
    var best: Subflow?
    for subflow in subflows where subflow.isFullyEstablished && subflow.isOpen {
      guard let known = best else {
        best = subflow
        continue
      }
      if known.isStalled != subflow.isStalled {
        if known.isStalled { best = subflow }
      } else if subflow.schedulingTime < known.schedulingTime {
        best = subflow
      }
    }
    return best
  }

  /// The DSS that carries a DATA_FIN without data: DSN its own, SSN 0, length 1.
  func standaloneDataFin(for subflow: Subflow) -> DSS? {
    guard dataFinCarrier == subflow.id else { return nil }
    dataFinCarrier = nil
    let number = sendDataNumber(dataEnd)
    var checksum: UInt16?
    if usesChecksum { checksum = DSSChecksum().value(dsn: number, subflowSequenceNumber: 0, length: 1) }
    let mapping = DSSMapping(
      dsn: .eight(number.rawValue), subflowSequenceNumber: 0, length: 1, checksum: checksum)
    return DSS(dataFin: true, dataAck: dataAck(), mapping: mapping)
  }
}

extension Subflow {
  /// What the scheduler compares: the smoothed round-trip time, unknown ones last.
  var schedulingTime: Nanoseconds { roundTrip.smoothed ?? .max }
}
