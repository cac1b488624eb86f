import MPTCPPolicy
import MPTCPWire

// A packet's way in: IP, TCP's checks, then the subflow, TIME-WAIT, a listener, or a reset (RFC 9293 §3.10.7).
extension Endpoint {
  /// Takes a packet in.
  ///
  /// - Parameters:
  ///   - packet: a whole IP packet. Large payloads are kept by reference; the memory must not change afterwards.
  ///   - path: the path that it came on.
  ///   - offload: what the device knows of it.
  ///   - now: the host's time.
  public func receive(_ packet: ByteSlice, on path: PathID, offload: ReceiveOffload = .none, at now: Instant) {
    note(now)
    statistics.receivedPackets += 1
    take(packet, on: path, offload: offload, now: now)
    finishCall()
  }

  private func take(_ packet: ByteSlice, on path: PathID, offload: ReceiveOffload, now: Instant) {
    let ip: IPHeader
    do {
      ip = try IPHeader(parsing: packet.bytes)
    } catch {
      statistics.malformedPackets += 1
      return
    }
    // Requirement 9293-3.9.2.3-02
    guard isLocal(ip.destination), !ip.mustBeDiscardedByHost else {
      statistics.strayPackets += 1
      return
    }
    // What a device knows of checksums is about TCP's, not the header's (RFC 1122 §3.2.1.2).
    if ip.source.family == .v4, !IPHeader.hasValidChecksum(packet.bytes) {
      statistics.badChecksums += 1
      return
    }
    if ip.fragment != nil {
      guard let whole = reassembler.insert(header: ip, packet: packet, on: path, at: now) else { return }
      take(whole, on: path, offload: .none, now: now)
      return
    }
    switch ip.protocolNumber {
    case IPProtocol.tcp: takeSegment(packet, ip, on: path, offload: offload, now: now)
    // Requirement 9293-3.9.2.2-01
    case IPProtocol.icmp, IPProtocol.icmpv6: takeMessage(packet, ip, on: path, now: now)
    default: statistics.strayPackets += 1
    }
  }

  private func takeSegment(
    _ packet: ByteSlice, _ ip: IPHeader, on path: PathID, offload: ReceiveOffload, now: Instant
  ) {
    let body = packet.dropFirst(ip.headerByteCount).prefix(ip.payloadByteCount)
    let header: TCPHeader
    do {
      header = try TCPHeader(parsing: body.bytes)
    } catch {
      statistics.malformedPackets += 1
      return
    }
    if offload.checksum == .unverified {
      var sum = InternetChecksum()
      sum.add(
        pseudoHeader: ip.source, destination: ip.destination, protocol: IPProtocol.tcp, length: body.count)
      sum.add(body.bytes)
      // Requirement 9293-3.1-04
      guard sum.value == 0 else {
        statistics.badChecksums += 1
        return
      }
    }
    let optionBytes = body.dropFirst(20).prefix(header.headerByteCount - 20)
    // Requirement 9293-3.1-06
    let segment = Segment(
      tuple: FourTuple(
        local: TransportAddress(ip.destination, header.destinationPort),
        remote: TransportAddress(ip.source, header.sourcePort)),
      path: path, header: header, options: TCPOptions(parsing: optionBytes.bytes),
      payload: body.dropFirst(header.headerByteCount), segmentByteCount: offload.segmentByteCount,
      congestionExperienced: ip.trafficClass & 3 == 3, optionBytes: optionBytes)
    dispatch(segment, now: now)
  }

