import MPTCPPolicy
import MPTCPWire

// Opportunistic retransmission and penalisation (Raiciu et al., NSDI 2012, §4.2): the connection's window is full, and
// what holds its head back is a subflow slower than one that has room.
extension Connection {
  /// The window takes no new data: does what the scheduler's paper has for it.
  func relieveWindow(now: Instant) {
    guard scheduler.relief != .none, isMultipath, subflows.count > 1, sendUnacknowledged < sendNext,
      let (fast, room) = leastRoundTrip(now: now, wanted: sendNext - sendUnacknowledged),
      let holder = holder(of: sendUnacknowledged, besides: fast), fast.schedulingTime < holder.schedulingTime,
      let slowTime = holder.roundTrip.smoothed
    else { return }
    if scheduler.relief == .retransmissionAndPenalty, holder.scheduling.penaltyHeldUntil <= now {
      holder.scheduling.penaltyHeldUntil = now + slowTime
      congestion.penalize(holder.windowSlot)
    }
    // Worth sending twice where the holder is much slower, or its window so small that loss recovery would take long.
    let isSlower = holder.congestionWindow <= 4 * holder.maximumSegmentByteCount || fast.schedulingTime * 4 < slowTime
    guard scheduler.kind == .predictive ? isLate(on: holder, comparedWith: fast, now: now) : isSlower else { return }
    let length = min(sendNext - sendUnacknowledged, room, fast.fullPayloadByteCount)
    guard transmit(at: sendUnacknowledged, count: length, on: fast, isReinjection: true, now: now) > 0 else { return }
    scheduler.blocking.noteBlocking()
  }

  /// Whether the window's head would be here much sooner if `fast` sent it too: it was lost, or has twice as long to go
  /// as a round trip there takes. What is overdue is left to loss recovery and to the clock of silence, which know a
  /// peer that is away from a path that is dead.
  private func isLate(on holder: Subflow, comparedWith fast: Subflow, now: Instant) -> Bool {
    guard let mapping = holder.sentMappings.prefix(Self.searchedCount).first(where: { $0.covers(sendUnacknowledged) })
    else { return true }
    let offset = mapping.subflowOffset + (sendUnacknowledged - mapping.dataOffset)
    // What is reserved there goes out as soon as there is room.
    guard offset < holder.sendNext else { return fast.schedulingTime * 2 < holder.schedulingTime }
    guard let segment = holder.sentSegments.prefix(Self.searchedCount).first(where: { $0.end > offset }) else {
      return true
    }
    if segment.isLost { return true }
    let left = segment.sentAt + holder.schedulingTime - now
    // What was lost once holds the window for the second time: anything sooner is a gain.
    return segment.isRetransmitted ? fast.schedulingTime * 5 / 4 < left : fast.schedulingTime * 2 < left
  }

  /// How far into what a subflow has sent the window's head is looked for: it is the oldest there is.
  private static let searchedCount = 16

  /// The subflow that has `offset` in flight or is to carry it; nil if `subflow` has it, or nobody. What is oldest in
  /// the data is among the first mappings of its subflow.
  private func holder(of offset: Int, besides subflow: Subflow) -> Subflow? {
    guard !Self.carries(subflow, offset) else { return nil }
    return subflows.first { $0 !== subflow && Self.carries($0, offset) }
  }

  /// Whether `offset` is in what `subflow` has in flight or is to carry.
  static func carries(_ subflow: Subflow, _ offset: Int) -> Bool {
    // What was sent again stands behind younger data.
    if let last = subflow.sentMappings.last, last.covers(offset) { return true }
    return subflow.sentMappings.prefix(searchedCount).contains { $0.covers(offset) }
  }
}

extension SentMapping {
  /// Whether the octet at data offset `offset` is in it.
  func covers(_ offset: Int) -> Bool { dataOffset <= offset && offset < dataOffset + count }
}
