extension ICMPMessage {
  /// Writes the whole IP packet that answers an echo request, and returns its size. It comes from the request's
  /// destination, which must be one of our own addresses.
  ///
  /// - Throws: `WireError` when `packet` is no echo request in one piece or the buffer is smaller than the answer,
  ///   which is as long as the request less IP options and extension headers.
  public static func writeEchoReply(
    to packet: RawSpan, into buffer: UnsafeMutableRawBufferPointer
  ) throws(WireError) -> Int {
    let ip = try IPHeader(parsing: packet)
    let message = ip.payload(in: packet)
    let isV6 = ip.source.family == .v6
    guard ip.fragment == nil, ip.protocolNumber == (isV6 ? IPProtocol.icmpv6 : IPProtocol.icmp),
      message.byteCount >= 8, message.octet(0) == (isV6 ? 128 : 8), message.octet(1) == 0
    else { throw WireError(.icmpMessage, .badValue, at: ip.headerByteCount) }
    let reply = IPHeader(
      source: ip.destination, destination: ip.source, protocolNumber: ip.protocolNumber,
      payloadByteCount: message.byteCount, trafficClass: ip.trafficClass & ~3, dontFragment: false,
      identification: ip.identification)
    let headerByteCount = isV6 ? 40 : 20
    guard buffer.count >= headerByteCount + message.byteCount else {
      throw WireError(.outputBuffer, .bufferTooSmall, at: 0)
    }
    _ = try reply.write(into: buffer)
    message.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: buffer[headerByteCount...]).copyMemory(from: $0) }
    // Only the type changes: the pseudo-header's sum is the same when the ends change places.
    let old = message.be16(0)
    let new: UInt16 = isV6 ? 129 << 8 : 0
    guard let base = buffer.baseAddress else { return 0 }
    OctetWriter.put16(new, at: base + headerByteCount)
    OctetWriter.put16(
      InternetChecksum.updating(message.be16(2), replacing: old, with: new), at: base + headerByteCount + 2)
    return headerByteCount + message.byteCount
  }

  /// Writes the whole IP packet with which a router at `router` tells that `packet` exceeds the next link's MTU
  /// (RFC 1191 §4, RFC 4443 §3.2), and returns its size, at most 576 octets for IPv4 and 1,280 for IPv6.
  ///
  /// - Throws: `WireError` when `packet` is no whole IP packet, `router` is of the other family or the buffer is too
  ///   small.
  public static func writePacketTooBig(
    quoting packet: RawSpan, from router: IPAddress, nextHopMTU: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(WireError) -> Int {
    let value = UInt32(clamping: router.family == .v6 ? nextHopMTU : min(nextHopMTU, 0xffff))
    return try writeError(
      router.family == .v6 ? 2 << 8 : 3 << 8 | 4, value, quoting: packet, from: router, into: buffer)
  }

  /// Writes the whole IP packet with which `router` tells that nobody on its link answers for the packet's next hop
  /// (RFC 1812 §5.2.7.1, RFC 4443 §3.1), and returns its size; as ``writePacketTooBig(quoting:from:nextHopMTU:into:)``.
  ///
  /// - Throws: `WireError` for the same reasons.
  public static func writeHostUnreachable(
    quoting packet: RawSpan, from router: IPAddress, into buffer: UnsafeMutableRawBufferPointer
  ) throws(WireError) -> Int {
    try writeError(router.family == .v6 ? 1 << 8 | 3 : 3 << 8 | 1, 0, quoting: packet, from: router, into: buffer)
  }

  private static func writeError(
    _ typeAndCode: UInt16, _ value: UInt32, quoting packet: RawSpan, from router: IPAddress,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(WireError) -> Int {
    let ip = try IPHeader(parsing: packet)
    guard router.family == ip.source.family else { throw WireError(.ipVersion, .badValue, at: 0) }
    let isV6 = router.family == .v6
    let headerByteCount = isV6 ? 40 : 20
    let quoted = packet.clamped(from: 0, upTo: min(ip.totalByteCount, (isV6 ? 1280 : 576) - headerByteCount - 8))
    let error = IPHeader(
      source: router, destination: ip.source, protocolNumber: isV6 ? IPProtocol.icmpv6 : IPProtocol.icmp,
      payloadByteCount: 8 + quoted.byteCount, dontFragment: false)
    let total = headerByteCount + 8 + quoted.byteCount
    guard let base = buffer.baseAddress, buffer.count >= total else {
      throw WireError(.outputBuffer, .bufferTooSmall, at: 0)
    }
    _ = try error.write(into: buffer)
    var writer = OctetWriter(base, at: headerByteCount)
    writer.put16(typeAndCode)
    writer.put16(0)
    writer.put32(value)
    quoted.withUnsafeBytes {
      UnsafeMutableRawBufferPointer(rebasing: buffer[writer.offset...]).copyMemory(from: $0)
    }
    try Segmentation.fillChecksums(in: UnsafeMutableRawBufferPointer(rebasing: buffer[..<total]))
    return total
  }
}
