import MPTCPWire

/// See ``PayloadResizing``.
struct PayloadResizer: SegmentProcessor {
  private struct Flow: Sendable {
    /// The sequence number of the first octet of data, the same on both sides of the box.
    var start: SequenceNumber
    var edits = PayloadEdits()
    var isPlaceChanged = false

    /// The place of a sequence number in front of the box. Numbers wrap; what is meant is near the latest data.
    func position(_ number: SequenceNumber) -> Int { edits.highest + (number - (start + edits.highest)) }

    /// The place of a sequence number behind the box.
    func outerPosition(_ number: SequenceNumber) -> Int {
      let highest = edits.outer(edits.highest)
      return highest + (number - (start + highest))
    }

    /// The number in front of the box of a number behind it; numbers before the data are the same.
    func inner(_ number: SequenceNumber) -> SequenceNumber {
      let position = outerPosition(number)
      return position < 0 ? number : start + edits.inner(position)
    }
  }

  /// What is put in.
  private static let filler = UInt8(ascii: "+")

  private let configuration: PayloadResizing
  private let growth: Int
  private let find: [UInt8]
  private let replace: [UInt8]
  private var flows: FlowTable<Flow>

  init(_ configuration: PayloadResizing, flowLimit: Int) {
    self.configuration = configuration
    growth = min(max(configuration.by, -PayloadResizing.limit), PayloadResizing.limit)
    find = Array(configuration.find.utf8)
    replace = Array(configuration.replace.utf8)
    flows = FlowTable(limit: flowLimit)
  }

  var flowCount: Int { flows.count }

  mutating func process(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput
  ) {
    let key = FlowKey(segment, packet.direction)
    let isData = packet.direction == configuration.direction
    if isData, segment.tcp.flags.contains(.syn) {
      let known = flows.place(of: key)
      if known.map({ flows.states[$0].start != segment.dataStart }) ?? true {
        flows.insert(Flow(start: segment.dataStart), for: key)
      }
    }
    guard let place = flows.place(of: key) else { return output.send(packet) }
    if isData {
      change(segment, packet, &flows.states[place], &output)
    } else {
      translate(segment, packet, &flows.states[place], &output)
    }
  }

  private func change(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, _ flow: inout Flow, _ output: inout MiddleboxOutput
  ) {
    var segment = segment
    var start = flow.position(segment.dataStart)
    // Data sent again from before all that is remembered: the receiver has that part.
    let surplus = min(max(flow.edits.floor - start, 0), segment.payload.count)
    segment.payload.removeFirst(surplus)
    start += surplus
    // Only the first look at data may change it, or else what is sent again would not be what was sent.
    if segment.hasValidChecksums { decide(segment.payload, at: start, &flow) }
    flow.edits.see(upTo: start + segment.payload.count)
    let before = segment.byteCount
    let (payload, isChanged) = flow.edits.changed(segment.payload, at: start)
    segment.payload = payload
    if !segment.tcp.flags.contains(.syn), start >= 0 {
      segment.tcp.sequenceNumber = flow.start + flow.edits.outer(start)
    }
    guard isChanged else {
      let isSame = surplus == 0 && segment.tcp.sequenceNumber == flow.start + start
      if isSame || segment.tcp.flags.contains(.syn) { return output.send(packet) }
      return output.send(segment, for: packet, .sequenceTranslated)
    }
    output.count(.payloadResized)
    let room = max(configuration.maximumByteCount - (segment.byteCount - segment.payload.count), 1)
    for part in segment.parts(of: segment.byteCount > before ? room : .max, copiesOptions: true) {
      output.send(MiddleboxPacket(part, packet.direction, tag: packet.tag))
    }
  }

  private func decide(_ payload: [UInt8], at start: Int, _ flow: inout Flow) {
    let first = max(flow.edits.highest - start, 0)
    guard first < payload.count else { return }
    if !find.isEmpty {
      for place in PayloadSearch.places(of: find, in: payload, from: first) where flow.edits.hasRoom {
        flow.edits.append(PayloadEdits.Edit(start: start + place, count: find.count, replacement: replace))
      }
      return
    }
    let place = configuration.at - start
    guard !flow.isPlaceChanged, growth != 0, place >= first, place < payload.count else { return }
    flow.isPlaceChanged = true
    if growth > 0 {
      let inserted = [UInt8](repeating: Self.filler, count: growth)
      flow.edits.append(PayloadEdits.Edit(start: start + place, count: 1, replacement: [payload[place]] + inserted))
    } else {
      let count = min(-growth, payload.count - place)
      flow.edits.append(PayloadEdits.Edit(start: start + place, count: count, replacement: []))
    }
  }

  private func translate(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, _ flow: inout Flow, _ output: inout MiddleboxOutput
  ) {
    guard segment.tcp.flags.contains(.ack) else { return output.send(packet) }
    var segment = segment
    let number = flow.inner(segment.tcp.acknowledgmentNumber)
    let isSame = number == segment.tcp.acknowledgmentNumber
    segment.tcp.acknowledgmentNumber = number
    let options = segment.options
    segment.mapSACK(flow.inner)
    if segment.hasValidChecksums { flow.edits.forget(upTo: min(flow.position(number), flow.edits.highest)) }
    guard !isSame || segment.options != options else { return output.send(packet) }
    output.send(segment, for: packet, .sequenceTranslated)
  }
}
