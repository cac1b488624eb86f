/// Writes numbers in network order one after another.
///
/// The writer does not check for space: whoever makes one has compared the length of what is to be written with the
/// buffer, once for the whole header or option.
@usableFromInline
struct OctetWriter {
  @usableFromInline let base: UnsafeMutableRawPointer
  @usableFromInline var offset: Int

  @inlinable @inline(__always)
  init(_ base: UnsafeMutableRawPointer, at offset: Int = 0) {
    self.base = base
    self.offset = offset
  }

  @inlinable @inline(__always)
  mutating func put8(_ value: UInt8) {
    base.storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
    offset += 1
  }

  @inlinable @inline(__always)
  mutating func put16(_ value: UInt16) {
    base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    offset += 2
  }

  @inlinable @inline(__always)
  mutating func put32(_ value: UInt32) {
    base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    offset += 4
  }

  @inlinable @inline(__always)
  mutating func put64(_ value: UInt64) {
    base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
    offset += 8
  }

  /// Writes an address in 4 or 16 octets.
  @inlinable @inline(__always)
  mutating func put(_ address: IPAddress) {
    switch address.family {
    case .v4: put32(address.v4)
    case .v6:
      put64(address.high)
      put64(address.low)
    }
  }
}

extension OctetWriter {
  /// Overwrites the 16-bit field at `address`.
  @inline(__always)
  static func put16(_ value: UInt16, at address: UnsafeMutableRawPointer) {
    address.storeBytes(of: value.bigEndian, as: UInt16.self)
  }

  /// Overwrites the 32-bit field at `address`.
  @inline(__always)
  static func put32(_ value: UInt32, at address: UnsafeMutableRawPointer) {
    address.storeBytes(of: value.bigEndian, as: UInt32.self)
  }
}
