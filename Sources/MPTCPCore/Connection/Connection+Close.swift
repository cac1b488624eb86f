import MPTCPPolicy
import MPTCPWire

// Ends: half-close, close, abort, fallback, MP_FAIL.
extension Connection {
  /// Whether the FIN of `subflow` may go with the last segment of `mapping`: together with a DATA_FIN it may only while
  /// no other subflow has data outstanding (RFC 8684 §3.3.3).
  /// Requirement 8684-3.3.3-07
  func mayFinish(with mapping: SentMapping, on subflow: Subflow) -> Bool {
    guard mapping.hasDataFin, !isDataFinAcknowledged else { return true }
    return !subflows.contains { $0 !== subflow && !$0.sentMappings.isEmpty }
  }

  // MARK: The application's side

  /// Requirement 8684-3.3.3-02
  func finish(now: Instant) {
    guard !finishRequested else { return }
    finishRequested = true
    markDirty()
  }

  /// The application is done with both directions.
  /// Requirement 9293-3.6.1-01
  func release(now: Instant) {
    guard !isReleased else { return }
    if phase == .closed, subflows.isEmpty {
      // Over already, whatever was read of it.
      isReleased = true
      endpoint.forget(self)
      return
    }
    if phase == .opening || !receiveQueue.isEmpty {
      isReleased = true
      abort(reason: .aborted, now: now)
      return
    }
    finish(now: now)
    isReleased = true
    dataProgressAt = now
    lingerDeadline = now + (isDataFinAcknowledged ? Self.lingerTime : options.userTimeout)
    endpoint.reschedule(self)
    markDirty()
  }

  /// How long the peer may hold its direction open for nobody.
  private static let lingerTime = Nanoseconds.seconds(60)

  /// All that we had to say has arrived.
  /// Requirement 8684-D-01
  func noteEndAcknowledged() {
    guard !isDataFinAcknowledged else { return }
    advance(.endSent)
    advance(.endAcknowledged)
    if isReleased, phase == .open {
      lingerDeadline = endpoint.now + Self.lingerTime
      endpoint.reschedule(self)
    }
  }

  /// The application is gone, and its time is up; but what it wrote is sent for as long as it gets on (RFC 9293
  /// §3.9.1.4).
  func lingerDeadlinePassed(now: Instant) {
    lingerDeadline = .distantFuture
    guard phase != .closed else { return }
    let patience = dataProgressAt + options.userTimeout
    if !isDataFinAcknowledged, patience > now {
      lingerDeadline = patience
    } else {
      abort(reason: .timedOut, now: now)
    }
  }

  /// Ends everything at once: RST on each subflow, with MP_FASTCLOSE where it speaks it (RFC 8684 §3.5, option R), or
  /// MP_FASTCLOSE on an ACK of one subflow (option A), the only form of version 0 (RFC 6824 §3.5).
  /// Requirement 8684-3.5-06, 8684-3.5-14
  func abort(reason: CloseReason, form: FastCloseForm = .reset, now: Instant) {
    guard phase != .closed || !subflows.isEmpty, dataState != .fastCloseWait else { return }
    // Requirement 6824-3.5-01
    if form == .acknowledged || version == .v0, let carrier = fastCloseCarrier {
      waitForFastClose(on: carrier, reason: reason, now: now)
      return
    }
    let fastClose: MultipathOption? =
      isMultipath && version != .v0 ? .fastClose(MPFastClose(receiverKey: remoteKey)) : nil
    var doubtful: [Subflow] = []
    for subflow in subflows where subflow.state != .closed && subflow.state != .synSent {
      subflow.emitReset(reason: nil, isTransient: false, with: fastClose, now: now)
      if fastClose != nil, subflow.isSynchronized, subflow.sendUnacknowledged < subflow.sendNext {
        doubtful.append(subflow)
      }
    }
    end(reason, now: now)
    for subflow in doubtful { endpoint.rememberFastClose(subflow, key: remoteKey, now: now) }
  }

