import MPTCPWire

/// See ``MiddleboxConfiguration/stripSYNData``.
struct SYNDataStripper: SegmentProcessor {
  mutating func process(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput
  ) {
    guard segment.tcp.flags.contains(.syn), !segment.payload.isEmpty else { return output.send(packet) }
    var segment = segment
    segment.payload = []
    output.send(segment, for: packet, .synDataRemoved)
  }
}
