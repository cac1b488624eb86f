import MPTCPWire

/// What stands behind a ``Middlebox``. Adding a kind of box is one conforming type and one case.
protocol PacketProcessor: Sendable {
  /// Takes a packet and hands out what goes on for it.
  mutating func receive(_ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput)

  /// When ``advance(to:_:)`` has something to do. Whatever is due is done by one call.
  var nextDeadline: Instant? { get }
  mutating func advance(to now: Instant, _ output: inout MiddleboxOutput)

  /// What is remembered and held, for tests of bounds.
  var flowCount: Int { get }
  var packetCount: Int { get }
}

extension PacketProcessor {
  var nextDeadline: Instant? { nil }
  mutating func advance(to now: Instant, _ output: inout MiddleboxOutput) {}
  var flowCount: Int { 0 }
  var packetCount: Int { 0 }
}

/// A box that deals with TCP segments; all else passes as it is.
protocol SegmentProcessor: PacketProcessor {
  mutating func process(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput)
}

extension SegmentProcessor {
  mutating func receive(_ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput) {
    guard let segment = EditableSegment(packet.bytes) else { return output.send(packet) }
    process(segment, packet, at: now, &output)
  }
}

/// What a box hands out, and what it did.
struct MiddleboxOutput: Sendable {
  var packets = Ring<MiddleboxPacket>()
  var counters = MiddleboxCounters()

  mutating func send(_ packet: MiddleboxPacket) {
    guard !packet.bytes.isEmpty else { return }
    counters.sent &+= 1
    packets.append(packet)
  }

  /// Sends a changed packet in place of `packet`.
  mutating func send(_ segment: EditableSegment, for packet: MiddleboxPacket, _ effect: MiddleboxEffect) {
    counters.count(effect)
    send(MiddleboxPacket(segment.encoded(), packet.direction, tag: packet.tag))
  }

  mutating func count(_ effect: MiddleboxEffect, _ number: Int = 1) { counters.count(effect, number) }
}

extension Optional<PathDirection> {
  /// Whether a box with this selection acts in a direction.
  func includes(_ direction: PathDirection) -> Bool { self == nil || self == direction }
}
