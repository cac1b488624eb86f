import MPTCPWire

/// See ``SegmentReplay``.
struct SegmentReplayer: PacketProcessor {
  private let configuration: SegmentReplay
  private var generator: SeededGenerator
  private var kept = Ring<(time: Instant, packet: MiddleboxPacket)>()

  init(_ configuration: SegmentReplay, _ generator: SeededGenerator) {
    self.configuration = configuration
    self.generator = generator
  }

  var packetCount: Int { kept.count }
  var nextDeadline: Instant? { kept.first?.time }

  mutating func receive(_ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput) {
    output.send(packet)
    guard configuration.direction.includes(packet.direction), configuration.chance.happens(&generator),
      kept.count < configuration.limit
    else { return }
    // The delay is the same for all, so that they come due in the order in which they were kept.
    kept.append((now + max(configuration.after, .zero), packet))
  }

  mutating func advance(to now: Instant, _ output: inout MiddleboxOutput) {
    while let first = kept.first, first.time <= now {
      _ = kept.popFirst()
      output.count(.replayed)
      output.send(first.packet)
    }
  }
}
