import MPTCPPolicy
import MPTCPWire

// Everything that a subflow sends goes through `emit`: one place packs the options, fills the window and the
// acknowledgement, and hands the packet to the endpoint.
extension Subflow {
  /// What a segment carries besides acknowledgement and window.
  struct Payload {
    var offset: Int
    var first: ByteSlice
    var second: ByteSlice?
    var count: Int
  }

  // MARK: Segments

  /// SYN or SYN/ACK (RFC 9293 §3.5, RFC 8684 §3.1 and §3.2).
  /// Requirement 8684-3.1-01, 8684-3.2-02, 9293-3.7.1-01, 9293-3.7.1-03, 8684-A-01
  func emitSyn(now: Instant, fastOpen: FastOpenOffer? = nil) {
    var options = TCPOptionBlock()
    let isAnswer = state == .synReceived
    // Requirement 9293-3.7.1-06
    _ = options.append(.maximumSegmentSize(UInt16(clamping: announcedMaximumSegmentByteCount)))
    // Requirement 2018-2-01
    if !isAnswer || isSackPermitted { _ = options.append(.sackPermitted) }
    // Requirement 7323-3-07, 7323-3-08
    if !isAnswer || usesTimestamps {
      _ = options.append(
        .timestamps(TCPTimestamps(value: timestamp(now), echo: isAnswer ? recentTimestamp : 0)))
    }
    // Requirement 7323-2-07
    if !isAnswer || sendsWindowShift { _ = options.append(.windowScale(receiveWindowShift)) }
    if let option = connection.handshakeOption(for: self) { _ = options.append(.multipath(option)) }
    let payload = fastOpen.flatMap { packFastOpen($0, isAnswer: isAnswer, &options) }
    var flags: TCPFlags = isAnswer ? [.syn, .ack] : [.syn]
    // Requirement 3168-6.1-01, 3168-6.1.1-04
    if isAnswer ? usesECN : (connection.options.explicitCongestionNotification && synRetransmissions == 0) {
      flags.formUnion(isAnswer ? [.ece] : [.ece, .cwr])
    }
    // The window of a SYN is never scaled (RFC 7323 §2.2).
    // Requirement 7323-2-03
    let window = UInt16(clamping: connection.receiveWindow(for: self))
    receiveWindowEdge = receiveNext + Int(window)
    sendNext = max(sendNext, 1)
    // What of a plain TCP window the field of a SYN cannot say rides on the first acknowledgement of data.
    if connection.isFallback { lastSentDataWindowEdge = connection.receiveWindowEdge }
    // Requirement 3168-6.1.1-05
    send(offset: 0, flags: flags, window: window, options: options, payload: payload, segmentByteCount: 0, now: now)
  }

  /// The Fast Open option, on the first SYN or SYN/ACK alone (RFC 7413 §4.2), and the data that goes with it. A
  /// listener's cookie is cut to what MP_CAPABLE leaves; where a SYN has no room for one, there is no Fast Open.
  /// Requirement 8684-B.1-01, 8684-B.1-02
  private func packFastOpen(_ offer: FastOpenOffer, isAnswer: Bool, _ options: inout TCPOptionBlock) -> Payload? {
    guard isAnswer else {
      guard options.append(.fastOpen(offer.cookie)) else { return nil }
      return connection.dataOnSyn(offer, optionByteCount: options.byteCount, on: self)
    }
    if !options.append(.fastOpen(offer.cookie)) {
      _ = options.append(.fastOpen(offer.cookie.prefix(FastOpenCookies.shortByteCount)))
    }
    return nil
  }

  /// An acknowledgement without data. Pending one-shot options ride on it, each segment with as many as fit.
  /// Requirement 8684-3-02
  func emitAcknowledgment(now: Instant) {
    // RFC 8684 §3 wants no run of more than two duplicate ACKs that carry nothing but options.
    var left = 2
    var hadOptions = false
    repeat {
      var options = baseOptions(now: now)
      hadOptions = !pendingOptions.isEmpty
      if let fastClose = connection.fastCloseToSend {
        _ = options.append(.multipath(fastClose))
      } else if connection.isMultipath || connection.failureToSignal != nil || !pendingOptions.isEmpty {
        packAcknowledgment(&options)
      }
      // Requirement 2018-4-01
      _ = packSack(&options)
      emit(offset: sendNext, flags: [.ack], options: options, payload: nil, segmentByteCount: 0, now: now)
      left -= 1
      // An option that took the room of a DATA_ACK has it follow at once: nothing else would say it.
      hadOptions = hadOptions && connection.isMultipath && connection.receiveNext != lastSentDataAck
    } while left > 0 && (hadOptions || !pendingOptions.isEmpty) && maySendOptions
    // The rest follows a round trip later.
    if !pendingOptions.isEmpty, maySendOptions {
      optionsHeldUntil = now + max(roundTrip.smoothed ?? .zero, .milliseconds(10))
      acknowledgmentDeadline = min(acknowledgmentDeadline, optionsHeldUntil)
      endpoint.reschedule(self)
    }
  }

