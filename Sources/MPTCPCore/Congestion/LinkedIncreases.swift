import MPTCPWire

/// Linked increases, LIA (RFC 6356), in octets.
///
/// The RFC raises window i by min(α·acked·segment/w_total, acked·segment/w_i) with
/// α = w_total · max(w_i/rtt_i²) / (Σ w_i/rtt_i)². Here w_total has been cancelled: the increase is
/// acked·segment / max(D, w_i), where the divisor D = (Σ w_i/rtt_i)² / max(w_i/rtt_i²) has the dimension of a window.
/// With m the subflow of that maximum, D = (Σ w_i·rtt_m/rtt_i)² / w_m.
/// Slow start, recovery and halving are those of RFC 5681 (RFC 6356 §3).
/// Requirement 6356-3-01, 6356-3-02, 6356-3-03
final class LinkedIncreases: CongestionController {
  /// D; 0 while nothing is known, which leaves each subflow on its own.
  private(set) var divisor = 0
  private var nextUpdate = Instant.zero

  override var name: String { "lia" }

  override func windowsChanged() { updateDivisor() }

  override func avoidCongestion(_ slot: Int, byteCount: Int, _ acknowledgment: CongestionAcknowledgment) {
    // RFC 6356 §4.1: α is computed anew once in a round-trip time.
    if acknowledgment.at >= nextUpdate {
      updateDivisor()
      nextUpdate = acknowledgment.at + max(acknowledgment.smoothedRoundTripTime ?? .zero, .zero)
    }
    windows[slot].growLinked(byteCount: byteCount, divisor: divisor)
  }

  /// Brings the divisor up to date: a round-trip time has passed, a window was reduced, or came or went.
  func updateDivisor() {
    guard let best = bestWindow, let relative = relativeWindows(best) else {
      divisor = 0
      return
    }
    divisor = scaled(relative.sum, by: relative.sum, over: relative.own) >> Self.relativeShift
  }

  /// The slot of the window with the largest w/rtt².
  private var bestWindow: Int? {
    var best: Int?
    for index in windows.indices where windows[index].isCounted {
      guard let current = best else {
        best = index
        continue
      }
      // w_i/rtt_i² > w_b/rtt_b², multiplied out: 2⁴⁰ · 2³⁴ · 2³⁴ fits 128 bits.
      let candidateTime = UInt128(windows[index].microseconds.magnitude)
      let currentTime = UInt128(windows[current].microseconds.magnitude)
      let candidate = UInt128(windows[index].effectiveByteCount.magnitude) * currentTime * currentTime
      if candidate > UInt128(windows[current].effectiveByteCount.magnitude) * candidateTime * candidateTime {
        best = index
      }
    }
    return best
  }
}

extension CongestionWindow {
  /// Congestion avoidance under linked increases (RFC 6356 §3).
  mutating func growLinked(byteCount: Int, divisor: Int) {
    let before = congestionWindowByteCount
    grow(by: growthProduct(byteCount), over: max(divisor, before))
    // RFC 6356 §3 wants at least an octet: or two subflows with large windows would never grow.
    if congestionWindowByteCount == before {
      credit = 0
      setWindow(before + 1)
    }
  }
}
