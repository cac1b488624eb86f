import MPTCPPolicy
import MPTCPWire

// The sending side: the scheduler gives each piece of data to a subflow that can send it now, and only then is it
// mapped, with what is promised to the subflow behind it (Connection+Reservation).
extension Connection {
  // MARK: The application's side

  /// How much the application may have written and not yet acknowledged: thrice what the subflows have in flight while
  /// the slowest of them answers, so that neither an acknowledgement nor a stalled path leaves them without data,
  /// within the configured bound. (Data on a fast subflow behind some on a slow one is DATA_ACKed when the slow one's
  /// is.)
  private var sendLimit: Int {
    let bound = min(options.sendBufferByteCount, 1 << 50)
    var longest = Nanoseconds.zero
    for subflow in subflows where subflow.acceptsData && !subflow.isStalled {
      longest = max(longest, subflow.roundTrip.smoothed ?? .zero)
    }
    var window = 0
    for subflow in subflows {
      var share = min(subflow.congestionWindow, bound)
      if let own = subflow.roundTrip.smoothed, own > .zero, longest > own {
        let (product, overflow) = share.multipliedReportingOverflow(by: Int(longest.count / own.count + 1))
        share = overflow ? bound : min(product, bound)
      }
      window += share
    }
    return min(options.sendBufferByteCount, max(512 << 10, window * 3))
  }

  var hasSendRoom: Bool { sendBuffer.byteCount < sendLimit }

  /// Takes as much of `slice` as there is room for.
  func write(_ slice: ByteSlice) -> Int {
    let room = max(sendLimit - sendBuffer.byteCount, 0)
    let taken = slice.prefix(room)
    if taken.count < slice.count { wantsWritable = true }
    guard !taken.isEmpty else { return 0 }
    if congestion.samplesDelivery { for subflow in subflows { subflow.noteApplicationLimit() } }
    sendBuffer.append(taken)
    writtenByteCount += taken.count
    markDirty()
    return taken.count
  }

  // MARK: One output pass

  /// Sends what may be sent now: repairs, reinjections, new data, the end of the data, acknowledgements.
  func output(now: Instant) {
    isDirty = false
    if dataState == .fastCloseWait {
      for subflow in subflows where subflow.mustAcknowledge { subflow.emitAcknowledgment(now: now) }
      return
    }
    // First, whatever may wait elsewhere: a receiver delivers nothing that stands behind a hole of the subflow itself.
    // Requirement 6675-5-02
    for subflow in subflows where subflow.isSynchronized { subflow.sendLost(now: now) }
    if phase == .open || phase == .closed {
      updateReceiveWindow()
      for subflow in subflows { while sendReserved(on: subflow, now: now) {} }
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
      // Requirement 9293-3.8.6.1-01
      if isBlockedByWindow(subflow) { subflow.armPersist(now: now) }
    }
    armDataRetransmission(now: now)
    if wantsWritable, hasSendRoom, !finishRequested, phase == .open {
      wantsWritable = false
      emit(.writable)
    }
  }

  // MARK: New data

  private func sendNewData(now: Instant) {
    if scheduler.kind == .redundant {
      sendRedundantly(now: now)
      return
    }
    guard sendNext < dataEnd else { return }
    for subflow in subflows { subflow.restartAfterIdle(now: now) }
    while sendNext < dataEnd {
      // Requirement 8684-3.3.5-04
      let window = isFallback ? Int.max : sendWindowEdge - sendNext
      let waiting = dataEnd - sendNext
      guard window > 0, window >= waiting || !isCrumb(window) else {
        relieveWindow(now: now)
        return
      }
      let available = min(waiting, window)
      guard let (subflow, room) = schedule(now: now, wanted: available) else { return }
      let length = segmentLength(available: available, waiting: waiting, room: room, subflow)
      guard length > 0 else { return }
      let ahead = reservation(behind: length, of: available, on: subflow, now: now)
      let sent = transmit(at: sendNext, count: length, ahead: ahead, on: subflow, isReinjection: false, now: now)
      guard sent > 0 else { return }
      sendNext += sent
      if scheduler.kind == .roundRobin {
        let segment = subflow.fullPayloadByteCount
        scheduler.turns.sent((sent + segment - 1) / segment, by: subflow.id)
      }
    }
  }