  /// Both directions are done: subflows close, and the application is told.
  func checkFinished(now: Instant) {
    // Closed once both DATA_FINs are DATA_ACKed (RFC 8684 §3.3.3).
    // Requirement 8684-3.3-05
    guard phase == .open, isDataFinAcknowledged, isRemoteFinished else { return }
    phase = .closed
    closeReason = .finished
    stopTimers()
    reinjections.removeAll()
    emit(.closed(.finished))
    for subflow in subflows {
      if subflow.isSynchronized {
        if subflow.isStalled, !subflow.sentMappings.isEmpty {
          // What it still holds arrived elsewhere, and nobody waits for it any more (RFC 8684 §3.3.3).
          // Requirement 8684-3.3.3-12, 8684-3.3.2-08, 6824-3.3.3-01
          resetSubflow(subflow, reason: .tooMuchOutstandingData, isTransient: false, now: now, as: .connectionClosed)
          continue
        }
        subflow.requestFin(now: now)
        subflow.closeDeadline = now + .seconds(10)
        endpoint.reschedule(subflow)
      } else {
        resetSubflow(subflow, reason: .administrativelyProhibited, isTransient: false, now: now, as: .connectionClosed)
      }
    }
    if subflows.isEmpty {
      advance(.subflowsClosed)
      endpoint.forget(self)
    }
    markDirty()
  }

  /// Over, for this reason; nothing more is sent, but what MP_FASTCLOSE takes on the subflow that is left, if one is.
  func end(_ reason: CloseReason, leaving carrier: Subflow? = nil, now: Instant) {
    let wasOpen = phase != .closed
    phase = .closed
    advance(carrier == nil ? .aborted : .fastCloseSent)
    if closeReason == nil { closeReason = reason }
    stopTimers()
    for subflow in subflows where subflow !== carrier { drop(subflow, reason: .connectionClosed, now: now) }
    if wasOpen {
      wantsReadable = false
      // Requirement 9293-3.5.3-03
      emit(.closed(reason))
    }
    sendBuffer = SendBuffer()
    reassembly = ReassemblyQueue()
    reinjections.removeAll()
    endpoint.forget(self)
  }

  // MARK: Fallback (RFC 8684 §3.7)

  /// Plain TCP from here on, for good.
  func fallBack(_ reason: FallbackReason, now: Instant) {
    // Requirement 8684-3.7-28
    guard !isFallback else { return }
    let wasSpeaking = isMultipath
    let wasEarly = multipath == .early
    multipath = .fellBack(reason)
    endpoint.statistics.fallbacks += 1
    // Requirement 8684-3.7-28
    endpoint.retireToken(of: self)
    announcements.removeAll()
    waitingOptions.removeAll()
    // Requirement 8684-3.4.1-07
    remoteAddresses.removeAll()
    reinjections.removeAll()
    reassembly = ReassemblyQueue()
    policyDeadline = .distantFuture
    announceDeadline = .distantFuture
    dataRetransmitDeadline = .distantFuture
    // The end of the data is the subflow's FIN now.
    if !isRemoteFinished { remoteFinOffset = nil }
    if wasSpeaking, phase == .open {
      // It acts back to where the peer is known to have everything. On the only subflow that ever was, offsets of the
      // data and of the subflow are the same.
      // Requirement 6824-3.6-03
      infiniteMappingStart = sendUnacknowledged
      emit(.fellBack(reason))
    } else if wasEarly {
      emit(.fellBack(reason))
    }
    guard let only = subflows.first(where: \.isFullyEstablished) ?? subflows.first else { return }
    // Joins that are under way have nothing to join any more.
    // Requirement 8684-3.7-27
    for other in subflows where other !== only {
      resetSubflow(other, reason: .mptcpSpecific, isTransient: false, now: now, as: .connectionClosed)
    }
    only.pendingOptions.removeAll()
    // From here on subflow acknowledgements free the send buffer (PROTOCOL: after an infinite mapping).
    if let first = only.sentMappings.first {
      dataAcknowledged(
        upTo: first.dataOffset + max(only.sendUnacknowledged - first.subflowOffset, 0), now: now)
    } else {
      dataAcknowledged(upTo: sendNext, now: now)
    }
    // Without a checksum to wait for, what was held goes on.
    only.releaseChecksumHold()
    only.deliverUnmapped(now: now)
    if only.state != .closed, only.hasTakenFin, remoteFinOffset == nil {
      // What the FIN did not end before, as its DATA_FIN was to come, it ends now.
      remoteFinOffset = receiveNext
      takeRemoteFin(now: now)
    }
    markDirty()
  }

