extension IPHeader {
  /// Reads the header of a whole packet.
  ///
  /// Octets behind the packet's own length (link-layer padding) are ignored. The IPv4 header checksum is not verified:
  /// see ``hasValidChecksum(_:)``.
  ///
  /// - Throws: `WireError` when the bytes are no IP packet or fewer than it claims (`ipTotalLength`, `truncated`).
  public init(parsing bytes: RawSpan) throws(WireError) {
    try self.init(bytes, allowsCutPayload: false)
  }

  /// Reads the header of a packet of which only the front may be there: a capture with a snap length, or the packet
  /// that an ICMP error quotes. The headers themselves must be whole.
  public init(parsingFrontOf bytes: RawSpan) throws(WireError) {
    try self.init(bytes, allowsCutPayload: true)
  }

  /// Whether the IPv4 header checksum of `bytes` is right; true for IPv6, which has none, and false for what is too
  /// short to be a header (RFC 1122 §3.2.1.2).
  public static func hasValidChecksum(_ bytes: RawSpan) -> Bool {
    guard bytes.byteCount >= 20 else { return false }
    guard bytes.octet(0) >> 4 == 4 else { return true }
    let byteCount = Int(bytes.octet(0) & 0xf) * 4
    guard byteCount >= 20, byteCount <= bytes.byteCount else { return false }
    var checksum = InternetChecksum()
    checksum.add(bytes.clamped(from: 0, upTo: byteCount))
    return checksum.value == 0
  }

  private init(_ bytes: RawSpan, allowsCutPayload: Bool) throws(WireError) {
    guard bytes.byteCount > 0 else { throw WireError(.ipVersion, .truncated, at: 0) }
    switch bytes.octet(0) >> 4 {
    case 4: try self.init(v4: bytes, allowsCutPayload: allowsCutPayload)
    case 6: try self.init(v6: bytes, allowsCutPayload: allowsCutPayload)
    default: throw WireError(.ipVersion, .badValue, at: 0)
    }
  }

  /// RFC 791 §3.1.
  /// Requirement 9293-3.9.2-02
  private init(v4 bytes: RawSpan, allowsCutPayload: Bool) throws(WireError) {
    guard bytes.byteCount >= 20 else { throw WireError(.ipHeader, .truncated, at: 0) }
    let header = Int(bytes.octet(0) & 0xf) * 4
    guard header >= 20 else { throw WireError(.ipHeaderLength, .badValue, at: 0) }
    let total = Int(bytes.be16(2))
    guard total >= header else { throw WireError(.ipTotalLength, .badValue, at: 2) }
    guard header <= bytes.byteCount else { throw WireError(.ipHeaderLength, .truncated, at: 0) }
    guard total <= bytes.byteCount || allowsCutPayload else { throw WireError(.ipTotalLength, .truncated, at: 2) }

    let flagsAndOffset = bytes.be16(6)
    self.init(
      source: IPAddress(v4: bytes.be32(12)), destination: IPAddress(v4: bytes.be32(16)),
      protocolNumber: bytes.octet(9), payloadByteCount: total - header, trafficClass: bytes.octet(1),
      hopLimit: bytes.octet(8), dontFragment: flagsAndOffset & 0x4000 != 0, identification: UInt32(bytes.be16(4)))
    headerByteCount = header
    if flagsAndOffset & 0x3fff != 0 {
      fragment = IPFragment(
        offset: Int(flagsAndOffset & 0x1fff) * 8, hasMore: flagsAndOffset & 0x2000 != 0,
        identification: identification)
    }
  }

  /// RFC 8200 §3.
  private init(v6 bytes: RawSpan, allowsCutPayload: Bool) throws(WireError) {
    guard bytes.byteCount >= 40 else { throw WireError(.ipHeader, .truncated, at: 0) }
    let payload = Int(bytes.be16(4))
    guard payload <= bytes.byteCount - 40 || allowsCutPayload else {
      throw WireError(.ipTotalLength, .truncated, at: 4)
    }
    let first = bytes.be32(0)
    self.init(
      source: IPAddress(v6High: bytes.be64(8), low: bytes.be64(16)),
      destination: IPAddress(v6High: bytes.be64(24), low: bytes.be64(32)),
      protocolNumber: bytes.octet(6), payloadByteCount: payload,
      trafficClass: UInt8(truncatingIfNeeded: first >> 20), hopLimit: bytes.octet(7), flowLabel: first & 0xfffff)
    if Self.isExtension(protocolNumber) { try skipExtensionHeaders(in: bytes) }
  }

  /// The extension headers that may stand in front of a payload (RFC 8200 §4, RFC 4302, RFC 6275, RFC 7401, RFC 5533).
  @inline(__always)
  private static func isExtension(_ number: UInt8) -> Bool {
    switch number {
    case 0, 43, 44, 51, 60, 135, 139, 140: true
    default: false
    }
  }

  /// Moves past extension headers, up to the payload or to the first header of a fragment's own content, which makes
  /// sense only once the datagram is whole again.
  private mutating func skipExtensionHeaders(in bytes: RawSpan) throws(WireError) {
    let end = min(headerByteCount + payloadByteCount, bytes.byteCount)
    var offset = headerByteCount
    while Self.isExtension(protocolNumber), fragment == nil {
      guard end - offset >= 8 else { throw WireError(.ipv6ExtensionHeader, .truncated, at: offset) }
      let length =
        switch protocolNumber {
        case 44: 8
        case 51: (Int(bytes.octet(offset + 1)) + 2) * 4
        default: (Int(bytes.octet(offset + 1)) + 1) * 8
        }
      guard length <= end - offset else { throw WireError(.ipv6ExtensionHeader, .truncated, at: offset) }
      switch protocolNumber {
      case 0:
        if offset != 40 { mustBeDiscardedByHost = true }
        try walkOptions(bytes, from: offset + 2, to: offset + length)
      case 60: try walkOptions(bytes, from: offset + 2, to: offset + length)
      case 43: if bytes.octet(offset + 3) != 0 { mustBeDiscardedByHost = true }
      case 51: mustBeDiscardedByHost = true
      case 44:
        let offsetAndFlag = bytes.be16(offset + 2)
        identification = bytes.be32(offset + 4)
        if offsetAndFlag & 0xfff9 != 0 {
          fragment = IPFragment(
            offset: Int(offsetAndFlag & 0xfff8), hasMore: offsetAndFlag & 1 != 0, identification: identification)
        }
      default: break
      }
      protocolNumber = bytes.octet(offset)
      offset += length
    }
    payloadByteCount -= offset - headerByteCount
    headerByteCount = offset
  }

  /// Walks the options of a header. We know none but padding, and of the others the top two bits of the type say
  /// whether the packet may be taken all the same (RFC 8200 §4.2).
  private mutating func walkOptions(_ bytes: RawSpan, from start: Int, to end: Int) throws(WireError) {
    var offset = start
    while offset < end {
      let type = bytes.octet(offset)
      // Pad1 alone has no length.
      if type == 0 {
        offset += 1
        continue
      }
      if type >> 6 != 0 { mustBeDiscardedByHost = true }
      guard end - offset >= 2, Int(bytes.octet(offset + 1)) + 2 <= end - offset else {
        throw WireError(.ipv6ExtensionHeader, .truncated, at: offset)
      }
      offset += 2 + Int(bytes.octet(offset + 1))
    }
  }
}
