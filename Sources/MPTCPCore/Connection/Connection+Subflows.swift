import MPTCPPolicy
import MPTCPWire

// Subflows coming and going, and the policy that decides on them.
extension Connection {
  // MARK: The policy

  /// Tells the policy what happened and does what it says.
  func consult(_ event: PolicyEvent, now: Instant) {
    guard isConfirmed, phase == .open, !isReleased || !hasDeliveredEverything else { return }
    var commands: [PathCommand] = []
    policy.handle(event, in: policyView(now: now), commands: &commands)
    // A policy that asks for more than a connection may have is cut, not obeyed.
    for command in commands.prefix(64) { perform(command, now: now) }
  }

  /// Nothing of ours needs a further subflow any more. (A peer takes none once our DATA_FIN is there; Linux does not.)
  private var hasDeliveredEverything: Bool {
    isDataFinAcknowledged || (isDataFinSent && sendUnacknowledged == dataEnd && hasLivingSubflow)
  }

  private func policyView(now: Instant) -> PolicyView {
    PolicyView(
      now: now, isInitiator: isInitiator, localAddresses: localAddresses(), remoteAddresses: remoteAddresses,
      subflows: subflows.filter { $0.state != .closed && !$0.isFinRequested }.map(\.description),
      announced: announcements.map(\.id))
  }

  private func perform(_ command: PathCommand, now: Instant) {
    switch command {
    case .openSubflow(let local, let remote, let isBackup):
      guard maySpendJoin(now: now) else { return }
      _ = try? openSubflow(from: local, to: remote, isBackup: isBackup, now: now)
    case .closeSubflow(let id): if let subflow = subflow(id) { closeSubflow(subflow, now: now) }
    case .setBackup(let id, let isBackup): setBackup(id, isBackup)
    case .announce(let local, let port): announce(local, port: port, now: now)
    case .withdraw(let id): withdraw(id)
    case .wake(let instant): policyDeadline = min(policyDeadline, instant)
    }
    markDirty()
  }

  // MARK: Opening and closing

  /// Sends the SYN of a join.
  /// Requirement 8684-3.2-01
  func openSubflow(
    from local: LocalAddress, to remote: RemoteAddress, isBackup: Bool, now: Instant
  ) throws(EndpointError) -> SubflowID {
    // RFC 8684 §3.1: no join before a DSS, nor to where the peer's flag C forbids it.
    // Requirement 8684-3.1-32, 8684-3.1-37
    guard isConfirmed, hasReceivedDSS, phase == .open else { throw .notMultipath }
    guard !peerRefusesInitialAddress || remote.address != initialTuple.remote else { throw .refusedByPeer }
    guard local.leads(to: remote.address.address) else { throw .noRoute }
    guard subflows.count < endpoint.configuration.maximumSubflowCount else { throw .tooManyConnections }
    // Not the initial subflow's port, as RFC 8684 §3.9.1 would like it: a subflow that ended here may live on at the
    // peer, and a SYN of the same four numbers meets it there, which costs a time-out.
    // Requirement 8684-3.9.1-02, 8684-3.9.1-03
    guard let port = endpoint.freePort(local.address, to: remote.address, preferred: nil) else { throw .noFreePort }
    let tuple = FourTuple(local: TransportAddress(local.address, port), remote: remote.address)
    guard
      let subflow = endpoint.makeSubflow(
        of: self, tuple: tuple, path: local.path, isInitiator: true, isInitial: false, state: .synSent, now: now)
    else { throw .portInUse }
    takeBackRemoval(of: local.id)
    // Requirement 8684-3.2-04, 8684-5-03
    subflow.join = JoinState(localNonce: UInt32(truncatingIfNeeded: endpoint.random()), isBackup: isBackup)
    subflow.localAddressID = local.id
    subflow.remoteAddressID = remote.id
    subflow.isBackup = isBackup
    subflow.sendSyn(now: now)
    endpoint.reschedule(subflow)
    return subflow.id
  }

  /// Closes one subflow: FIN if another one carries on, else not at all (RFC 8684 §3.3.3).
  /// Requirement 8684-3.3.3-01, 8684-3.3.3-08, 8684-3.4.2-12
  func closeSubflow(_ subflow: Subflow, now: Instant) {
    guard subflow.isSynchronized else {
      resetSubflow(subflow, reason: .administrativelyProhibited, isTransient: true, now: now, as: .closedByPolicy)
      return
    }
    guard hasOtherUsableSubflow(than: subflow) else { return }
    subflow.closeReason = .closedByPolicy
    tellEnd(of: subflow, .closedByPolicy, now: now)
    // What it holds may take long to be acknowledged here: the others send it too.
    reinject(from: subflow)
    subflow.requestFin(now: now)
    subflow.closeDeadline = now + .seconds(10)
    endpoint.reschedule(subflow)
    markDirty()
  }