  /// The peer declared that everything from here on is plain TCP.
  func takeInfiniteMapping(_ wire: DSSMapping, on subflow: Subflow, now: Instant) {
    // Requirement 8684-3.7-27
    guard canFallBack(on: subflow), let dataOffset = receiveDataOffset(wire.dsn) else {
      resetSubflow(subflow, reason: .mptcpSpecific, isTransient: false, now: now)
      return
    }
    let start = subflow.receivedOffset(wire.subflowSequenceNumber)
    // It may begin before what has arrived; it must not leave a hole, which plain TCP could never fill.
    let undelivered = subflow.dataReceiveNext - subflow.unmappedByteCount - subflow.checksumHold.byteCount
    guard dataOffset + (undelivered - start) <= receiveNext else {
      resetSubflow(subflow, reason: .mptcpSpecific, isTransient: false, now: now)
      return
    }
    linearReceive = (start, dataOffset)
    fallBack(.infiniteMapping, now: now)
  }

  /// A DSS checksum failed (RFC 8684 §3.7).
  /// Requirement 8684-3.7-12, 8684-3.7-13, 8684-3.7-18, 8684-3.7-21
  func checksumFailed(_ mapping: ReceivedMapping, on subflow: Subflow, now: Instant) {
    let fail = MPFail(dsn: receiveDataNumber(mapping.dataOffset).rawValue)
    // With another subflow to take over, or with streams that plain TCP could not continue. In the latter case §3.7
    // wants the next subflow put into single-path mode by an infinite mapping; but Linux resets a joined subflow that
    // brings one, and ordinary mappings, each under its checksum, lose nothing. So neither do we send one there nor
    // take one.
    // Requirement 8684-3.7-24
    guard canFallBack(on: subflow), mapping.dataOffset == mapping.subflowOffset, mapping.dataOffset <= receiveNext
    else {
      // What waits behind the failed data, and was not DATA_ACKed either, comes again with it. What other subflows at
      // work have brought passed checksums of its own.
      // Requirement 8684-3.7-22
      if isOnlySubflow(subflow) { reassembly = ReassemblyQueue() }
      resetSubflow(
        subflow, reason: .middleboxInterference, isTransient: true, now: now,
        as: .reset(ResetReasonCode(ResetReason.middleboxInterference.rawValue), isTransient: true), with: .fail(fail))
      return
    }
    // The only subflow: signal it, and take what follows as it comes. The sender answers with an infinite mapping.
    linearReceive = (mapping.subflowOffset, mapping.dataOffset)
    // Requirement 6824-3.6-03
    failureToSignal = fail
    fallBack(.checksumFailed, now: now)
    subflow.mustAcknowledge = true
  }

  /// MP_FAIL of the peer: its data ends here for the other subflows, and on the only one plain TCP begins. Nothing that
  /// was not DATA_ACKed counts as arrived: it goes over the next subflow.
  /// Requirement 8684-3.7-15
  func peerFailed(_ option: MPFail, on subflow: Subflow, now: Instant) {
    guard isMultipath, isOnlySubflow(subflow), subflow.isSynchronized else { return }
    // Only version 1 answers with another MP_FAIL (RFC 8684 §3.7; RFC 6824 §3.6 has the infinite mapping say it all).
    let answer = MultipathOption.fail(MPFail(dsn: receiveDataNumber(receiveNext).rawValue))
    // Requirement 8684-3.7-23
    guard canFallBack(on: subflow) else {
      // What is in flight would not make sense to plain TCP.
      resetSubflow(
        subflow, reason: .middleboxInterference, isTransient: true, now: now, with: version == .v1 ? answer : nil)
      return
    }
    // Requirement 8684-3.7-20
    fallBack(.peerSignalledFailure, now: now)
    // Requirement 8684-3.7-20
    if version == .v1 { subflow.pendingOptions = [answer] }
    subflow.mustAcknowledge = true
  }
}
