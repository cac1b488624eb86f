import MPTCPWire

/// One wire packet that came out of a link.
public struct LinkPacket: Hashable, Sendable {
  /// The whole IP packet.
  public var bytes: [UInt8]
  /// When it was handed to the link.
  public let sent: Instant
  /// When it arrived. A host that asks late learns here how late it is.
  public internal(set) var arrival: Instant

  // The number that the link gave it: packets with the same arrival keep their order.
  var order: UInt64 = 0

  init(bytes: [UInt8], sent: Instant) {
    self.bytes = bytes
    self.sent = sent
    arrival = sent
  }

  func arrivesBefore(_ other: LinkPacket) -> Bool {
    arrival == other.arrival ? order < other.order : arrival < other.arrival
  }
}
