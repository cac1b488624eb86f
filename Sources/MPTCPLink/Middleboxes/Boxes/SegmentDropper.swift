import MPTCPWire

/// See ``SegmentDropping``.
struct SegmentDropper: SegmentProcessor {
  private let configuration: SegmentDropping
  private var generator: SeededGenerator
  private var handshakes: HandshakeTracker

  init(_ configuration: SegmentDropping, _ generator: SeededGenerator, flowLimit: Int) {
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
      !configuration.withData || !segment.payload.isEmpty,
      configuration.option.map(segment.hasOption) ?? true, configuration.chance.happens(&generator)
    else { return output.send(packet) }
    output.count(.segmentDropped)
    if configuration.answersWithReset { output.refuse(segment, packet) }
  }
}

extension MiddleboxOutput {
  /// Answers a segment with an RST as a host without such a connection does (RFC 9293 §3.10.7.1), but an RST with
  /// nothing.
  mutating func refuse(_ segment: EditableSegment, _ packet: MiddleboxPacket) {
    let tcp = segment.tcp
    guard !tcp.flags.contains(.rst) else { return }
    let answer =
      tcp.flags.contains(.ack)
      ? segment.answer(
        flags: .rst, sequenceNumber: tcp.acknowledgmentNumber, acknowledgmentNumber: SequenceNumber(0), window: 0)
      : segment.answer(
        flags: [.rst, .ack], sequenceNumber: SequenceNumber(0), acknowledgmentNumber: segment.end, window: 0)
    count(.resetSent)
    send(MiddleboxPacket(answer, packet.direction.opposite, tag: packet.tag))
  }
}
