// The one set of reads that every parser of this module goes through: big-endian, at any alignment, checked. Parsers
// compare lengths first, so that the check never fires; it stays as the last line of defence.
extension RawSpan {
  /// The octet at `offset`.
  @inlinable @inline(__always)
  package func octet(_ offset: Int) -> UInt8 {
    unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  /// The 16-bit number in network order at `offset`.
  @inlinable @inline(__always)
  package func be16(_ offset: Int) -> UInt16 {
    UInt16(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  /// The 32-bit number in network order at `offset`.
  @inlinable @inline(__always)
  /// Requirement 9293-3.1-09
  package func be32(_ offset: Int) -> UInt32 {
    UInt32(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  /// The 64-bit number in network order at `offset`.
  @inlinable @inline(__always)
  package func be64(_ offset: Int) -> UInt64 {
    UInt64(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  /// The octets from `start` up to `end`, both clamped to what is there.
  @inlinable @inline(__always)
  @_lifetime(copy self)
  package func clamped(from start: Int, upTo end: Int) -> RawSpan {
    let lower = Swift.min(Swift.max(start, 0), byteCount)
    return extracting(lower..<Swift.min(Swift.max(end, lower), byteCount))
  }
}
