import MPTCPWire

/// One direction of a path: packets and time go in, packets come out, later or never.
///
/// A link is a value. It has no clock and no device, and all of its chance comes from its configuration's seed: the
/// same calls give the same packets at the same nanoseconds. A packet's way is
///
/// 1. the queue: it waits until the line is idle, or is dropped when there is no room, or is marked;
/// 2. the line: its bits take their time, even if it is lost then;
/// 3. the air: it travels for the delay and the jitter, is held back, or arrives twice.
///
/// A host calls in this order, with times that never go back (an earlier time counts as the latest one given):
///
/// 1. `send` for what enters the link: wire packets, or super-segments that are cut or stay whole;
/// 2. at ``nextDeadline``, or sooner, ``receive(at:)`` until it returns `nil`.
///
/// ```swift
/// var link = Link(LinkConfiguration(bitsPerSecond: 12_000_000, delay: .milliseconds(10)), at: .zero)
/// link.send(packet, at: .zero)
/// while let arrival = link.nextDeadline {
///   while let packet = link.receive(at: arrival) { deliver(packet.bytes) }
/// }
/// ```
public struct Link: Sendable {
  /// What the link was made from.
  public let configuration: LinkConfiguration
  /// What happened so far.
  public private(set) var counters = LinkCounters()
  /// Whether the link carries packets, at the latest time that it was given.
  public private(set) var isUp = true
  /// The time at which to call ``receive(at:)`` next, or `nil` while the link is empty.
  ///
  /// No packet arrives before it. At times none arrives then either, because the one expected was lost: ask again.
  /// Once ``receive(at:)`` has returned `nil` the deadline lies in the future.
  public private(set) var nextDeadline: Instant?
  /// How many packets wait for the line.
  public private(set) var queuedPacketCount = 0
  /// How many bytes wait for the line.
  public private(set) var queuedByteCount = 0

  private var now: Instant
  private var queue: TailDropQueue
  private var line: Line
  private var coming: [(time: Instant, change: LinkEvent.Change)]
  // What events change.
  private var delay: Nanoseconds
  private var lossRate: Probability
  private var maximumTransmissionUnit: Int
  private var controlledDelay: ControlledDelay?
  private var burst: BurstState?

  // On their way: those that arrive in the order of sending, and those that may not.
  private var inOrder = Ring<LinkPacket>()
  private var outOfOrder = ArrivalHeap()
  private var travellingPacketCount = 0
  private var latestArrival: Instant
  // The same if there were no jitter.
  private var latestSteadyArrival: Instant
  /// Whether all packets of a run meet with the same.
  private let isUniform: Bool
  private var nextOrder: UInt64 = 0

  private var lossGenerator: SeededGenerator
  private var duplicationGenerator: SeededGenerator
  private var reorderGenerator: SeededGenerator
  private var jitterGenerator: SeededGenerator
  private var corruptionGenerator: SeededGenerator

  /// Makes a link that is up and empty at `now`, which is also the origin of its schedule.
  ///
  /// - Parameter isScheduled: false for a schedule that begins with ``beginSchedule(at:)``.
  public init(_ configuration: LinkConfiguration = LinkConfiguration(), at now: Instant, isScheduled: Bool = true) {
    self.configuration = configuration
    self.now = now
    latestArrival = now
    latestSteadyArrival = now
    delay = configuration.delay
    lossRate = configuration.lossRate
    maximumTransmissionUnit = configuration.maximumTransmissionUnit ?? .max
    let dropsLater = configuration.schedule.contains {
      switch $0.change {
      case .loss, .maximumTransmissionUnit: true
      case .up, .down, .rate, .delay: false
      }
    }
    isUniform =
      !dropsLater && configuration.burstLoss == nil && configuration.corruptionRate == .never
      && configuration.queueDiscipline == .tailDrop && configuration.lossRate == .never
      && configuration.duplicationRate == .never
      && configuration.reorderRate == .never && configuration.jitter == .zero && configuration.markingByteCount == nil
      && configuration.maximumTransmissionUnit == nil
    queue = TailDropQueue(configuration)
    line = Line(bitsPerSecond: configuration.bitsPerSecond, at: now)
    coming = isScheduled ? Self.events(of: configuration, from: now) : []
    lossGenerator = SeededGenerator(seed: configuration.seed, stream: 1)
    duplicationGenerator = SeededGenerator(seed: configuration.seed, stream: 2)
    reorderGenerator = SeededGenerator(seed: configuration.seed, stream: 3)
    jitterGenerator = SeededGenerator(seed: configuration.seed, stream: 4)
    corruptionGenerator = SeededGenerator(seed: configuration.seed, stream: 5)
    burst = configuration.burstLoss.map { BurstState($0, SeededGenerator(seed: configuration.seed, stream: 6)) }
    if case .controlledDelay(let setting) = configuration.queueDiscipline { controlledDelay = ControlledDelay(setting) }
  }

