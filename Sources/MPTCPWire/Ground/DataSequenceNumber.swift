/// A data sequence number: 64 bits that wrap, counting the octets of a whole connection (RFC 8684 §3.3.1).
/// Requirement 8684-3.3.1-18
public struct DataSequenceNumber: Hashable, Sendable {
  /// The number in host order.
  public var rawValue: UInt64

  /// Makes a data sequence number from its value in host order.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// The lower 32 bits, as the 4-octet forms of the DSS option carry them.
  @inlinable
  public var low32: UInt32 { UInt32(truncatingIfNeeded: rawValue) }

  /// The 64-bit number nearest to `reference` whose lower 32 bits are `low32` (RFC 8684 §3.3.1).
  /// Requirement 8684-3.3.1-22, 8684-3.3.1-23
  @inlinable
  public init(low32: UInt32, near reference: DataSequenceNumber) {
    let distance = Int32(bitPattern: low32 &- reference.low32)
    rawValue = reference.rawValue &+ UInt64(bitPattern: Int64(distance))
  }

  /// The number `distance` octets on (or back, when negative), modulo 2⁶⁴.
  @inlinable
  public static func + (lhs: DataSequenceNumber, distance: Int) -> DataSequenceNumber {
    DataSequenceNumber(lhs.rawValue &+ UInt64(bitPattern: Int64(distance)))
  }

  /// The signed distance from `rhs` to `lhs`, in −2⁶³ ..< 2⁶³.
  @inlinable
  public static func - (lhs: DataSequenceNumber, rhs: DataSequenceNumber) -> Int {
    Int(Int64(bitPattern: lhs.rawValue &- rhs.rawValue))
  }
}

extension DataSequenceNumber: Comparable {
  /// Whether `lhs` comes before `rhs`, by wrapping distance.
  @inlinable
  public static func < (lhs: DataSequenceNumber, rhs: DataSequenceNumber) -> Bool { lhs - rhs < 0 }
}

extension DataSequenceNumber: CustomStringConvertible {
  /// The number in decimal.
  public var description: String { "\(rawValue)" }
}
