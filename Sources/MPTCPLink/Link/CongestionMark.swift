/// The two bits of an IP header that carry explicit congestion notification (RFC 3168 §5).
enum CongestionMark {
  /// What came of marking a packet.
  enum Outcome {
    /// It is marked now, and was not before.
    case marked
    /// It was marked before, on another line or at the other end of the queue.
    case alreadyMarked
    /// Its sender takes no part, or it is no IP packet: it would not be told by a mark.
    case notCapable
  }

  private static let congestionExperienced: UInt8 = 3

  /// Marks the packet CE when its sender takes part in ECN.
  static func mark(_ packet: inout [UInt8]) -> Outcome {
    guard packet.count >= 20 else { return .notCapable }
    switch packet[0] >> 4 {
    case 4:
      let outcome = outcome(of: packet[1] & 3)
      guard outcome == .marked else { return outcome }
      let old = word(packet, 0)
      packet[1] |= congestionExperienced
      adjustChecksum(&packet, from: old, to: word(packet, 0))
      return outcome
    case 6:
      // The traffic class lies across the first two octets: its two low bits are bits 4 and 5 of the second.
      let outcome = outcome(of: packet[1] >> 4 & 3)
      if outcome == .marked { packet[1] |= congestionExperienced << 4 }
      return outcome
    case _:
      return .notCapable
    }
  }

  private static func outcome(of codepoint: UInt8) -> Outcome {
    switch codepoint {
    case 0: .notCapable
    case congestionExperienced: .alreadyMarked
    case _: .marked
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