  private func dispatch(_ segment: Segment, now: Instant) {
    var following: SequenceNumber?
    // Requirement 8684-3.2-32, 9293-3.9.1-01
    if let code = tuples[segment.tuple] {
      if code & 1 == 0 {
        guard let subflow = subflowSlots[Int(code >> 1)] else { return }
        touch(subflow.connection)
        subflow.arrive(segment, now: now)
        if subflow.state != .closed { reschedule(subflow) }
        if subflow.connection.phase != .closed { reschedule(subflow.connection) }
        return
      }
      guard let used = arriveInTimeWait(segment, slot: code >> 1, now: now) else { return }
      // Larger than any number of the old connection, and a window beyond (RFC 9293 §3.6.1, MAY-2).
      // Requirement 9293-3.6.1-04, 9293-3.6.1-05
      following = used + 65_537
    }
    // Requirement 9293-3.9.2.3-01
    guard isAnotherHost(segment.tuple.remote.address) else {
      statistics.strayPackets += 1
      return
    }
    let flags = segment.flags
    if flags.contains(.rst) { return }
    if flags.contains(.syn), !flags.contains(.ack), !flags.contains(.fin) {
      arriveSyn(segment, following: following, now: now)
      return
    }
    if flags.contains(.ack), !flags.contains(.syn), acceptCookie(segment, now: now) { return }
    statistics.strayPackets += 1
    // LISTEN drops what neither opens nor acknowledges (RFC 9293 §3.10.7.2).
    // Requirement 9293-3.10.7-01
    if !flags.contains(.ack), listeners.contains(where: { $0.accepts(segment.tuple.local) }) { return }
    // Behind a cookie, data may come whose first segment and third ACK were lost: those come again, and prove it.
    if let cookieSentAt, now - cookieSentAt < Self.cookiePatience, !segment.payload.isEmpty,
      listeners.contains(where: { $0.accepts(segment.tuple.local) })
    {
      return
    }
    reset(answering: segment, now: now)
  }

  // MARK: TIME-WAIT (RFC 9293 §3.10.7.4, RFC 6191)