  /// The FIN, alone.
  func emitFin(now: Instant) {
    var options = baseOptions(now: now)
    if connection.isMultipath { packDataAck(&options, isForced: true) }
    emit(
      offset: sentFinOffset ?? sendNext, flags: [.ack, .fin], options: options, payload: nil, segmentByteCount: 0,
      now: now)
  }

  /// Data of one mapping, or a part of it (a retransmission may cut anew; no segment crosses a mapping's end).
  func emitData(
    _ mapping: SentMapping, range: Range<Int>, push: Bool, fin: Bool, isRetransmission: Bool, now: Instant
  ) {
    lastDataSentAt = now
    var options = baseOptions(now: now)
    let isProbe = mtuProbe?.range == range
    let isBare =
      range.count > fullPayloadByteCount && !isProbe
      && payloadByteCount(at: range.lowerBound, of: mapping) > fullPayloadByteCount
    if !isBare, connection.mapsData || declaresInfiniteMapping(mapping) {
      let isTight = range.count > fullPayloadByteCount && range.count <= fullPayloadByteCount + 4
      packMapping(mapping, withDataAck: !isTight, &options)
      if firstDataAckEnd == .max, !isTight, !isRetransmission, connection.hasReceivedMappedData {
        firstDataAckEnd = range.upperBound
      }
    }
    // SACK takes what room the data leaves in its segment (RFC 6691).
    let spare = payloadByteCount(optionByteCount: options.byteCount) - range.count
    let tellsHoles = !connection.mapsData && spare >= 12 && packSack(&options, within: spare)
    let (first, second) = mapping.bytes(range)
    var flags: TCPFlags = [.ack]
    if push { flags.insert(.psh) }
    if fin { flags.insert(.fin) }
    let segment = isProbe ? range.count : payloadByteCount(optionByteCount: options.byteCount)
    // Requirement 3168-6.1-05
    emit(
      offset: range.lowerBound, flags: flags, options: options,
      payload: Payload(offset: range.lowerBound, first: first, second: second, count: range.count),
      segmentByteCount: range.count > segment ? segment : 0, isECNCapable: usesECN && !isRetransmission,
      tellsHoles: tellsHoles, now: now)
  }

  /// A segment that the peer must answer with an acknowledgement: one octet before the window (RFC 9293 §3.8.4). It
  /// carries no data, and like all such segments no ECN-capable codepoint.
  /// Requirement 9293-3.8.4-07, 3168-6.1-06
  func emitProbe(now: Instant) {
    // The peer drops it before it looks at its options: nothing that is said once rides on it, and nothing counts as
    // said.
    let due = (isNow: mustAcknowledge, deadline: acknowledgmentDeadline, byteCount: unacknowledgedReceivedByteCount)
    var options = baseOptions(now: now)
    if connection.isMultipath {
      if let option = connection.thirdAcknowledgmentOption(for: self) {
        _ = options.append(.multipath(option))
      } else if let acknowledgment = connection.dataAck() {
        _ = options.append(.multipath(.dss(DSS(dataFin: false, dataAck: acknowledgment, mapping: nil))))
      }
    }
    emit(
      offset: sendUnacknowledged - 1, flags: [.ack], options: options, payload: nil, segmentByteCount: 0, now: now)
    (mustAcknowledge, acknowledgmentDeadline, unacknowledgedReceivedByteCount) = due
  }

