import MPTCPWire

/// See ``SegmentSizeClamping``.
struct SegmentSizeClamp: SegmentProcessor {
  private let configuration: SegmentSizeClamping

  init(_ configuration: SegmentSizeClamping) { self.configuration = configuration }

  mutating func process(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput
  ) {
    guard configuration.direction.includes(packet.direction), segment.tcp.flags.contains(.syn),
      let place = segment.place(of: TCPOptionKind.maximumSegmentSize, byteCount: 4),
      Int(Octets.get16(segment.options, place.lowerBound + 2)) > configuration.byteCount
    else { return output.send(packet) }
    var segment = segment
    Octets.put16(UInt16(clamping: configuration.byteCount), &segment.options, place.lowerBound + 2)
    output.send(segment, for: packet, .segmentSizeClamped)
  }
}
