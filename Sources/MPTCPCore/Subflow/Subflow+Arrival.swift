import MPTCPPolicy
import MPTCPWire

// What an arriving segment does: the order of RFC 9293 §3.10.7, with the checks of RFC 5961 and RFC 7323 §5.3, and
// Multipath TCP's signals believed only after TCP's own checks (RFC 8684 §5).
extension Subflow {
  /// Takes a segment in. Answers wait for the endpoint's next output pass.
  func arrive(_ segment: Segment, now: Instant) {
    if connection.dataState == .fastCloseWait {
      arriveInFastCloseWait(segment, now: now)
      return
    }
    switch state {
    case .synSent: arriveInSynSent(segment, now: now)
    case .synReceived, .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck, .timeWait:
      arriveSynchronized(segment, now: now)
    case .closed: break
    }
  }

  // MARK: SYN-SENT (RFC 9293 §3.10.7.3)

  /// Requirement 9293-3.10.7-02
  private func arriveInSynSent(_ segment: Segment, now: Instant) {
    let flags = segment.flags
    // Of data on the SYN the peer may have taken all, a part or nothing (RFC 7413 §4.2.2).
    let acknowledgment = segment.header.acknowledgmentNumber - sequenceNumber(0)
    // Requirement 9293-3.5-03
    if flags.contains(.ack), !acknowledgeableOfSyn.contains(acknowledgment) {
      // Requirement 9293-3.5.2-03
      if !flags.contains(.rst) { endpoint.reset(answering: segment, now: now) }
      return
    }
    // Requirement 9293-3.5.3-02
    if flags.contains(.rst) {
      if flags.contains(.ack) { connection.subflowReset(self, by: segment, now: now) }
      return
    }
    // A crossing SYN that opens nothing leaves nothing behind: the answer to ours may still come.
    guard flags.contains(.syn), flags.contains(.ack) || connection.acceptsSimultaneousOpen(segment, on: self) else {
      return
    }
    initialReceiveSequenceNumber = segment.header.sequenceNumber
    receiveNext = 1
    takeSynOptions(segment, now: now)
    if flags.contains(.ack) {
      sendUnacknowledged = acknowledgment
      sendWindowEdge = acknowledgment + Int(segment.header.window)
      sendWindowUpdateSequence = 0
      sendWindowUpdateAcknowledgment = acknowledgment
      connection.synDataAcknowledged(acknowledgment - 1, by: segment, on: self, now: now)
      largestSendWindow = Int(segment.header.window)
      // Requirement 3168-6.1.1-02, 3168-6.1.1-06
      usesECN =
        connection.options.explicitCongestionNotification && synRetransmissions == 0 && flags.contains(.ece)
        && !flags.contains(.cwr)
      sampleHandshake(echo: segment.options.timestamps?.echo, now: now)
      becomeEstablished(now: now)
      connection.synAcknowledged(segment, on: self, now: now)
      // The third ACK leaves at once; where data is waiting, the first data carries the keys instead. In version 0 it
      // has left already.
      // Requirement 8684-3.1-24
      if !isInitial || !connection.hasSentKeys { mustAcknowledge = true }
    } else {
      // Simultaneous open (RFC 9293 §3.5, figure 8).
      // Requirement 9293-3.5-01
      state = .synReceived
      sendWindowEdge = Int(segment.header.window)
      emitSyn(now: now)
    }
    connection.markDirty()
  }

  /// The options that only a SYN negotiates (RFC 9293 §3.7.1, RFC 7323 §2.2 and §3.2, RFC 2018 §2).
  /// Requirement 7323-2-01, 7323-2-02, 2018-2-02
  func takeSynOptions(_ segment: Segment, now: Instant) {
    let options = segment.options
    // Requirement 9293-3.7.1-04
    peerMaximumSegmentByteCount = max(
      Int(options.maximumSegmentSize ?? segment.defaultMaximumSegmentSize), Limits.leastSegmentByteCount)
    if let shift = options.windowScale {
      // Requirement 7323-2-04
      sendWindowShift = min(shift, 14)
      sendsWindowShift = true
    } else {
      sendWindowShift = 0
      receiveWindowShift = 0
      sendsWindowShift = false
    }
    isSackPermitted = options.sackPermitted
    if let timestamps = options.timestamps {
      usesTimestamps = true
      recentTimestamp = timestamps.value
      recentTimestampAt = now
    }
    lastReceivedAt = now
  }

