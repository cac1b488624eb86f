import MPTCPWire

/// Numbers in network order in the bytes of a packet. Whoever calls has compared the packet's length.
enum Octets {
  static func put16(_ value: UInt16, _ packet: inout [UInt8], _ offset: Int) {
    packet[offset] = UInt8(truncatingIfNeeded: value >> 8)
    packet[offset + 1] = UInt8(truncatingIfNeeded: value)
  }

  static func put32(_ value: UInt32, _ packet: inout [UInt8], _ offset: Int) {
    put16(UInt16(truncatingIfNeeded: value >> 16), &packet, offset)
    put16(UInt16(truncatingIfNeeded: value), &packet, offset + 2)
  }

  static func get16(_ packet: [UInt8], _ offset: Int) -> UInt16 {
    UInt16(packet[offset]) << 8 | UInt16(packet[offset + 1])
  }

  static func get32(_ packet: [UInt8], _ offset: Int) -> UInt32 {
    UInt32(get16(packet, offset)) << 16 | UInt32(get16(packet, offset + 2))
  }

  /// Writes the two addresses of an IP header, which are of the family that the header is of.
  static func put(_ source: IPAddress, _ destination: IPAddress, _ packet: inout [UInt8]) {
    switch source.family {
    case .v4:
      put32(source.v4, &packet, 12)
      put32(destination.v4, &packet, 16)
    case .v6:
      for (address, offset) in [(source, 8), (destination, 24)] {
        put32(UInt32(truncatingIfNeeded: address.high >> 32), &packet, offset)
        put32(UInt32(truncatingIfNeeded: address.high), &packet, offset + 4)
        put32(UInt32(truncatingIfNeeded: address.low >> 32), &packet, offset + 8)
        put32(UInt32(truncatingIfNeeded: address.low), &packet, offset + 12)
      }
    }
  }

  /// The checksum for octets that sum to `sum` without it, so that with it they sum to `residue`.
  static func checksum(over sum: UInt16, residue: UInt16) -> UInt16 {
    guard residue != 0xffff else { return ~sum }
    let total = UInt32(residue) + UInt32(~sum)
    return UInt16(truncatingIfNeeded: (total & 0xffff) + (total >> 16))
  }
}
