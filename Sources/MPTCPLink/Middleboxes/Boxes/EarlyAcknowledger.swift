import MPTCPWire

/// See ``EarlyAcknowledgment``.
struct EarlyAcknowledger: SegmentProcessor {
  /// How often one copy is sent before the box gives up.
  private static let attemptLimit = 10

  private let configuration: EarlyAcknowledgment
  private var flows: FlowTable<AcknowledgedFlow>
  // No flow has anything to do before this; it may be that none has then.
  private var earliest: Instant?

  init(_ configuration: EarlyAcknowledgment, flowLimit: Int) {
    self.configuration = configuration
    flows = FlowTable(limit: flowLimit)
  }

  var flowCount: Int { flows.count }
  var packetCount: Int { flows.states.reduce(0) { $0 + $1.copies.count } }
  var nextDeadline: Instant? { earliest }

  mutating func advance(to now: Instant, _ output: inout MiddleboxOutput) {
    earliest = nil
    for place in (0..<flows.count).reversed() {
      if let deadline = flows.states[place].deadline, deadline <= now {
        guard flows.states[place].attempts < Self.attemptLimit else {
          giveUp(place, &output)
          continue
        }
        flows.states[place].attempts += 1
        resend(place, at: now, &output)
      }
      note(flows.states[place].deadline)
    }
  }

  mutating func process(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput
  ) {
    let key = FlowKey(segment, packet.direction)
    let isData = packet.direction == configuration.direction
    let flags = segment.tcp.flags
    // What is damaged is nobody's word.
    guard segment.hasValidChecksums else { return output.send(packet) }
    var place = flows.place(of: key)
    if flags.contains(.syn), !flags.contains(.ack), place.map({ flows.states[$0].isOver(segment, isData) }) ?? true {
      // Whose copies are the only ones left must not be forgotten for a new flow.
      if place == nil, flows.isFull, let oldest = flows.oldestPlace, !flows.states[oldest].copies.isEmpty {
        return output.send(packet)
      }
      place = flows.insert(AcknowledgedFlow(), for: key)
    }
    guard let place else { return output.send(packet) }
    if flags.contains(.rst) {
      flows.remove(at: place)
      return output.send(packet)
    }
    if isData {
      takeData(segment, packet, place, at: now, &output)
    } else {
      takeAnswer(segment, packet, place, at: now, &output)
    }
  }

  private mutating func takeData(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, _ place: Int, at now: Instant,
    _ output: inout MiddleboxOutput
  ) {
    if segment.tcp.flags.contains(.syn) { flows.states[place].hear(senderSYN: segment) }
    guard !segment.payload.isEmpty, segment.tcp.flags.isDisjoint(with: [.syn, .urg]),
      let early = flows.states[place].early
    else { return output.send(packet) }
    let end = segment.dataStart + segment.payload.count
    if end - early <= 0, !segment.tcp.flags.contains(.fin) {
      // It was acknowledged; that the sender does not know is all that is wrong.
      if !configuration.keepsCopies { output.send(packet) }
      return acknowledge(segment, packet, place, &output)
    }
    output.send(packet)
    let isNext = segment.dataStart - early <= 0 && end - early > 0
    guard isNext, flows.states[place].isOffered(end) else { return }
    if configuration.keepsCopies {
      guard flows.states[place].copyByteCount + segment.payload.count <= configuration.byteCount else { return }
      flows.states[place].keep(packet, end: end, byteCount: segment.payload.count)
      if flows.states[place].deadline == nil { wait(place, from: now) }
    }
    flows.states[place].early = end
    acknowledge(segment, packet, place, &output)
  }

  /// Tells the sender of `segment` what it may forget.
  private mutating func acknowledge(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, _ place: Int, _ output: inout MiddleboxOutput
  ) {
    let flow = flows.states[place]
    guard let early = flow.early, let next = flow.receiverNext else { return }
    var stamps: TCPTimestamps?
    if let own = segment.timestamps, let value = flow.receiverTimestamp {
      stamps = TCPTimestamps(value: value, echo: own.value)
    }
    flows.states[place].tell(early)
    output.count(.acknowledgedEarly)
    output.send(
      MiddleboxPacket(
        segment.answer(
          flags: .ack, sequenceNumber: next, acknowledgmentNumber: early, window: flow.window(behind: early),
          timestamps: stamps),
        packet.direction.opposite, tag: packet.tag))
  }

  private mutating func takeAnswer(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, _ place: Int, at now: Instant,
    _ output: inout MiddleboxOutput
  ) {
    let news = flows.states[place].hear(receiver: segment)
    switch news {
    case .progress:
      flows.states[place].attempts = 0
      wait(place, from: now)
    case .duplicates:
      resend(place, at: now, &output)
    case .nothing: break
    }
    let flow = flows.states[place]
    guard segment.tcp.flags.contains(.ack), let early = flow.early, segment.tcp.acknowledgmentNumber - early < 0 else {
      if segment.tcp.flags.contains(.ack) { flows.states[place].tell(segment.tcp.acknowledgmentNumber) }
      return output.send(packet)
    }
    if flow.saysNothing(segment) { return output.count(.acknowledgmentSwallowed) }
    var raised = segment
    raised.tcp.acknowledgmentNumber = early
    raised.tcp.window = flow.window(behind: early)
    // Blocks below the number would be reports of duplicates (RFC 2883 §4).
    _ = raised.removeOptions(.kind(TCPOptionKind.sack), shortensHeader: false)
    flows.states[place].tell(early)
    output.send(raised, for: packet, .sequenceTranslated)
  }

  private mutating func resend(_ place: Int, at now: Instant, _ output: inout MiddleboxOutput) {
    if let copy = flows.states[place].copies.first {
      output.count(.copySent)
      output.send(copy.packet)
    }
    wait(place, from: now)
  }

  private mutating func wait(_ place: Int, from now: Instant) {
    let shift = Int64(1) << Int64(min(flows.states[place].attempts, Self.attemptLimit))
    let deadline = now + max(configuration.timeout, Nanoseconds(1)) * shift
    flows.states[place].deadline = flows.states[place].copies.isEmpty ? nil : deadline
    note(flows.states[place].deadline)
  }

  private mutating func note(_ deadline: Instant?) {
    guard let deadline else { return }
    earliest = min(earliest ?? deadline, deadline)
  }

  /// What was acknowledged cannot be delivered: both ends have to learn it.
  private mutating func giveUp(_ place: Int, _ output: inout MiddleboxOutput) {
    let flow = flows.states[place]
    let key = flows.keys[place]
    let data = configuration.direction
    if let acknowledged = flow.acknowledged, let early = flow.early, let next = flow.receiverNext {
      let tag = flow.copies.first?.packet.tag ?? 0
      for (direction, number, answer) in [(data, acknowledged, next), (data.opposite, next, early)] {
        output.count(.resetSent)
        output.send(
          MiddleboxPacket(
            EditableSegment.packet(
              from: key.source(direction), to: key.source(direction.opposite), flags: [.rst, .ack],
              sequenceNumber: number, acknowledgmentNumber: answer, window: 0),
            direction, tag: tag))
      }
    }
    flows.remove(at: place)
  }
}
