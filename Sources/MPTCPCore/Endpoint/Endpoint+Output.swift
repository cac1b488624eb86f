import MPTCPPolicy
import MPTCPWire

// A packet's way out: headers written into place, checksums finished or left to the device, resets, ICMP.
extension Endpoint {
  /// Builds the packet of a segment and puts it into the outbox.
  func output(
    header: TCPHeader, options: TCPOptionBlock, from source: IPAddress, to destination: IPAddress, on pathID: PathID,
    first: ByteSlice?, second: ByteSlice?, segmentByteCount: Int, trafficClass: UInt8 = 0, hopLimit: UInt8 = 64,
    now: Instant
  ) {
    guard let pathIndex = pathIndex(pathID) else { return }
    let payloadByteCount = (first?.count ?? 0) + (second?.count ?? 0)
    let tcpByteCount = 20 + options.byteCount
    packetIdentification &+= 1
    let ip = IPHeader(
      source: source, destination: destination, protocolNumber: IPProtocol.tcp,
      payloadByteCount: tcpByteCount + payloadByteCount, trafficClass: trafficClass, hopLimit: hopLimit,
      identification: UInt32(packetIdentification))
    // Requirement 9293-3.1-03
    var sum = InternetChecksum()
    sum.add(
      pseudoHeader: source, destination: destination, protocol: IPProtocol.tcp,
      length: tcpByteCount + payloadByteCount)
    let isPartial = paths[pathIndex].configuration.offersChecksumOffload
    var header = header
    header.checksum = isPartial ? sum.partial : 0
    var bytes = InlineArray<128, UInt8>(repeating: 0)
    var mutable = bytes.mutableSpan
    let ipByteCount = source.family == .v4 ? 20 : 40
    // 40 + 60 octets at most: the buffer of 128 cannot be too small.
    mutable.withUnsafeMutableBytes { buffer in
      _ = try? ip.write(into: buffer)
      let tcp = UnsafeMutableRawBufferPointer(rebasing: buffer[ipByteCount...])
      _ = try? header.write(options: options, into: tcp)
      guard !isPartial else { return }
      sum.add(UnsafeRawBufferPointer(rebasing: tcp[..<tcpByteCount]))
      if let first { sum.add(first.bytes) }
      if let second { sum.add(second.bytes) }
      let value = sum.value
      tcp[16] = UInt8(truncatingIfNeeded: value >> 8)
      tcp[17] = UInt8(truncatingIfNeeded: value)
    }
    statistics.sentPackets += 1
    outbox.append(
      OutgoingPacket(
        path: pathID, header: bytes, headerByteCount: ipByteCount + tcpByteCount, payload: first,
        secondPayload: second, segmentByteCount: segmentByteCount, checksumStart: ipByteCount, checksumOffset: 16,
        isChecksumPartial: isPartial, release: now))
  }

  /// Puts a whole packet into the outbox.
  private func output(whole bytes: [UInt8], on path: PathID, now: Instant) {
    let headerByteCount = min(bytes.count, 128)
    var header = InlineArray<128, UInt8>(repeating: 0)
    for index in 0..<headerByteCount { header[index] = bytes[index] }
    statistics.sentPackets += 1
    outbox.append(
      OutgoingPacket(
        path: path, header: header, headerByteCount: headerByteCount,
        payload: ByteSlice(Array(bytes[headerByteCount...])), secondPayload: nil, segmentByteCount: 0,
        checksumStart: 0, checksumOffset: 0, isChecksumPartial: false, release: now))
  }

  /// RST for a segment that belongs to nothing (RFC 9293 §3.10.7.1), within the budget of resets.
  /// Requirement 9293-3.5.2-01, 9293-3.5.2-02
  func reset(answering segment: Segment, with option: MultipathOption? = nil, now: Instant) {
    guard !segment.flags.contains(.rst), spendReset(now: now) else { return }
    statistics.sentResets += 1
    var options = TCPOptionBlock()
    // Requirement 7323-5-09
    if let theirs = segment.options.timestamps {
      _ = options.append(.timestamps(TCPTimestamps(value: 0, echo: theirs.value)))
    }
    if let option { _ = options.append(.multipath(option)) }
    let header: TCPHeader
    if segment.flags.contains(.ack) {
      header = TCPHeader(
        sourcePort: segment.tuple.local.port, destinationPort: segment.tuple.remote.port,
        sequenceNumber: segment.header.acknowledgmentNumber, acknowledgmentNumber: SequenceNumber(0), flags: [.rst],
        window: 0)
    } else {
      let length =
        segment.payload.count + (segment.flags.contains(.syn) ? 1 : 0) + (segment.flags.contains(.fin) ? 1 : 0)
      header = TCPHeader(
        sourcePort: segment.tuple.local.port, destinationPort: segment.tuple.remote.port,
        sequenceNumber: SequenceNumber(0), acknowledgmentNumber: segment.header.sequenceNumber + length,
        flags: [.rst, .ack], window: 0)
    }
    output(
      header: header, options: options, from: segment.tuple.local.address, to: segment.tuple.remote.address,
      on: segment.path, first: nil, second: nil, segmentByteCount: 0, now: now)
  }

  // MARK: ICMP

