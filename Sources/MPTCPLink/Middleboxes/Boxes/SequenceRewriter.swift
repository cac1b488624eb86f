import MPTCPWire

/// See ``SequenceRewriting``.
struct SequenceRewriter: SegmentProcessor {
  private struct Flow: Sendable {
    // What is added to the sequence numbers of each direction, once its SYN has been seen.
    var offsets = Both<Int?>(nil)
    var initial = Both<SequenceNumber?>(nil)
  }

  private let configuration: SequenceRewriting
  private var generator: SeededGenerator
  private var flows: FlowTable<Flow>

  init(_ configuration: SequenceRewriting, _ generator: SeededGenerator, flowLimit: Int) {
    self.configuration = configuration
    self.generator = generator
    flows = FlowTable(limit: flowLimit)
  }

  var flowCount: Int { flows.count }

  mutating func process(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput
  ) {
    let key = FlowKey(segment, packet.direction)
    if segment.tcp.flags.contains(.syn) { open(key, segment, packet.direction) }
    guard let place = flows.place(of: key) else { return output.send(packet) }
    let flow = flows.states[place]
    let own = flow.offsets[packet.direction] ?? 0
    let other = flow.offsets[packet.direction.opposite] ?? 0
    guard own != 0 || other != 0 else { return output.send(packet) }
    var segment = segment
    segment.tcp.sequenceNumber = segment.tcp.sequenceNumber + own
    if segment.tcp.flags.contains(.ack) {
      segment.tcp.acknowledgmentNumber = segment.tcp.acknowledgmentNumber + -other
      if configuration.translatesSACK { segment.mapSACK { $0 + -other } }
    }
    output.send(segment, for: packet, .sequenceTranslated)
  }

  /// Chooses a direction's offset at its SYN. A SYN that comes again keeps it; one with another number is of a new
  /// flow.
  private mutating func open(_ key: FlowKey, _ segment: EditableSegment, _ direction: PathDirection) {
    let number = segment.tcp.sequenceNumber
    let place = flows.place(of: key) ?? flows.insert(Flow(), for: key)
    guard flows.states[place].initial[direction] != number else { return }
    if !segment.tcp.flags.contains(.ack) { flows.states[place] = Flow() }
    flows.states[place].initial[direction] = number
    flows.states[place].offsets[direction] = Int(UInt32(truncatingIfNeeded: generator.next()))
  }
}
