/// Cuts TCP super-segments into the packets that a device would put on the wire, and completes checksums that were
/// left to a device.
public enum Segmentation {
  /// Calls `body` with each wire packet of `packet`, whole and with all checksums filled in. The bytes are valid only
  /// during the call.
  ///
  /// A TCP packet whose payload exceeds `segmentByteCount` is cut into packets with as much payload (the last with the
  /// rest). Each carries the same IP header and TCP options; IPv4 identifications and sequence numbers count on; FIN
  /// and PSH stay for the last, CWR goes with the first (RFC 3168 §6.1.2: one halving, one CWR). Any other packet, or a
  /// `segmentByteCount` of 0, gives one packet. Octets behind the IP packet's own length are dropped.
  ///
  /// - Throws: `WireError` when the bytes are no whole IP packet (or no TCP segment where they must be cut); `body` has
  ///   not been called.
  public static func forEachSegment(
    of packet: RawSpan, segmentByteCount: Int, _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(WireError) {
    guard segmentByteCount >= 0 else { throw WireError(.segmentByteCount, .badValue, at: 0) }
    let ip = try IPHeader(parsing: packet)
    guard ip.protocolNumber == IPProtocol.tcp, ip.fragment == nil, segmentByteCount > 0 else {
      copyWhole(packet, ip, body)
      return
    }
    let tcp = try TCPHeader(parsing: ip.payload(in: packet))
    let payloadByteCount = ip.payloadByteCount - tcp.headerByteCount
    guard payloadByteCount > segmentByteCount else {
      copyWhole(packet, ip, body)
      return
    }
    cut(packet, ip, tcp, payloadByteCount, segmentByteCount, body)
  }

  /// How many wire packets ``forEachSegment(of:segmentByteCount:_:)`` gives for `packet`; 1 for what it would refuse.
  public static func segmentCount(of packet: RawSpan, segmentByteCount: Int) -> Int {
    guard segmentByteCount > 0, let ip = try? IPHeader(parsing: packet), ip.protocolNumber == IPProtocol.tcp,
      ip.fragment == nil, let tcp = try? TCPHeader(parsing: ip.payload(in: packet))
    else { return 1 }
    let payloadByteCount = ip.payloadByteCount - tcp.headerByteCount
    return max(1, (payloadByteCount + segmentByteCount - 1) / segmentByteCount)
  }

  /// Fills in the IPv4 header checksum and the checksum of TCP, UDP, ICMP or ICMPv6 in a whole packet. Fragments get
  /// the former only.
  ///
  /// - Throws: `WireError` when the bytes are no whole IP packet or the upper layer's header is cut.
  public static func fillChecksums(in packet: UnsafeMutableRawBufferPointer) throws(WireError) {
    let ip = try IPHeader(parsing: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(packet)))
    guard let base = packet.baseAddress else { return }
    if ip.source.family == .v4 {
      // The payload begins where the IPv4 header ends.
      fillIPv4Checksum(base, byteCount: ip.headerByteCount)
    }
    guard ip.fragment == nil, let place = checksumPlace(ip.protocolNumber) else { return }
    guard ip.payloadByteCount >= place.headerByteCount else {
      throw WireError(place.field, .truncated, at: ip.headerByteCount)
    }
    let upper = base + ip.headerByteCount
    var writer = OctetWriter(upper, at: place.offset)
    writer.put16(0)
    var checksum = InternetChecksum()
    if ip.protocolNumber != IPProtocol.icmp {
      checksum.add(
        pseudoHeader: ip.source, destination: ip.destination, protocol: ip.protocolNumber,
        length: ip.payloadByteCount)
    }
    checksum.add(UnsafeRawBufferPointer(start: upper, count: ip.payloadByteCount))
    writer.offset = place.offset
    // A UDP checksum of 0 would say that there is none (RFC 768).
    writer.put16(ip.protocolNumber == IPProtocol.udp && checksum.value == 0 ? 0xffff : checksum.value)
  }

  /// Where each protocol has its checksum.
  private static func checksumPlace(
    _ protocolNumber: UInt8
  ) -> (offset: Int, headerByteCount: Int, field: WireError.Field)? {
    switch protocolNumber {
    case IPProtocol.tcp: (16, 20, .tcpHeader)
    case IPProtocol.udp: (6, 8, .udpHeader)
    case IPProtocol.icmp, IPProtocol.icmpv6: (2, 4, .icmpMessage)
    default: nil
    }
  }