  /// Requirement 7323-3-03
  func sampleHandshake(echo: UInt32?, now: Instant) {
    if synRetransmissions == 0 {
      if synSentAt != .distantFuture { roundTrip.sample(now - synSentAt, at: now) }
    } else {
      // Which SYN was answered only a timestamp tells, in milliseconds.
      let age = echo.map { timestamp(now) &- $0 }
      if usesTimestamps, let age, Nanoseconds.milliseconds(Int64(age)) <= now - synSentAt {
        roundTrip.sample(.milliseconds(Int64(age) + 1), at: now)
      } else {
        // Requirement 6298-5-04
        roundTrip.distrustInitialTimeout()
      }
    }
    roundTrip.resetBackOff()
    retransmitDeadline = .distantFuture
  }

  func becomeEstablished(now: Instant) {
    state = .established
    // Behind a SYN whose data was taken there may be data out already, which is given up like any other.
    unacknowledgedSince = sentSegments.isEmpty ? .distantFuture : now
    rearmRetransmission(now: now)
    consecutiveTimeouts = 0
    lastReceivedAt = now
    // The window began with our own segment size; the first flight is counted in the one that both can do. Behind a SYN
    // whose data was taken it may be out already.
    if sentSegments.isEmpty {
      connection.congestion.begin(windowSlot, maximumSegmentByteCount: maximumSegmentByteCount)
    }
    // Requirement 5681-3.1-07
    if synRetransmissions > 1 {
      // The path lost more than one SYN (RFC 5681 §3.1, RFC 6928 §2).
      connection.congestion.setWindow(windowSlot, byteCount: maximumSegmentByteCount)
    }
    if let keepAlive = connection.options.keepAlive { keepAliveDeadline = now + keepAlive }
  }

  // MARK: All other states (RFC 9293 §3.10.7.4)

