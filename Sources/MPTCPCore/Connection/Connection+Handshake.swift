import MPTCPPolicy
import MPTCPWire

// MP_CAPABLE and MP_JOIN (RFC 8684 §3.1, §3.2), and falling back at the handshake (§3.7).
extension Connection {
  // MARK: Options that we send

  /// What the SYN or SYN/ACK of `subflow` carries.
  func handshakeOption(for subflow: Subflow) -> MultipathOption? {
    if let join = subflow.join {
      if subflow.isInitiator {
        return .join(
          .syn(
            backup: join.isBackup, addressID: subflow.localAddressID, token: remoteToken, nonce: join.localNonce))
      }
      let hmac = joinHMAC(of: .local, subflow, join)
      return .join(
        .synAck(
          backup: join.isBackup, addressID: subflow.localAddressID, hmac: hmac.left64, nonce: join.localNonce))
    }
    guard multipath == .offered, answersWithCapable else { return nil }
    return .capable(
      MPCapable(
        version: 1, flags: capableFlags(isAnswer: !isInitiator), senderKey: isInitiator ? nil : localKey,
        receiverKey: nil, dataLength: nil, checksum: nil))
  }

  /// What the third ACK carries, and every pure ACK after it until the peer proves that it got one.
  func thirdAcknowledgmentOption(for subflow: Subflow) -> MultipathOption? {
    if let join = subflow.join {
      guard subflow.isInitiator, !subflow.isFullyEstablished else { return nil }
      return .join(.ack(hmac: joinHMAC(of: .local, subflow, join).left160))
    }
    // The acknowledgement that carries a DATA_FIN has no room for the keys.
    guard isInitiator, multipath == .keyed, subflow.isInitial, dataFinCarrier != subflow.id else { return nil }
    if !hasSentKeys {
      hasSentKeys = true
      // A DATA_FIN may have waited for them.
      markDirty()
    }
    return .capable(
      MPCapable(
        version: 1, flags: capableFlags(isAnswer: true), senderKey: localKey, receiverKey: remoteKey, dataLength: nil,
        checksum: nil))
  }

  /// MP_CAPABLE with the data fields in place of a DSS, on the initiator's first data (RFC 8684 §3.1).
  /// Requirement 8684-3.1-11, 8684-3.1-25, 8684-3.1-26
  func capableWithData(_ mapping: SentMapping) -> MultipathOption {
    .capable(
      MPCapable(
        version: 1, flags: capableFlags(isAnswer: true), senderKey: localKey, receiverKey: remoteKey,
        dataLength: UInt16(clamping: mapping.count), checksum: mapping.checksum))
  }

  private func capableFlags(isAnswer: Bool) -> MPCapableFlags {
    var flags: MPCapableFlags = [.hmac]
    if isAnswer ? usesChecksum || options.checksum : options.checksum { flags.insert(.checksumRequired) }
    if options.refusesJoinsToInitialAddress { flags.insert(.noMoreSubflows) }
    return flags
  }

  private enum Side {
    case local
    case remote
  }

  /// The HMAC that `side` has to send on `subflow`: its own key and nonce come first (RFC 8684 §3.2).
  /// Requirement 8684-3.2-20
  private func joinHMAC(of side: Side, _ subflow: Subflow, _ join: JoinState) -> JoinHMAC {
    switch side {
    case .local:
      JoinAuthentication.joinHMAC(
        version: .v1, senderKey: localKey, receiverKey: remoteKey, senderNonce: join.localNonce,
        receiverNonce: join.remoteNonce)
    case .remote:
      JoinAuthentication.joinHMAC(
        version: .v1, senderKey: remoteKey, receiverKey: localKey, senderNonce: join.remoteNonce,
        receiverNonce: join.localNonce)
    }
  }

  // MARK: As initiator

  /// The SYN/ACK is here; `subflow` is established as far as TCP goes.
  func synAcknowledged(_ segment: Segment, on subflow: Subflow, now: Instant) {
    if subflow.join != nil {
      joinAnswered(segment, on: subflow, now: now)
      return
    }
    subflow.isFullyEstablished = true
    sendWindowEdge = 1 + Int(segment.header.window)
    if multipath == .offered { takeCapableAnswer(segment.options.multipath.capable, now: now) }
    if isFallback { subflow.lastSentDataAck = -1 }
    phase = .open
    emit(.established(isMultipath: isMultipath))
    emit(.subflowEstablished(subflow.description))
    markDirty()
  }

