import MPTCPWire

/// HyStart++ (RFC 9406): leaves slow start when the round-trip time rises, before the queue overflows.
///
/// Only for the initial slow start, as long as there is no threshold (RFC 9406 §4.3).
/// Rounds are counted in acknowledged octets: a round is over when as many have been acknowledged as were in flight
/// when it began. There is no limit on the growth of one acknowledgement (L = ∞), because the subflow is paced.
/// Requirement 9406-4-01, 9406-4-02, 9406-4-03, 9406-4-04
struct SlowStartExit: Sendable {
  private enum Phase: UInt8 {
    case slowStart
    case conservative
    case over
  }

  // RFC 9406 §4.3.
  private static let leastThreshold = Nanoseconds.milliseconds(4)
  private static let largestThreshold = Nanoseconds.milliseconds(16)
  private static let minimumDivisor: Int64 = 8
  private static let samplesPerRound: UInt8 = 8
  private static let growthDivisor = 4
  private static let conservativeRounds: UInt8 = 5

  private var roundMinimum = Nanoseconds.max
  private var lastRoundMinimum = Nanoseconds.max
  private var baselineMinimum = Nanoseconds.max
  /// Octets to be acknowledged before the round is over; negative before the first round.
  private var roundRemainingByteCount = -1
  private var phase = Phase.slowStart
  private var sampleCount: UInt8 = 0
  private var conservativeRoundCount: UInt8 = 0

  /// Whether growth is slowed down because the round-trip time has risen.
  var isConservative: Bool { phase == .conservative }

  /// Takes in an acknowledgement of slow start, and returns by how much the window may grow and whether slow start
  /// should end with that.
  mutating func acknowledged(
    byteCount: Int, priorInFlight: Int, rtt: Nanoseconds?
  ) -> (growthByteCount: Int, isOver: Bool) {
    if let rtt {
      roundMinimum = min(roundMinimum, rtt)
      sampleCount = min(sampleCount + 1, Self.samplesPerRound)
    }
    switch phase {
    case .slowStart: lookForDelay()
    case .conservative: lookForRelief()
    case .over: break
    }

    let growth = phase == .conservative ? byteCount / Self.growthDivisor : byteCount
    if roundRemainingByteCount < 0 { roundRemainingByteCount = priorInFlight }
    roundRemainingByteCount -= byteCount
    if roundRemainingByteCount <= 0 { endRound(inFlight: max(priorInFlight - byteCount, 0)) }
    return (growth, phase == .over)
  }

  private mutating func lookForDelay() {
    guard sampleCount >= Self.samplesPerRound, roundMinimum != .max, lastRoundMinimum != .max else { return }
    let threshold = max(Self.leastThreshold, min(lastRoundMinimum / Self.minimumDivisor, Self.largestThreshold))
    if roundMinimum >= lastRoundMinimum + threshold {
      baselineMinimum = roundMinimum
      conservativeRoundCount = 0
      phase = .conservative
    }
  }

  private mutating func lookForRelief() {
    guard sampleCount >= Self.samplesPerRound, roundMinimum < baselineMinimum else { return }
    // The rise was noise.
    baselineMinimum = .max
    phase = .slowStart
  }

  private mutating func endRound(inFlight: Int) {
    if phase == .conservative {
      conservativeRoundCount += 1
      if conservativeRoundCount >= Self.conservativeRounds { phase = .over }
    }
    lastRoundMinimum = roundMinimum
    roundMinimum = .max
    sampleCount = 0
    roundRemainingByteCount = inFlight
  }
}
