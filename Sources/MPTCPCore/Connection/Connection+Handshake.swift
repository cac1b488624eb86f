import MPTCPPolicy
import MPTCPWire

// MP_CAPABLE and MP_JOIN (RFC 8684 §3.1, §3.2), and falling back at the handshake (§3.7).
extension Connection {
  // MARK: Options that we send

  /// What the SYN or SYN/ACK of `subflow` carries.
  func handshakeOption(for subflow: Subflow) -> MultipathOption? {
    // Requirement 8684-3.1-49
    if let join = subflow.join {
      if subflow.isInitiator {
        // Requirement 8684-3.1-13, 8684-3.2-03
        return .join(
          .syn(
            backup: join.isBackup, addressID: subflow.localAddressID, token: remoteToken, nonce: join.localNonce))
      }
      let hmac = joinHMAC(of: .local, subflow, join)
      return .join(
        .synAck(
          backup: join.isBackup, addressID: subflow.localAddressID, hmac: hmac.left64, nonce: join.localNonce))
    }
    guard multipath == .offered || multipath == .early, answersWithCapable else { return nil }
    // Version 1 keeps the initiator's key for the third ACK; version 0 has it on the SYN (RFC 6824 §3.1).
    return .capable(
      MPCapable(
        version: version.rawValue, flags: capableFlags(isAnswer: !isInitiator),
        senderKey: isInitiator && version == .v1 ? nil : localKey))
  }

  /// What the third ACK carries, and every pure ACK after it until the peer proves that it got one.
  /// Requirement 8684-3.1-21
  func thirdAcknowledgmentOption(for subflow: Subflow) -> MultipathOption? {
    if let join = subflow.join {
      guard subflow.isInitiator, !subflow.isFullyEstablished else { return nil }
      // Requirement 8684-3.2-15
      return .join(.ack(hmac: joinHMAC(of: .local, subflow, join).left160))
    }
    // The acknowledgement that carries a DATA_FIN has no room for the keys.
    // Requirement 8684-3.1-49
    guard isInitiator, multipath == .keyed, subflow.isInitial, dataFinCarrier != subflow.id else { return nil }
    if !hasSentKeys {
      hasSentKeys = true
      // A DATA_FIN may have waited for them.
      markDirty()
    }
    // Requirement 8684-3.1-24
    return .capable(
      MPCapable(
        version: version.rawValue, flags: capableFlags(isAnswer: true), senderKey: localKey, receiverKey: remoteKey))
  }

  /// The keys ride on the initiator's first data, in place of a DSS, until the peer shows that it has them. Version 0
  /// has no room for that: its third ACK is empty, and its first data has a DSS (RFC 6824 §3.6).
  /// Requirement 8684-3.1-21, 6824-3.6-01
  var carriesKeysOnData: Bool { isInitiator && multipath == .keyed && version == .v1 }

  /// MP_CAPABLE with the data fields in place of a DSS, on the initiator's first data (RFC 8684 §3.1).
  /// Requirement 8684-3.1-11, 8684-3.1-25, 8684-3.1-26
  func capableWithData(_ mapping: SentMapping) -> MultipathOption {
    .capable(
      MPCapable(
        version: 1, flags: capableFlags(isAnswer: true), senderKey: localKey, receiverKey: remoteKey,
        dataLength: UInt16(clamping: mapping.count), checksum: mapping.checksum))
  }

  /// Requirement 8684-7.3-01, 6824-3.1-07
  private func capableFlags(isAnswer: Bool) -> MPCapableFlags {
    // Requirement 8684-3.1-35, 8684-3.1-39, 8684-3.1-47
    var flags: MPCapableFlags = [.hmac]
    if isAnswer ? usesChecksum || options.checksum : options.checksum { flags.insert(.checksumRequired) }
    // In version 0 the bits from C on choose an algorithm (RFC 6824 §3.1).
    if version == .v1, options.refusesJoinsToInitialAddress { flags.insert(.noMoreSubflows) }
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
        version: version, senderKey: localKey, receiverKey: remoteKey, senderNonce: join.localNonce,
        receiverNonce: join.remoteNonce)
    case .remote:
      JoinAuthentication.joinHMAC(
        version: version, senderKey: remoteKey, receiverKey: localKey, senderNonce: join.remoteNonce,
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
    if multipath == .offered, segment.options.multipath.capable == nil, triesVersion0(instead: subflow, now: now) {
      return
    }
    subflow.isFullyEstablished = true
    sendWindowEdge = sendUnacknowledged + Int(segment.header.window)
    if multipath == .offered { takeCapableAnswer(segment.options.multipath.capable, now: now) }
    remember(answer: segment.options.multipath.capable, now: now)
    if isFallback { subflow.lastSentDataAck = -1 }
    phase = .open
    emit(.established(isMultipath: isMultipath))
    emit(.subflowEstablished(subflow.description))
    // Version 0 has no data on the third ACK, so that goes before any (RFC 6824 §3.6).
    // Requirement 6824-3.6-01
    if version == .v0, multipath == .keyed { subflow.emitAcknowledgment(now: now) }
    markDirty()
  }

