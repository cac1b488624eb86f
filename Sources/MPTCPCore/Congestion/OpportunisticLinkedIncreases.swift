import MPTCPWire

/// Opportunistic linked increases, OLIA (Khalili, Gast, Popovic, Le Boudec: "MPTCP Is Not Pareto-Optimal", CoNEXT 2012;
/// draft-khalili-mptcp-congestion-control), in octets.
///
/// An acknowledgement on path r raises w_r by acked · segment · (w_r/rtt_r² / (Σ w_p/rtt_p)² + α_r/w_r). The first term
/// takes back congestion where it is (it is optimal in Kelly's sense); the second, whose sum over all paths is zero,
/// moves windows from the largest ones to paths that are presumably better and used too little:
///
/// - l_r is the greater of the octets acknowledged since the last loss and between the two before it: about 1/p_r;
/// - B are the paths with the greatest l_r/rtt_r², the square of what a TCP would reach there; M those with the
///   greatest w_r;
/// - with n paths, α is 1/(n·|B∖M|) in B∖M, −1/(n·|M|) in M and 0 elsewhere, and 0 everywhere while B∖M is empty.
///
/// Losses are answered as in RFC 5681. What is acknowledged while fast recovery repairs them counts for no distance.
final class OpportunisticLinkedIncreases: CongestionController {
  /// Octets acknowledged since the last loss, and between the two losses before it.
  private struct LossDistance {
    var current = 0
    var previous = 0

    /// l_r, far below overflow.
    var byteCount: Int { max(current, previous) }
  }

  private static let largestDistance = 1 << 56

  private var distances: [LossDistance] = []

  override var name: String { "olia" }

  override func windowAdded(_ slot: Int, at: Instant) {
    while distances.count <= slot { distances.append(LossDistance()) }
    distances[slot] = LossDistance()
  }

  override func observe(_ slot: Int, _ acknowledgment: CongestionAcknowledgment) {
    distances[slot].current = min(distances[slot].current + acknowledgment.byteCount, Self.largestDistance)
  }

  override func avoidCongestion(_ slot: Int, byteCount: Int, _ acknowledgment: CongestionAcknowledgment) {
    guard let relative = relativeWindows(slot) else {
      windows[slot].growAsReno(byteCount: byteCount)
      return
    }
    // With y_p = w_p·rtt_r/rtt_p the first factor is w_r/(Σ y_p)². In two steps, as the square has no room:
    // 2⁶ · 2¹⁸ are the 2²⁴ units of an octet.
    let product = windows[slot].growthProduct(byteCount)
    let half = scaled(product << 6, by: relative.own, over: relative.sum)
    let reno = scaled(product, by: 1 << 24, over: windows[slot].congestionWindowByteCount)
    var growth = min(scaled(half, by: 1 << (18 + Self.relativeShift), over: relative.sum), reno)

    let shift = shift(of: slot)
    if shift != 0 {
      let shifted = reno / abs(shift)
      growth += shift > 0 ? shifted : -shifted
    }
    windows[slot].grow(byFixedPoint: growth)
  }

  override func threshold(_ slot: Int, after used: Int, at: Instant) -> Int {
    // A loss without progress since the last one is the same event.
    if distances[slot].current > 0 {
      distances[slot].previous = distances[slot].current
      distances[slot].current = 0
    }
    return used / 2
  }

  /// 1/α_r, which is a whole number; 0 where α_r is.
  func shift(of slot: Int) -> Int {
    var pathCount = 0
    var largestWindow = 0
    var best: Int?
    for index in windows.indices where windows[index].isCounted {
      pathCount += 1
      largestWindow = max(largestWindow, windows[index].effectiveByteCount)
      guard let known = best else {
        best = index
        continue
      }
      if compareQuality(index, known) > 0 { best = index }
    }
    guard let best, windows[slot].isCounted else { return 0 }
    var largestCount = 0
    var collectedCount = 0
    for index in windows.indices where windows[index].isCounted {
      if windows[index].effectiveByteCount == largestWindow {
        largestCount += 1
      } else if compareQuality(index, best) == 0 {
        collectedCount += 1
      }
    }
    guard collectedCount > 0 else { return 0 }
    if windows[slot].effectiveByteCount == largestWindow { return -pathCount * largestCount }
    return compareQuality(slot, best) == 0 ? pathCount * collectedCount : 0
  }

  /// The sign of l_a/rtt_a² − l_b/rtt_b², multiplied out: 2⁵⁶ · 2³⁴ · 2³⁴ fits 128 bits.
  private func compareQuality(_ left: Int, _ right: Int) -> Int {
    let leftTime = UInt128(windows[left].microseconds.magnitude)
    let rightTime = UInt128(windows[right].microseconds.magnitude)
    let leftQuality = UInt128(distances[left].byteCount.magnitude) * rightTime * rightTime
    let rightQuality = UInt128(distances[right].byteCount.magnitude) * leftTime * leftTime
    return leftQuality > rightQuality ? 1 : leftQuality == rightQuality ? 0 : -1
  }
}
