import MPTCPPolicy
import MPTCPWire

// The Multipath TCP options of an arriving segment. TCP has found the segment acceptable before (RFC 8684 §5).
extension Connection {
  /// Looks at everything but the payload.
  func arrived(_ segment: Segment, on subflow: Subflow, start: Int, now: Instant) {
    let signals = segment.options.multipath
    if segment.options.malformedCount > 0 { endpoint.statistics.malformedOptions += segment.options.malformedCount }
    if subflow.join != nil, subflow.isInitiator, !subflow.isFullyEstablished, subflow.state != .closed {
      joinConfirmed(subflow, now: now)
    }
    guard isMultipath else {
      if isFallback { arrivedAfterFallback(segment, on: subflow, now: now) }
      return
    }
    if case .ack? = signals.join, !subflow.isInitiator {
      // The third ACK again: the fourth was lost (RFC 8684 §3.2).
      // Requirement 8684-3.2-16
      subflow.mustAcknowledge = true
    }
    // Requirement 8684-3.7-05
    if signals.isEmpty {
      // Our first data is acknowledged without a DSS: the peer, or something between, does not speak it (§3.7).
      let first = firstMappedOffset
      guard subflow.sendUnacknowledged > subflow.firstMappedOffset else { return }
      // (Data may come without a DSS where an earlier one has declared it, and a FIN is no data of ours.)
      // The fourth ACK is bare and may be late, and one that answers our FIN may come from a peer in TIME-WAIT, which
      // has forgotten what it would acknowledge with a DSS.
      if subflow.join != nil, !subflow.isMappingAnswered, segment.options.sack == nil,
        subflow.acknowledgedByteCount > 0, !subflow.isFinAcknowledged, segment.isBare || !subflow.hasReceivedDSS,
        subflow.sendOffset(segment.header.acknowledgmentNumber) > subflow.firstMappedOffset
      {
        // Requirement 8684-6-08, 6824-3.6-02, 8684-3.7-06, 8684-3.7-07
        resetSubflow(subflow, reason: .middleboxInterference, isTransient: false, now: now)
        return
      }
      guard !isMappingKnownToPeer else { return }
      if canFallBack(on: subflow), sendUnacknowledged == first, sendNext > first {
        // One with SACK blocks proves nothing: they may have needed the room. Then the timer decides.
        // Requirement 8684-6-08, 6824-3.6-02
        if segment.options.sack == nil { fallBack(.optionMissingOnData, now: now) }
      } else if subflow.isInitial, sendUnacknowledged == first, sendNext > first, segment.options.sack == nil {
        // It may have fallen back while a join of ours was on its way, after which the streams of both no longer run
        // side by side. Sent again here, our data would be new data to a peer that is plain TCP.
        resetSubflow(subflow, reason: .middleboxInterference, isTransient: true, now: now)
      }
      return
    }
    // A box that cuts segments may leave the options on the first part only: one without says nothing after this. The
    // keys prove as much as a DSS: a peer that has fallen back does not send them.
    // Requirement 8684-6-12
    noteAnswer(segment, on: subflow)
    if let dss = signals.dss { take(dss, of: segment, on: subflow, now: now) }
    guard subflow.state != .closed else { return }
    if let capable = signals.capable { takeCapableAgain(capable, of: segment, on: subflow, start: start, now: now) }
    if signals.hasRepeats {
      takeEach(segment, on: subflow, now: now)
    } else {
      // Requirement 8684-3.4.1-02
      if let option = signals.addAddress { take(option, on: subflow, now: now) }
      if let option = signals.removeAddress { take(option, now: now) }
      if let option = signals.priority { take(option, on: subflow) }
    }
    if let option = signals.fail { peerFailed(option, on: subflow, now: now) }
    if let option = signals.fastClose { takeFastClose(option, now: now) }
  }