  func setBackup(_ id: SubflowID, _ isBackup: Bool) {
    guard let subflow = subflow(id), subflow.isBackup != isBackup else { return }
    subflow.isBackup = isBackup
    // During a join it is told once the join is through.
    guard subflow.isFullyEstablished else { return }
    // Version 0 can say it elsewhere, where all subflows of the address go the same way (RFC 6824 §3.3.8).
    let id = subflow.localAddressID
    if version == .v0, subflow.isStalled, let carrier = carrierForControl(), carrier !== subflow,
      subflows.allSatisfy({ $0.localAddressID != id || $0.isBackup == isBackup })
    {
      queue(.priority(MPPriority(backup: isBackup, addressID: id)), on: carrier)
    } else {
      queue(.priority(MPPriority(backup: isBackup)), on: subflow)
    }
  }

  /// The same for all subflows that use one of our addresses: an option each, or, in version 0, one that names the
  /// address.
  /// Requirement 6824-3.3.8-02
  func setBackup(_ id: AddressID, _ isBackup: Bool) {
    let affected = subflows.filter { $0.localAddressID == id }
    guard version == .v0, !affected.isEmpty, let carrier = carrierForControl() else {
      for subflow in affected { setBackup(subflow.id, isBackup) }
      return
    }
    for subflow in affected { subflow.isBackup = isBackup }
    queue(.priority(MPPriority(backup: isBackup, addressID: id)), on: carrier)
  }

  // MARK: Ends of subflows

  /// The peer sent RST.
  func subflowReset(_ subflow: Subflow, by segment: Segment, now: Instant) {
    let signals = segment.options.multipath
    // Requirement 8684-3.5-15
    if let fastClose = signals.fastClose, isMultipath, fastClose.receiverKey == localKey {
      takeFastClose(fastClose, resetting: subflow, now: now)
      return
    }
    // MP_FAIL on a RST says why this subflow ends, and nothing of the others (RFC 8684 §3.7).
    // Requirement 8684-3.7-17, 6824-8-01
    // Version 0 has no reasons (RFC 6824 §8), and believes none.
    let told = version == .v1 ? signals.reset : nil
    let reason = told.map { ResetReasonCode($0.reason.rawValue) }
    let wasTaken = fastOpen == .taken && !subflow.isSynchronized
    let wasHandshake = !subflow.isSynchronized && !wasTaken
    // A peer that refuses a join for good says why, and leaves flag T out (RFC 8684 §3.6). A bare RST may come from a
    // box on the way, for a while; code 0 says nothing either, and Linux sends it for lack of anything better.
    // Requirement 8684-3.6-02, 8684-3.6-05, 8684-3.6-07
    let isTransient = told.map { $0.transient || $0.reason.rawValue == 0 } ?? true
    let isRefusal = wasHandshake && (subflow.join == nil || !isTransient)
    // Reason 1 on a join means that the peer knows no such token: it has forgotten the connection (RFC 8684 §3.2,
    // §3.6). Anything else speaks of the subflow, and another may be let in.
    let isForgotten = isRefusal && subflow.join != nil && told?.reason == .mptcpSpecific
    drop(subflow, reason: isRefusal ? .refused : .resetByPeer(reason, isTransient: isTransient), now: now)
    if !wasHandshake { hastenDataRetransmission(now: now) }
    guard subflows.isEmpty else { return }
    if isForgotten, phase == .open {
      end(.resetByPeer, now: now)
    } else {
      // Requirement 9293-3.5.3-03
      lastSubflowGone(isRefusal ? .refused : .resetByPeer, now: now)
    }
  }

  /// Time-outs, refusals: nothing is sent any more.
  func subflowFailed(
    _ subflow: Subflow, reason: SubflowCloseReason, closing: CloseReason? = nil, now: Instant
  ) {
    guard subflow.state != .closed else { return }
    fastOpenUnanswered(subflow, now: now)
    let wasTaken = fastOpen == .taken && !subflow.isSynchronized
    // Its data is kept up to here, also what has been DATA_ACKed over others: until then its repetitions go on.
    // Requirement 8684-3.3.6-07, 8684-3.3.6-09, 8684-3.3.6-10
    if subflow.isSynchronized {
      // Requirement 6824-3.3.3-01
      subflow.emitReset(reason: .unacceptablePerformance, isTransient: true, now: now)
    }
    drop(subflow, reason: reason, now: now)
    guard subflows.isEmpty else { return }
    if let closing { return lastSubflowGone(closing, now: now) }
    switch reason {
    case .refused: lastSubflowGone(.refused, now: now)
    case .connectTimedOut: lastSubflowGone(wasTaken ? .timedOut : .connectTimedOut, now: now)
    default: lastSubflowGone(.timedOut, now: now)
    }
  }

