extension IPAddress {
  /// 0.0.0.0.
  public static let anyV4 = IPAddress(v4: 0)
  /// `::`.
  public static let anyV6 = IPAddress(v6High: 0, low: 0)

  /// Whether this is 0.0.0.0 or `::`.
  @inlinable
  public var isUnspecified: Bool { high == 0 && low == 0 }

  /// Whether packets for this address never leave the host (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
  @inlinable
  public var isLoopback: Bool {
    switch family {
    case .v4: v4 >> 24 == 127
    case .v6: high == 0 && low == 1
    }
  }

  /// Whether this is a group of receivers (RFC 5771, RFC 4291 §2.7).
  @inlinable
  public var isMulticast: Bool {
    switch family {
    case .v4: v4 >> 28 == 0xe
    case .v6: high >> 56 == 0xff
    }
  }

  /// Whether the address is valid on one link only (RFC 3927, RFC 4291 §2.5.6).
  @inlinable
  public var isLinkLocal: Bool {
    switch family {
    case .v4: v4 >> 16 == 0xa9fe
    case .v6: high >> 54 == 0xfe80 >> 6
    }
  }

  /// Whether a TCP peer can have this address: neither unspecified, nor a group, nor the broadcast address of IPv4.
  @inlinable
  public var isUnicast: Bool {
    !isUnspecified && !isMulticast && !(family == .v4 && v4 == 0xffff_ffff)
  }

  /// The IPv4 address in an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2); `nil` for every other address.
  @inlinable
  public var unmappedV4: IPAddress? {
    guard family == .v6, high == 0, low >> 32 == 0xffff else { return nil }
    return IPAddress(v4: UInt32(truncatingIfNeeded: low))
  }

  /// The group in which an IPv6 address is looked for (RFC 4291 §2.7.1); meaningless for IPv4.
  @inlinable
  public var solicitedNodeMulticast: IPAddress {
    IPAddress(v6High: 0xff02_0000_0000_0000, low: 0x0000_0001_ff00_0000 | low & 0xff_ffff)
  }

  /// All nodes of a link, `ff02::1`.
  public static let allNodes = IPAddress(v6High: 0xff02_0000_0000_0000, low: 1)
  /// All routers of a link, `ff02::2`.
  public static let allRouters = IPAddress(v6High: 0xff02_0000_0000_0000, low: 2)
}