  private func takeCapableAnswer(_ capable: MPCapable?, now: Instant) {
    // Requirement 8684-3.1-04, 8684-3.1-50, 8684-3.7-01, 8684-6-03, 6824-3.1-13
    guard let capable else {
      fallBack(.peerWithoutMultipath, now: now)
      return
    }
    // Flag B received as 1 means an extension that we do not know: ignore the option (in version 0 too: the SYN/ACK
    // itself cannot be ignored, as it opens). So it is where the responder has not chosen our only algorithm. Another
    // version than the one that was offered has no procedure. Our own key is what a box makes that copies options.
    // Requirement 8684-3.1-36, 8684-3.1-40, 6824-3.1-08
    guard capable.version == version.rawValue, let key = capable.senderKey, capable.receiverKey == nil,
      !capable.flags.contains(.extensibility), capable.algorithms == .hmac, key != localKey
    else {
      fallBack(.unacceptableCapability, now: now)
      return
    }
    guard !refusesChecksum(of: capable) else {
      fallBack(.unacceptableCapability, now: now)
      return
    }
    // Requirement 8684-3.1-44
    usesChecksum = options.checksum || capable.flags.contains(.checksumRequired)
    peerRefusesInitialAddress = capable.forbidsSubflows
    learnRemoteKey(key)
    multipath = .keyed
  }

  /// The peer asks for checksums, and we are told not to compute any: its option is ignored. Version 0 knows no such
  /// refusal.
  /// Requirement 8684-3.1-46, 6824-3.1-11
  func refusesChecksum(of capable: MPCapable) -> Bool {
    options.refusesChecksum && !options.checksum && capable.version != 0 && capable.flags.contains(.checksumRequired)
  }

  func learnRemoteKey(_ key: Key) {
    remoteKey = key
    (remoteToken, remoteInitialNumber) = key.derived(version)
    remoteInitialNumber = remoteInitialNumber + -Int(receivedOnSynByteCount)
    if !peerRefusesInitialAddress {
      // Requirement 8684-3.2-07
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
    // Requirement 8684-3.2-24, 8684-3.4.1-19, 8684-5-01, 8684-3.9.3-03
    guard joinHMAC(of: .remote, subflow, join).left64 == hmac else {
      endpoint.statistics.badJoinAuthentications += 1
      // Requirement 8684-3.2-25
      resetSubflow(subflow, reason: .mptcpSpecific, isTransient: false, now: now, as: .refused)
      return
    }
    subflow.join = join
    // The third ACK makes it a subflow for the peer.
    isLinear = false
    subflow.isPeerBackup = backup
    if subflow.remoteAddressID == .initial, addressID != .initial { subflow.remoteAddressID = addressID }
    // No data before the fourth ACK; the third is sent again until then (RFC 8684 §3.2).
    // Requirement 8684-3.2-17, 8684-3.2-18, 6824-3.2-02
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
    // Where nobody else worked, nobody has been given what the silent ones hold.
    if !hasOtherUsableSubflow(than: subflow) {
      reinject(from: subflows.filter(\.isStalled))
    }
    emit(.subflowEstablished(subflow.description))
    consult(.subflowEstablished(subflow.id), now: now)
  }

  /// SYNs go unanswered: after two, the option may be what is in the way (RFC 8684 §3.9.3).
  /// Requirement 8684-3.1-53, 8684-3.1-54
  func willRetransmitSyn(_ subflow: Subflow) {
    guard subflow.isInitial, isInitiator, multipath == .offered, subflow.synRetransmissions > 2 else { return }
    fallBack(.synsLost, now: endpoint.now)
  }

  /// Whether a SYN that crossed ours opens this subflow: a join it never does, as the join goes on.
  /// Requirement 8684-3.9.2-06
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
    // Requirement 8684-3.1-48, 8684-3.7-01, 8684-6-03
    guard let capable, let version = capable.answer(from: acceptedVersions), !refusesChecksum(of: capable) else {
      multipath = .fellBack(capable == nil ? .peerWithoutMultipath : .unacceptableCapability)
      return
    }
    if version != self.version { endpoint.change(self, to: version) }
    // Requirement 8684-3.1-44
    usesChecksum = options.checksum || capable.flags.contains(.checksumRequired)
    peerRefusesInitialAddress = capable.forbidsSubflows
    if version == .v0, let key = capable.senderKey { learnRemoteKey(key) }
  }

