import MPTCPWire

/// A path as the engine numbers it: one device or one way out of the host. Numbers are not used again.
public struct PathID: Hashable, Sendable, Comparable {
  /// The number, from 0.
  public var rawValue: Int32
  /// Makes a path ID.
  @inlinable
  public init(_ rawValue: Int32) { self.rawValue = rawValue }
  /// Numeric order.
  @inlinable
  public static func < (lhs: PathID, rhs: PathID) -> Bool { lhs.rawValue < rhs.rawValue }
}

/// A connection as the engine numbers it. Numbers are not used again.
public struct ConnectionID: Hashable, Sendable, Comparable {
  /// The number.
  public var rawValue: UInt64
  /// Makes a connection ID.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  /// Numeric order.
  @inlinable
  public static func < (lhs: ConnectionID, rhs: ConnectionID) -> Bool { lhs.rawValue < rhs.rawValue }
}

/// A subflow within its connection, numbered from 0, the initial subflow. Numbers are not used again.
public struct SubflowID: Hashable, Sendable, Comparable {
  /// The number.
  public var rawValue: Int32
  /// Makes a subflow ID.
  @inlinable
  public init(_ rawValue: Int32) { self.rawValue = rawValue }
  /// Numeric order.
  @inlinable
  public static func < (lhs: SubflowID, rhs: SubflowID) -> Bool { lhs.rawValue < rhs.rawValue }
}
