/// A TCP sequence number: 32 bits that wrap (RFC 9293 §3.4).
///
/// `a < b` means that `a` comes before `b` within half the number space, so the order is meaningful only between
/// numbers less than 2³¹ apart; it is not a total order, and sorting unrelated numbers by it makes no sense.
/// Requirement 9293-3.4-01
public struct SequenceNumber: Hashable, Sendable {
  /// The number as it stands in the header, in host order.
  public var rawValue: UInt32

  /// Makes a sequence number from its header value in host order.
  @inlinable
  public init(_ rawValue: UInt32) { self.rawValue = rawValue }

  /// The number `distance` octets on (or back, when negative), modulo 2³².
  @inlinable
  public static func + (lhs: SequenceNumber, distance: Int) -> SequenceNumber {
    SequenceNumber(lhs.rawValue &+ UInt32(truncatingIfNeeded: distance))
  }

  /// The signed distance from `rhs` to `lhs`, in −2³¹ ..< 2³¹.
  @inlinable
  public static func - (lhs: SequenceNumber, rhs: SequenceNumber) -> Int {
    Int(Int32(bitPattern: lhs.rawValue &- rhs.rawValue))
  }

  /// Whether this number lies in the `count` octets that start at `start`.
  @inlinable
  public func isWithin(_ count: Int, from start: SequenceNumber) -> Bool {
    Int(rawValue &- start.rawValue) < count
  }
}

extension SequenceNumber: Comparable {
  /// Whether `lhs` comes before `rhs`, by wrapping distance.
  @inlinable
  public static func < (lhs: SequenceNumber, rhs: SequenceNumber) -> Bool { lhs - rhs < 0 }
}

extension SequenceNumber: CustomStringConvertible {
  /// The number in decimal.
  public var description: String { "\(rawValue)" }
}
