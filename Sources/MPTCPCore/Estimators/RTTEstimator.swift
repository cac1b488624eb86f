import MPTCPWire

/// Round-trip time and retransmission timeout of one subflow (RFC 6298).
///
/// Integer nanoseconds throughout, saturating. The smoothed values carry no fraction: at this unit the loss is nothing.
/// Requirement 6298-2-02, 6298-2-03
struct RTTEstimator {
  /// How long the minimum remembers (RFC 8985 §6.2 leaves it open; Linux's default is ten seconds for its RACK as
  /// well).
  static let minimumWindow = Nanoseconds.seconds(10)
  /// The timeout before the first sample (RFC 6298 §2.1).
  /// Requirement 6298-2-01
  static let initialTimeout = Nanoseconds.seconds(1)
  /// The same when a SYN had to be repeated (RFC 6298 §5.7).
  static let cautiousTimeout = Nanoseconds.seconds(3)

  private static let largestExponent: UInt8 = 32

  private var smoothedCount = Nanoseconds.zero
  private var window = WindowedMinimum()

  /// The variation of the samples, RTTVAR.
  private(set) var variation = Nanoseconds.zero
  /// The last sample.
  private(set) var latest = Nanoseconds.zero

  private let floorMilliseconds: UInt32
  private let ceilingMilliseconds: UInt32
  private var hasSample = false
  private var isCautious = false
  /// Whether a round trip was measured since the timeout was last doubled.
  private(set) var hasSampleSinceBackOff = true
  private var exponent: UInt8 = 0

  /// Makes an estimator without samples.
  ///
  /// - Parameters:
  ///   - minimumTimeout: what the variation contributes to the timeout at least. RFC 6298 §2.4 recommends a timeout of
  ///     at least a second; stacks of today use 200 ms, which covers a peer's delayed acknowledgement.
  ///   - maximumTimeout: the longest timeout, however often it was backed off (RFC 6298 §2.5).
  /// Requirement 6298-2-04
  init(minimumTimeout: Nanoseconds = .milliseconds(200), maximumTimeout: Nanoseconds = .seconds(60)) {
    floorMilliseconds = UInt32(clamping: minimumTimeout.count / 1_000_000)
    ceilingMilliseconds = UInt32(clamping: max(maximumTimeout, minimumTimeout).count / 1_000_000)
  }

  /// The smoothed round-trip time, SRTT; nil before the first sample.
  var smoothed: Nanoseconds? { hasSample ? smoothedCount : nil }

  /// The least sample of the last ten seconds; nil before the first sample.
  var minimum: Nanoseconds? { hasSample ? window.value : nil }

  /// How often the timeout has been doubled since the last ``resetBackOff()``.
  var backOffCount: Int { Int(exponent) }

  /// The retransmission timeout, RTO, with the back-off in force.
  ///
  /// The floor bounds the variation's share rather than the sum, so that a path with a long but steady round-trip time
  /// keeps a margin above it.
  var retransmissionTimeout: Nanoseconds {
    let floor = Nanoseconds.milliseconds(Int64(floorMilliseconds))
    let ceiling = Nanoseconds.milliseconds(Int64(ceilingMilliseconds))
    let base =
      hasSample
      ? smoothedCount + max(floor, variation * 4) : max(isCautious ? Self.cautiousTimeout : Self.initialTimeout, floor)
    // Requirement 6298-2-05
    return min(base * (1 << Int64(exponent)), ceiling)
  }

  /// Takes in a round-trip time that was measured at `at` on octets sent once only, or by timestamps (RFC 6298 §3).
  mutating func sample(_ roundTrip: Nanoseconds, at: Instant) {
    hasSampleSinceBackOff = true
    let sample = max(roundTrip, .zero)
    latest = sample
    window.sample(sample, at: at, window: Self.minimumWindow)
    guard hasSample else {
      // RFC 6298 §2.2.
      hasSample = true
      smoothedCount = sample
      variation = sample / 2
      return
    }
    // RFC 6298 §2.3, α = 1/8 and β = 1/4, written as steps so that nothing overflows: the variation first.
    let deviation = sample > smoothedCount ? sample - smoothedCount : smoothedCount - sample
    variation = variation + (deviation - variation) / 4
    smoothedCount = smoothedCount + (sample - smoothedCount) / 8
  }

  /// The SYN's timer expired and nothing could be measured: data begins with a longer timeout.
  /// Requirement 6298-5-04
  mutating func distrustInitialTimeout() { isCautious = true }

  /// Doubles the timeout, as each expiry does (RFC 6298 §5.5).
  /// Requirement 6298-5-03, 9293-3.8.2-01
  mutating func backOff() {
    exponent = min(exponent + 1, Self.largestExponent)
    hasSampleSinceBackOff = false
  }

  /// Ends the back-off: new data has been acknowledged.
  mutating func resetBackOff() { exponent = 0 }
}