  private func takeCapableAnswer(_ capable: MPCapable?, now: Instant) {
    guard let capable else {
      fallBack(.peerWithoutMultipath, now: now)
      return
    }
    // Flag B received as 1 means an extension that we do not know: ignore the option. So it is without H.
    guard capable.version == 1, let key = capable.senderKey, !capable.flags.contains(.extensibility),
      capable.flags.contains(.hmac)
    else {
      fallBack(.unacceptableCapability, now: now)
      return
    }
    usesChecksum = options.checksum || capable.flags.contains(.checksumRequired)
    peerRefusesInitialAddress = capable.flags.contains(.noMoreSubflows)
    learnRemoteKey(key)
    multipath = .keyed
  }

  private func learnRemoteKey(_ key: Key) {
    remoteKey = key
    (remoteToken, remoteInitialNumber) = key.derived(.v1)
    if !peerRefusesInitialAddress {
      remoteAddresses = [RemoteAddress(id: .initial, address: initialTuple.remote)]
    }
  }

  private func joinAnswered(_ segment: Segment, on subflow: Subflow, now: Instant) {
    guard var join = subflow.join else { return }
    guard case .synAck(let backup, let addressID, let hmac, let nonce)? = segment.options.multipath.join else {
      // RFC 8684 §3.2: a SYN/ACK without MP_JOIN closes this subflow, never the connection.
      // Requirement 8684-3.2-28, 8684-3.2-29
      resetSubflow(subflow, reason: .mptcpSpecific, isTransient: false, now: now, as: .refused)
      return
    }
    join.remoteNonce = nonce
    guard joinHMAC(of: .remote, subflow, join).left64 == hmac else {
      endpoint.statistics.badJoinAuthentications += 1
      resetSubflow(subflow, reason: .mptcpSpecific, isTransient: false, now: now, as: .refused)
      return
    }
    subflow.join = join
    // The third ACK makes it a subflow for the peer.
    isLinear = false
    subflow.isPeerBackup = backup
    if subflow.remoteAddressID == .initial, addressID != .initial { subflow.remoteAddressID = addressID }
    // No data before the fourth ACK; the third is sent again until then (RFC 8684 §3.2).
    // Requirement 8684-3.2-17, 8684-3.2-18
    subflow.retransmitDeadline = now + subflow.roundTrip.retransmissionTimeout
  }

  /// The fourth ACK, or anything else that the peer sent after the third, is here.
  func joinConfirmed(_ subflow: Subflow, now: Instant) {
    subflow.isFullyEstablished = true
    subflow.consecutiveTimeouts = 0
    // The timer was that of the third ACK; a FIN that left meanwhile needs one of its own.
    subflow.rearmRetransmission(now: now)
    joined(subflow, now: now)
    markDirty()
  }

  /// Another subflow works; what waited for one is said on it.
  private func joined(_ subflow: Subflow, now: Instant) {
    isLinear = false
    orphanDeadline = .distantFuture
    endpoint.statistics.joins += 1
    // The application may have thought again since the SYN.
    if let join = subflow.join, join.isBackup != subflow.isBackup {
      queue(.priority(MPPriority(backup: subflow.isBackup)), on: subflow)
    }
    let waiting = waitingOptions
    waitingOptions = []
    for option in waiting { queue(option, on: subflow) }
    // Whoever joins an address has heard of it.
    for index in announcements.indices where announcements[index].address == subflow.tuple.local.address {
      announcements[index].isEchoed = true
    }
    resumeAnnouncements(now: now)
    emit(.subflowEstablished(subflow.description))
    consult(.subflowEstablished(subflow.id), now: now)
  }

  /// SYNs go unanswered: after two, the option may be what is in the way (RFC 8684 §3.9.3).
  /// Requirement 8684-3.1-53, 8684-3.1-54
  func willRetransmitSyn(_ subflow: Subflow) {
    guard subflow.isInitial, isInitiator, multipath == .offered, subflow.synRetransmissions > 2 else { return }
    fallBack(.synsLost, now: endpoint.now)
  }