  /// If the entry gave way to a new connection, for whose sake the segment has to be looked at again, the number that
  /// the old one would have sent next.
  private func arriveInTimeWait(_ segment: Segment, slot: Int32, now: Instant) -> SequenceNumber? {
    guard let entry = timeWaits[slot], !segment.flags.contains(.rst) else { return nil }
    if segment.flags.contains(.syn), !segment.flags.contains(.ack) {
      let isNewer: Bool
      // RFC 6191 §2.
      let hasNewerNumber = segment.header.sequenceNumber - entry.receiveNext > 0
      if let timestamps = segment.options.timestamps {
        let distance = Int32(bitPattern: timestamps.value &- entry.recentTimestamp)
        isNewer = !entry.usesTimestamps || distance > 0 || (distance == 0 && hasNewerNumber)
      } else {
        isNewer = hasNewerNumber
      }
      if isNewer {
        timeWaits.remove(slot)
        _ = tuples.remove(segment.tuple)
        return entry.sendNext
      }
    }
    if let key = entry.fastCloseKey {
      reset(answering: segment, with: .fastClose(MPFastClose(receiverKey: key)), now: now)
      return nil
    }
    // The FIN again, or the DATA_FIN: our last ACK was lost. A bare ACK gets no answer: where both ends wait, they
    // would go on for ever.
    let isDataFin = entry.dataAck != nil && segment.options.multipath.dss?.dataFin == true
    guard segment.flags.contains(.fin) || segment.flags.contains(.syn) || !segment.payload.isEmpty || isDataFin,
      spendTimeWaitAnswer(now: now)
    else { return nil }
    if segment.flags.contains(.fin) { timeWaits.restart(slot, deadline: now + configuration.timeWait) }
    var options = TCPOptionBlock()
    if entry.usesTimestamps {
      let clock = entry.timestampOffset &+ UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000)
      _ = options.append(.timestamps(TCPTimestamps(value: clock, echo: entry.recentTimestamp)))
    }
    if let dataAck = entry.dataAck {
      _ = options.append(.multipath(.dss(DSS(dataFin: false, dataAck: .eight(dataAck), mapping: nil))))
    }
    output(
      header: TCPHeader(
        sourcePort: segment.tuple.local.port, destinationPort: segment.tuple.remote.port,
        sequenceNumber: entry.sendNext, acknowledgmentNumber: entry.receiveNext, flags: [.ack], window: 0),
      options: options, from: segment.tuple.local.address, to: segment.tuple.remote.address,
      on: PathID(entry.path), first: nil, second: nil, segmentByteCount: 0, now: now)
    return nil
  }

  // MARK: SYN

  /// - Parameter following: the least initial number of ours; nil where no old connection has used any.
  /// Requirement 9293-3.9.1-01
  private func arriveSyn(_ segment: Segment, following: SequenceNumber?, now: Instant) {
    // A join is matched by its token alone, on any port (RFC 8684 §3.2).
    // Requirement 8684-3.2-30, 8684-3.2-31, 8684-3.2-21, 8684-3.2-13
    if let join = segment.options.multipath.join {
      arriveJoin(join, segment, following: following, now: now)
      return
    }
    guard let index = listeners.firstIndex(where: { $0.accepts(segment.tuple.local) }) else {
      statistics.strayPackets += 1
      reset(answering: segment, now: now)
      return
    }
    let listener = listeners[index]
    guard listener.untakenCount < listener.options.backlog else { return }
    let capable = segment.options.multipath.capable
    let versions = listener.options.acceptedVersions
    // RFC 6824 §3.1, flag B: such a SYN asks for something that we do not know, and its sender tries again without.
    // Requirement 6824-3.1-06
    if let capable, capable.version == 0, versions.contains(.v0), capable.flags.contains(.extensibility) { return }
    if halfOpenCount >= configuration.maximumHalfOpenCount || connectionCount >= configuration.maximumConnectionCount {
      sendCookie(segment, listener, now: now)
      return
    }
    guard
      let connection = makeConnection(
        listener: listener.id, isInitiator: false, options: listener.options.connection,
        version: capable?.answer(from: versions) ?? .v1, tuple: segment.tuple, path: segment.path)
    else { return }
    connection.acceptedVersions = versions
    connection.takeCapableOffer(capable)
    if connection.isFallback { retireToken(of: connection) }
    guard
      let subflow = makeSubflow(
        of: connection, tuple: segment.tuple, path: segment.path, isInitiator: false, isInitial: true,
        state: .synReceived, initialSequenceNumber: following, now: now)
    else {
      connection.end(.lackOfResources, now: now)
      return
    }
    let isVersion0 = !connection.isFallback && connection.version == .v0
    answer(
      segment, with: subflow,
      fastOpen: fastOpenAnswer(to: segment, listener: index, isVersion0: isVersion0, now: now), now: now)
  }

  /// Requirement 8684-3.2-01
  private func arriveJoin(_ join: MPJoin, _ segment: Segment, following: SequenceNumber?, now: Instant) {
    guard case .syn(let isBackup, let addressID, let token, let nonce) = join else {
      reset(answering: segment, now: now)
      return
    }
    // Requirement 8684-3.1-16, 6824-3.2-03
    guard let slot = tokens[token], let connection = connectionSlots[Int(slot)] else {
      statistics.unknownTokens += 1
      // Requirement 8684-3.2-25
      reset(answering: segment, with: .reset(MPTCPReset(transient: false, reason: .mptcpSpecific)), now: now)
      return
    }
    func refuse(_ reason: ResetReason, isTransient: Bool) {
      let option = MultipathOption.reset(MPTCPReset(transient: isTransient, reason: reason))
      reset(answering: segment, with: connection.version == .v1 ? option : nil, now: now)
    }
    // Handshakes under way are bounded for each connection too: a flood of joins for one token harms no other.
    let halfOpen = connection.subflows.reduce(0) { $0 + ($1.state == .synReceived ? 1 : 0) }
    // Requirement 8684-3.2-22, 8684-3.2-23, 8684-3.1-38
    guard connection.phase == .open, !isRefusedByFlagC(segment.tuple.local, connection) else {
      refuse(.administrativelyProhibited, isTransient: false)
      return
    }
    // These pass (RFC 8684 §3.6, flag T).
    // Requirement 8684-3.2-22, 8684-3.6-11, 8684-3.9.2-04
    guard connection.isConfirmed else {
      refuse(.administrativelyProhibited, isTransient: true)
      return
    }
    // Requirement 8684-3.6-11, 8684-3.9.2-04, 8684-3.2-34
    guard halfOpen < 8, connection.subflows.count < configuration.maximumSubflowCount else {
      refuse(.lackOfResources, isTransient: true)
      return
    }
    guard
      let subflow = makeSubflow(
        of: connection, tuple: segment.tuple, path: segment.path, isInitiator: false, isInitial: false,
        state: .synReceived, initialSequenceNumber: following, now: now)
    else { return }
    let isOurBackup = pathIndex(segment.path).map { paths[$0].configuration.isBackup } ?? false
    // Requirement 8684-3.2-04, 8684-5-03
    subflow.join = JoinState(
      localNonce: UInt32(truncatingIfNeeded: random()), remoteNonce: nonce, isBackup: isOurBackup)
    subflow.isPeerBackup = isBackup
    // Requirement 8684-3.2-05, 8684-3.4.1-05, 8684-6-07
    subflow.remoteAddressID = addressID
    subflow.localAddressID = connection.localAddressID(of: segment.tuple.local.address)
    connection.takeBackRemoval(of: subflow.localAddressID)
    subflow.isBackup = isOurBackup
    answer(segment, with: subflow, now: now)
  }

  /// We said with flag C that nobody may join at the initial address and port.
  private func isRefusedByFlagC(_ local: TransportAddress, _ connection: Connection) -> Bool {
    connection.options.refusesJoinsToInitialAddress && local == connection.initialTuple.local
  }

  private func answer(
    _ segment: Segment, with subflow: Subflow, fastOpen: FastOpenAnswer = FastOpenAnswer(), now: Instant
  ) {
    halfOpenCount += 1
    subflow.initialReceiveSequenceNumber = segment.header.sequenceNumber
    subflow.receiveNext = 1
    subflow.takeSynOptions(segment, now: now)
    // Requirement 3168-6.1-01, 3168-6.1.1-01, 3168-6.1.1-06
    subflow.usesECN = segment.flags.contains(.ece) && segment.flags.contains(.cwr)
    subflow.sendWindowEdge = 1 + Int(segment.header.window)
    subflow.largestSendWindow = Int(segment.header.window)
    if subflow.isInitial { subflow.connection.sendWindowEdge = 1 + Int(segment.header.window) }
    if fastOpen.takesData { subflow.connection.takeDataOfSyn(segment.payload, on: subflow, now: now) }
    subflow.sendSyn(now: now, fastOpen: fastOpen.offer)
    reschedule(subflow)
  }

  // MARK: SYN cookies

  private func sendCookie(_ segment: Segment, _ listener: Listener, now: Instant) {
    let options = segment.options
    let hasTimestamps = options.timestamps != nil
    let clock = cookieClock(segment.tuple, now: now)
    let answer = cookies.encode(
      SYNCookies.Parameters(
        maximumSegmentByteCount: Int(options.maximumSegmentSize ?? segment.defaultMaximumSegmentSize),
        windowScale: options.windowScale,
        isSACKPermitted: options.sackPermitted, supportsECN: false),
      tuple: segment.tuple, clientISN: segment.header.sequenceNumber, timestampClock: hasTimestamps ? clock : nil,
      at: now)
    var block = TCPOptionBlock()
    let mtu = pathIndex(segment.path).map { paths[$0].configuration.maximumTransmissionUnit } ?? 1280
    let overhead = segment.tuple.remote.address.family == .v4 ? 40 : 60
    _ = block.append(.maximumSegmentSize(UInt16(clamping: mtu - overhead)))
    if answer.parameters.isSACKPermitted { _ = block.append(.sackPermitted) }
    if let timestamp = answer.timestamp, let theirs = options.timestamps {
      _ = block.append(.timestamps(TCPTimestamps(value: timestamp, echo: theirs.value)))
    }
    if answer.parameters.windowScale != nil { _ = block.append(.windowScale(Self.cookieWindowShift)) }
    if let capable = options.multipath.capable, let version = capable.answer(from: listener.options.acceptedVersions),
      !capable.flags.contains(.checksumRequired), !listener.options.connection.checksum
    {
      let refusesJoins = version == .v1 && listener.options.connection.refusesJoinsToInitialAddress
      // A stateless listener cannot promise a checksum that it will have forgotten, nor a token that is taken.
      // Requirement 8684-3.1-19, 8684-3.1-20, 6824-3.1-12
      for attempt in 0..<SYNCookies.keyAttempts {
        let key = cookies.multipathKey(
          tuple: segment.tuple, clientISN: segment.header.sequenceNumber, cookie: answer.sequenceNumber,
          attempt: attempt)
        guard tokens[key.token(version)] == nil, key != capable.senderKey else { continue }
        _ = block.append(
          .multipath(
            .capable(
              MPCapable(
                version: version.rawValue, flags: refusesJoins ? [.hmac, .noMoreSubflows] : [.hmac], senderKey: key))))
        break
      }
    }
    statistics.cookiesSent += 1
    cookieSentAt = now
    output(
      header: TCPHeader(
        sourcePort: segment.tuple.local.port, destinationPort: segment.tuple.remote.port,
        sequenceNumber: answer.sequenceNumber, acknowledgmentNumber: segment.header.sequenceNumber + 1,
        flags: [.syn, .ack], window: 65_535),
      options: block, from: segment.tuple.local.address, to: segment.tuple.remote.address, on: segment.path,
      first: nil, second: nil, segmentByteCount: 0, now: now)
  }

  private static let cookieWindowShift: UInt8 = 9
  /// How long after a cookie the first data may be on its way: some retransmissions of it.
  private static let cookiePatience = Nanoseconds.seconds(10)

  private func cookieClock(_ tuple: FourTuple, now: Instant) -> UInt32 {
    timestampOffsets.offset(for: tuple) &+ UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000)
  }

  /// The third ACK of a handshake that a cookie answered; true if it made a connection.
  private func acceptCookie(_ segment: Segment, now: Instant) -> Bool {
    // While none is out there is none to believe: what came would be guesses, of which some are right.
    guard let cookieSentAt, now - cookieSentAt < SYNCookies.lifetime,
      let index = listeners.firstIndex(where: { $0.accepts(segment.tuple.local) })
    else { return false }
    let cookie = segment.header.acknowledgmentNumber + -1
    let clientNumber = segment.header.sequenceNumber + -1
    guard
      let parameters = cookies.decode(
        cookie: cookie, tuple: segment.tuple, clientISN: clientNumber,
        timestampEcho: segment.options.timestamps?.echo, at: now)
    else { return false }
    let listener = listeners[index]
    guard listener.untakenCount < listener.options.backlog else { return true }
    var options = listener.options.connection
    var key: Key?
    var version = MPTCPVersion.v1
    // Both versions bring both keys back here, so that neither needs a state before (RFC 8684 §3.1, RFC 6824 §3.1).
    if let capable = segment.options.multipath.capable, let ours = capable.receiverKey,
      let offered = MPTCPVersion(rawValue: capable.version), options.multipath != .disabled,
      cookies.isOurs(ours, tuple: segment.tuple, clientISN: clientNumber, cookie: cookie),
      tokens[ours.token(offered)] == nil, !capable.flags.contains(.checksumRequired)
    {
      key = ours
      version = offered
    } else {
      options.multipath = .disabled
    }
    guard
      let connection = makeConnection(
        listener: listener.id, isInitiator: false, options: options, version: version, tuple: segment.tuple,
        path: segment.path, key: key),
      let subflow = makeSubflow(
        of: connection, tuple: segment.tuple, path: segment.path, isInitiator: false, isInitial: true,
        state: .synReceived, initialSequenceNumber: cookie, now: now)
    else { return true }
    connection.peerRefusesInitialAddress = segment.options.multipath.capable?.forbidsSubflows == true
    if version == .v0, key != nil, let theirs = segment.options.multipath.capable?.senderKey {
      connection.learnRemoteKey(theirs)
    }
    halfOpenCount += 1
    statistics.cookiesAccepted += 1
    subflow.initialReceiveSequenceNumber = clientNumber
    subflow.receiveNext = 1
    subflow.lastSentAcknowledgment = 1
    subflow.sendNext = 1
    subflow.peerMaximumSegmentByteCount = max(parameters.maximumSegmentByteCount, 88)
    subflow.isSackPermitted = parameters.isSACKPermitted
    if let timestamps = segment.options.timestamps {
      subflow.usesTimestamps = true
      subflow.recentTimestamp = timestamps.value
      subflow.recentTimestampAt = now
    }
    if let shift = parameters.windowScale {
      subflow.sendWindowShift = min(shift, 14)
      subflow.receiveWindowShift = Self.cookieWindowShift
    } else {
      subflow.receiveWindowShift = 0
      subflow.sendsWindowShift = false
    }
    subflow.receiveWindowEdge = 1 + 65_535
    subflow.sendWindowEdge = 1 + Int(segment.header.window) << Int(subflow.sendWindowShift)
    subflow.largestSendWindow = subflow.sendWindowEdge
    connection.sendWindowEdge = subflow.sendWindowEdge
    subflow.arrive(segment, now: now)
    if subflow.state != .closed { reschedule(subflow) }
    return true
  }
}