  /// Echo requests are answered; errors are believed only where they quote a segment in flight (RFC 5927 §4.1).
  func takeMessage(_ packet: ByteSlice, _ ip: IPHeader, on path: PathID, now: Instant) {
    let message: ICMPMessage
    do {
      message = try ICMPMessage(parsing: packet.bytes, header: ip)
    } catch {
      statistics.malformedPackets += 1
      return
    }
    switch message {
    case .echoRequest: answerEcho(packet, ip, on: path, now: now)
    case .destinationUnreachable, .packetTooBig, .timeExceeded, .parameterProblem: takeError(message, now: now)
    // Requirement 9293-3.9.2.2-02
    case .echoReply, .neighbor, .other: break
    }
  }

  private func answerEcho(_ packet: ByteSlice, _ ip: IPHeader, on path: PathID, now: Instant) {
    guard ip.source.isUnicast, spendEcho(now: now) else { return }
    var reply = [UInt8](repeating: 0, count: packet.count)
    let count = reply.withUnsafeMutableBytes { buffer in
      (try? ICMPMessage.writeEchoReply(to: packet.bytes, into: buffer)) ?? 0
    }
    guard count > 0 else { return }
    output(whole: Array(reply.prefix(count)), on: path, now: now)
  }

  /// Requirement 9293-3.9.2.2-01
  private func takeError(_ message: ICMPMessage, now: Instant) {
    guard let quotation = message.quotation, quotation.header.protocolNumber == IPProtocol.tcp,
      let code = tuples[quotation.tuple], code & 1 == 0, let subflow = subflowSlots[Int(code >> 1)]
    else { return }
    let offset = subflow.sendOffset(quotation.sequenceNumber)
    // Requirement 8201-4-04
    guard offset >= subflow.sendUnacknowledged, offset <= subflow.sendNext else { return }
    if let mtu = message.announcedMTU {
      subflow.lowerPathMTU(to: mtu, now: now)
      reschedule(subflow)
      return
    }
    if case .destinationUnreachable(4, nil, _) = message, quotation.header.source.family == .v4 {
      // A router from before RFC 1191 says only that it was too much: the next smaller size that is common (§7).
      let plateau = [1492, 1006].first { $0 < quotation.header.totalByteCount } ?? 552
      subflow.lowerPathMTU(to: plateau, now: now)
      reschedule(subflow)
      return
    }
    // Soft errors once the subflow is open (RFC 5461): the application is told, and nothing else happens. A SYN is
    // given up where nobody can be reached.
    // Requirement 9293-3.9.2.2-04
    switch message {
    case .destinationUnreachable(let code, _, _): subflow.tell(.unreachable(code: code))
    case .timeExceeded(let code, _): subflow.tell(.timeExceeded(code: code))
    case .parameterProblem(let code, _, _): subflow.tell(.parameterProblem(code: code))
    case .echoRequest, .echoReply, .packetTooBig, .neighbor, .other: break
    }
    // Requirement 9293-3.9.2.2-03
    guard subflow.state == .synSent, case .destinationUnreachable(let code, _, _) = message else { return }
    // Requirement 9293-3.9.2.2-05
    let isHard = quotation.header.source.family == .v4 ? (code == 2 || code == 3) : (code == 1 || code == 4)
    if isHard || subflow.synRetransmissions > 0 {
      // A join may get through later: what a router says of a path is no refusal by the peer.
      subflow.connection.subflowFailed(
        subflow, reason: subflow.join == nil ? .refused : .connectTimedOut, closing: isHard ? nil : .unreachable,
        now: now)
    }
  }
}

extension Subflow {
  /// A router says that segments are too large (RFC 1191, RFC 8201). What was too large is lost, without congestion.
  /// Requirement 8201-4-01
  func lowerPathMTU(to byteCount: Int, now: Instant) {
    let isV4 = tuple.remote.address.family == .v4
    // What every link of IPv6 carries no honest router finds too large (RFC 8201 §4). RFC 1191 §7.1 allows 68 octets;
    // nothing real is below 552.
    // Requirement 8201-4-02, 8201-4-05
    guard isV4 || byteCount >= 1280 else { return }
    let lowered = isV4 ? max(byteCount, 552) : byteCount
    if let probe = mtuProbe, let range = probe.range, lowered >= pathMTU, lowered < probe.byteCount {
      // The segment that tried a larger size was too large; this is what fits.
      for index in sentSegments.indices where range.contains(sentSegments[index].start) { presumeLost(index) }
      // Requirement 8201-4-06
      mtuProbe = lowered > pathMTU ? MTUProbe(byteCount: lowered, notBefore: now) : mtuProbe
      connection.markDirty()
      return
    }
    // Requirement 8201-4-03
    guard lowered < pathMTU else { return }
    // RFC 1191 §6.3: the route may have changed in ten minutes.
    mtuProbe = MTUProbe(byteCount: max(pathMTU, mtuProbe?.byteCount ?? 0), notBefore: now + MTUProbe.interval)
    pathMTU = lowered
    endpoint.notePathMTU(lowered, to: tuple.remote.address, on: path)
    connection.congestion.setMaximumSegment(windowSlot, byteCount: maximumSegmentByteCount)
    guard isSynchronized else { return }
    for index in sentSegments.indices { presumeLost(index) }
    sendLost(now: now, isForced: true)
    rearmRetransmission(now: now)
    connection.markDirty()
  }
}