  private static func fillIPv4Checksum(_ base: UnsafeMutableRawPointer, byteCount: Int) {
    var writer = OctetWriter(base, at: 10)
    writer.put16(0)
    var checksum = InternetChecksum()
    checksum.add(UnsafeRawBufferPointer(start: base, count: byteCount))
    writer.offset = 10
    writer.put16(checksum.value)
  }

  private static func copyWhole(_ packet: RawSpan, _ ip: IPHeader, _ body: (UnsafeRawBufferPointer) -> Void) {
    withUnsafeTemporaryAllocation(byteCount: ip.totalByteCount, alignment: 8) { buffer in
      packet.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<ip.totalByteCount])) }
      // What is no whole TCP, UDP or ICMP message has no checksum to fill in and passes as it is.
      try? fillChecksums(in: buffer)
      body(UnsafeRawBufferPointer(buffer))
    }
  }

  private static func cut(
    _ packet: RawSpan, _ ip: IPHeader, _ tcp: TCPHeader, _ payloadByteCount: Int, _ segmentByteCount: Int,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) {
    let headerByteCount = ip.headerByteCount + tcp.headerByteCount
    withUnsafeTemporaryAllocation(byteCount: headerByteCount + segmentByteCount, alignment: 8) { buffer in
      packet.withUnsafeBytes { source in
        guard let to = buffer.baseAddress, let from = source.baseAddress else { return }
        to.copyMemory(from: from, byteCount: headerByteCount)
        // Of the pseudo-header and the TCP header only length, sequence number and flags change.
        var fixed = InternetChecksum()
        fixed.add(pseudoHeader: ip.source, destination: ip.destination, protocol: IPProtocol.tcp, length: 0)
        OctetWriter.put16(0, at: to + ip.headerByteCount + 16)
        OctetWriter.put32(0, at: to + ip.headerByteCount + 4)
        OctetWriter.put16(0, at: to + ip.headerByteCount + 12)
        fixed.add(UnsafeRawBufferPointer(start: to + ip.headerByteCount, count: tcp.headerByteCount))

        var offset = 0
        var index = 0
        while offset < payloadByteCount {
          let count = min(segmentByteCount, payloadByteCount - offset)
          let isLast = offset + count == payloadByteCount
          to.advanced(by: headerByteCount).copyMemory(from: from + headerByteCount + offset, byteCount: count)
          writeIP(to, ip, payloadByteCount: tcp.headerByteCount + count, index: index)
          var flags = tcp.flags
          if offset > 0 { flags.remove(.cwr) }
          if !isLast { flags.subtract([.fin, .psh]) }
          writeTCP(
            to + ip.headerByteCount, tcp, flags, sequenceNumber: tcp.sequenceNumber + offset, payloadByteCount: count,
            fixed)
          body(UnsafeRawBufferPointer(start: to, count: headerByteCount + count))
          offset += count
          index += 1
        }
      }
    }
  }

  /// Length, identification and checksum of the `index`th packet.
  private static func writeIP(_ base: UnsafeMutableRawPointer, _ ip: IPHeader, payloadByteCount: Int, index: Int) {
    let total = UInt16(truncatingIfNeeded: ip.headerByteCount + payloadByteCount)
    switch ip.source.family {
    case .v4:
      OctetWriter.put16(total, at: base + 2)
      OctetWriter.put16(
        UInt16(truncatingIfNeeded: ip.identification &+ UInt32(truncatingIfNeeded: index)), at: base + 4)
      fillIPv4Checksum(base, byteCount: ip.headerByteCount)
    case .v6:
      OctetWriter.put16(total &- 40, at: base + 4)
    }
  }

  private static func writeTCP(
    _ base: UnsafeMutableRawPointer, _ tcp: TCPHeader, _ flags: TCPFlags, sequenceNumber: SequenceNumber,
    payloadByteCount: Int, _ fixed: InternetChecksum
  ) {
    let offsetAndFlags = UInt16(truncatingIfNeeded: tcp.headerByteCount / 4) << 12 | flags.rawValue
    var checksum = fixed
    checksum.add(word32: sequenceNumber.rawValue)
    checksum.add(word: offsetAndFlags)
    checksum.add(word32: UInt32(truncatingIfNeeded: tcp.headerByteCount + payloadByteCount))
    checksum.add(UnsafeRawBufferPointer(start: base + tcp.headerByteCount, count: payloadByteCount))
    OctetWriter.put32(sequenceNumber.rawValue, at: base + 4)
    OctetWriter.put16(offsetAndFlags, at: base + 12)
    OctetWriter.put16(checksum.value, at: base + 16)
  }
}