  /// A segment of which every octet came before may still carry a third ACK or a DATA_ACK that we need.
  func arrivedDuplicate(_ segment: Segment, on subflow: Subflow, start: Int, now: Instant) {
    guard isMultipath, let dss = segment.options.multipath.dss, subflow.isSynchronized else { return }
    noteAnswer(segment, on: subflow)
    takeDataAck(dss, now: now)
    if let wire = dss.mapping, !usesChecksum || (wire.subflowSequenceNumber == 0 && isIntactDataFin(wire)) {
      takeDataFin(dss, now: now)
    }
  }

  /// Notes that data of ours on `subflow` is acknowledged with a DSS, or with the keys.
  private func noteAnswer(_ segment: Segment, on subflow: Subflow) {
    let signals = segment.options.multipath
    guard !subflow.isMappingAnswered, signals.dss != nil || signals.capable != nil,
      subflow.sendOffset(segment.header.acknowledgmentNumber) > subflow.firstMappedOffset
    else { return }
    subflow.isMappingAnswered = true
    if subflow.isInitial { isMappingKnownToPeer = true }
  }

  /// Requirement 6824-3.4.1-07
  private func takeEach(_ segment: Segment, on subflow: Subflow, now: Instant) {
    var found: [MultipathOption] = []
    TCPOption.forEachWellFormed(in: segment.optionBytes.bytes) { option in
      if case .multipath(let signal) = option { found.append(signal) }
    }
    for signal in found {
      switch signal {
      case .addAddress(let option): take(option, on: subflow, now: now)
      case .removeAddress(let option): take(option, now: now)
      case .priority(let option): take(option, on: subflow)
      case .capable, .join, .dss, .fail, .fastClose, .reset, .experimental, .unknown: break
      }
    }
  }

  private func arrivedAfterFallback(_ segment: Segment, on subflow: Subflow, now: Instant) {
    let signals = segment.options.multipath
    let mapping = signals.dss?.mapping.flatMap { $0.length > 0 ? $0 : nil }
    var isMappedAnew = false
    if let mapping, mapping.subflowSequenceNumber != 0, !segment.payload.isEmpty {
      isMappedAnew = receiveDataOffset(mapping.dsn) != subflow.receivedOffset(mapping.subflowSequenceNumber)
    }
    if let failure = failureToSignal {
      // The peer has understood when it says so, or stops mapping its data (RFC 8684 §3.7).
      // Requirement 8684-3.7-18
      if signals.fail != nil || (!segment.payload.isEmpty && mapping == nil) {
        failureToSignal = nil
      } else if isMappedAnew {
        // It maps old data anew: it did not hear us, and plain TCP would take the same octets twice.
        subflow.emitReset(reason: nil, isTransient: false, with: .fail(failure), now: now)
        end(.protocolError, now: now)
        return
      }
    } else if isMappedAnew, isLinear, remoteToken != Token(0), case .fellBack(.optionMissingOnData) = multipath {
      // Neither does one know that we fell back for a DSS that something took away, and that has no data of ours to see
      // it.
      subflow.emitReset(reason: nil, isTransient: false, now: now)
      end(.protocolError, now: now)
      return
    }
    if sendNext < dataEnd { markDirty() }
  }

  // MARK: DSS (RFC 8684 §3.3)