  private func arriveSynchronized(_ segment: Segment, now: Instant) {
    let flags = segment.flags
    let start = receiveOffset(segment.header.sequenceNumber)
    let length = segment.payload.count + (flags.contains(.fin) ? 1 : 0) + (flags.contains(.syn) ? 1 : 0)

    if state == .synReceived, flags.contains(.syn), !flags.contains(.ack), start == 0 {
      // The SYN again: our SYN/ACK was lost.
      if !isInitiator {
        // A plain one says that the network may not carry the marks of the other (RFC 3168 §6.1.1).
        // Requirement 3168-6.1.1-03
        if !flags.contains([.ece, .cwr]) { usesECN = false }
        connection.synRepeated(segment, on: self)
        emitSyn(now: now)
      }
      return
    }
    // PAWS (RFC 7323 §5.3). A segment without timestamps is let through: peers leave them out where the option space
    // is needed for ADD_ADDR.
    // Requirement 7323-5-01, 7323-5-02, 7323-3-02, 7323-3-05, 7323-5-06, 7323-5-07
    let hasOldTimestamp = isOlderThanRecent(segment.options.timestamps, now: now)
    if hasOldTimestamp, !flags.contains(.rst) {
      // Without data it is answered as a challenge is: where both ends find each other's segments old, each answer is
      // the other's next reason for one. A SYN may be anybody's.
      if length > 0, !flags.contains(.syn) { acknowledgeSoon() } else { endpoint.challenge(self, now: now) }
      return
    }
    if state == .synReceived, isInitiator, flags.contains([.syn, .ack]), start == 0 {
      // The answer in a simultaneous open: its SYN is known, its acknowledgement opens (RFC 9293 §3.5, figure 8).
      guard !flags.contains(.rst), arriveAcknowledgmentOfSyn(segment, now: now) else { return }
      sendWindowEdge = max(sendWindowEdge, 1 + Int(segment.header.window))
      acknowledgeSoon()
      return
    }
    // Requirement 8684-3-05, 9293-3.10.7-03, 8684-3.4.1-01, 8684-3.4.2-09
    guard isAcceptable(start: start, length: length) else {
      // A window that is closed refuses what a RST carries, not the RST (RFC 9293 §3.10.7.4, MUST-66).
      // Requirement 9293-3.10.7-04, 9293-3.5.3-01
      if flags.contains(.rst) {
        if start == receiveNext { arriveReset(segment, start: start, now: now) }
      } else {
        answerUnacceptable(segment, start: start, length: length, now: now)
      }
      return
    }
    if flags.contains(.rst) {
      arriveReset(segment, start: start, now: now)
      return
    }
    if flags.contains(.syn) {
      // RFC 5961 §4.2.
      // Requirement 5961-4-01
      endpoint.challenge(self, now: now)
      return
    }
    // Requirement 9293-3.10.7-09
    guard flags.contains(.ack) else { return }
    // A keep-alive or a window probe without data wants an answer (RFC 9293 §3.8.4).
    // Requirement 9293-3.8.6.1-05
    if length == 0, start < receiveNext { acknowledgeSoon() }
    lastReceivedAt = now
    unansweredKeepAlives = 0
    if state == .synReceived {
      guard arriveAcknowledgmentOfSyn(segment, now: now) else { return }
    }
    if removalDeadline != .distantFuture { removalDeadline = .distantFuture }
    // Requirement 8684-3-05, 8684-3.4.1-01, 8684-3.4.2-09
    switch processAcknowledgment(segment, now: now) {
    case .unacceptable:
      endpoint.challenge(self, now: now)
      return
    case .acceptable: break
    }
    // Not before: the timestamp of a segment that is dropped could make all that the peer says look old.
    // Requirement 7323-4-02, 7323-5-08
    if let timestamps = segment.options.timestamps, usesTimestamps, start <= lastSentAcknowledgment, !hasOldTimestamp {
      recentTimestamp = timestamps.value
      recentTimestampAt = now
    }
    // Requirement 3168-6.1-02, 3168-6.1.5-01
    if usesECN {
      if segment.congestionExperienced { echoesCongestion = true }
      if flags.contains(.cwr) { echoesCongestion = segment.congestionExperienced }
    }
    connection.arrived(segment, on: self, start: start, now: now)
    // What the options said may have ended the subflow, or the connection.
    guard state != .closed else { return }
    // What lies beyond the window is cut off, and the FIN behind it (RFC 9293 §3.10.7.4): both come again.
    let isFinInside = start + segment.payload.count <= acceptanceEdge
    if !segment.payload.isEmpty { takePayloadBeforeFin(segment, start: start, now: now) }
    guard state != .closed else { return }
    if flags.contains(.fin) {
      if isFinInside { noteFin(at: start + segment.payload.count) }
      // Ahead of a gap it is acknowledged at once like any segment (RFC 5681 §4.2).
      acknowledgeSoon()
    }
    takeFin(now: now)
    advanceClosing(now: now)
    // Requirement 9293-3.8.4-03
    if keepAliveDeadline != .distantFuture, let keepAlive = connection.options.keepAlive {
      keepAliveDeadline = now + keepAlive
    }
    connection.markDirty()
  }

  /// Whether TS.Recent proves a segment to be old. After 24 days without a newer value it proves nothing, and the next
  /// one takes its place (RFC 7323 §5.5).
  /// Requirement 7323-5-03, 7323-3-06
  private func isOlderThanRecent(_ timestamps: TCPTimestamps?, now: Instant) -> Bool {
    guard usesTimestamps, let timestamps else { return false }
    return Int32(bitPattern: timestamps.value &- recentTimestamp) < 0
      && now - recentTimestampAt < .seconds(24 * 24 * 3600)
  }

