import MPTCPWire

/// What one direction of a path does to the packets that it carries.
///
/// The default value is a perfect line: no delay, no limit of rate, no loss. Every field works alone, and every random
/// choice has a generator of its own that derives from ``seed``: to change the share of duplicates does not change
/// which packets are lost. Only packets that ``lossRate`` leaves meet ``burstLoss`` and change its state, and only those
/// that both leave are damaged or arrive twice.
public struct LinkConfiguration: Hashable, Sendable {
  /// Bits of IP packets that the line sends in a second; `nil` for a line with no limit. Values below 1 count as 1.
  public var bitsPerSecond: Int?
  /// The time from the last bit's departure to the packet's arrival.
  public var delay: Nanoseconds
  /// The most that is added to ``delay``, drawn evenly from `0 ... jitter` for each packet.
  public var jitter: Nanoseconds
  /// Whether jitter may let a packet overtake another. When not, an early packet waits for the ones before it.
  public var jitterReorders: Bool
  /// How many bytes may wait for the line, not counting the packet on it; `nil` for no limit.
  public var queueByteCount: Int?
  /// How many packets may wait for the line, not counting the packet on it; `nil` for no limit.
  public var queuePacketCount: Int?
  /// Which waiting packets are dropped.
  public var queueDiscipline: QueueDiscipline
  /// Packets that take part in explicit congestion notification are marked CE when, with them, more bytes than this
  /// wait for the line (RFC 3168 §5); `nil` for no marking.
  public var markingByteCount: Int?
  /// Longer IP packets are dropped, with no message to their sender; `nil` for no limit.
  public var maximumTransmissionUnit: Int?
  /// The share of packets that get lost on the line, after they have taken their time on it.
  public var lossRate: Probability
  /// Loss in bursts, of the packets that ``lossRate`` leaves; `nil` for none.
  public var burstLoss: BurstLoss?
  /// The share of packets in which one octet gets damaged on the line, with no checksum corrected. Which octet and how
  /// is chance; one damaged octet never escapes the checksum of IPv4 or TCP that covers it.
  public var corruptionRate: Probability
  /// The share of packets that arrive twice.
  public var duplicationRate: Probability
  /// The share of packets that are held back by ``reorderDelay``, so that later ones overtake them.
  public var reorderRate: Probability
  /// How long a packet is held back.
  public var reorderDelay: Nanoseconds
  /// What happens to the link by itself, in any order; events at the same time happen in the order given here.
  public var schedule: [LinkEvent]
  /// Where all random choices of the link come from.
  public var seed: UInt64

  /// Makes a configuration; what is not given is as on a perfect line.
  public init(
    bitsPerSecond: Int? = nil, delay: Nanoseconds = .zero, jitter: Nanoseconds = .zero, jitterReorders: Bool = false,
    queueByteCount: Int? = nil, queuePacketCount: Int? = nil, markingByteCount: Int? = nil,
    maximumTransmissionUnit: Int? = nil, lossRate: Probability = .never, duplicationRate: Probability = .never,
    reorderRate: Probability = .never, reorderDelay: Nanoseconds = .zero, schedule: [LinkEvent] = [],
    seed: UInt64 = 0, queueDiscipline: QueueDiscipline = .tailDrop, burstLoss: BurstLoss? = nil,
    corruptionRate: Probability = .never
  ) {
    self.bitsPerSecond = bitsPerSecond
    self.delay = delay
    self.jitter = jitter
    self.jitterReorders = jitterReorders
    self.queueByteCount = queueByteCount
    self.queuePacketCount = queuePacketCount
    self.markingByteCount = markingByteCount
    self.maximumTransmissionUnit = maximumTransmissionUnit
    self.lossRate = lossRate
    self.duplicationRate = duplicationRate
    self.reorderRate = reorderRate
    self.reorderDelay = reorderDelay
    self.schedule = schedule
    self.seed = seed
    self.queueDiscipline = queueDiscipline
    self.burstLoss = burstLoss
    self.corruptionRate = corruptionRate
  }
}

/// Something that happens to a link at a set time.
public struct LinkEvent: Hashable, Sendable {
  /// What can happen to a link.
  public enum Change: Hashable, Sendable {
    /// The line is cut: what is on it or waits for it is lost, and so is all that is sent until it comes back.
    case down
    /// The line carries packets again.
    case up
    /// The line sends with another rate, in bits of IP packets in a second, or without limit; the packet on it leaves
    /// when it would have.
    case rate(Int?)
    /// Packets that leave the line from now on travel for another time, and no sooner arrive than those before them.
    case delay(Nanoseconds)
    /// Another share of packets gets lost.
    case loss(Probability)
    /// Packets that are longer than another size, in bytes of IP, are dropped on their way in, or no longer any. Nobody
    /// is told: what a path with a tunnel, and a filter for ICMP, is to its hosts (RFC 2923 §2.1).
    case maximumTransmissionUnit(Int?)
  }

  /// The time since the link was made.
  public var after: Nanoseconds
  /// What happens then.
  public var change: Change

  /// Makes an event `after` the link was made.
  public init(after: Nanoseconds, _ change: Change) {
    self.after = after
    self.change = change
  }
}
