import MPTCPWire

/// BBR version 3 of one subflow (draft-ietf-ccwg-bbr): a model of the path, made of delivery rates and round-trip
/// times, and the window and pacing rate that follow from it. Names are the draft's.
///
/// Octets, octets a second and nanoseconds, in integers; gains in hundredths.
struct BBRModel {
  /// Where the state machine is (§5.1).
  enum State: UInt8, Sendable {
    /// Doubles the rate each round until the path delivers no more.
    case startup
    /// Empties the queue that Startup has left.
    case drain
    /// ProbeBW_DOWN: a little slower than the path, for room in its queue.
    case probeDown
    /// ProbeBW_CRUISE: at the path's rate.
    case probeCruise
    /// ProbeBW_REFILL: a round at the path's rate without the short-term bounds, to fill it before probing.
    case probeRefill
    /// ProbeBW_UP: faster, to see whether there is more.
    case probeUp
    /// Half of what fills the path, for the least round-trip time to show.
    case probeRTT
  }

  /// What the acknowledgements of now say about probing (BBR.ack_phase).
  enum AckPhase: UInt8, Sendable {
    case none
    case refilling
    case probeStarting
    case probeFeedback
    case probeStopping
  }

  /// A bound that is not set.
  static let unbounded = Int.max

  // §2.4 to §2.16.
  static let startupPacingGain = 277
  static let drainPacingGain = 50
  static let downPacingGain = 90
  static let upPacingGain = 125
  static let defaultWindowGain = 200
  static let upWindowGain = 225
  static let probeRTTWindowGain = 50
  /// Paced one hundredth below the bandwidth.
  static let pacingMargin = 99
  /// LossThresh, 2 %, as its inverse.
  static let lossDivisor = 50
  static let startupLossCount = 6
  static let fullBandwidthRounds = 3
  static let drainRounds = 3
  static let extraAckedRounds = 10
  static let minimumRTTWindow = Nanoseconds.seconds(10)
  static let probeRTTInterval = Nanoseconds.seconds(5)
  static let probeRTTDuration = Nanoseconds.milliseconds(200)
  /// The rounds after which a Reno flow of the same window would have probed, at most.
  static let renoRounds = 63

  // The transport's.
  /// C.SMSS.
  var segment: Int
  /// C.cwnd, the initial one, and the last that no recovery had touched.
  var window: Int
  var initialWindow: Int
  var priorWindow = 0
  /// C.pacing_rate; 0 before a round-trip time is known.
  var pacingRate = 0
  /// C.inflight.
  var inFlight = 0
  var isSelective = true
  var isInRecovery = false
  /// Whether the window was used up in this round, and in the one before.
  var isWindowLimitedInRound = false
  var wasWindowLimited = false
  var sampler = DeliveryRateSampler()
  /// The sample of the acknowledgement in hand.
  var sample = DeliveryRateSampler.Sample()
  /// Draws for probing that does not run in step with other flows'.
  var random: SplitMix

  // The state machine.
  var state = State.startup
  var pacingGain = BBRModel.startupPacingGain
  var windowGain = BBRModel.defaultWindowGain
  var roundCount = 0
  var isRoundStart = false
  var nextRoundDelivered = 0
  var isIdleRestart = false
  var drainStartRound = 0

  // Bandwidth.
  /// BBR.max_bw's filter: the greatest samples of the last probing cycle and of this one.
  var previousCycleBandwidth = 0
  var currentCycleBandwidth = 0
  var shortTermBandwidth = BBRModel.unbounded
  var bandwidth = 0
  var hasReachedFullBandwidth = false
  var isAtFullBandwidth = false
  var fullBandwidth = 0
  var fullBandwidthCount = 0

  // Volume.
  var longTermInFlight = BBRModel.unbounded
  var shortTermInFlight = BBRModel.unbounded
  var extraAcked = WindowedMaximum()
  var extraAckedStart: Instant
  var extraAckedDelivered = 0