  /// We send RST on one subflow, with a reason (RFC 8684 §3.6).
  /// Requirement 8684-3.6-01, 8684-3.6-04
  func resetSubflow(
    _ subflow: Subflow, reason: ResetReason, isTransient: Bool, now: Instant, as closeReason: SubflowCloseReason? = nil,
    with extra: MultipathOption? = nil
  ) {
    guard subflow.state != .closed else { return }
    subflow.emitReset(reason: reason, isTransient: isTransient, with: extra, now: now)
    drop(subflow, reason: closeReason ?? .reset(ResetReasonCode(reason.rawValue), isTransient: isTransient), now: now)
    if subflows.isEmpty { lastSubflowGone(.protocolError, now: now) }
  }

  /// A local path is gone.
  /// Requirement 8684-3.4.2-01
  func pathRemoved(_ path: PathID, now: Instant) {
    let gone = subflows.filter { $0.path == path }
    for subflow in gone { drop(subflow, reason: .pathRemoved, now: now) }
    withdrawAddresses(of: gone)
    if subflows.isEmpty, phase != .closed { lastSubflowGone(.noSubflows, now: now) }
    consult(.localPathsChanged, now: now)
  }

  func pathChanged(_ path: PathID, isUp: Bool, now: Instant) {
    for subflow in subflows where subflow.path == path && subflow.isSynchronized {
      if isUp {
        // It may work again: ask at once, with the time-out of a fresh path.
        subflow.roundTrip.resetBackOff()
        if !subflow.sentSegments.isEmpty {
          subflow.retransmitDeadline = now
        } else if subflow.isStalled {
          // Nothing is out whose acknowledgement could end the stall.
          subflow.recoverFromStall(now: now)
        }
        endpoint.reschedule(subflow)
      } else {
        subflow.noteStall(now: now)
      }
    }
    consult(.localPathsChanged, now: now)
    markDirty()
  }

  /// Takes a subflow out. What it held goes over the others.
  func drop(_ subflow: Subflow, reason: SubflowCloseReason, now: Instant) {
    guard subflow.state != .closed else { return }
    let reason = subflow.closeReason ?? reason
    if phase == .open, !subflow.sentMappings.isEmpty { reinject(from: subflow) }
    let wasOpening = subflow.state == .synReceived
    if wasOpening, !subflow.isInitiator { endpoint.halfOpenCount -= 1 }
    if wasOpening, subflow.isInitial, fastOpen == .taken {
      fastOpen = .none
      if case .resetByPeer = reason {
        endpoint.fastOpenEnded(self, byReset: true)
      } else {
        endpoint.fastOpenEnded(self)
      }
    }
    let description = subflow.description
    takeOut(subflow)
    if phase == .open, isMultipath { passOn(subflow.pendingOptions) }
    if (subflow.isFullyEstablished && !wasOpening) || subflow.isInitiator { emit(.subflowClosed(description, reason)) }
    if phase == .open, isMultipath { tellEnd(of: subflow, reason, now: now) }
    armOrphanTimeout(now: now)
    markDirty()
    if subflows.isEmpty, phase == .closed {
      advance(.subflowsClosed)
      endpoint.forget(self)
    }
  }

  /// Takes a subflow out, and tells nobody.
  func takeOut(_ subflow: Subflow) {
    notePending(-(subflow.reassembly.byteCount + subflow.unmappedByteCount + subflow.checksumHold.byteCount))
    subflow.state = .closed
    subflows.removeAll { $0 === subflow }
    if dataFinCarrier == subflow.id {
      dataFinCarrier = nil
      resendsDataFin = true
    }
    congestion.removeWindow(subflow.windowSlot)
    endpoint.release(subflow)
  }

  /// Tells the policy, once, that a subflow ended, or is about to: it would open closing ones anew.
  private func tellEnd(of subflow: Subflow, _ reason: SubflowCloseReason, now: Instant) {
    guard !subflow.isEndTold else { return }
    subflow.isEndTold = true
    consult(.subflowClosed(subflow.tuple, subflow.path, reason), now: now)
  }

  /// No subflow works, whatever attempts are under way: from here on the time counts.
  private func armOrphanTimeout(now: Instant) {
    guard isConfirmed, phase == .open, orphanDeadline == .distantFuture, !hasLivingSubflow else { return }
    // Requirement 8684-3.3.3-14
    orphanDeadline = now + options.breakBeforeMakeTimeout
    endpoint.reschedule(self)
  }

  /// Whether data may still come, or need not.
  var hasLivingSubflow: Bool {
    subflows.contains { $0.isFullyEstablished && (isRemoteFinished || $0.finOffset != $0.receiveNext - 1) }
  }

