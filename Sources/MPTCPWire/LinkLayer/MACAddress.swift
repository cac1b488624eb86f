/// A 48-bit link-layer address.
@frozen
public struct MACAddress: Hashable, Sendable {
  /// The address in the low 48 bits, first octet highest.
  public let rawValue: UInt64

  /// Makes an address from the low 48 bits of a number.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue & 0xffff_ffff_ffff }

  /// Everyone on the link.
  public static let broadcast = MACAddress(0xffff_ffff_ffff)
  /// The address that stands for "not known".
  public static let zero = MACAddress(0)

  /// Whether this is the address of a group, broadcast included.
  @inlinable
  public var isMulticast: Bool { rawValue >> 40 & 1 != 0 }

  /// The link-layer group of an IP multicast address (RFC 1112 §6.4, RFC 2464 §7); `nil` for other addresses.
  public init?(multicast group: IPAddress) {
    guard group.isMulticast else { return nil }
    switch group.family {
    case .v4: self.init(0x0100_5e00_0000 | UInt64(group.v4 & 0x7f_ffff))
    case .v6: self.init(0x3333_0000_0000 | group.low & 0xffff_ffff)
    }
  }
}

extension MACAddress: LosslessStringConvertible {
  /// Reads six pairs of hexadecimal digits between colons.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 6 else { return nil }
    var value: UInt64 = 0
    for part in parts {
      guard part.utf8.count == 2, part.allSatisfy(\.isHexDigit), let octet = UInt8(part, radix: 16) else { return nil }
      value = value << 8 | UInt64(octet)
    }
    self.init(value)
  }

  /// Six pairs of lower-case hexadecimal digits between colons.
  public var description: String {
    (0..<6).map { index in
      let octet = UInt8(truncatingIfNeeded: rawValue >> UInt64(40 - 8 * index))
      return (octet < 16 ? "0" : "") + String(octet, radix: 16)
    }.joined(separator: ":")
  }
}

extension RawSpan {
  /// The link-layer address at `offset`.
  @inline(__always)
  func mac(_ offset: Int) -> MACAddress { MACAddress(UInt64(be16(offset)) << 32 | UInt64(be32(offset + 2))) }
}

extension OctetWriter {
  /// Writes a link-layer address in six octets.
  @inline(__always)
  mutating func put(_ address: MACAddress) {
    put16(UInt16(truncatingIfNeeded: address.rawValue >> 32))
    put32(UInt32(truncatingIfNeeded: address.rawValue))
  }
}