  // Congestion signals.
  var isLossInRound = false
  var isLossRoundStart = false
  var lossRoundDelivered = 0
  var latestBandwidth = 0
  var latestInFlight = 0
  var lossEventCount = 0
  var lastLossEnd = -1

  // Probing for bandwidth.
  var ackPhase = AckPhase.none
  var isProbeSample = false
  var probeUpAcked = 0
  var probeUpAckedPerIncrease = BBRModel.unbounded
  var probeUpRounds = 0
  var roundsSinceProbe = 0
  var probeWait = Nanoseconds.zero
  var cycleStart = Instant.zero
  var wasProbeTooHigh = false
  var wasProbePrecautionary = false

  // Probing for the round-trip time.
  var minimumRTT = Nanoseconds.max
  var minimumRTTAt: Instant
  var probeRTTMinimum = Nanoseconds.max
  var probeRTTMinimumAt: Instant
  var isProbeRTTDue = false
  var probeRTTEnd: Instant?
  var isProbeRTTRoundDone = false

  // What a spurious recovery gives back.
  var hasSavedState = false
  var undoState: State?
  var undoShortTermBandwidth = 0
  var undoShortTermInFlight = 0
  var undoLongTermInFlight = 0

  init(window: Int, segment: Int, seed: UInt64, at: Instant) {
    self.window = window
    self.segment = segment
    initialWindow = window
    random = SplitMix(state: seed)
    extraAckedStart = at
    minimumRTTAt = at
    probeRTTMinimumAt = at
  }

  // MARK: What follows from the model

  /// BBR.max_bw.
  var maximumBandwidth: Int { max(previousCycleBandwidth, currentCycleBandwidth) }

  /// BBR.MinPipeCwnd.
  var leastWindow: Int { 4 * segment }

  var isProbingBandwidth: Bool {
    switch state {
    case .startup, .probeRefill, .probeUp: true
    case .drain, .probeDown, .probeCruise, .probeRTT: false
    }
  }

  var isInProbeBandwidth: Bool {
    switch state {
    case .probeDown, .probeCruise, .probeRefill, .probeUp: true
    case .startup, .drain, .probeRTT: false
    }
  }

  /// `gain` hundredths of the octets that `bandwidth` delivers in the least round-trip time (BDPMultiple).
  func volume(of bandwidth: Int, gain: Int) -> Int {
    guard minimumRTT != .max else { return initialWindow }
    let product = scaled(bandwidth, by: max(Int(minimumRTT.count), 0), over: 1_000_000_000)
    return min(scaled(product, by: gain, over: 100), CongestionWindow.largestByteCount)
  }

  /// A millisecond's worth (C.send_quantum).
  var sendQuantum: Int { max(min(pacingRate / 1_000, 65_536), 2 * segment) }

  /// QuantizationBudget: what batches on both hosts need to fill the path all the same.
  func quantized(_ volume: Int) -> Int {
    max(volume, 3 * sendQuantum, leastWindow) + (state == .probeUp ? 2 * segment : 0)
  }

  /// Inflight(bw, 1.0).
  func filling(_ bandwidth: Int) -> Int { quantized(volume(of: bandwidth, gain: 100)) }

  /// TargetInflight.
  var target: Int { min(volume(of: bandwidth, gain: 100), window) }

  /// InflightWithHeadroom: leaves a little more than a seventh to others.
  var withHeadroom: Int {
    guard longTermInFlight != Self.unbounded else { return Self.unbounded }
    return max(longTermInFlight - max(segment, longTermInFlight / 100 * 15), leastWindow)
  }

  /// ProbeRTTCwnd.
  var probeRTTWindow: Int { max(volume(of: bandwidth, gain: Self.probeRTTWindowGain), leastWindow) }

  /// Whether the window was used up within the last round.
  var isWindowLimited: Bool { isWindowLimitedInRound || wasWindowLimited }

  /// BBR.Beta, 0.7, of a value.
  static func reduced(_ value: Int) -> Int { scaled(value, by: 7, over: 10) }
}

/// The generator of a model (SplitMix64): its seed comes from the host's entropy.
struct SplitMix {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
