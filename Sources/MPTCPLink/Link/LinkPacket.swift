import MPTCPWire

/// One wire packet that came out of a link, or a super-segment that crossed it whole.
public struct LinkPacket: Sendable {
  /// The whole IP packet; empty for a super-segment.
  public var bytes: [UInt8]
  /// The super-segment that crossed the link whole; nil for a wire packet.
  public let run: PacketRun?
  /// What the sender said when it handed the packet over: where several flows or paths share one link, for example,
  /// whose packet it is. The link does not look at it, and a copy has the same.
  public let tag: UInt64
  /// When it was handed to the link.
  public let sent: Instant
  /// When it arrived. A host that asks late learns here how late it is.
  public internal(set) var arrival: Instant

  /// How long it travelled behind the line, less what jitter and holding back added: the link's delay when it left, or
  /// more behind packets that left before a change of it.
  package internal(set) var travelTime = Nanoseconds.zero

  // The number that the link gave it: packets with the same arrival keep their order.
  var order: UInt64 = 0

  init(bytes: [UInt8], tag: UInt64, sent: Instant) {
    self.bytes = bytes
    run = nil
    self.tag = tag
    self.sent = sent
    arrival = sent
  }

  init(run: PacketRun, tag: UInt64, sent: Instant) {
    bytes = []
    self.run = run
    self.tag = tag
    self.sent = sent
    arrival = sent
  }

  /// How many wire packets it stands for.
  var wirePacketCount: Int { run?.wirePacketCount ?? 1 }

  /// How many bytes these have, headers included.
  var wireByteCount: Int { run?.wireByteCount ?? bytes.count }

  func arrivesBefore(_ other: LinkPacket) -> Bool {
    arrival == other.arrival ? order < other.order : arrival < other.arrival
  }
}