  func acceptsSimultaneousOpen(_ segment: Segment, on subflow: Subflow) -> Bool {
    guard subflow.join == nil else { return false }
    // RFC 8684 §3.1 knows one initiator and one listener; where both initiate, TCP is what works.
    if multipath == .offered { fallBack(.peerWithoutMultipath, now: endpoint.now) }
    return true
  }

  // MARK: As listener

  /// Looks at the MP_CAPABLE of a SYN.
  func takeCapableOffer(_ capable: MPCapable?) {
    guard multipath == .offered else { return }
    guard let capable, isAcceptable(offer: capable) else {
      multipath = .fellBack(capable == nil ? .peerWithoutMultipath : .unacceptableCapability)
      return
    }
    usesChecksum = options.checksum || capable.flags.contains(.checksumRequired)
    peerRefusesInitialAddress = capable.flags.contains(.noMoreSubflows)
  }

  private func isAcceptable(offer capable: MPCapable) -> Bool {
    capable.version >= 1 && capable.senderKey == nil && !capable.flags.contains(.extensibility)
      && capable.flags.contains(.hmac)
  }

  /// The SYN again. A peer that leaves MP_CAPABLE out by now gets an answer without (RFC 8684 §3.1): something on the way
  /// may drop packets with it. The third ACK decides, for an earlier answer may be on its way.
  /// Requirement 8684-3.1-51
  func synRepeated(_ segment: Segment, on subflow: Subflow) {
    if subflow.isInitial { answersWithCapable = segment.options.multipath.capable.map(isAcceptable(offer:)) ?? false }
  }

  /// The third ACK of `subflow`; false if it must not open it.
  func acceptsThirdAcknowledgment(_ segment: Segment, on subflow: Subflow, now: Instant) -> Bool {
    if let join = subflow.join {
      guard !subflow.isInitiator else { return true }
      guard case .ack(let hmac)? = segment.options.multipath.join else {
        // Nor does data overtake it: that may not leave before our fourth ACK (RFC 8684 §3.2).
        resetSubflow(subflow, reason: .mptcpSpecific, isTransient: false, now: now, as: .refused)
        return false
      }
      guard joinHMAC(of: .remote, subflow, join).left160 == hmac else {
        endpoint.statistics.badJoinAuthentications += 1
        resetSubflow(subflow, reason: .mptcpSpecific, isTransient: false, now: now, as: .refused)
        return false
      }
      return true
    }
    guard multipath == .offered else { return true }
    guard let capable = segment.options.multipath.capable, let theirs = capable.senderKey,
      capable.receiverKey == localKey, capable.version == 1
    else {
      // A DSS without the keys: the third ACK was lost or overtaken, and will be repeated for our SYN/ACK. But a peer that
      // sends its first octet again and maps it in the ordinary way has no keys to send any more: so does Linux when its
      // DATA_FIN is out.
      if let dss = segment.options.multipath.dss {
        let isFirstData = dss.mapping?.subflowSequenceNumber == 1 && !segment.payload.isEmpty
        if subflow.synRetransmissions < (isFirstData ? 1 : 2) { return false }
      }
      // RFC 8684 §3.1: the third ACK decides.
      // Requirement 8684-3.1-52
      fallBack(.optionMissingOnThirdAck, now: now)
      return true
    }
    guard capable.flags.contains(.checksumRequired) == usesChecksum else {
      // Something changed what the SYNs agreed on (RFC 8684 §3.1).
      // Requirement 8684-3.1-31, 8684-3.1-45
      fallBack(.unacceptableCapability, now: now)
      return true
    }
    learnRemoteKey(theirs)
    multipath = .confirmed
    return true
  }

  /// A subflow in SYN-RECEIVED has its third ACK: a passive one, or one of a simultaneous open.
  func subflowOpened(_ subflow: Subflow, now: Instant) {
    if !subflow.isInitiator { endpoint.halfOpenCount -= 1 }
    subflow.isFullyEstablished = true
    if subflow.join != nil {
      guard phase == .open else {
        resetSubflow(subflow, reason: .administrativelyProhibited, isTransient: false, now: now)
        return
      }
      // The fourth ACK, at once.
      subflow.mustAcknowledge = true
      joined(subflow, now: now)
    } else {
      phase = .open
      endpoint.enterBacklog(self)
      emit(.established(isMultipath: isMultipath))
      emit(.subflowEstablished(subflow.description))
      if isConfirmed { consult(.established, now: now) }
    }
    markDirty()
  }
}
