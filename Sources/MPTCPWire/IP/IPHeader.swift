/// Where a fragment belongs in its datagram (RFC 791 §3.2, RFC 8200 §4.5).
public struct IPFragment: Hashable, Sendable {
  /// The position of the fragment's payload in the datagram's, in octets.
  public var offset: Int
  /// Whether more fragments follow.
  public var hasMore: Bool
  /// The datagram's identification; 16 bits for IPv4.
  public var identification: UInt32

  /// Makes a fragment's place.
  @inlinable
  public init(offset: Int, hasMore: Bool, identification: UInt32) {
    self.offset = offset
    self.hasMore = hasMore
    self.identification = identification
  }
}

/// An IPv4 or IPv6 header, with what IPv6 extension headers say folded in.
public struct IPHeader: Hashable, Sendable {
  /// The sender's address.
  public var source: IPAddress
  /// The receiver's address, of the same family.
  public var destination: IPAddress
  /// The protocol of the payload, after the extension headers (after the fragment header in a fragment).
  public var protocolNumber: UInt8
  /// The traffic class or type of service; ECN is its low 2 bits (RFC 3168 §5).
  public var trafficClass: UInt8
  /// The hop limit or time to live.
  public var hopLimit: UInt8
  /// Octets before the payload: header, IPv4 options and IPv6 extension headers.
  public var headerByteCount: Int
  /// Octets of payload, by the header's own account.
  public var payloadByteCount: Int
  /// The place in the datagram, for a fragment. An IPv6 fragment header that describes the whole datagram (an atomic
  /// fragment, RFC 6946) gives `nil`.
  public var fragment: IPFragment?
  /// IPv4's don't-fragment bit; true for IPv6, which routers never fragment.
  public var dontFragment: Bool
  /// IPv6's flow label, 20 bits; 0 for IPv4.
  public var flowLabel: UInt32
  /// IPv4's identification, or that of an IPv6 fragment header, or 0.
  public var identification: UInt32
  /// Whether a host that it is addressed to has to discard it for its IPv6 extension headers: segments left in a
  /// routing header, an unknown option that says so, hop-by-hop options behind another header, an authentication header
  /// of nobody's security association (RFC 8200 §4.1, §4.2, §4.4, RFC 4302 §3.4.2). On its way it is as good as any.
  public var mustBeDiscardedByHost: Bool

  /// Makes a header to be written in front of `payloadByteCount` octets.
  @inlinable
  public init(
    source: IPAddress, destination: IPAddress, protocolNumber: UInt8, payloadByteCount: Int, trafficClass: UInt8 = 0,
    hopLimit: UInt8 = 64, dontFragment: Bool = true, flowLabel: UInt32 = 0, identification: UInt32 = 0
  ) {
    self.source = source
    self.destination = destination
    self.protocolNumber = protocolNumber
    self.trafficClass = trafficClass
    self.hopLimit = hopLimit
    self.headerByteCount = source.family == .v4 ? 20 : 40
    self.payloadByteCount = payloadByteCount
    self.fragment = nil
    self.mustBeDiscardedByHost = false
    self.dontFragment = dontFragment
    self.flowLabel = flowLabel
    self.identification = identification
  }

  /// Header and payload together.
  @inlinable
  public var totalByteCount: Int { headerByteCount + payloadByteCount }

  /// The payload's octets in `packet`, the bytes that this header was parsed from; fewer where the packet was cut.
  @inlinable
  @_lifetime(copy packet)
  public func payload(in packet: RawSpan) -> RawSpan {
    packet.clamped(from: headerByteCount, upTo: headerByteCount + payloadByteCount)
  }
}

/// The protocol numbers that this module knows.
public enum IPProtocol {
  /// ICMP for IPv4.
  public static let icmp: UInt8 = 1
  /// TCP.
  public static let tcp: UInt8 = 6
  /// UDP.
  public static let udp: UInt8 = 17
  /// ICMPv6.
  public static let icmpv6: UInt8 = 58
  /// IPv6 with nothing behind its headers.
  public static let noNextHeader: UInt8 = 59
}