  private func take(_ dss: DSS, of segment: Segment, on subflow: Subflow, now: Instant) {
    let couldJoin = isConfirmed && hasReceivedDSS
    hasReceivedDSS = true
    subflow.hasReceivedDSS = true
    // A listener that took data of our SYN maps its own before it has our key, which only a DATA_ACK proves.
    // Requirement 8684-3.1-22
    if multipath == .keyed, dss.dataAck != nil || sentOnSynByteCount == 0 { multipath = .confirmed }
    // No join before a DSS (RFC 8684 §3.1): what the policy could not open before, it can now.
    // Requirement 8684-3.1-32
    if !couldJoin { consult(.established, now: now) }
    takeDataAck(dss, now: now)
    // Requirement 8684-A-06
    guard var wire = dss.mapping else { return }
    // Present where not negotiated: version 0 ignores the field (RFC 6824 §3.3).
    // Requirement 6824-3.3-01
    if version == .v0, !usesChecksum { wire.checksum = nil }
    // Requirement 6824-3.3-02
    guard (wire.checksum != nil) == usesChecksum else {
      // RFC 8684 §3.3.1: missing where negotiated, or present where not. RFC 6824 §3.3: missing where negotiated.
      // Requirement 8684-3.3-07, 8684-3.3-08, 8684-3.3-09
      resetSubflow(subflow, reason: .mptcpSpecific, isTransient: false, now: now)
      return
    }
    if case .eight = wire.dsn { answersWithEightOctets = true }
    if wire.length == 0 {
      // It is said with the first data that it is about (RFC 8684 §3.7). A mapping of nothing on a bare acknowledgement
      // is no reason to give up what works.
      // Requirement 8684-3.3.1-25
      if !segment.payload.isEmpty || segment.flags.contains(.fin) {
        takeInfiniteMapping(wire, on: subflow, now: now)
      }
      return
    }
    // Where this was the last thing to wait for, the FIN that follows at once is the acknowledgement.
    if dss.dataFin, segment.payload.isEmpty { subflow.mustAcknowledge = true }
    let isDataFinAlone = dss.dataFin && wire.length == 1 && wire.subflowSequenceNumber == 0
    if isDataFinAlone {
      guard isIntactDataFin(wire) else { return }
      takeDataFin(dss, now: now)
      return
    }
    if !usesChecksum { takeDataFin(dss, now: now) }
    guard let dataOffset = receiveDataOffset(wire.dsn) else { return }
    let mapping = ReceivedMapping(
      subflowOffset: subflow.receivedOffset(wire.subflowSequenceNumber), dataOffset: dataOffset,
      count: Int(wire.length) - (dss.dataFin ? 1 : 0), wireLength: wire.length, checksum: wire.checksum)
    noteMapping(mapping, on: subflow, now: now)
  }

  /// A DATA_FIN alone has a checksum over its pseudo-header (RFC 8684 §3.3.3). One that fails is dropped: the sender
  /// repeats it.
  /// Requirement 8684-3.3.3-05
  private func isIntactDataFin(_ wire: DSSMapping) -> Bool {
    guard usesChecksum else { return wire.checksum == nil }
    guard let checksum = wire.checksum, let offset = receiveDataOffset(wire.dsn),
      DSSChecksum().verifies(checksum, dsn: receiveDataNumber(offset), subflowSequenceNumber: 0, length: 1)
    else {
      endpoint.statistics.badDataChecksums += 1
      return false
    }
    return true
  }

  /// RFC 8684 §3.3.4 suggests a check here, SSN − RCV.NXT ≤ DSN − DATA_ACK. Honest senders fail it: what is missing on
  /// this subflow may have come over another one, and then DATA_ACK has left it behind while RCV.NXT has not. What it
  /// would bound is bounded by ``Subflow/acceptanceEdge`` and by the connection's window.
  private func noteMapping(_ mapping: ReceivedMapping, on subflow: Subflow, now: Instant) {
    guard mapping.subflowOffset > 0, mapping.end > 0,
      mapping.subflowOffset <= subflow.acceptanceEdge + 65_535
    else { return }
    switch subflow.note(mapping) {
    case .noted: break
    case .contradicts:
      // Mappings are immutable (RFC 8684 §3.3.1).
      resetSubflow(subflow, reason: .mptcpSpecific, isTransient: false, now: now)
      return
    case .exceeds:
      resetSubflow(subflow, reason: .lackOfResources, isTransient: true, now: now)
      return
    }
    hasReceivedMapping = true
    subflow.hasReceivedMapping = true
    // Only a mapping of bytes that wait for one is worth a look at them.
    if mapping.subflowOffset < subflow.dataReceiveNext,
      mapping.end > subflow.dataReceiveNext - subflow.unmappedByteCount
    {
      subflow.deliverUnmapped(now: now)
    }
  }