  /// RST that ends this subflow; `reason` travels in MP_TCPRST (RFC 8684 §3.6), which version 0 does not have.
  /// Requirement 8684-3.6-01
  func emitReset(reason: ResetReason?, isTransient: Bool, with extra: MultipathOption? = nil, now: Instant) {
    // Requirement 7323-3-04
    var options = baseOptions(now: now)
    if let extra { _ = options.append(.multipath(extra)) }
    // Requirement 6824-3.2-03, 6824-8-01
    if let reason, connection.version == .v1, connection.mayUseMultipathOptions || join != nil {
      _ = options.append(.multipath(.reset(MPTCPReset(transient: isTransient, reason: reason))))
    }
    endpoint.statistics.sentResets += 1
    let isAnswerless = state == .synSent
    send(
      offset: isAnswerless ? 1 : sendNext, flags: isAnswerless ? [.rst] : [.rst, .ack], window: 0, options: options,
      payload: nil, segmentByteCount: 0, now: now)
  }

  /// Whether one-shot options may leave: until the peer proves that it has our key, the keys take their place in each
  /// acknowledgement.
  var maySendOptions: Bool {
    isFullyEstablished && connection.multipath != .keyed && connection.multipath != .early
  }

  // MARK: Packing of options, in order of precedence
  //
  // Forty octets (RFC 8684 appendix A), packed without padding between them. In this order, each where there is room:
  //   SYN:      segment size 4, SACK permitted 2, timestamps 10, window scale 3, then MP_CAPABLE (4, 12) or MP_JOIN
  //             (12, 16): at most 35; then a Fast Open cookie (2 to 18), 8 on a SYN/ACK with MP_CAPABLE.
  //   any other segment:
  //   1. timestamps, 10 (RFC 7323 §3.2: on every segment);
  //   2. MP_FASTCLOSE while its answer is awaited (§3.5), 12, and then nothing else of Multipath TCP;
  //   3. the third ACK's MP_CAPABLE (20, with data 24) or MP_JOIN (24), until the peer proves that it has it;
  //   4. on data its mapping with the DATA_ACK, at most 28; on an ACK a DATA_FIN alone, the same;
  //   5. on pure ACKs MP_FAIL (12), or one option that is said once, ADD_ADDR being the longest (30: just fits);
  //   6. the DATA_ACK alone, 8 or 12; what 5. leaves no room for follows on an ACK of its own at once;
  //   7. SACK with what is left.

  /// Requirement 2018-2-01, 9293-3.7.1-06
  private func baseOptions(now: Instant) -> TCPOptionBlock {
    var options = TCPOptionBlock()
    // Requirement 7323-3-01
    if usesTimestamps {
      _ = options.append(.timestamps(TCPTimestamps(value: timestamp(now), echo: recentTimestamp)))
    }
    return options
  }

  /// The first data after the fallback, and its repetitions.
  private func declaresInfiniteMapping(_ mapping: SentMapping) -> Bool {
    guard connection.infiniteMappingStart != nil else { return false }
    return connection.infiniteMappingCarrier == nil || connection.infiniteMappingCarrier == mapping.subflowOffset
  }

  /// Requirement 8684-A-02
  private func packMapping(_ mapping: SentMapping, withDataAck: Bool, _ options: inout TCPOptionBlock) {
    if let start = connection.infiniteMappingStart, declaresInfiniteMapping(mapping) {
      // RFC 8684 §3.7: length 0, checksum 0, to the end.
      // Requirement 8684-3.3.1-27, 8684-3.7-09
      let infinite = DSSMapping(
        dsn: .eight(connection.sendDataNumber(start).rawValue),
        subflowSequenceNumber: mappingNumber(start), length: 0,
        checksum: connection.usesChecksum ? 0 : nil)
      _ = options.append(.multipath(.dss(DSS(dataFin: false, dataAck: nil, mapping: infinite))))
      connection.infiniteMappingCarrier = mapping.subflowOffset
      return
    }
    // Requirement 8684-3.1-23, 8684-A-03
    if mapping.isImplied && !connection.isConfirmed {
      _ = options.append(.multipath(connection.capableWithData(mapping)))
      noteWindowSent()
      return
    }
    // Requirement 8684-3.3.1-21
    let wire = DSSMapping(
      dsn: .eight(connection.sendDataNumber(mapping.dataOffset).rawValue),
      subflowSequenceNumber: mappingNumber(mapping.subflowOffset),
      length: UInt16(clamping: mapping.count + mapping.withheldByteCount + (mapping.hasDataFin ? 1 : 0)),
      checksum: mapping.checksum)
    // Requirement 8684-3.3.2-09
    let dss = DSS(dataFin: mapping.hasDataFin, dataAck: withDataAck ? connection.dataAck() : nil, mapping: wire)
    if options.append(.multipath(.dss(dss))), dss.dataAck != nil { noteDataAckSent() }
  }

