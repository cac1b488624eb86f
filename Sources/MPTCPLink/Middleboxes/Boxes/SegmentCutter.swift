import MPTCPWire

/// See ``SegmentCutting``.
struct SegmentCutter: SegmentProcessor {
  private let configuration: SegmentCutting
  private var generator: SeededGenerator

  init(_ configuration: SegmentCutting, _ generator: SeededGenerator) {
    self.configuration = configuration
    self.generator = generator
  }

  mutating func process(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput
  ) {
    // Urgent pointers count from the segment's start; no box of this kind cuts such segments.
    guard configuration.direction.includes(packet.direction), segment.payload.count > max(configuration.byteCount, 1),
      segment.tcp.flags.isDisjoint(with: [.urg, .rst]), configuration.chance.happens(&generator)
    else { return output.send(packet) }
    output.count(.segmentCut)
    for part in segment.parts(of: configuration.byteCount, copiesOptions: configuration.copiesOptions) {
      output.send(MiddleboxPacket(part, packet.direction, tag: packet.tag))
    }
  }
}