  /// Lets the schedule begin, in place of one that has begun before: its times count from `time`.
  public mutating func beginSchedule(at time: Instant) {
    defer { look() }
    advance(to: time)
    coming = Self.events(of: configuration, from: time)
  }

  /// Last event first: the next one is taken from the end.
  private static func events(
    of configuration: LinkConfiguration, from origin: Instant
  ) -> [(time: Instant, change: LinkEvent.Change)] {
    configuration.schedule.enumerated()
      .sorted { ($0.element.after, $0.offset) > ($1.element.after, $1.offset) }
      .map { (origin + $0.element.after, $0.element.change) }
  }

  /// Hands the link one wire packet: a whole IP packet that goes out as it is.
  ///
  /// - Parameters:
  ///   - packet: The whole packet, from the IP header on.
  ///   - tag: What comes out with it, and with its copies (``LinkPacket/tag``).
  ///   - time: When it enters the link.
  public mutating func send(_ packet: [UInt8], tag: UInt64 = 0, at time: Instant) {
    defer { look() }
    advance(to: time)
    var packet = LinkPacket(bytes: packet, tag: tag, sent: now)
    counters.sent.count(packet)
    guard isUp else { return counters.drop(packet, .linkDown) }
    guard packet.bytes.count <= maximumTransmissionUnit else {
      return counters.drop(packet, .tooLarge)
    }
    guard line.idle > now else { return transmit(packet) }
    guard queue.hasRoom(for: packet) else { return counters.drop(packet, .queueFull) }
    if let threshold = configuration.markingByteCount, queue.byteCount &+ packet.bytes.count > threshold,
      CongestionMark.mark(&packet.bytes) == .marked
    {
      counters.marked.count(packet.bytes.count)
    }
    queue.append(packet)
  }

  /// Hands the link a packet as it leaves a host with offload: a super-segment is cut into wire packets, and their
  /// checksums are filled in. Each wire packet then has its own fate.
  ///
  /// What is no whole IP packet goes out as it is.
  ///
  /// - Parameters:
  ///   - packet: The whole packet, from the IP header on; its transport checksum need not be there.
  ///   - segmentByteCount: The payload of each wire packet; 0 for a packet that is one already.
  ///   - tag: What comes out with each wire packet (``LinkPacket/tag``).
  ///   - time: When it enters the link.
  public mutating func send(
    superSegment packet: RawSpan, segmentByteCount: Int, tag: UInt64 = 0, at time: Instant
  ) {
    do {
      try Segmentation.forEachSegment(of: packet, segmentByteCount: segmentByteCount) {
        send(Array($0), tag: tag, at: time)
      }
    } catch {
      send(packet.withUnsafeBytes { Array($0) }, tag: tag, at: time)
    }
  }

  /// Hands the link a super-segment that stays whole: its wire packets arrive together, when the last of them would
  /// have, as an interface with receive offload hands them over. It counts as its wire packets.
  ///
  /// - Returns: False, with nothing done, where something would tell its wire packets apart: on a line that has chance,
  ///   marks packets or refuses long ones, when the queue has no room for all of it, or when the line would take longer
  ///   than ``burst`` for it. Then it is to be cut (``send(superSegment:segmentByteCount:at:)``).
  public mutating func send(_ run: PacketRun, tag: UInt64 = 0, at time: Instant) -> Bool {
    defer { look() }
    advance(to: time)
    let packet = LinkPacket(run: run, tag: tag, sent: now)
    guard isUniform, run.wirePacketCount == 1 || line.duration(of: run.wireByteCount) <= Self.burst,
      line.idle <= now || queue.hasRoom(for: packet)
    else { return false }
    counters.sent.count(packet)
    if !isUp {
      counters.drop(packet, .linkDown)
    } else if line.idle <= now {
      transmit(packet)
    } else {
      queue.append(packet)
    }
    return true
  }