  /// One segment of new data on `subflow` beyond its congestion window, if there is some and the peer has room for it:
  /// a probe (RFC 8985 §7.3). True if it went.
  func sendOneSegment(on subflow: Subflow, now: Instant) -> Bool {
    guard phase == .open, subflow.acceptsData, !subflow.isStalled, subflow.lostByteCount == 0,
      subflow.sentSegments.count < Limits.sentSegments
    else { return false }
    if subflow.reservedByteCount > 0 { return sendReserved(on: subflow, isProbe: true, now: now) }
    guard sendNext < dataEnd else { return false }
    if scheduler.kind == .redundant { return sendOneRedundantSegment(on: subflow, now: now) }
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
  func segmentLength(available: Int, waiting: Int, room: Int, _ subflow: Subflow) -> Int {
    let mss = subflow.fullPayloadByteCount
    var limit = burstLimit(subflow, segment: mss)
    // The keys of the third ACK ride on this segment: a one-shot option, so no super-segment.
    if carriesKeysOnData, sendNext == firstMappedOffset { limit = mss - 4 }
    // CWR stands on one segment (RFC 3168 §6.1.2); without it the peer goes on echoing.
    if subflow.announcesWindowReduction { limit = min(limit, mss) }
    if let probe = subflow.dueMTUProbe(available: min(available, room), now: endpoint.now) {
      subflow.mtuProbe?.range = subflow.sendNext..<(subflow.sendNext + probe)
      return probe
    }
    var length = min(available, min(room, limit))
    // Requirement 9293-3.9.1-05
    if length < waiting, length > mss { length = length / mss * mss }
    // Requirement 9293-3.9.1-04
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

  /// Declares a mapping for `count` octets at data offset `offset` on `subflow` and sends them. It covers up to `ahead`
  /// octets more, which follow as the subflow has room. Gives what is mapped, which may be less: a mapping holds at
  /// most two runs of the send buffer.
  func transmit(
    at offset: Int, count: Int, ahead: Int = 0, on subflow: Subflow, isReinjection: Bool, now: Instant
  ) -> Int {
    var (head, tail) = sendBuffer.slices(at: offset - 1, upTo: count + ahead)
    var length = head.count + (tail?.count ?? 0)
    guard length > 0 else { return 0 }
    if length > count, length < count + ahead {
      // No crumb at the end of what two runs hold.
      let bare = subflow.barePayloadByteCount
      length = count + (length - count) / bare * bare
      (head, tail) = sendBuffer.slices(at: offset - 1, upTo: length)
    }
    let start = subflow.sendNext
    // A probe that the send buffer cannot give in two runs is none.
    if let probe = subflow.mtuProbe?.range, probe.lowerBound == start, probe.count != length {
      subflow.mtuProbe?.range = nil
    }
    let isLast = offset + length == dataEnd && finishRequested
    let first = firstMappedOffset
    // Requirement 8684-3.1-23
    let isImplied = carriesKeysOnData && offset == first && subflow.isInitial && start == first
    var mapping = SentMapping(
      subflowOffset: start, dataOffset: offset, count: length, first: head, second: tail, checksum: nil,
      hasDataFin: isLast && isMultipath && !isImplied && length < 65_535, isImplied: isImplied)
    if mapsData, usesChecksum {
      var sum = DSSChecksum()
      sum.add(head.bytes)
      if let tail { sum.add(tail.bytes) }
      mapping.checksum = sum.value(
        dsn: sendDataNumber(offset), subflowSequenceNumber: subflow.mappingNumber(start),
        length: UInt16(clamping: length + (mapping.hasDataFin ? 1 : 0)))
    }
    if mapping.hasDataFin { advance(.endSent) }
    subflow.sentMappings.append(mapping)
    if isReinjection {
      isLinear = false
      subflow.reinjectedByteCount += length
      endpoint.statistics.reinjectedByteCount += length
    }
    // The FIN of plain TCP rides on the last data.
    send(min(length, count), of: mapping, on: subflow, mayEnd: isLast, now: now)
    return length
  }

  /// Sends the next `length` octets of `mapping`, the last that `subflow` has declared.
  func send(_ length: Int, of mapping: SentMapping, on subflow: Subflow, mayEnd: Bool = false, now: Instant) {
    let start = subflow.sendNext
    subflow.sentSegments.append(SentSegment(start: start, end: start + length, sentAt: now))
    subflow.sendNext = start + length
    subflow.inFlightByteCount += length
    subflow.sentByteCount += length
    if subflow.unacknowledgedSince == .distantFuture { subflow.unacknowledgedSince = now }
    if subflow.samplesDelivery { subflow.noteTransmission(length, now: now) }
    subflow.notePace(length, now: now)
    if subflow.recovery.phase == .fast { subflow.recovery.reduction.sent(length) }
    let carriesFin = isFallback && mayEnd && subflow.isOpen && subflow.beginFin(now: now)
    if carriesFin { advance(.endSent) }
    // Requirement 9293-3.9.1-03
    subflow.emitData(
      mapping, range: start..<(start + length), push: mapping.dataOffset(of: start + length) == dataEnd,
      fin: carriesFin, isRetransmission: false, now: now)
    // Requirement 6298-5-01
    if subflow.retransmitDeadline == .distantFuture {
      subflow.retransmitDeadline = now + subflow.roundTrip.retransmissionTimeout
    }
    subflow.armProbe(now: now)
  }

  // MARK: The end of the data (RFC 8684 §3.3.3)

  /// Requirement 8684-3.3.3-02
  private func sendEnd(now: Instant) {
    // Requirement 9293-3.6-01
    guard finishRequested, sendNext == dataEnd else { return }
    if isFallback {
      // After a SYN whose data was taken, not before the third ACK.
      for subflow in subflows where subflow.acceptsData && subflow.isOpen && subflow.reservedByteCount == 0 {
        subflow.requestFin(now: now)
        advance(.endSent)
      }
      return
    }
    guard isConfirmed || (dataEnd == firstMappedOffset && hasSentKeys) else { return }
    if !isDataFinSent || resendsDataFin, !isDataFinAcknowledged, let carrier = carrierForControl() {
      advance(.endSent)
      resendsDataFin = false
      dataFinCarrier = carrier.id
      carrier.mustAcknowledge = true
    }
    // RFC 8684 §3.3.3 has the subflows closed once a DATA_FIN is acknowledged, and appendix D does so when ours is. We
    // wait for the peer's as well, as Linux does: what it still sends needs subflows that can be replaced when a path
    // fails, and nobody joins a connection that closes its subflows; and a half-closed one lives shorter in a
    // middlebox.
    // Requirement 8684-3.3.3-09, 8684-3.3.3-10, 8684-3.3.3-07
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
  /// Requirement 8684-3.3.3-04
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