  private func packAcknowledgment(_ options: inout TCPOptionBlock) {
    // Requirement 8684-A-03
    if let option = connection.thirdAcknowledgmentOption(for: self) {
      _ = options.append(.multipath(option))
      noteWindowSent()
      return
    }
    // On a subflow whose join is not confirmed nothing else may go out.
    if let dataFin = connection.standaloneDataFin(for: self) {
      if options.append(.multipath(.dss(dataFin))) {
        noteDataAckSent()
        return
      }
    }
    if let failure = connection.failureToSignal {
      _ = options.append(.multipath(.fail(failure)))
      return
    }
    // Requirement 8684-A-05
    if let option = pendingOptions.first {
      // Each fits beside timestamps: ADD_ADDR for IPv6 with a port, the largest, takes all of the 30 octets.
      _ = options.append(.multipath(option))
      pendingOptions.removeFirst()
    }
    let isSackCrowded = isSackPermitted && sackRangeCount >= 2
    packDataAck(&options, isForced: !isSackCrowded || !hasStatedDataAck)
  }

  /// The DATA_ACK alone. Where SACK blocks compete for the room it is left out if it says nothing new
  /// (RFC 8684 §3.3.2).
  /// Requirement 8684-3.3.2-10, 8684-3.3.2-09
  private func packDataAck(_ options: inout TCPOptionBlock, isForced: Bool) {
    guard isForced || owesDataAck, let ack = connection.dataAck() else { return }
    if options.append(.multipath(.dss(DSS(dataFin: false, dataAck: ack, mapping: nil)))) { noteDataAckSent() }
  }

  /// A peer that sees the first of our segments without a DSS, those before it being lost or late, takes it that there
  /// are none and falls back (RFC 8684 §3.7). So many are not lost together.
  /// Requirement 8684-A-04
  private static let firstDataAckCount: UInt8 = 16

  /// Whether so many have gone out here.
  var hasStatedDataAck: Bool { statedDataAckCount >= Self.firstDataAckCount }

  /// Whether a DATA_ACK or its window says more than the last that went out here.
  var owesDataAck: Bool {
    connection.receiveNext != lastSentDataAck || connection.receiveWindowEdge != lastSentDataWindowEdge
  }

  private func noteDataAckSent() {
    lastSentDataAck = connection.receiveNext
    if statedDataAckCount < .max { statedDataAckCount += 1 }
    noteWindowSent()
  }

  /// Until there is a DATA_ACK, the window counts from the beginning of the data: it need not be said once more.
  private func noteWindowSent() { lastSentDataWindowEdge = connection.receiveWindowEdge }

  private var sackRangeCount: Int {
    reassembly.intervalCount + (duplicateRange == nil ? 0 : 1) + (loneFinOffset == nil ? 0 : 1)
  }

  /// Where the peer's FIN stands, when it came ahead of a gap and no bytes stand right before it.
  private var loneFinOffset: Int? {
    guard let finOffset, finOffset > receiveNext, reassembly.end != finOffset else { return nil }
    return finOffset
  }

  /// SACK blocks, the most recent first, a DSACK before all (RFC 2018 §4, RFC 2883 §4).
  /// True if there was room for one.
  private func packSack(_ options: inout TCPOptionBlock, within spare: Int = 40) -> Bool {
    guard isSackPermitted, sackRangeCount > 0 else { return false }
    // Requirement 2018-3-01
    let room = min((min(options.remaining, spare) - 4) / 8, 4)
    guard room > 0 else { return false }
    var blocks = SACKBlocks()
    // Above RCV.NXT a repetition is none without the block around it, which then says more alone.
    // Requirement 2883-4-01
    if let duplicate = duplicateRange, room > 1 || duplicate.upperBound <= receiveNext {
      _ = blocks.append(sackBlock(duplicate))
    }
    // Requirement 2883-4-01
    duplicateRange = nil
    // Requirement 2018-4-02
    let recent = reassembly.recentRanges()
    var next = 0
    // The block that the last segment lies in; right behind a repetition that is how it is known for one
    // (RFC 2018 §4, RFC 2883 §4.1.3).
    // Requirement 2883-4-02
    if blocks.count < room, recent.count > 0, blocks.count > 0 || !isFinLatest || loneFinOffset == nil {
      _ = blocks.append(sackBlock(recent[0]))
      next = 1
    }
    // The FIN has a number of its own, and a sender wants to know that only what is before it is missing.
    if let fin = loneFinOffset, blocks.count < room { _ = blocks.append(sackBlock(fin..<(fin + 1))) }
    // Requirement 2018-4-03
    for index in next..<max(recent.count, next) where blocks.count < room {
      _ = blocks.append(sackBlock(recent[index]))
    }
    return blocks.count > 0 && options.append(.sack(blocks))
  }

