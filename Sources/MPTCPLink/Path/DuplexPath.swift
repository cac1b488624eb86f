import MPTCPWire

/// Both directions of a path between a client and a server, with the boxes on it, as a value.
///
/// ```
/// client ── clientBoxes ──┬── forward link ──▶──┬── serverBoxes ── server
///                         └──◀── backward link ─┘
/// ```
///
/// The boxes at the client's side see a packet before the link's queue, like a home router; those at the server's side
/// see it after the delay, like a load balancer. Boxes take no time but where their configuration says so.
///
/// A host calls, with times that never go back: ``send(_:from:tag:at:)`` for what a host sends, and at
/// ``nextDeadline``, or sooner, ``receive(at:at:)`` for both ends until it returns `nil`. All that happens on the path
/// happens at its own time, however late the host asks.
public struct DuplexPath: Sendable {
  /// The two ends of a path.
  public enum End: String, CaseIterable, Codable, Hashable, Sendable {
    /// Where ``PathDirection/forward`` begins.
    case client
    /// Where it ends.
    case server

    /// The direction of what this end sends.
    public var outgoing: PathDirection { self == .client ? .forward : .backward }
    /// The other end.
    public var opposite: End { self == .client ? .server : .client }
  }

  /// A packet that came out at an end.
  public struct Arrival: Hashable, Sendable {
    /// The whole IP packet.
    public let bytes: [UInt8]
    /// What its sender said about it.
    public let tag: UInt64
    /// When it came out.
    public let time: Instant
  }

  /// What the path was made from.
  public let configuration: DuplexPathConfiguration
  private var links: Both<Link>
  private var clientChain: MiddleboxChain
  private var serverChain: MiddleboxChain
  private var arrivals = Both(Ring<Arrival>())
  private var now: Instant

  /// Makes a path that is empty at `now`, the origin of all set times on it.
  public init(_ configuration: DuplexPathConfiguration, flowLimit: Int = 4096, at now: Instant) {
    self.configuration = configuration
    self.now = now
    var generator = SeededGenerator(seed: configuration.seed, stream: 300)
    let seeds = (0..<4).map { _ in generator.next() }
    var forward = configuration.forward
    if forward.seed == 0 { forward.seed = seeds[0] }
    var backward = configuration.backward
    if backward.seed == 0 { backward.seed = seeds[1] }
    links = Both(Link(forward, at: now))
    links.backward = Link(backward, at: now)
    clientChain = MiddleboxChain(configuration.clientBoxes, seed: seeds[2], flowLimit: flowLimit, at: now)
    serverChain = MiddleboxChain(configuration.serverBoxes, seed: seeds[3], flowLimit: flowLimit, at: now)
  }

  /// What a link did so far.
  public func counters(_ direction: PathDirection) -> LinkCounters { links[direction].counters }

  /// The boxes, the client's neighbour first, with what each did so far.
  public var boxes: [Middlebox] { clientChain.boxes + serverChain.boxes }

  /// How many packets are on a link or have arrived and were not yet asked for.
  public var packetCount: Int {
    links.forward.packetCount + links.backward.packetCount + arrivals.forward.count + arrivals.backward.count
  }

  /// The time at which to call ``receive(at:at:)`` next, or `nil` while nothing is on its way.
  ///
  /// Nothing arrives before it. It may be that nothing arrives then: ask again.
  public var nextDeadline: Instant? {
    if !arrivals.forward.isEmpty || !arrivals.backward.isEmpty { return now }
    return nextStep
  }

  /// Hands the path one wire packet.
  ///
  /// - Parameters:
  ///   - packet: The whole IP packet.
  ///   - end: Who sends it.
  ///   - tag: What comes out with it.
  ///   - time: When.
  public mutating func send(_ packet: [UInt8], from end: End, tag: UInt64 = 0, at time: Instant) {
    advance(to: time)
    switch end {
    case .client: pass(MiddleboxPacket(packet, .forward, tag: tag), throughServerChain: false)
    case .server: pass(MiddleboxPacket(packet, .backward, tag: tag), throughServerChain: true)
    }
  }

  /// Hands the path a packet as it leaves a host with offload: a super-segment is cut into wire packets first, and
  /// checksums are filled in (see ``Link/send(superSegment:segmentByteCount:tag:at:)``).
  public mutating func send(
    superSegment packet: RawSpan, segmentByteCount: Int, from end: End, tag: UInt64 = 0, at time: Instant
  ) {
    do {
      try Segmentation.forEachSegment(of: packet, segmentByteCount: segmentByteCount) {
        send(Array($0), from: end, tag: tag, at: time)
      }
    } catch {
      send(packet.withUnsafeBytes { Array($0) }, from: end, tag: tag, at: time)
    }
  }

  /// The next packet that has come out at an end at `time` or before, in the order of arrival; `nil` where there is
  /// none.
  public mutating func receive(at end: End, at time: Instant) -> Arrival? {
    advance(to: time)
    return arrivals[end.opposite.outgoing].popFirst()
  }

  /// Lets everything happen that happens until `time`, in its order.
  public mutating func advance(to time: Instant) {
    while let step = nextStep, step <= time {
      now = max(now, step)
      clientChain.advance(to: now)
      drain(throughServerChain: false)
      serverChain.advance(to: now)
      drain(throughServerChain: true)
      for direction in PathDirection.allCases {
        while let packet = links[direction].receive(at: now) {
          pass(
            MiddleboxPacket(packet.bytes, direction, tag: packet.tag), throughServerChain: direction == .forward)
        }
      }
    }
    now = max(now, time)
  }

  /// Cuts both links or brings them back.
  public mutating func set(isUp: Bool, at time: Instant) {
    advance(to: time)
    links.forward.set(isUp: isUp, at: now)
    links.backward.set(isUp: isUp, at: now)
  }
}

extension DuplexPath {
  /// When something happens next on a link or in a box.
  private var nextStep: Instant? {
    let chains = Self.earlier(clientChain.nextDeadline, serverChain.nextDeadline)
    return Self.earlier(chains, Self.earlier(links.forward.nextDeadline, links.backward.nextDeadline))
  }

  private static func earlier(_ first: Instant?, _ second: Instant?) -> Instant? {
    guard let first else { return second }
    return min(first, second ?? first)
  }

  /// A packet at the outer end of a chain: from a host, or from a link.
  private mutating func pass(_ packet: MiddleboxPacket, throughServerChain isServer: Bool) {
    if isServer { serverChain.receive(packet, at: now) } else { clientChain.receive(packet, at: now) }
    drain(throughServerChain: isServer)
  }

  private mutating func drain(throughServerChain isServer: Bool) {
    while let packet = isServer ? serverChain.next() : clientChain.next() {
      let arrives = packet.direction == (isServer ? .forward : .backward)
      if arrives {
        arrivals[packet.direction].append(Arrival(bytes: packet.bytes, tag: packet.tag, time: now))
      } else {
        links[packet.direction].send(packet.bytes, tag: packet.tag, at: now)
      }
    }
  }
}
