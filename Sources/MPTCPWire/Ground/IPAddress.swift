/// An IPv4 or IPv6 address.
public struct IPAddress: Hashable, Sendable {
  /// The address families.
  public enum Family: UInt8, Sendable, Hashable {
    /// IPv4.
    case v4 = 4
    /// IPv6.
    case v6 = 6
  }

  /// The left 64 bits of an IPv6 address; 0 for IPv4.
  public let high: UInt64
  /// The right 64 bits of an IPv6 address; for IPv4 the address in the lower 32 bits.
  public let low: UInt64
  /// Which family the address is of.
  public let family: Family

  /// Makes an IPv4 address from its value in host order.
  @inlinable
  public init(v4: UInt32) {
    high = 0
    low = UInt64(v4)
    family = .v4
  }

  /// Makes an IPv6 address from its two halves in host order.
  @inlinable
  public init(v6High high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
    family = .v6
  }

  /// The IPv4 address in host order; meaningless for IPv6.
  @inlinable
  public var v4: UInt32 { UInt32(truncatingIfNeeded: low) }
}

/// An address and a port: one end of a subflow.
public struct TransportAddress: Hashable, Sendable {
  /// The address.
  public var address: IPAddress
  /// The port.
  public var port: Port
  /// Puts an address and a port together.
  @inlinable
  public init(_ address: IPAddress, _ port: Port) {
    self.address = address
    self.port = port
  }
}

/// The two ends of a subflow, seen from this host.
public struct FourTuple: Hashable, Sendable {
  /// Our end.
  public var local: TransportAddress
  /// The peer's end.
  public var remote: TransportAddress
  /// Puts the two ends together.
  @inlinable
  public init(local: TransportAddress, remote: TransportAddress) {
    self.local = local
    self.remote = remote
  }
}
