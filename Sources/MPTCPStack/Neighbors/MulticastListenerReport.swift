import MPTCPWire

/// MLDv2 as a host speaks it (RFC 3810 §5): switches that snoop pass a group's frames only to who has reported it, and
/// neighbour solicitations go to groups.
enum MulticastListenerReport {
  /// Why a report is sent (RFC 3810 §5.2.5 and §5.2.12).
  enum Occasion: UInt8 {
    /// An answer to a query: MODE_IS_EXCLUDE.
    case query = 2
    /// We have joined: CHANGE_TO_EXCLUDE_MODE.
    case joined = 4
  }

  /// Where reports go, ff02::16.
  static let destination = IPAddress(v6High: 0xFF02_0000_0000_0000, low: 0x16)
  /// The type of a query (RFC 3810 §5.1).
  private static let queryType: UInt8 = 130

  /// The IPv6 packet that reports `groups`, with the router alert that MLD wants. The unspecified source is allowed
  /// (RFC 3810 §5.2.13) where we have no link-local address.
  static func packet(_ groups: [IPAddress], source: IPAddress, occasion: Occasion) -> [UInt8] {
    var message: [UInt8] = [143, 0, 0, 0, 0, 0] + UInt16(truncatingIfNeeded: groups.count).bigEndian.nativeBytes
    for group in groups { message += [occasion.rawValue, 0, 0, 0] + group.octets }
    var sum = InternetChecksum()
    sum.add(
      pseudoHeader: source, destination: destination, protocol: IPProtocol.icmpv6, length: message.count)
    sum.add(message.span.bytes)
    message.replaceSubrange(2..<4, with: sum.value.bigEndian.nativeBytes)
    let options: [UInt8] = [IPProtocol.icmpv6, 0, 5, 2, 0, 0, 1, 0]
    let payload = options + message
    return [0x60, 0, 0, 0] + UInt16(truncatingIfNeeded: payload.count).bigEndian.nativeBytes + [0, 1] + source.octets
      + destination.octets + payload
  }

  /// Whether an IPv6 packet is a query, of either version: behind hop-by-hop options, with hop limit 1 (RFC 3810 §5.1).
  static func isQuery(_ packet: RawSpan) -> Bool {
    guard packet.byteCount >= 72, packet.unsafeLoad(fromByteOffset: 6, as: UInt8.self) == 0,
      packet.unsafeLoad(fromByteOffset: 7, as: UInt8.self) == 1,
      packet.unsafeLoad(fromByteOffset: 40, as: UInt8.self) == IPProtocol.icmpv6,
      packet.unsafeLoad(fromByteOffset: 41, as: UInt8.self) == 0
    else { return false }
    return packet.unsafeLoad(fromByteOffset: 48, as: UInt8.self) == queryType
  }
}
