/// What a router says about itself and its link (RFC 4861 §4.2).
public struct RouterAdvertisement: Hashable, Sendable {
  /// The hop limit that hosts should use; 0: no opinion.
  public var hopLimit: UInt8
  /// M: addresses are to be had by DHCPv6.
  public var isManaged: Bool
  /// O: other settings are to be had by DHCPv6.
  public var hasOtherConfiguration: Bool
  /// For how many seconds the router serves as default router; 0: not at all.
  public var lifetimeSeconds: UInt16
  /// For how many milliseconds a neighbour counts as reachable; 0: no opinion.
  public var reachableMilliseconds: UInt32
  /// How many milliseconds lie between solicitations; 0: no opinion.
  public var retransmissionMilliseconds: UInt32
  /// The router's link-layer address.
  public var sourceLinkLayer: MACAddress?
  /// The link's MTU.
  public var mtu: UInt32?
  /// The first prefix that the router announces as being on this link (RFC 4861 §4.6.2).
  public var onLinkPrefix: IPPrefix?

  /// Makes an advertisement.
  public init(
    hopLimit: UInt8 = 0, isManaged: Bool = false, hasOtherConfiguration: Bool = false, lifetimeSeconds: UInt16,
    reachableMilliseconds: UInt32 = 0, retransmissionMilliseconds: UInt32 = 0, sourceLinkLayer: MACAddress? = nil,
    mtu: UInt32? = nil, onLinkPrefix: IPPrefix? = nil
  ) {
    self.hopLimit = hopLimit
    self.isManaged = isManaged
    self.hasOtherConfiguration = hasOtherConfiguration
    self.lifetimeSeconds = lifetimeSeconds
    self.reachableMilliseconds = reachableMilliseconds
    self.retransmissionMilliseconds = retransmissionMilliseconds
    self.sourceLinkLayer = sourceLinkLayer
    self.mtu = mtu
    self.onLinkPrefix = onLinkPrefix
  }
}

/// A message of IPv6 neighbour discovery (RFC 4861 §4), without redirects: an end that pins its paths follows none.
public enum NeighborMessage: Hashable, Sendable {
  /// Routers, speak up. The address is absent when the sender has none yet.
  case routerSolicitation(sourceLinkLayer: MACAddress?)
  /// A router speaks.
  case routerAdvertisement(RouterAdvertisement)
  /// Who has `target`? Sent from `::` to find duplicates; then without a link-layer address.
  case neighborSolicitation(target: IPAddress, sourceLinkLayer: MACAddress?)
  /// `target` is here. `isOverride`: replace what is cached.
  case neighborAdvertisement(
    target: IPAddress, isRouter: Bool, isSolicited: Bool, isOverride: Bool, targetLinkLayer: MACAddress?)

  /// Reads a message of type 133 to 136 whose checksum was verified, by the rules of RFC 4861 §6.1 and §7.1.
  ///
  /// - Throws: `WireError` for a message that must be discarded silently.
  init(parsing message: RawSpan, header ip: IPHeader) throws(WireError) {
    // A router would have lowered the limit: 255 proves a sender on this link.
    guard ip.hopLimit == 255 else { throw WireError(.neighborHopLimit, .badValue, at: 7) }
    let type = message.octet(0)
    let fixedByteCount = type == 133 ? 8 : type == 134 ? 16 : 24
    guard message.octet(1) == 0 else { throw WireError(.neighborMessage, .badValue, at: 1) }
    guard message.byteCount >= fixedByteCount else { throw WireError(.neighborMessage, .truncated, at: 0) }
    let options = try NeighborOptions(parsing: message, at: fixedByteCount)
    switch type {
    case 133:
      guard !ip.source.isUnspecified || options.sourceLinkLayer == nil else {
        throw WireError(.neighborOption, .badValue, at: fixedByteCount)
      }
      self = .routerSolicitation(sourceLinkLayer: options.sourceLinkLayer)
    case 134:
      guard ip.source.isLinkLocal else { throw WireError(.neighborMessage, .badValue, at: 0) }
      self = .routerAdvertisement(
        RouterAdvertisement(
          hopLimit: message.octet(4), isManaged: message.octet(5) & 0x80 != 0,
          hasOtherConfiguration: message.octet(5) & 0x40 != 0, lifetimeSeconds: message.be16(6),
          reachableMilliseconds: message.be32(8), retransmissionMilliseconds: message.be32(12),
          sourceLinkLayer: options.sourceLinkLayer, mtu: options.mtu, onLinkPrefix: options.onLinkPrefix))
    case 135:
      let target = try Self.target(message)
      if ip.source.isUnspecified {
        guard ip.destination == target.solicitedNodeMulticast, options.sourceLinkLayer == nil else {
          throw WireError(.neighborMessage, .badValue, at: 8)
        }
      }
      self = .neighborSolicitation(target: target, sourceLinkLayer: options.sourceLinkLayer)
    default:
      let flags = message.octet(4)
      guard !ip.destination.isMulticast || flags & 0x40 == 0 else {
        throw WireError(.neighborMessage, .badValue, at: 4)
      }
      self = .neighborAdvertisement(
        target: try Self.target(message), isRouter: flags & 0x80 != 0, isSolicited: flags & 0x40 != 0,
        isOverride: flags & 0x20 != 0, targetLinkLayer: options.targetLinkLayer)
    }
  }

  private static func target(_ message: RawSpan) throws(WireError) -> IPAddress {
    let target = IPAddress(v6High: message.be64(8), low: message.be64(16))
    guard !target.isMulticast else { throw WireError(.neighborMessage, .badValue, at: 8) }
    return target
  }
}

/// The options of a neighbour discovery message; unknown ones are skipped (RFC 4861 §4.6).
private struct NeighborOptions {
  var sourceLinkLayer: MACAddress?
  var targetLinkLayer: MACAddress?
  var mtu: UInt32?
  var onLinkPrefix: IPPrefix?

  init(parsing message: RawSpan, at start: Int) throws(WireError) {
    var offset = start
    while offset < message.byteCount {
      guard message.byteCount - offset >= 8 else { throw WireError(.neighborOption, .truncated, at: offset) }
      let length = Int(message.octet(offset + 1)) * 8
      guard length > 0 else { throw WireError(.neighborOption, .badLength, at: offset + 1) }
      guard length <= message.byteCount - offset else { throw WireError(.neighborOption, .truncated, at: offset + 1) }
      switch (message.octet(offset), length) {
      case (1, 8): sourceLinkLayer = sourceLinkLayer ?? message.mac(offset + 2)
      case (2, 8): targetLinkLayer = targetLinkLayer ?? message.mac(offset + 2)
      case (3, 32):
        if onLinkPrefix == nil, message.octet(offset + 3) & 0x80 != 0 {
          onLinkPrefix = IPPrefix(
            IPAddress(v6High: message.be64(offset + 16), low: message.be64(offset + 24)),
            length: Int(message.octet(offset + 2)))
        }
      case (5, 8): mtu = mtu ?? message.be32(offset + 4)
      default: break
      }
      offset += length
    }
  }
}
