import MPTCPWire

/// Linked increases (RFC 6356), in octets.
///
/// The RFC raises window i by min(α·acked·segment/w_total, acked·segment/w_i) with
/// α = w_total · max(w_i/rtt_i²) / (Σ w_i/rtt_i)². Here w_total has been cancelled: the increase is
/// acked·segment / max(D, w_i), where the divisor D = (Σ w_i/rtt_i)² / max(w_i/rtt_i²) has the dimension of a window.
/// With m the subflow of that maximum, D = (Σ w_i·rtt_m/rtt_i)² / w_m.
/// Requirement 6356-3-01, 6356-3-03
struct LinkedIncreases: Sendable {
  /// D; 0 while nothing is known, which leaves each subflow on its own.
  private(set) var divisor = 0
  private var nextUpdate = Instant.zero

  private static let largestMicroseconds: UInt64 = 1 << 32

  /// Brings the divisor up to date unless it is younger than a round-trip time (RFC 6356 §4.1).
  mutating func updateIfDue(windows: [CongestionWindow], smoothedRTT: Nanoseconds, at: Instant) {
    guard at >= nextUpdate else { return }
    update(windows: windows)
    nextUpdate = at + smoothedRTT
  }

  /// Brings the divisor up to date: a window was reduced, or came or went.
  mutating func update(windows: [CongestionWindow]) {
    guard let best = Self.bestWindow(windows) else {
      divisor = 0
      return
    }
    let bestRTT = Self.microseconds(windows[best])
    var sum: UInt64 = 0
    for window in windows where window.phase != .vacant && window.smoothedRoundTripTime != nil {
      // Below 2⁴⁰ · 2³²: the product of an effective window and a bounded round-trip time.
      let share = UInt128(window.effectiveByteCount.magnitude) * UInt128(bestRTT) / UInt128(Self.microseconds(window))
      sum = min(sum + UInt64(clamping: min(share, 1 << 60)), 1 << 60)
    }
    let square = UInt128(sum) * UInt128(sum)
    divisor = Int(clamping: min(square / UInt128(windows[best].effectiveByteCount.magnitude), 1 << 61))
  }

  /// The index of the window with the largest w/rtt².
  private static func bestWindow(_ windows: [CongestionWindow]) -> Int? {
    var best: Int?
    for index in windows.indices where windows[index].phase != .vacant && windows[index].smoothedRoundTripTime != nil {
      guard let current = best else {
        best = index
        continue
      }
      // w_i/rtt_i² > w_b/rtt_b², multiplied out: 2⁴⁰ · 2³² · 2³² fits 128 bits.
      let candidateRTT = UInt128(microseconds(windows[index]))
      let currentRTT = UInt128(microseconds(windows[current]))
      let candidate = UInt128(windows[index].effectiveByteCount.magnitude) * currentRTT * currentRTT
      if candidate > UInt128(windows[current].effectiveByteCount.magnitude) * candidateRTT * candidateRTT {
        best = index
      }
    }
    return best
  }

  private static func microseconds(_ window: CongestionWindow) -> UInt64 {
    let count = (window.smoothedRoundTripTime ?? .zero).count / 1_000
    return min(UInt64(max(count, 1)), largestMicroseconds)
  }
}

extension CongestionWindow {
  /// Congestion avoidance under linked increases (RFC 6356 §3).
  mutating func growLinked(byteCount: Int, divisor: Int) {
    let denominator = max(divisor, congestionWindowByteCount)
    let product = min(byteCount, congestionWindowByteCount) &* maximumSegmentByteCount
    let before = congestionWindowByteCount
    grow(by: product, over: denominator)
    // At least an octet, as RFC 5681 §3.1 has it, or two subflows with large windows would never grow.
    if congestionWindowByteCount == before {
      credit = 0
      setWindow(before + 1)
    }
  }
}