  /// No subflow has come that could bring the rest of the peer's data. One that the peer alone has ended may still
  /// carry ours, for as long as that gets on.
  func orphanDeadlinePassed(now: Instant) {
    orphanDeadline = .distantFuture
    guard !hasLivingSubflow, phase == .open else { return }
    let patience = dataProgressAt + options.breakBeforeMakeTimeout
    if patience > now, subflows.contains(where: \.acceptsData) {
      orphanDeadline = patience
    } else {
      abort(reason: .noSubflows, now: now)
    }
  }

  /// The last subflow ended while the connection was not done.
  /// Requirement 8684-3.3-05
  private func lastSubflowGone(_ reason: CloseReason, now: Instant) {
    switch phase {
    case .closed: endpoint.forget(self)
    case .opening: end(reason, now: now)
    case .open:
      if isDataFinAcknowledged, isRemoteFinished {
        checkFinished(now: now)
        return
      }
      // Before a DSS there is no join (RFC 8684 §3.1), in either direction.
      guard isConfirmed, hasReceivedDSS else {
        end(reason, now: now)
        return
      }
      // Break before make: the peer keeps the state too (RFC 8684 §3.3.3). Attempts that fail do not buy more time.
      // Requirement 8684-3.3.3-14, 8684-3.5-01, 8684-3.7-23
      if orphanDeadline == .distantFuture { orphanDeadline = now + options.breakBeforeMakeTimeout }
      endpoint.reschedule(self)
    }
  }

  // MARK: Stalls

  /// Whether the silence of one subflow is its path's and not the peer's: another one was heard since, or the silence
  /// is long and the others have nothing under way that could break it. A peer that is off its processor is silent
  /// everywhere, and soon back.
  func showsLife(besides silent: Subflow, now: Instant) -> Bool {
    guard silent.unacknowledgedSince != .distantFuture else { return false }
    let isLong = now - silent.unacknowledgedSince >= .milliseconds(100)
    // When an answer was due at the latest.
    let due = silent.unacknowledgedSince + (silent.roundTrip.smoothed ?? .milliseconds(100)) + .milliseconds(2)
    return subflows.contains {
      $0 !== silent && $0.acceptsData && !$0.isStalled
        && ($0.lastReceivedAt > due || ($0.sentSegments.isEmpty && isLong))
    }
  }

  /// Requirement 8684-3.3.6-06
  func subflowStalled(_ subflow: Subflow, now: Instant) {
    guard phase == .open else { return }
    emit(.pathStalled(subflow.id))
    if hasOtherUsableSubflow(than: subflow) { reinject(from: subflow) }
  }

  func subflowRecovered(_ subflow: Subflow, now: Instant) {
    emit(.pathRecovered(subflow.id))
    resumeAnnouncements(now: now)
    markDirty()
  }

  // MARK: FINs on subflows

  /// The peer's FIN on one subflow.
  func subflowFinished(_ subflow: Subflow, now: Instant) {
    // A peer that ends the only subflow and never sent a DSS does not know of Multipath TCP any more.
    if isMultipath, !hasReceivedDSS, canFallBack(on: subflow) { fallBack(.optionMissingOnData, now: now) }
    if isFallback {
      if remoteFinOffset == nil { remoteFinOffset = receiveNext }
      takeRemoteFin(now: now)
      return
    }
    // The peer sends no more data here. Ours follows when its data has gone elsewhere or the connection is done.
    if phase == .closed || (isRemoteFinished && isDataFinAcknowledged) || hasOtherUsableSubflow(than: subflow) {
      subflow.requestFin(now: now)
      if phase == .open { tellEnd(of: subflow, .finished, now: now) }
    }
    // Without a DATA_FIN the peer's data is not at its end; another subflow may bring the rest (RFC 8684 §3.3.3).
    armOrphanTimeout(now: now)
  }

  /// Our FIN is acknowledged, the peer's is not here.
  func subflowHalfClosed(_ subflow: Subflow, now: Instant) {
    if isFallback {
      noteEndAcknowledged()
      checkFinished(now: now)
    }
    if phase == .closed || !isFallback {
      // Whatever the peer still sends buys it no more time.
      subflow.closeDeadline = min(subflow.closeDeadline, now + .seconds(phase == .closed ? 10 : 60))
      endpoint.reschedule(subflow)
    }
  }

  /// Both FINs are through.
  func subflowDone(_ subflow: Subflow, now: Instant) {
    if isFallback || isEndLeftToFin {
      noteEndAcknowledged()
      checkFinished(now: now)
    }
    if subflow.state == .timeWait { endpoint.enterTimeWait(subflow, now: now) }
    drop(subflow, reason: .finished, now: now)
    if subflows.isEmpty { lastSubflowGone(.noSubflows, now: now) }
  }

  /// A subflow that was closing has had its time.
  func closeDeadlinePassed(_ subflow: Subflow, now: Instant) {
    resetSubflow(subflow, reason: .unspecified, isTransient: false, now: now, as: .finished)
  }
}
