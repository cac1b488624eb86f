import MPTCPWire

/// The arithmetic of BLEST (Ferlin, Alay, Mehani, Boreli, "BLEST: Blocking Estimation-based MPTCP Scheduler for
/// Heterogeneous Networks", IFIP Networking 2016, §IV).
///
/// A segment on the slow subflow s lingers there for its round-trip time. In that time the fast subflow f could send so
/// many octets; if the connection's window, less what s holds of it, does not take them, f would be blocked by s: s
/// stays idle, and the segment waits for f. λ makes up for what the estimate gets wrong: it grows when the window was
/// full all the same, and shrinks back otherwise.
struct BlockingEstimation {
  /// λ in thousandths.
  private(set) var factor = 1200
  /// The head of the window had to be sent again on another subflow since λ was last adapted.
  private var wasBlocked = false
  private var nextAdaptation = Instant.zero

  static let leastFactor = 1000
  static let greatestFactor = 1300
  /// A round-trip time beyond which more doublings are not told apart: 2¹⁶ windows are more than anything can send.
  private static let mostRounds = 16

  /// Opportunistic retransmission was needed.
  mutating func noteBlocking() { wasBlocked = true }

  /// Adapts λ, at most once in the slow subflow's round-trip time.
  mutating func adapt(slowRoundTrip: Nanoseconds, at now: Instant) {
    guard now >= nextAdaptation else { return }
    if nextAdaptation != .zero {
      factor = min(max(factor + (wasBlocked ? 40 : -10), Self.leastFactor), Self.greatestFactor)
    }
    wasBlocked = false
    nextAdaptation = now + slowRoundTrip
  }

  /// Whether to leave the slow subflow idle.
  ///
  /// - Parameters:
  ///   - window: octets from the oldest that is not DATA_ACKed to the right edge of the connection's window.
  ///   - slowRange: the least and greatest smoothed round-trip times that were seen on `slow`.
  func waits(fast: SubflowSnapshot, slow: SubflowSnapshot, slowRange: ClosedRange<Nanoseconds>, window: Int) -> Bool {
    let linger = Self.linger(of: slow, range: slowRange)
    let free = window - (slow.segmentByteCount + slow.inFlightByteCount)
    return scaled(Self.bytes(of: fast, over: linger)) > max(free, 0)
  }

  /// fast_bytes: λ applied to what the fast subflow could send.
  private func scaled(_ byteCount: Int) -> Int {
    Int(clamping: Int64(clamping: UInt128(byteCount.magnitude) * UInt128(factor) / 1000))
  }

  /// How long the next segment stays on the slow subflow: at least SRTT, and as much longer as its window is fuller.
  static func linger(of slow: SubflowSnapshot, range: ClosedRange<Nanoseconds>) -> Nanoseconds {
    let smoothed = slow.smoothedRoundTripTime ?? .zero
    let segment = max(slow.segmentByteCount, 1)
    let window = Int64(max(slow.congestionWindowByteCount / segment, 1))
    let position = Int64(min(max(slow.inFlightByteCount, 0) / segment + 1, 1 << 20))
    let span = range.upperBound - range.lowerBound
    return max(smoothed, range.lowerBound + span * position / window)
  }

  /// What the fast subflow could send in `linger`: its window doubles each round trip in the initial slow start, and
  /// grows by a segment otherwise.
  static func bytes(of fast: SubflowSnapshot, over linger: Nanoseconds) -> Int {
    let segment = max(fast.segmentByteCount, 1)
    let roundTrip = max(fast.smoothedRoundTripTime ?? linger, Nanoseconds(1))
    let rounds = min(max(linger, .zero).count / roundTrip.count, 1 << 40) + 1
    let window = max(fast.congestionWindowByteCount / segment, 1)
    let segments: UInt128
    if fast.slowStartThresholdByteCount == CongestionWindow.unboundedThreshold {
      segments = UInt128(window) * ((1 << UInt128(min(rounds, Int64(mostRounds)))) - 1)
    } else {
      let start = UInt128(max(window, fast.slowStartThresholdByteCount / segment + 1))
      // (w + (n − 1)/2)·n, doubled and halved so that nothing is lost.
      segments = (2 * start + UInt128(rounds) - 1) * UInt128(rounds) / 2
    }
    return Int(clamping: Int64(clamping: min(segments * UInt128(segment), 1 << 60)))
  }
}