  private func takeDataAck(_ dss: DSS, now: Instant) {
    // Requirement 8684-3.3.2-11, 8684-A-06
    guard let acknowledgment = dss.dataAck, let offset = sendDataOffset(acknowledgment) else { return }
    dataAcknowledged(upTo: offset, now: now)
  }

  private func takeDataFin(_ dss: DSS, now: Instant) {
    guard dss.dataFin, let wire = dss.mapping, let offset = receiveDataOffset(wire.dsn) else { return }
    noteRemoteFin(at: offset + Int(wire.length) - 1, now: now)
  }

  /// MP_CAPABLE after the handshake: the third ACK again, or the initiator's first data (RFC 8684 §3.1).
  /// Requirement 8684-3.1-27, 8684-3.1-28, 8684-3.1-29
  private func takeCapableAgain(
    _ capable: MPCapable, of segment: Segment, on subflow: Subflow, start: Int, now: Instant
  ) {
    guard !isInitiator, subflow.isInitial, capable.senderKey == remoteKey, let length = capable.dataLength else {
      return
    }
    let isFirst = !hasReceivedDSS
    hasReceivedDSS = true
    guard (capable.checksum != nil) == usesChecksum else {
      resetSubflow(subflow, reason: .mptcpSpecific, isTransient: false, now: now)
      return
    }
    guard length > 0 else { return }
    if isFirst { consult(.established, now: now) }
    noteMapping(
      ReceivedMapping(
        subflowOffset: subflow.receivedOffset(1), dataOffset: 1 + Int(receivedOnSynByteCount), count: Int(length),
        wireLength: length, checksum: capable.checksum),
      on: subflow, now: now)
  }

  // MARK: Addresses (RFC 8684 §3.4)

  private func take(_ option: AddAddress, on subflow: Subflow, now: Instant) {
    guard maySpendSignal(now: now) else { return }
    if version == .v0 {
      takeVersion0(option, on: subflow, now: now)
      return
    }
    guard option.version == .v1 else { return }
    if option.isEcho {
      if let index = announcements.firstIndex(where: { $0.id == option.addressID && $0.address == option.address }) {
        announcements[index].isEchoed = true
        sendAnnouncements(now: now)
      }
      return
    }
    let expected = JoinAuthentication.addAddressHMAC(
      senderKey: remoteKey, receiverKey: localKey, addressID: option.addressID, address: option.address,
      port: option.port)
    // Requirement 8684-3.4.1-13, 8684-5-05
    guard option.hmac == expected else {
      endpoint.statistics.badAddressAuthentications += 1
      return
    }
    // Only the third ACK can have told the peer our key. Linux announces right behind it, on acknowledgements without a
    // DSS, and may send no DSS before there is data.
    if multipath == .keyed { multipath = .confirmed }
    // Requirement 8684-3.4.1-06, 8684-3.9.3-06
    guard option.address.isUnicast, !option.address.isUnspecified, option.port?.rawValue != 0 else { return }
    var echo = option
    echo.isEcho = true
    echo.hmac = nil
    // Requirement 8684-3.4.1-16
    queue(.addAddress(echo), on: subflow)
    // Requirement 8684-3.4.1-10
    let address = TransportAddress(option.address, option.port ?? subflow.tuple.remote.port)
    if let index = remoteAddresses.firstIndex(where: { $0.id == option.addressID }) {
      // An ID keeps its address; a new port, or a repetition, invites another attempt.
      // Requirement 8684-3.4.1-21, 8684-3.4.1-23, 8684-3.4.1-22
      guard remoteAddresses[index].address.address == address.address else { return }
      remoteAddresses[index].address = address
    } else {
      // Requirement 8684-3.4.1-06, 8684-3.9.3-06, 8684-3.4.1-07
      guard remoteAddresses.count < Limits.remoteAddresses else { return }
      remoteAddresses.append(RemoteAddress(id: option.addressID, address: address))
    }
    emit(.addressAnnounced(option.addressID, address))
    consult(.remoteAddressesChanged, now: now)
  }

