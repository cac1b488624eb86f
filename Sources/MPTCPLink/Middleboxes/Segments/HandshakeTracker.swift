import MPTCPWire

/// Tells segments apart by their part in a connection; only the third one of a handshake needs memory.
struct HandshakeTracker: Sendable {
  private struct Handshake: Sendable {
    var opener: PathDirection
    // What the third segment may have: the number behind the SYN, or behind data in it.
    var sequenceNumber: SequenceNumber
    var dataByteCount: Int
    var acknowledgmentNumber: SequenceNumber?
  }

  private var flows: FlowTable<Handshake>

  init(flowLimit: Int) { flows = FlowTable(limit: flowLimit) }

  var flowCount: Int { flows.count }

  mutating func kind(of segment: EditableSegment, _ direction: PathDirection) -> SegmentKind {
    let flags = segment.tcp.flags
    if flags.contains(.rst) { return .reset }
    let key = FlowKey(segment, direction)
    if flags.contains(.syn) {
      guard flags.contains(.ack) else {
        flows.insert(
          Handshake(opener: direction, sequenceNumber: segment.dataStart, dataByteCount: segment.payload.count),
          for: key)
        return .syn
      }
      if let place = flows.place(of: key), flows.states[place].opener != direction {
        flows.states[place].acknowledgmentNumber = segment.dataStart
      }
      return .synAck
    }
    if !segment.payload.isEmpty { return .data }
    if flags.contains(.fin) { return .fin }
    guard let place = flows.place(of: key) else { return .ack }
    let handshake = flows.states[place]
    let isThird =
      handshake.opener == direction && segment.tcp.acknowledgmentNumber == handshake.acknowledgmentNumber
      && (0...handshake.dataByteCount).contains(segment.tcp.sequenceNumber - handshake.sequenceNumber)
    return isThird ? .thirdAck : .ack
  }
}
