/// Packets and their bytes, counted together.
public struct PacketTally: Hashable, Sendable {
  /// The number of packets.
  public private(set) var packetCount = 0
  /// The number of bytes in these packets, IP headers included.
  public private(set) var byteCount = 0

  /// Makes a tally of nothing.
  public init() {}

  mutating func count(_ byteCount: Int) {
    packetCount &+= 1
    self.byteCount &+= byteCount
  }

  mutating func count(_ packet: LinkPacket) {
    packetCount &+= packet.wirePacketCount
    byteCount &+= packet.wireByteCount
  }

  /// The sum of two tallies.
  public static func + (lhs: PacketTally, rhs: PacketTally) -> PacketTally {
    var sum = lhs
    sum.packetCount &+= rhs.packetCount
    sum.byteCount &+= rhs.byteCount
    return sum
  }
}

/// Why a link dropped a packet.
public enum LinkDropCause: CaseIterable, Hashable, Sendable {
  /// The queue before the line was full.
  case queueFull
  /// Chance had it (``LinkConfiguration/lossRate``).
  case randomLoss
  /// A burst had it (``LinkConfiguration/burstLoss``).
  case burstLoss
  /// It had waited for too long (``QueueDiscipline/controlledDelay(_:)``).
  case controlledDelay
  /// The link was down when the packet came, or went down while it was on its way.
  case linkDown
  /// It was longer than ``LinkConfiguration/maximumTransmissionUnit``.
  case tooLarge
}

/// What a link did to its packets so far.
///
/// Every wire packet is accounted for: `sent + duplicated` is `delivered + dropped` and what the link still holds.
public struct LinkCounters: Hashable, Sendable {
  /// Wire packets handed to the link.
  public internal(set) var sent = PacketTally()
  /// Wire packets that came out, copies included.
  public internal(set) var delivered = PacketTally()
  /// Copies that the link made.
  public internal(set) var duplicated = PacketTally()
  /// Packets that were held back so that others overtake them.
  public internal(set) var heldBack = PacketTally()
  /// Packets that were marked as having met congestion.
  public internal(set) var marked = PacketTally()

  /// Packets that were damaged.
  public internal(set) var corrupted = PacketTally()

  private var queueFull = PacketTally()
  private var randomLoss = PacketTally()
  private var burstLoss = PacketTally()
  private var controlledDelay = PacketTally()
  private var linkDown = PacketTally()
  private var tooLarge = PacketTally()

  /// Makes counters that stand at nothing.
  public init() {}

  /// Packets dropped for one reason.
  public func dropped(_ cause: LinkDropCause) -> PacketTally {
    switch cause {
    case .queueFull: queueFull
    case .randomLoss: randomLoss
    case .burstLoss: burstLoss
    case .controlledDelay: controlledDelay
    case .linkDown: linkDown
    case .tooLarge: tooLarge
    }
  }

  /// Packets dropped for any reason.
  public var dropped: PacketTally {
    queueFull + randomLoss + burstLoss + controlledDelay + linkDown + tooLarge
  }

  mutating func drop(_ packet: LinkPacket, _ cause: LinkDropCause) {
    switch cause {
    case .queueFull: queueFull.count(packet)
    case .randomLoss: randomLoss.count(packet)
    case .burstLoss: burstLoss.count(packet)
    case .controlledDelay: controlledDelay.count(packet)
    case .linkDown: linkDown.count(packet)
    case .tooLarge: tooLarge.count(packet)
    }
  }
}