  /// ADD_ADDR of version 0, without HMAC and echo, or ADD_ADDR2, with an HMAC (RFC 6824 §3.4.1; ``AddAddress/hmac``).
  private func takeVersion0(_ option: AddAddress, on subflow: Subflow, now: Instant) {
    guard !option.isEcho else { return }
    if let hmac = option.hmac {
      let expected = JoinAuthentication.addAddressHMAC(
        version: .v0, senderKey: remoteKey, receiverKey: localKey, addressID: option.addressID,
        address: option.address, port: option.port)
      guard hmac == expected else {
        endpoint.statistics.badAddressAuthentications += 1
        return
      }
      if multipath == .keyed { multipath = .confirmed }
    } else if options.version0Announcements == .authenticated {
      endpoint.statistics.badAddressAuthentications += 1
      return
    }
    guard option.address.isUnicast, !option.address.isUnspecified, option.port?.rawValue != 0 else { return }
    let address = TransportAddress(option.address, option.port ?? subflow.tuple.remote.port)
    if let index = remoteAddresses.firstIndex(where: { $0.id == option.addressID }) {
      // An ID keeps its address, and what is said again on every subflow must not open more than one: a port that is in
      // use, or being tried, is nothing new. One that is not invites another attempt.
      // Requirement 6824-3.4.1-05, 6824-3.4.1-06
      guard remoteAddresses[index].address.address == address.address,
        !subflows.contains(where: { $0.tuple.remote == address && $0.state != .closed })
      else { return }
      remoteAddresses[index].address = address
    } else {
      guard remoteAddresses.count < Limits.remoteAddresses else { return }
      remoteAddresses.append(RemoteAddress(id: option.addressID, address: address))
    }
    emit(.addressAnnounced(option.addressID, address))
    consult(.remoteAddressesChanged, now: now)
  }

  private func take(_ option: RemoveAddress, now: Instant) {
    guard maySpendSignal(now: now) else { return }
    for index in 0..<option.count {
      let id = option[index]
      let count = remoteAddresses.count
      // Requirement 8684-3.4.1-24, 8684-3.4.2-07
      remoteAddresses.removeAll { $0.id == id }
      var isKnown = remoteAddresses.count < count
      // Requirement 8684-6-07
      for subflow in subflows where subflow.remoteAddressID == id && subflow.isOpen {
        isKnown = true
        subflow.challengePath(now: now)
      }
      // Requirement 8684-3.4.2-11, 8684-3.8-03
      if isKnown {
        emit(.addressRemoved(id))
        consult(.remoteAddressesChanged, now: now)
      }
    }
  }

  private func take(_ option: MPPriority, on subflow: Subflow) {
    // Version 0 may name an address, which means all subflows that use it (RFC 6824 §3.3.8); version 1 knows no such
    // option (RFC 8684 §3.3.8).
    // Requirement 8684-3.3.8-03
    guard option.addressID == nil || version == .v0 else { return }
    let concerned = subflows.filter { other in
      // Requirement 6824-3.3.8-02, 6824-3.3.8-03
      let isMeant = option.addressID.map { $0 == other.remoteAddressID } ?? (other === subflow)
      return isMeant && other.isPeerBackup != option.backup
    }
    guard !concerned.isEmpty, maySpendSignal(now: endpoint.now) else { return }
    for other in concerned {
      // Requirement 8684-3.3.8-06
      other.isPeerBackup = option.backup
      emit(.priorityChanged(other.id, isBackup: option.backup))
    }
    markDirty()
  }

  /// Has a one-shot option sent with the next pure ACK of `subflow`.
  func queue(_ option: MultipathOption, on subflow: Subflow) {
    guard isMultipath, subflow.pendingOptions.count < Limits.pendingOptions, !subflow.pendingOptions.contains(option)
    else { return }
    subflow.pendingOptions.append(option)
    markDirty()
  }
}