  /// RFC 9293 §3.10.7.4, seventh check: nothing follows a FIN, be it taken already or waiting for what is before it.
  private func takePayloadBeforeFin(_ segment: Segment, start: Int, now: Instant) {
    switch state {
    // Requirement 9293-3.6-01
    case .established, .finWait1, .finWait2: break
    case .closeWait, .closing, .lastAck, .timeWait, .synSent, .synReceived, .closed:
      acknowledgeSoon()
      return
    }
    guard let finOffset, start + segment.payload.count > finOffset else {
      takePayload(segment, start: start, now: now)
      return
    }
    var cut = segment
    cut.payload = segment.payload.prefix(max(finOffset - start, 0))
    acknowledgeSoon()
    if !cut.payload.isEmpty { takePayload(cut, start: start, now: now) }
  }

  /// Up to where data is taken. The window belongs to the connection (RFC 8684 §3.3.4): a peer may use on this subflow
  /// what another advertised, as Linux does, and then it is not told by the edge that this subflow advertised itself.
  var acceptanceEdge: Int {
    let own = max(receiveWindowEdge, receiveNext)
    guard connection.isMultipath else { return own }
    let shared = max(connection.receiveWindowEdge - connection.receiveNext, 0) + connection.receiveLimit
    return max(own, receiveNext + shared)
  }

  /// RFC 9293 §3.10.7.4, first check. The window is what was advertised, even if the connection's has filled since.
  /// Requirement 9293-3.4-02
  func isAcceptable(start: Int, length: Int) -> Bool {
    let edge = acceptanceEdge
    // Requirement 9293-3.10.7-04
    if length == 0 { return start >= receiveNext - 1 && start <= edge }
    return start < max(edge, receiveNext + 1) && start + length > receiveNext
      && (edge > receiveNext || start < receiveNext)
  }

  /// Requirement 9293-3.10.7-03
  private func answerUnacceptable(_ segment: Segment, start: Int, length: Int, now: Instant) {
    // Requirement 9293-3.5-04
    let isSynAgain = segment.flags.contains([.syn, .ack]) && start == 0
    if length > 0, start + length <= receiveNext, isSynAgain || !segment.flags.contains(.syn) {
      // All of it came before: say so (RFC 2883 §4.1), its acknowledgement may have been lost.
      if isSackPermitted, !segment.payload.isEmpty {
        duplicateRange = start..<(start + segment.payload.count)
      }
      acknowledgeSoon()
      // A repetition may bring the only copy of an acknowledgement. It is believed where the segment is what this peer
      // may honestly repeat; anything older could be anybody's guess (RFC 5961 §5).
      // Requirement 5961-5-01, 8684-3-05, 9293-3.10.7-03
      guard segment.flags.contains(.ack), start >= receiveNext - max(connection.receiveLimit, 65_535),
        !usesTimestamps || segment.options.timestamps != nil
      else { return }
      takeAcknowledgmentAlone(segment, start: start, now: now)
      return
    }
    // Requirement 9293-3.10.7-04
    if receiveWindowEdge <= receiveNext, acceptanceEdge == receiveNext, segment.flags.contains(.ack),
      !segment.flags.contains(.syn), (receiveNext...receiveNext + 1).contains(start)
    {
      // No data is acceptable while our window is closed, but acknowledgements are: a probe of the window, and what
      // its sender says once it counts the probe's octet as sent. A mark counts as well (RFC 3168 §6.1.6): who sent it
      // knew the number.
      // Requirement 3168-6.1.6-01
      if usesECN, segment.congestionExperienced { echoesCongestion = true }
      takeAcknowledgmentAlone(segment, start: start, now: now)
    }
    guard state != .closed else { return }
    // Requirement 9293-3.8.6.1-05
    if length > 0, !segment.flags.contains(.syn) {
      // Data beyond the window, a probe of it among others, hears what the window is.
      acknowledgeSoon()
      return
    }
    endpoint.challenge(self, now: now)
  }

  /// The acknowledgement and the window of a segment whose data is not taken.
  private func takeAcknowledgmentAlone(_ segment: Segment, start: Int, now: Instant) {
    guard state != .synReceived else { return }
    lastReceivedAt = now
    unansweredKeepAlives = 0
    guard case .acceptable = processAcknowledgment(segment, now: now) else { return }
    connection.arrivedDuplicate(segment, on: self, start: start, now: now)
    guard state != .closed else { return }
    advanceClosing(now: now)
    connection.markDirty()
  }

