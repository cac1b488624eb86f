import MPTCPWire

/// Balanced linked adaptation, BALIA (Peng, Walid, Hwang, Low: "Multipath TCP: Analysis, Design, and Implementation",
/// IEEE/ACM ToN 2016; draft-walid-mptcp-congestion-control), in octets.
///
/// With x = w/rtt and α_r = max x / x_r, an acknowledgement on path r raises w_r by
/// acked · segment · x_r/(rtt_r·(Σx)²) · (1+α_r)/2 · (4+α_r)/5, and a loss takes w_r/2 · min(α_r, 3/2) from it.
///
/// Here α_r is multiplied out, since it has no bound: with y_p = w_p·T/rtt_p, m the greatest and S the sum of them, the
/// increase is acked · segment/w_r · (y_r+m)·(4·y_r+m)/(10·S²), for whatever T. The fraction is never above 1; alone on
/// its path a subflow grows and halves as in RFC 5681.
///
/// T is the least round-trip time. With rtt_r, as in the other algorithms, m and S of a slow path would saturate beside
/// a very fast one, and m/S, which stays where α grows, would be that of one fast path instead of many.
final class BalancedLinkedAdaptation: CongestionController {
  /// Factors of the fraction are counted in units of 2⁻²⁹: their product is at most 10 · 2⁵⁸.
  private static let factorUnit = 1 << 29

  override var name: String { "balia" }

  override func avoidCongestion(_ slot: Int, byteCount: Int, _ acknowledgment: CongestionAcknowledgment) {
    guard let relative = relativeWindows(slot, at: leastMicroseconds) else {
      windows[slot].growAsReno(byteCount: byteCount)
      return
    }
    let first = scaled(relative.own + relative.largest, by: Self.factorUnit, over: relative.sum)
    let second = scaled(4 * relative.own + relative.largest, by: Self.factorUnit, over: relative.sum)
    let product = min(first, 2 * Self.factorUnit) * min(second, 5 * Self.factorUnit)
    // In units of 2⁻³⁸ octets, at most 2¹⁶ · 10 · 2³⁸ of them. The ten is divided by last: a fraction cut off before
    // would make 199 octets of 200.
    let tenfold = scaled(
      windows[slot].growthProduct(byteCount), by: product, over: windows[slot].congestionWindowByteCount << 20)
    windows[slot].grow(byFixedPoint: (tenfold / 10) >> 14)
  }

  override func threshold(_ slot: Int, after used: Int, at: Instant) -> Int {
    guard let relative = relativeWindows(slot, at: leastMicroseconds) else { return used / 2 }
    // α ≥ 3/2 where 2m ≥ 3y: a quarter stays.
    if 2 * relative.largest >= 3 * relative.own { return used - used / 4 * 3 - used % 4 * 3 / 4 }
    return used - scaled(used, by: relative.largest, over: 2 * relative.own)
  }
}
