import MPTCPWire

/// A packet on its way through a box.
public struct MiddleboxPacket: Hashable, Sendable {
  /// The whole IP packet.
  public var bytes: [UInt8]
  /// Where it goes.
  public var direction: PathDirection
  /// What its sender said about it (``LinkPacket/tag``). A packet of the box's own has the tag of the one that was its
  /// reason.
  public var tag: UInt64

  /// Makes a packet.
  public init(_ bytes: [UInt8], _ direction: PathDirection, tag: UInt64 = 0) {
    self.bytes = bytes
    self.direction = direction
    self.tag = tag
  }
}

/// A box between two hosts that does more than carry packets, as a value: packets and time go in, packets come out, in
/// either direction, at once or later.
///
/// Like a ``Link`` it has no clock, and all of its chance comes from its seed. It is bounded: it remembers `flowLimit`
/// flows and forgets the one that was silent for the longest time. What is no whole TCP segment passes as it is, unless
/// a box's configuration says otherwise. Checksums stay as right, or as wrong, as they came.
///
/// A host calls, with times that never go back:
///
/// 1. ``receive(_:at:)`` for each packet that comes to the box, ``advance(to:)`` at ``nextDeadline``;
/// 2. after either, ``next()`` until `nil`.
public struct Middlebox: Sendable {
  /// What the box was made from.
  public let configuration: MiddleboxConfiguration
  private var processor: any PacketProcessor
  private var output = MiddleboxOutput()
  private var now: Instant

  /// Makes a box that knows no flow at `now`, the origin of its set times.
  ///
  /// - Parameters:
  ///   - configuration: What it does.
  ///   - seed: Where its chance comes from.
  ///   - flowLimit: How many flows it remembers at most.
  ///   - now: The time.
  public init(_ configuration: MiddleboxConfiguration, seed: UInt64 = 0, flowLimit: Int = 4096, at now: Instant) {
    self.configuration = configuration
    self.now = now
    let generator = SeededGenerator(seed: seed, stream: 100)
    processor =
      switch configuration {
      case .strip(let details): OptionStripper(details, generator, flowLimit: flowLimit)
      case .rewriteSequence(let details): SequenceRewriter(details, generator, flowLimit: flowLimit)
      case .cut(let details): SegmentCutter(details, generator)
      case .merge(let details): SegmentMerger(details, flowLimit: flowLimit)
      case .clampSegmentSize(let details): SegmentSizeClamp(details)
      case .changePayload(let details): PayloadChanger(details, generator, flowLimit: flowLimit)
      case .resizePayload(let details): PayloadResizer(details, flowLimit: flowLimit)
      case .drop(let details): SegmentDropper(details, generator, flowLimit: flowLimit)
      case .stripSYNData: SYNDataStripper()
      case .acknowledgeEarly(let details): EarlyAcknowledger(details, flowLimit: flowLimit)
      case .nat(let details): AddressTranslator(details, generator, flowLimit: flowLimit, at: now)
      case .firewall(let details): Firewall(details, flowLimit: flowLimit)
      case .reset(let details): ResetInjector(details, flowLimit: flowLimit, at: now)
      case .replay(let details): SegmentReplayer(details, generator)
      }
  }

  /// What the box did so far.
  public var counters: MiddleboxCounters { output.counters }

  /// How many flows the box remembers, and how many packets it holds; what it has to hand out is not counted.
  public var heldCount: (flows: Int, packets: Int) { (processor.flowCount, processor.packetCount) }

  /// When the box has something to do by itself, or `nil`.
  public var nextDeadline: Instant? { processor.nextDeadline.map { max($0, now) } }

  /// Hands the box a packet.
  public mutating func receive(_ packet: MiddleboxPacket, at time: Instant) {
    advance(to: time)
    output.counters.received &+= 1
    processor.receive(packet, at: now, &output)
  }

  /// Lets the box do what is due.
  public mutating func advance(to time: Instant) {
    while let deadline = processor.nextDeadline, deadline <= time {
      now = max(now, deadline)
      processor.advance(to: now, &output)
    }
    now = max(now, time)
  }

  /// The next packet that leaves the box, or `nil`.
  public mutating func next() -> MiddleboxPacket? { output.packets.popFirst() }
}
