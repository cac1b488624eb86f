import MPTCPWire

/// See ``OptionStripping``.
struct OptionStripper: SegmentProcessor {
  private let configuration: OptionStripping
  private var generator: SeededGenerator
  private var handshakes: HandshakeTracker

  init(_ configuration: OptionStripping, _ generator: SeededGenerator, flowLimit: Int) {
    self.configuration = configuration
    self.generator = generator
    handshakes = HandshakeTracker(flowLimit: flowLimit)
  }

  var flowCount: Int { handshakes.flowCount }

  mutating func process(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput
  ) {
    let kind = handshakes.kind(of: segment, packet.direction)
    guard configuration.direction.includes(packet.direction), configuration.on.contains(kind),
      segment.hasOption(configuration.option), configuration.chance.happens(&generator)
    else { return output.send(packet) }
    var segment = segment
    let count = segment.removeOptions(configuration.option, shortensHeader: configuration.shortensHeader)
    output.count(.optionRemoved, count - 1)
    output.send(segment, for: packet, .optionRemoved)
  }
}
