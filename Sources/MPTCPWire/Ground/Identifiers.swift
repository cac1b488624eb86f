/// A host's token for a connection: the left 32 bits of the hash of its key (RFC 8684 §3.2).
public struct Token: Hashable, Sendable {
  /// The token in host order.
  public var rawValue: UInt32
  /// Makes a token from its value in host order.
  @inlinable
  public init(_ rawValue: UInt32) { self.rawValue = rawValue }
}

/// A host's key for a connection, exchanged in MP_CAPABLE (RFC 8684 §3.1).
public struct Key: Hashable, Sendable {
  /// The key, read from the option in network order.
  public var rawValue: UInt64
  /// Makes a key from the number that its eight octets form in network order.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// The number that a host gives to one of its addresses within a connection (RFC 8684 §3.4). The initial subflow's is
/// 0.
public struct AddressID: Hashable, Sendable, Comparable {
  /// The number.
  public var rawValue: UInt8
  /// Makes an address ID.
  @inlinable
  public init(_ rawValue: UInt8) { self.rawValue = rawValue }
  /// The address of the initial subflow, on both sides.
  public static let initial = AddressID(0)
  /// Numeric order.
  @inlinable
  public static func < (lhs: AddressID, rhs: AddressID) -> Bool { lhs.rawValue < rhs.rawValue }
}

/// A TCP or UDP port.
public struct Port: Hashable, Sendable, Comparable, ExpressibleByIntegerLiteral {
  /// The port number in host order.
  public var rawValue: UInt16
  /// Makes a port from its number.
  @inlinable
  public init(_ rawValue: UInt16) { self.rawValue = rawValue }
  /// Makes a port from a literal.
  @inlinable
  public init(integerLiteral value: UInt16) { rawValue = value }
  /// Numeric order.
  @inlinable
  public static func < (lhs: Port, rhs: Port) -> Bool { lhs.rawValue < rhs.rawValue }
}
