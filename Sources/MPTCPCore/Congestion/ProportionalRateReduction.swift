/// How fast a subflow sends while it recovers from a loss (RFC 6937, as revised by RFC 9937).
///
/// Instead of stopping until half a window has drained, each acknowledgement releases its share: `ssthresh` octets for
/// each window that was in flight when recovery began. When less than `ssthresh` is in flight, the window is built up
/// again, by slow start while acknowledgements show progress, and by conservation of packets while more losses show.
/// Requirement 6937-3-01, 6937-3-02
struct ProportionalRateReduction {
  private let inFlightAtRecovery: Int
  private let slowStartThreshold: Int
  private var deliveredByteCount = 0
  private var sentByteCount = 0

  /// Begins a recovery.
  ///
  /// - Parameters:
  ///   - inFlightAtRecovery: RecoverFS, the octets that may be delivered from here on (RFC 9937 §6.1): those sent and
  ///     not acknowledged, less those selectively acknowledged before the acknowledgement that showed the loss.
  ///   - slowStartThreshold: the window, in octets, that recovery is to end with.
  init(inFlightAtRecovery: Int, slowStartThreshold: Int) {
    self.inFlightAtRecovery = max(inFlightAtRecovery, 1)
    self.slowStartThreshold = max(slowStartThreshold, 0)
  }

  /// The congestion window after an acknowledgement (RFC 9937 §6.2); what may be sent now is its excess over
  /// `inFlight`.
  ///
  /// - Parameters:
  ///   - delivered: octets that this acknowledgement newly acknowledged or newly selectively acknowledged.
  ///   - inFlight: octets believed to be in the network after it, lost ones not counted.
  ///   - lossDetected: whether it showed further loss, or did not advance the cumulative acknowledgement.
  ///   - maximumSegmentByteCount: the subflow's segment size.
  mutating func congestionWindow(
    delivered: Int, inFlight: Int, lossDetected: Bool, maximumSegmentByteCount: Int
  ) -> Int {
    let delivered = max(delivered, 0)
    let inFlight = max(inFlight, 0)
    deliveredByteCount = saturatingSum(deliveredByteCount, delivered)

    var allowance: Int
    if inFlight > slowStartThreshold {
      let share = scaledUp(deliveredByteCount, by: slowStartThreshold, over: inFlightAtRecovery)
      allowance = share - sentByteCount
    } else {
      // Conservation of packets, and a segment more while recovery makes good progress.
      var limit = max(deliveredByteCount - sentByteCount, delivered)
      if !lossDetected { limit = saturatingSum(limit, maximumSegmentByteCount) }
      allowance = min(slowStartThreshold - inFlight, limit)
    }
    // The first lost segment is sent again at once, whatever the sums say (RFC 9937 §6.2).
    allowance = max(allowance, sentByteCount == 0 ? maximumSegmentByteCount : 0)
    return saturatingSum(inFlight, allowance)
  }

  /// Counts octets that were sent, or sent again, during recovery.
  mutating func sent(_ byteCount: Int) { sentByteCount = saturatingSum(sentByteCount, max(byteCount, 0)) }
}

/// ⌈value · factor / divisor⌉, saturating, of numbers that are not negative; `divisor` is positive.
private func scaledUp(_ value: Int, by factor: Int, over divisor: Int) -> Int {
  let product = UInt128(value.magnitude) * UInt128(factor.magnitude)
  return Int(clamping: (product + UInt128(divisor.magnitude) - 1) / UInt128(divisor.magnitude))
}

private func saturatingSum(_ left: Int, _ right: Int) -> Int {
  let (sum, overflow) = left.addingReportingOverflow(right)
  return overflow ? .max : sum
}