  /// Requirement 2018-3-02
  private func sackBlock(_ range: Range<Int>) -> SACKBlock {
    let end = range.upperBound == finOffset ? range.upperBound + 1 : range.upperBound
    return SACKBlock(left: receiveSequenceNumber(range.lowerBound), right: receiveSequenceNumber(end))
  }

  /// New data after a silence of more than a time-out: the window that the path bore then says little now
  /// (RFC 5681 §4.1).
  /// Requirement 5681-4.1-01
  func restartAfterIdle(now: Instant) {
    guard sentSegments.isEmpty, let sentAt = lastDataSentAt else { return }
    let timeout = roundTrip.retransmissionTimeout
    guard now - sentAt > timeout else { return }
    lastDataSentAt = now
    connection.congestion.restartAfterIdle(windowSlot, idle: now - sentAt, retransmissionTimeout: timeout, at: now)
  }

  // MARK: Output

  /// Sends a segment of the synchronized states: it acknowledges everything received so far.
  private func emit(
    offset: Int, flags: TCPFlags, options: TCPOptionBlock, payload: Payload?, segmentByteCount: Int,
    isECNCapable: Bool = false, tellsHoles: Bool = false, now: Instant
  ) {
    var flags = flags
    if usesECN {
      // Requirement 3168-6.1-02
      if echoesCongestion { flags.insert(.ece) }
      // On the first new data, and on one wire packet of it (RFC 3168 §6.1.2); retransmissions are not ECN-capable.
      // Requirement 3168-6.1-04, 3168-6.1.2-02, 3168-6.1.2-03
      if announcesWindowReduction, isECNCapable, segmentByteCount == 0 {
        flags.insert(.cwr)
        announcesWindowReduction = false
      }
    }
    // Rounded down: an octet beyond the connection's own edge could not be kept. What was promised before counts on
    // (RFC 7323 §2.4).
    let field = UInt16(clamping: connection.receiveWindow(for: self) >> Int(receiveWindowShift))
    // Requirement 7323-2-06
    receiveWindowEdge = max(receiveWindowEdge, receiveNext + Int(field) << Int(receiveWindowShift))
    // For plain TCP every window counts; for Multipath TCP only one that a DATA_ACK accompanies (RFC 8684 §3.3.4).
    if !connection.isMultipath { lastSentDataWindowEdge = connection.receiveWindowEdge }
    // Data that leaves no room for SACK blocks tells a peer nothing of the holes: a segment without data follows
    // (RFC 2018 §4, RFC 5681 §4.2).
    // Requirement 2018-4-01
    mustAcknowledge = mustAcknowledge && (payload != nil || flags.contains(.fin)) && !tellsHoles && sackRangeCount > 0
    unacknowledgedReceivedByteCount = 0
    acknowledgmentDeadline = .distantFuture
    send(
      offset: offset, flags: flags, window: field, options: options, payload: payload,
      segmentByteCount: segmentByteCount, isECNCapable: isECNCapable, now: now)
  }

  private func send(
    offset: Int, flags: TCPFlags, window: UInt16, options: TCPOptionBlock, payload: Payload?, segmentByteCount: Int,
    isECNCapable: Bool = false, now: Instant
  ) {
    if flags.contains(.ack) { lastSentAcknowledgment = receiveNext }
    let header = TCPHeader(
      sourcePort: tuple.local.port, destinationPort: tuple.remote.port, sequenceNumber: sequenceNumber(offset),
      acknowledgmentNumber: flags.contains(.ack) ? receiveSequenceNumber(receiveNext) : SequenceNumber(0),
      flags: flags, window: window)
    // Requirement 3168-6.1-05, 3168-6.1.2-01
    endpoint.output(
      header: header, options: options, from: tuple.local.address, to: tuple.remote.address, on: path,
      first: payload?.first, second: payload?.second, segmentByteCount: segmentByteCount,
      trafficClass: connection.options.differentiatedServicesCodePoint << 2 | (isECNCapable ? 2 : 0),
      hopLimit: max(connection.options.hopLimit, 1), now: now)
  }
}
