/// The two bits of an IP header that carry explicit congestion notification (RFC 3168 §5).
enum CongestionMark {
  private static let congestionExperienced: UInt8 = 3

  /// Marks the packet CE when its sender takes part in ECN. Returns whether it is marked now and was not before.
  static func mark(_ packet: inout [UInt8]) -> Bool {
    guard packet.count >= 20 else { return false }
    switch packet[0] >> 4 {
    case 4:
      let codepoint = packet[1] & 3
      guard codepoint != 0, codepoint != congestionExperienced else { return false }
      let old = word(packet, 0)
      packet[1] |= congestionExperienced
      adjustChecksum(&packet, from: old, to: word(packet, 0))
      return true
    case 6:
      // The traffic class lies across the first two octets: its two low bits are bits 4 and 5 of the second.
      let codepoint = packet[1] >> 4 & 3
      guard codepoint != 0, codepoint != congestionExperienced else { return false }
      packet[1] |= congestionExperienced << 4
      return true
    case _:
      return false
    }
  }

  private static func word(_ packet: [UInt8], _ offset: Int) -> UInt16 {
    UInt16(packet[offset]) << 8 | UInt16(packet[offset + 1])
  }

  // HC' = ~(~HC + ~m + m') (RFC 1624 §3)
  private static func adjustChecksum(_ packet: inout [UInt8], from old: UInt16, to new: UInt16) {
    var sum = UInt32(~word(packet, 10)) + UInt32(~old) + UInt32(new)
    sum = (sum & 0xffff) + (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16)
    let checksum = ~UInt16(truncatingIfNeeded: sum)
    packet[10] = UInt8(truncatingIfNeeded: checksum >> 8)
    packet[11] = UInt8(truncatingIfNeeded: checksum)
  }
}