  /// The SYN again. A peer that leaves MP_CAPABLE out by now gets an answer without (RFC 8684 §3.1): something on the
  /// way may drop packets with it. One that offers another version gets that. The third ACK decides, for an earlier
  /// answer may be on its way.
  /// Requirement 8684-3.1-51
  func synRepeated(_ segment: Segment, on subflow: Subflow) {
    guard subflow.isInitial, multipath == .offered || multipath == .early else { return }
    let capable = segment.options.multipath.capable
    let answer = capable?.answer(from: acceptedVersions)
    // Where data was taken, and may have been answered, the version stands.
    answersWithCapable = multipath == .early ? answer == version : answer != nil
    if answersWithCapable { takeCapableOffer(capable) }
  }

  /// The third ACK of `subflow`; false if it must not open it.
  func acceptsThirdAcknowledgment(_ segment: Segment, on subflow: Subflow, now: Instant) -> Bool {
    if let join = subflow.join {
      guard !subflow.isInitiator else { return true }
      // Requirement 8684-3.2-27
      guard case .ack(let hmac)? = segment.options.multipath.join else {
        // Nor does data overtake it: that may not leave before our fourth ACK (RFC 8684 §3.2).
        resetSubflow(subflow, reason: .mptcpSpecific, isTransient: false, now: now, as: .refused)
        return false
      }
      // Requirement 8684-3.2-26, 8684-3.4.1-19, 8684-5-01, 8684-3.9.3-03
      guard joinHMAC(of: .remote, subflow, join).left160 == hmac else {
        endpoint.statistics.badJoinAuthentications += 1
        resetSubflow(subflow, reason: .mptcpSpecific, isTransient: false, now: now, as: .refused)
        return false
      }
      return true
    }
    guard multipath == .offered || multipath == .early else { return true }
    guard let capable = segment.options.multipath.capable, let theirs = capable.senderKey,
      capable.receiverKey == localKey, capable.version == version.rawValue
    else {
      // Version 0 has the initiator's key since the SYN, and no MP_CAPABLE on data: where the third ACK was lost, a DSS
      // that counts from both keys says as much.
      if version == .v0, let dss = segment.options.multipath.dss, dssFitsKeys(dss) {
        multipath = .confirmed
        return true
      }
      // A DSS without the keys: the third ACK was lost or overtaken, and will be repeated for our SYN/ACK. But a peer
      // that sends its first octet again and maps it in the ordinary way has no keys to send any more: so does Linux
      // when its DATA_FIN is out.
      if let dss = segment.options.multipath.dss {
        let isFirstData = dss.mapping?.subflowSequenceNumber == 1 && !segment.payload.isEmpty
        if subflow.synRetransmissions < (isFirstData ? 1 : 2) { return false }
      }
      // RFC 8684 §3.1: the third ACK decides.
      // Requirement 8684-3.1-52, 6824-3.1-13
      fallBack(.optionMissingOnThirdAck, now: now)
      return true
    }
    guard capable.flags.contains(.checksumRequired) == usesChecksum, version == .v1 || theirs == remoteKey,
      !capable.flags.contains(.extensibility), capable.algorithms.contains(.hmac)
    else {
      // Something changed what the SYNs agreed on (RFC 8684 §3.1), or, in version 0, another key than the SYN's; or it
      // is an option to be ignored, here as on a SYN.
      // Requirement 8684-3.1-31, 8684-3.1-36, 8684-3.1-40, 8684-3.1-45
      fallBack(.unacceptableCapability, now: now)
      return true
    }
    learnRemoteKey(theirs)
    multipath = .confirmed
    return true
  }

  /// Whether a DSS names the beginning of a stream as the keys of the SYNs give it: of the peer's, or of ours.
  private func dssFitsKeys(_ dss: DSS) -> Bool {
    if let mapping = dss.mapping, mapping.subflowSequenceNumber > 0 {
      return receiveDataOffset(mapping.dsn) == Int(mapping.subflowSequenceNumber)
    }
    return dss.dataAck.flatMap(sendDataOffset) == 1
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
    } else if fastOpen == .taken {
      fastOpenConfirmed(subflow, now: now)
    } else {
      phase = .open
      // A third ACK that makes it TCP is answered by nothing: the window was said with the SYN/ACK.
      if isFallback { subflow.lastSentDataWindowEdge = receiveWindowEdge }
      endpoint.enterBacklog(self)
      emit(.established(isMultipath: isMultipath))
      emit(.subflowEstablished(subflow.description))
      if isConfirmed { consult(.established, now: now) }
    }
    markDirty()
  }
}