  /// The longest time on the line for which wire packets are kept together.
  public static let burst = Nanoseconds.milliseconds(2)

  /// The next packet that has arrived at `time` or before, in the order of arrival; `nil` when there is none.
  public mutating func receive(at time: Instant) -> LinkPacket? {
    defer { look() }
    advance(to: time)
    let ordered = inOrder.first
    let other = outOfOrder.first
    let packet: LinkPacket?
    if let other, ordered.map(other.arrivesBefore) ?? true {
      guard other.arrival <= now else { return nil }
      packet = outOfOrder.popFirst()
    } else {
      guard let ordered, ordered.arrival <= now else { return nil }
      packet = inOrder.popFirst()
    }
    if let packet {
      counters.delivered.count(packet)
      travellingPacketCount -= packet.wirePacketCount
    }
    return packet
  }

  /// Cuts the link or brings it back, at once.
  ///
  /// Going down loses what waits, what is on the line and what has not arrived by then; packets that have arrived and
  /// were not yet asked for remain.
  public mutating func set(isUp: Bool, at time: Instant) {
    defer { look() }
    advance(to: time)
    apply(isUp ? .up : .down)
  }

  /// How long the line was sending until `time`, at whatever rate. It is a copy of the link that comes to that time.
  package consuming func busyTime(until time: Instant) -> Nanoseconds {
    advance(to: time)
    return line.busyTime(until: now)
  }

  /// Whether the line has a rate at any time, and so is busy for a time that can be told.
  package var isEverLimited: Bool {
    configuration.bitsPerSecond != nil
      || configuration.schedule.contains {
        switch $0.change {
        case .rate(let rate): rate != nil
        case .up, .down, .delay, .loss, .maximumTransmissionUnit: false
        }
      }
  }

  /// How many packets are in the link: waiting, on their way, or arrived and not yet asked for.
  public var packetCount: Int { queue.packetCount + travellingPacketCount }
}

extension Link {
  /// Lets everything happen that happens until `time`, in its order.
  private mutating func advance(to time: Instant) {
    while let event = coming.last, event.time <= time {
      coming.removeLast()
      drainQueue(until: event.time)
      apply(event.change)
    }
    drainQueue(until: time)
  }

  /// Looks up what hosts ask for again and again: reading it must not cost them a copy of the link.
  private mutating func look() {
    queuedPacketCount = queue.packetCount
    queuedByteCount = queue.byteCount
    var deadline = inOrder.first?.arrival
    if let other = outOfOrder.first?.arrival { deadline = min(deadline ?? other, other) }
    // What waits for the line arrives no sooner than what has left it in order, so it matters only without such.
    if inOrder.isEmpty, let waiting = queue.first {
      // Whether CoDel lets the first packet go, or a shorter one behind it, shows when the line takes it.
      let departure = controlledDelay == nil ? line.departure(of: waiting.wireByteCount, notBefore: now) : line.idle
      let arrival = departure + delay
      deadline = min(deadline ?? arrival, arrival)
      // A change may bring it sooner.
      if let event = coming.last { deadline = min(deadline ?? event.time, event.time) }
    }
    nextDeadline = deadline
  }

  private mutating func drainQueue(until time: Instant) {
    while line.idle <= time, let packet = nextFromQueue() { transmit(packet) }
    now = max(now, time)
  }

  /// The packet that the line takes next, at the moment at which it is idle.
  private mutating func nextFromQueue() -> LinkPacket? {
    guard controlledDelay != nil else { return queue.popFirst() }
    while var packet = queue.popFirst() {
      let taken = max(line.idle, packet.sent)
      guard controlledDelay?.decides(sojourn: taken - packet.sent, byteCount: queue.byteCount, at: taken) == true
      else { return packet }
      switch controlledDelay?.configuration.marks == true ? CongestionMark.mark(&packet.bytes) : .notCapable {
      case .marked:
        counters.marked.count(packet.bytes.count)
        return packet
      case .alreadyMarked:
        // A packet with CE is forwarded like one that could be marked (RFC 3168 §5).
        return packet
      case .notCapable:
        counters.drop(packet, .controlledDelay)
      }
    }
    // An empty queue ends the state (RFC 8289 §5.5).
    _ = controlledDelay?.decides(sojourn: nil, byteCount: 0, at: line.idle)
    return nil
  }