  /// Requirement 9293-3.10.7-08
  func acknowledgeSoon() {
    mustAcknowledge = true
    connection.markDirty()
  }

  /// RFC 5961 §3.2: only the exact next number resets; elsewhere in the window it gets a challenge.
  /// Requirement 5961-3-01, 5961-3-02, 5961-3-03
  private func arriveReset(_ segment: Segment, start: Int, now: Instant) {
    guard start >= receiveNext else { return }
    guard start == receiveNext else {
      endpoint.challenge(self, now: now)
      return
    }
    connection.subflowReset(self, by: segment, now: now)
  }

  /// The third ACK (RFC 9293 §3.10.7.4, fifth check; RFC 8684 §3.1 and §3.2).
  private func arriveAcknowledgmentOfSyn(_ segment: Segment, now: Instant) -> Bool {
    let acknowledgment = sendOffset(segment.header.acknowledgmentNumber)
    // Requirement 9293-3.5.2-03
    guard acknowledgment >= 1, acknowledgment <= max(sendNext, acknowledgeableOfSyn.upperBound) else {
      endpoint.reset(answering: segment, now: now)
      return false
    }
    guard connection.acceptsThirdAcknowledgment(segment, on: self, now: now) else { return false }
    // In a simultaneous open the data of our SYN may have been taken too.
    if isInitiator { connection.synDataAcknowledged(acknowledgment - 1, by: segment, on: self, now: now) }
    sampleHandshake(echo: segment.options.timestamps?.echo, now: now)
    sendUnacknowledged = max(sendUnacknowledged, 1)
    sendWindowUpdateSequence = 0
    becomeEstablished(now: now)
    connection.subflowOpened(self, now: now)
    return true
  }

  // MARK: Closing (RFC 9293 §3.6)

  private func noteFin(at offset: Int) {
    if finOffset == nil { finOffset = offset }
    isFinLatest = true
  }

  /// The peer's FIN counts when everything before it is here.
  /// Requirement 9293-3.6-03
  private func takeFin(now: Instant) {
    guard let finOffset, receiveNext == finOffset else { return }
    receiveNext += 1
    acknowledgeSoon()
    switch state {
    case .synReceived, .established: state = .closeWait
    // Requirement 9293-3.6-02
    case .finWait1: state = isFinAcknowledged ? .timeWait : .closing
    case .finWait2: state = .timeWait
    case .closeWait, .closing, .lastAck, .timeWait, .synSent, .closed: break
    }
    connection.subflowFinished(self, now: now)
  }

  var isFinAcknowledged: Bool { isFinSent && sendUnacknowledged >= sendNext }

  private func advanceClosing(now: Instant) {
    guard isFinAcknowledged else { return }
    switch state {
    case .finWait1: state = .finWait2
    // Requirement 9293-3.6-02
    case .closing: state = .timeWait
    case .synSent, .synReceived, .established, .finWait2, .closeWait, .lastAck, .timeWait, .closed: break
    }
    if state == .finWait2 { connection.subflowHalfClosed(self, now: now) }
    if state == .timeWait || state == .lastAck { connection.subflowDone(self, now: now) }
  }

  /// Sends the FIN. What this subflow was to carry and has not sent goes over others.
  func requestFin(now: Instant) {
    guard beginFin(now: now) else { return }
    emitFin(now: now)
    rearmRetransmission(now: now)
  }

  /// Gives the FIN its number; true if it has to be sent, on a segment of data or alone.
  func beginFin(now: Instant) -> Bool {
    guard !isFinRequested else { return false }
    connection.releaseReservation(of: self)
    isFinRequested = true
    switch state {
    case .established: state = .finWait1
    case .closeWait: state = .lastAck
    case .synSent, .synReceived, .finWait1, .finWait2, .closing, .lastAck, .timeWait, .closed: return false
    }
    isFinSent = true
    sentSegments.append(SentSegment(start: sendNext, end: sendNext + 1, sentAt: now, isFin: true))
    sendNext += 1
    inFlightByteCount += 1
    if unacknowledgedSince == .distantFuture { unacknowledgedSince = now }
    return true
  }
}
