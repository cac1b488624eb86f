import MPTCPWire

/// An attempt at a larger path MTU, with data in the segment (RFC 4821 §7): what is lost then is only one segment.
struct MTUProbe {
  /// How long a smaller MTU is believed before a larger one is tried again (RFC 1191 §6.3, RFC 8899 §5.1.1).
  /// Requirement 4821-7.3-01, 8201-4-06
  static let interval = Nanoseconds.seconds(600)

  /// The MTU to try.
  var byteCount: Int
  /// Not before this time; `.distantFuture` until something has come through at the smaller size.
  var notBefore: Instant
  /// The segment that is out, in offsets of the subflow.
  var range: Range<Int>?

  /// The segment was lost: the smaller size holds for a while, also where it was not the only one.
  /// Requirement 4821-7.6.2-02, 4821-7.6.4-01, 4821-7.3-02
  mutating func fail(at now: Instant) {
    range = nil
    notBefore = now + Self.interval
  }
}

extension Subflow {
  /// The payload of the segment that tries a larger MTU, if it is time for one and `available` octets are enough.
  /// Requirement 4821-7.1-02, 4821-7.4-02
  func dueMTUProbe(available: Int, now: Instant) -> Int? {
    guard let probe = mtuProbe, probe.range == nil, probe.notBefore <= now else { return nil }
    let usual = maximumSegmentByteCount
    let larger = max(min(peerMaximumSegmentByteCount, usual + probe.byteCount - pathMTU), usual)
    let payload = fullPayloadByteCount + larger - usual
    return payload > fullPayloadByteCount && available >= payload ? payload : nil
  }

  /// The peer has acknowledged more: a probe of the larger size has come through, or the path lives and one may leave.
  /// Requirement 4821-7.6.1-01
  func noteMTUProbe(now: Instant) {
    guard let probe = mtuProbe else { return }
    if let range = probe.range, sendUnacknowledged >= range.upperBound {
      pathMTU = probe.byteCount
      mtuProbe = nil
      endpoint.notePathMTU(pathMTU, to: tuple.remote.address, on: path)
      connection.congestion.setMaximumSegment(windowSlot, byteCount: maximumSegmentByteCount)
    } else if probe.range == nil, probe.notBefore == .distantFuture {
      mtuProbe?.notBefore = now
    }
  }
}
