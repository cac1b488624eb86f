import MPTCPWire

/// Middleboxes one behind the other, with no distance between them: the first is nearest to the client.
///
/// It is hosted as one ``Middlebox``; a packet that one box makes goes on through those in its direction.
public struct MiddleboxChain: Sendable {
  /// The boxes.
  public private(set) var boxes: [Middlebox]
  private var output = Ring<MiddleboxPacket>()
  private var now: Instant

  /// Makes a chain; each box has a seed of its own that derives from `seed`.
  public init(_ configurations: [MiddleboxConfiguration], seed: UInt64 = 0, flowLimit: Int = 4096, at now: Instant) {
    self.now = now
    boxes = configurations.enumerated().map { index, configuration in
      var generator = SeededGenerator(seed: seed, stream: 200 &+ UInt64(index))
      return Middlebox(configuration, seed: generator.next(), flowLimit: flowLimit, at: now)
    }
  }

  /// Whether there is no box, so that packets need not pass here.
  public var isEmpty: Bool { boxes.isEmpty }

  /// When a box has something to do by itself, or `nil`.
  public var nextDeadline: Instant? {
    var deadline: Instant?
    for box in boxes { if let other = box.nextDeadline { deadline = min(deadline ?? other, other) } }
    return deadline
  }

  /// Hands the chain a packet, at the end that its direction begins with.
  public mutating func receive(_ packet: MiddleboxPacket, at time: Instant) {
    advance(to: time)
    pass(packet, at: packet.direction == .forward ? 0 : boxes.count - 1)
  }

  /// Lets the boxes do what is due, each at its time.
  public mutating func advance(to time: Instant) {
    while let deadline = nextDeadline, deadline <= time {
      now = max(now, deadline)
      for index in boxes.indices where boxes[index].nextDeadline.map({ $0 <= now }) ?? false {
        boxes[index].advance(to: now)
        drain(index)
      }
    }
    now = max(now, time)
  }

  /// The next packet that leaves the chain, or `nil`.
  public mutating func next() -> MiddleboxPacket? { output.popFirst() }

  private mutating func pass(_ packet: MiddleboxPacket, at index: Int) {
    guard boxes.indices.contains(index) else { return output.append(packet) }
    boxes[index].receive(packet, at: now)
    drain(index)
  }

  private mutating func drain(_ index: Int) {
    while let packet = boxes[index].next() { pass(packet, at: packet.direction == .forward ? index + 1 : index - 1) }
  }
}
