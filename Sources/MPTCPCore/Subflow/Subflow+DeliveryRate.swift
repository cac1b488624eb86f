import MPTCPWire

// What an algorithm that samples delivery rates is told (draft-ietf-ccwg-bbr §4.1). Nothing of it is called for others.
extension Subflow {
  /// Data left, or left again; what is in flight counts it.
  func noteTransmission(_ byteCount: Int, now: Instant) {
    connection.congestion.transmitted(
      windowSlot, Transmission(byteCount: byteCount, inFlight: pipeByteCount), at: now)
  }

  func noteDelivered(_ segment: SentSegment) {
    connection.congestion.delivered(
      windowSlot, byteCount: segment.count, sentAt: segment.sentAt, end: segment.end, at: endpoint.now)
  }

  /// Requirement 8684-3.3.7-03
  func noteLost(_ segment: SentSegment) {
    connection.congestion.lost(
      windowSlot, byteCount: segment.count, sentAt: segment.sentAt, start: segment.start, at: endpoint.now)
  }

  func completeSample(roundTrip sample: Nanoseconds?, now: Instant) {
    // Whatever was sent only once leaves in order; where the first was sent again, older transmissions may follow.
    var oldest: Instant? = .distantFuture
    if let first = sentSegments.first { oldest = first.isRetransmitted ? nil : first.sentAt }
    connection.congestion.acknowledgmentCompleted(
      windowSlot,
      AcknowledgmentCompletion(
        inFlight: pipeByteCount, roundTripTime: sample, smoothedRoundTripTime: roundTrip.smoothed,
        leastRoundTripTime: roundTrip.minimum, oldestSentAt: oldest,
        isSelective: isSackPermitted), at: now)
  }

  /// CheckIfApplicationLimited: the window has room, nothing waits to be repaired, and less than a segment may go out.
  ///
  /// The draft takes a peer's closed window for a bottleneck of the path. Here it counts as nothing to send: the window
  /// of a connection is used up by its other subflows as well, and a peer that reads again is to find the old rate.
  func noteApplicationLimit() {
    guard samplesDelivery, lostByteCount == 0, reservedByteCount == 0, pipeByteCount < congestionWindow else { return }
    let window =
      connection.isFallback ? sendWindowEdge - sendNext : connection.sendWindowEdge - connection.sendNext
    guard min(connection.dataEnd - connection.sendNext, window) < fullPayloadByteCount else { return }
    connection.congestion.markApplicationLimited(windowSlot, inFlight: pipeByteCount)
  }
}
