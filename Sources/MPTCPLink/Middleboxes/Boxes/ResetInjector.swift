import MPTCPWire

/// See ``ResetInjection``.
struct ResetInjector: SegmentProcessor {
  private struct Flow: Sendable {
    // The next sequence number of each direction, as the highest one seen.
    var next: Both<SequenceNumber?> = Both(nil)
    var byteCount = 0
    var tag: UInt64 = 0
    var isEnded = false
  }

  private let configuration: ResetInjection
  // The next one is at the end.
  private var times: [Instant]
  private var flows: FlowTable<Flow>

  init(_ configuration: ResetInjection, flowLimit: Int, at now: Instant) {
    self.configuration = configuration
    times = configuration.at.map { now + $0 }.sorted { $0 > $1 }
    flows = FlowTable(limit: flowLimit)
  }

  var flowCount: Int { flows.count }
  var nextDeadline: Instant? { times.last }

  mutating func advance(to now: Instant, _ output: inout MiddleboxOutput) {
    while let time = times.last, time <= now {
      times.removeLast()
      for place in 0..<flows.count where !flows.states[place].isEnded { end(place, &output) }
    }
  }

  mutating func process(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput
  ) {
    output.send(packet)
    let key = FlowKey(segment, packet.direction)
    if segment.tcp.flags.contains(.rst) {
      if let place = flows.place(of: key) { flows.remove(at: place) }
      return
    }
    let isOpening = segment.tcp.flags.contains(.syn) && !segment.tcp.flags.contains(.ack)
    let place = flows.place(of: key) ?? flows.insert(Flow(), for: key)
    if isOpening, flows.states[place].isEnded { flows.states[place] = Flow() }
    flows.states[place].tag = packet.tag
    if let next = flows.states[place].next[packet.direction], segment.end < next {
      // An old segment says nothing new.
    } else {
      flows.states[place].next[packet.direction] = segment.end
    }
    flows.states[place].byteCount &+= segment.payload.count
    if let limit = configuration.afterByteCount, flows.states[place].byteCount >= limit,
      !flows.states[place].isEnded
    {
      end(place, &output)
    }
  }

  /// An RST counts only with exactly the number that its receiver expects (RFC 9293 §3.10.7.4), which the box knows of
  /// a direction in which it has seen something.
  private mutating func end(_ place: Int, _ output: inout MiddleboxOutput) {
    flows.states[place].isEnded = true
    let flow = flows.states[place]
    let key = flows.keys[place]
    for direction in PathDirection.allCases {
      guard direction == .forward ? configuration.toServer : configuration.toClient, let next = flow.next[direction]
      else { continue }
      let known = flow.next[direction.opposite]
      output.count(.resetSent)
      output.send(
        MiddleboxPacket(
          EditableSegment.packet(
            from: key.source(direction), to: key.source(direction.opposite), flags: known == nil ? .rst : [.rst, .ack],
            sequenceNumber: next, acknowledgmentNumber: known ?? SequenceNumber(0), window: 0),
          direction, tag: flow.tag))
    }
  }
}
