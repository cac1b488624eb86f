/// The checksum of a mapping: over its data and a pseudo-header of DSN, subflow sequence number, length and zeros
/// (RFC 8684 §3.3.1).
/// Requirement 8684-3.3.1-09, 8684-3.3.1-10
@frozen
public struct DSSChecksum: Sendable {
  @usableFromInline var payload: InternetChecksum

  /// A checksum over no data so far; a DATA_FIN by itself stays so.
  @inlinable
  public init() { payload = InternetChecksum() }

  /// Adds the mapping's data, in order, in runs of any length.
  @inlinable
  public mutating func add(_ bytes: RawSpan) { payload.add(bytes) }

  /// Adds the mapping's data, in order, in runs of any length.
  @inlinable
  public mutating func add(_ bytes: UnsafeRawBufferPointer) { payload.add(bytes) }

  /// The checksum for the option, in host order.
  ///
  /// `dsn` is the whole 64-bit number even where the option carries 32 bits of it; `length` is the option's, DATA_FIN
  /// included.
  @inlinable
  public func value(dsn: DataSequenceNumber, subflowSequenceNumber: UInt32, length: UInt16) -> UInt16 {
    total(dsn: dsn, subflowSequenceNumber: subflowSequenceNumber, length: length).value
  }

  /// Whether `checksum`, as the option carried it, fits the data.
  @inlinable
  public func verifies(
    _ checksum: UInt16, dsn: DataSequenceNumber, subflowSequenceNumber: UInt32, length: UInt16
  ) -> Bool {
    var sum = total(dsn: dsn, subflowSequenceNumber: subflowSequenceNumber, length: length)
    sum.add(word: checksum)
    return sum.value == 0
  }

  @inlinable
  func total(dsn: DataSequenceNumber, subflowSequenceNumber: UInt32, length: UInt16) -> InternetChecksum {
    // Data of odd length is padded with a zero octet, so its folded sum is where the pseudo-header's words begin.
    var sum = InternetChecksum(partial: payload.partial)
    sum.add(word64: dsn.rawValue)
    sum.add(word32: subflowSequenceNumber)
    sum.add(word: length)
    return sum
  }
}
