import MPTCPWire

/// See ``SegmentMerging``.
struct SegmentMerger: SegmentProcessor {
  private struct Held: Sendable {
    var key: FlowKey
    var segment: EditableSegment
    var packet: MiddleboxPacket
    var until: Instant
    var isMerged = false
  }

  private let configuration: SegmentMerging
  private let limit: Int
  // Few segments wait at a time, those that wait for the longest time first.
  private var held: [Held] = []

  init(_ configuration: SegmentMerging, flowLimit: Int) {
    self.configuration = configuration
    limit = min(max(flowLimit, 1), 64)
  }

  var flowCount: Int { held.count }
  var packetCount: Int { held.count }
  var nextDeadline: Instant? { held.first?.until }

  mutating func advance(to now: Instant, _ output: inout MiddleboxOutput) {
    while let first = held.first, first.until <= now { release(0, &output) }
  }

  mutating func process(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput
  ) {
    guard configuration.direction.includes(packet.direction) else { return output.send(packet) }
    let key = FlowKey(segment, packet.direction)
    let place = held.firstIndex { $0.key == key && $0.packet.direction == packet.direction }
    let mayMerge =
      !segment.payload.isEmpty && segment.tcp.flags.isDisjoint(with: [.syn, .rst, .urg]) && segment.hasValidChecksums
    if let place {
      if mayMerge, append(segment, at: place) {
        output.count(.segmentMerged)
        if held[place].segment.tcp.flags.contains(.fin) { release(place, &output) }
        return
      }
      release(place, &output)
    }
    guard mayMerge, !segment.tcp.flags.contains(.fin) else { return output.send(packet) }
    if held.count == limit { release(0, &output) }
    held.append(
      Held(key: key, segment: segment, packet: packet, until: now + max(configuration.hold, Nanoseconds(1))))
  }

  /// Adds a segment that follows the one that waits; what it says beyond its data is the later word.
  private mutating func append(_ segment: EditableSegment, at place: Int) -> Bool {
    let first = held[place].segment
    guard segment.tcp.sequenceNumber == first.end,
      first.payload.count + segment.payload.count <= configuration.byteCount,
      first.byteCount + segment.payload.count <= 65_535
    else { return false }
    held[place].segment.payload += segment.payload
    held[place].segment.tcp.flags.formUnion(segment.tcp.flags)
    held[place].segment.tcp.acknowledgmentNumber = segment.tcp.acknowledgmentNumber
    held[place].segment.tcp.window = segment.tcp.window
    held[place].isMerged = true
    return true
  }

  private mutating func release(_ place: Int, _ output: inout MiddleboxOutput) {
    let held = held.remove(at: place)
    var packet = held.packet
    if held.isMerged { packet.bytes = held.segment.encoded() }
    output.send(packet)
  }
}