  private mutating func apply(_ change: LinkEvent.Change) {
    switch change {
    case .up:
      isUp = true
    case .down:
      isUp = false
      discardEverything()
    case .rate(let rate):
      line.set(bitsPerSecond: rate)
    case .delay(let delay):
      self.delay = delay
    case .loss(let rate):
      lossRate = rate
    case .maximumTransmissionUnit(let byteCount):
      maximumTransmissionUnit = byteCount ?? .max
    }
  }

  private mutating func discardEverything() {
    while let packet = queue.popFirst() { counters.drop(packet, .linkDown) }
    line.reset(at: now)
    while let packet = inOrder.last, packet.arrival > now {
      _ = inOrder.popLast()
      lose(packet)
    }
    var arrived: [LinkPacket] = []
    while let packet = outOfOrder.popFirst() {
      if packet.arrival <= now { arrived.append(packet) } else { lose(packet) }
    }
    for packet in arrived { outOfOrder.insert(packet) }
    latestArrival = min(latestArrival, now)
    latestSteadyArrival = min(latestSteadyArrival, now)
  }

  private mutating func lose(_ packet: LinkPacket) {
    counters.drop(packet, .linkDown)
    travellingPacketCount -= packet.wirePacketCount
  }

  /// Puts a packet on the line, which is idle or becomes so now.
  private mutating func transmit(_ packet: LinkPacket) {
    let departure = line.send(packet.wireByteCount, notBefore: packet.sent)
    if lossRate.happens(&lossGenerator) {
      return counters.drop(packet, .randomLoss)
    }
    if burst != nil, burst?.loses() == true {
      return counters.drop(packet, .burstLoss)
    }
    if configuration.corruptionRate.happens(&corruptionGenerator) {
      arrive(damaged(packet), departure: departure)
    } else {
      arrive(packet, departure: departure)
    }
  }

  /// The packet with one octet changed.
  private mutating func damaged(_ packet: LinkPacket) -> LinkPacket {
    guard !packet.bytes.isEmpty else { return packet }
    counters.corrupted.count(packet)
    var packet = packet
    let place = Int(corruptionGenerator.next(through: Int64(packet.bytes.count - 1)))
    packet.bytes[place] ^= UInt8(1 + corruptionGenerator.next(through: 254))
    return packet
  }

  private mutating func arrive(_ packet: LinkPacket, departure: Instant) {
    launch(packet, departure: departure)
    if configuration.duplicationRate.happens(&duplicationGenerator) {
      counters.duplicated.count(packet)
      launch(packet, departure: departure)
    }
  }

  /// Lets a packet that has left the line travel to the other end.
  private mutating func launch(_ packet: LinkPacket, departure: Instant) {
    var packet = packet
    travellingPacketCount += packet.wirePacketCount
    packet.order = nextOrder
    nextOrder &+= 1
    packet.arrival = departure + delay
    let steadyArrival = configuration.jitterReorders ? packet.arrival : max(packet.arrival, latestSteadyArrival)
    packet.travelTime = steadyArrival - departure
    if configuration.jitter > .zero {
      packet.arrival = packet.arrival + Nanoseconds(jitterGenerator.next(through: configuration.jitter.count))
    }
    if !configuration.jitterReorders { packet.arrival = max(packet.arrival, latestArrival) }
    if configuration.reorderRate.happens(&reorderGenerator) {
      counters.heldBack.count(packet)
      packet.arrival = packet.arrival + configuration.reorderDelay
      outOfOrder.insert(packet)
    } else if configuration.jitterReorders {
      outOfOrder.insert(packet)
    } else {
      latestArrival = packet.arrival
      latestSteadyArrival = steadyArrival
      inOrder.append(packet)
    }
  }
}
