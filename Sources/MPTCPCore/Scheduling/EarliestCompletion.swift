import MPTCPWire

/// The arithmetic of ECF (Lim, Nahum, Towsley, Gibbens, "ECF: An MPTCP Path Scheduler to Manage Heterogeneous Paths",
/// CoNEXT 2017, algorithm 1).
///
/// With k octets waiting, the fast subflow f completes them in about (1 + k/cwnd_f)·rtt_f once it has room again; if
/// the slow one s, which has room now, takes longer than that for its part, it is left idle. Having waited, it goes on
/// waiting a little longer than the plain comparison says (β), so that it does not swing.
struct EarliestCompletion {
  /// It is waiting for the fast subflow.
  private(set) var isWaiting = false

  /// 1/β, the hysteresis.
  private static let hysteresisDivisor: UInt128 = 4

  /// Whether to leave the slow subflow idle and wait for the fast one.
  ///
  /// - Parameter waiting: k, the octets that no subflow has carried.
  mutating func waits(fast: SubflowSnapshot, slow: SubflowSnapshot, waiting: Int) -> Bool {
    let fastTime = Self.time(fast.smoothedRoundTripTime)
    let slowTime = Self.time(slow.smoothedRoundTripTime)
    let margin = max(Self.time(fast.roundTripTimeVariation), Self.time(slow.roundTripTimeVariation))
    let fastWindow = Self.octets(fast.congestionWindowByteCount)
    let slowWindow = Self.octets(slow.congestionWindowByteCount)
    let fastLoad = max(Self.octets(waiting), fastWindow)
    let slowLoad = max(Self.octets(waiting), slowWindow)
    // srtt_f·(x_f + cwnd_f) < cwnd_f·(srtt_s + δ)·(1 + β·waiting), multiplied by 1/β.
    let stretched = Self.hysteresisDivisor + (isWaiting ? 1 : 0)
    guard
      fastTime * (fastLoad + fastWindow) * Self.hysteresisDivisor < fastWindow * (slowTime + margin) * stretched
    else {
      isWaiting = false
      return false
    }
    // The fast one is sooner done. Not by waiting, if the slow one is done before a second round of the fast one is.
    guard slowTime * slowLoad >= slowWindow * (2 * fastTime + margin) else { return false }
    isWaiting = true
    return true
  }

  // Windows are below 2⁴⁰, times below 2⁴⁴ (five hours): products of two and small factors fit 128 bits.
  private static func time(_ span: Nanoseconds?) -> UInt128 { UInt128(min(max(span?.count ?? 0, 0), 1 << 44)) }
  private static func octets(_ count: Int) -> UInt128 { UInt128(min(max(count, 1), 1 << 48)) }
}
