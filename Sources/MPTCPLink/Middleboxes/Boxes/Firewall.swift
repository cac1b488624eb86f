import MPTCPWire

/// See ``Firewalling``.
struct Firewall: SegmentProcessor {
  /// What one end of a flow has said so far.
  private struct End: Sendable {
    /// The highest sequence number that it has used.
    var end: SequenceNumber
    /// The right edge of the window that it has offered.
    var edge: SequenceNumber?
    /// The shift of its window, which counts once both have one (RFC 7323 §2.2).
    var shift: Int?
    /// The largest window that it has offered.
    var window = 0
  }

  private struct Flow: Sendable {
    var ends: Both<End?> = Both(nil)
    var last: Instant
  }

  /// How far behind an acknowledgment may lie at least: hosts may send data again, and acknowledgments that crossed.
  private static let leastReach = 66_000

  private let configuration: Firewalling
  private var flows: FlowTable<Flow>

  init(_ configuration: Firewalling, flowLimit: Int) {
    self.configuration = configuration
    flows = FlowTable(limit: flowLimit)
  }

  var flowCount: Int { flows.count }

  var nextDeadline: Instant? {
    guard let idle = configuration.idle, let oldest = flows.oldestPlace else { return nil }
    return flows.states[oldest].last + max(idle, Nanoseconds(1))
  }

  mutating func advance(to now: Instant, _ output: inout MiddleboxOutput) {
    while let deadline = nextDeadline, deadline <= now, let oldest = flows.oldestPlace { flows.remove(at: oldest) }
  }

  mutating func process(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput
  ) {
    let key = FlowKey(segment, packet.direction)
    let isOpening = segment.tcp.flags.contains(.syn) && !segment.tcp.flags.contains(.ack)
    var place = flows.place(of: key)
    if isOpening, place.map({ isNew(segment, flows.states[$0], packet.direction) }) ?? true {
      guard packet.direction == .forward || configuration.allowsBackwardOpening else {
        return refuse(segment, packet, &output)
      }
      place = flows.insert(Flow(last: now), for: key)
    }
    guard let place else {
      guard configuration.requiresSYN else { return output.send(packet) }
      return refuse(segment, packet, &output)
    }
    flows.states[place].last = now
    guard !configuration.checksWindow || isPlausible(segment, flows.states[place], packet.direction) else {
      return output.count(.outOfWindowDropped)
    }
    learn(segment, &flows.states[place], packet.direction)
    output.send(packet)
    if segment.tcp.flags.contains(.rst) { flows.remove(at: place) }
  }

  private func refuse(_ segment: EditableSegment, _ packet: MiddleboxPacket, _ output: inout MiddleboxOutput) {
    output.count(.unknownFlowDropped)
    if configuration.answersWithReset { output.refuse(segment, packet) }
  }

  /// Whether a SYN is of another connection than the one known.
  private func isNew(_ segment: EditableSegment, _ flow: Flow, _ direction: PathDirection) -> Bool {
    flow.ends[direction].map { segment.end - $0.end > 0 || $0.end - segment.end > Self.leastReach } ?? true
  }

  /// Whether numbers are what both ends can mean: data within the offered window and not long acknowledged, an
  /// acknowledgment of nothing that was not sent (after G. van Rooij, "Real stateful TCP packet filtering in IP
  /// Filter", 2001).
  private func isPlausible(_ segment: EditableSegment, _ flow: Flow, _ direction: PathDirection) -> Bool {
    let own = flow.ends[direction]
    let other = flow.ends[direction.opposite]
    if let edge = other?.edge, segment.end - edge > 0 { return false }
    if let own, own.end - segment.end > max(other?.window ?? 0, Self.leastReach) { return false }
    if segment.tcp.flags.contains(.ack), let other {
      let distance = segment.tcp.acknowledgmentNumber - other.end
      // An RST that refuses a SYN acknowledges it; nothing acknowledges more than was sent.
      if distance > 0 || -distance > max(own?.window ?? 0, Self.leastReach) { return false }
    }
    return true
  }

  private func learn(_ segment: EditableSegment, _ flow: inout Flow, _ direction: PathDirection) {
    var own = flow.ends[direction] ?? End(end: segment.end)
    if segment.end - own.end > 0 { own.end = segment.end }
    let isSYN = segment.tcp.flags.contains(.syn)
    if isSYN { own.shift = segment.windowShift }
    // The window in a SYN is never scaled (RFC 7323 §2.2).
    let areScaled = own.shift != nil && flow.ends[direction.opposite]?.shift != nil
    let window = Int(segment.tcp.window) << (isSYN || !areScaled ? 0 : own.shift ?? 0)
    own.window = max(own.window, window)
    if segment.tcp.flags.contains(.ack) {
      // One octet more: a probe of a window of zero has data (RFC 9293 §3.8.6.1).
      let edge = segment.tcp.acknowledgmentNumber + max(window, 1)
      if own.edge.map({ edge - $0 > 0 }) ?? true { own.edge = edge }
    }
    flow.ends[direction] = own
  }
}
