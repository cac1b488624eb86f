import MPTCPWire

// The state machine (§5.3).
extension BBRModel {
  private mutating func enter(_ state: State, pacingGain: Int, windowGain: Int = BBRModel.defaultWindowGain) {
    self.state = state
    self.pacingGain = pacingGain
    self.windowGain = windowGain
  }

  // MARK: Startup and Drain (§5.3.1, §5.3.2)

  mutating func enterStartup() { enter(.startup, pacingGain: Self.startupPacingGain) }

  mutating func checkStartup(at: Instant) {
    guard state == .startup else { return }
    checkStartupLoss()
    if hasReachedFullBandwidth {
      enter(.drain, pacingGain: Self.drainPacingGain)
      drainStartRound = roundCount
    }
  }

  /// Losses end Startup too: a full round of recovery, above the threshold, in six places (§5.3.1.3). A peer that
  /// reports one loss a round trip at most is believed at once.
  private mutating func checkStartupLoss() {
    guard isLossRoundStart, isInRecovery, isSelective ? lossEventCount >= Self.startupLossCount : lossEventCount > 0,
      isTooHigh(lost: sample.lost, inFlight: sample.inFlightAtTransmission)
    else {
      if isLossRoundStart { lossEventCount = 0 }
      return
    }
    lossEventCount = 0
    endStartupByCongestion()
  }

  /// What was in flight last is what the path bears.
  mutating func endStartupByCongestion() {
    undoState = .startup
    hasReachedFullBandwidth = true
    longTermInFlight = max(volume(of: maximumBandwidth, gain: 100), latestInFlight)
  }

  mutating func checkDrain(at: Instant) {
    guard state == .drain else { return }
    if inFlight <= filling(bandwidth) || roundCount > drainStartRound + Self.drainRounds { startDown(at: at) }
  }

  // MARK: ProbeBW (§5.3.3)

  mutating func startDown(at: Instant) {
    resetCongestionSignals()
    probeUpAckedPerIncrease = Self.unbounded
    pickProbeWait()
    cycleStart = at
    ackPhase = .probeStopping
    startRound()
    enter(.probeDown, pacingGain: Self.downPacingGain)
  }

  mutating func startCruise() { enter(.probeCruise, pacingGain: 100) }

  mutating func startRefill() {
    resetShortTermModel()
    probeUpRounds = 0
    probeUpAcked = 0
    wasProbePrecautionary = false
    ackPhase = .refilling
    startRound()
    enter(.probeRefill, pacingGain: 100)
  }

  private mutating func startUp() {
    ackPhase = .probeStarting
    startRound()
    resetFullBandwidth()
    fullBandwidth = sample.rate
    enter(.probeUp, pacingGain: Self.upPacingGain, windowGain: Self.upWindowGain)
    raiseSlope()
  }

  /// UpdateProbeBWCyclePhase.
  mutating func updateProbing(at: Instant) {
    guard hasReachedFullBandwidth, !adaptLongTermModel() else { return }
    switch state {
    case .probeDown:
      if isTimeToProbe(at: at) {
        startRefill()
      } else if inFlight <= withHeadroom, inFlight <= filling(maximumBandwidth) {
        startCruise()
      }
    case .probeCruise: if isTimeToProbe(at: at) { startRefill() }
    case .probeRefill:
      if isRoundStart {
        isProbeSample = true
        startUp()
      }
    case .probeUp:
      if isTimeToGoDown() {
        wasProbeTooHigh = false
        startDown(at: at)
      }
    case .startup, .drain, .probeRTT: break
    }
  }

  /// After two to three seconds, or when a Reno flow of this window would have grown by a segment a round so often that
  /// it had doubled its share: probing at that pace leaves such flows theirs (§5.3.3.9).
  private func isTimeToProbe(at: Instant) -> Bool {
    at > cycleStart + probeWait || roundsSinceProbe >= min(max(target / segment, 1), Self.renoRounds)
  }

  private mutating func pickProbeWait() {
    let draw = random.next()
    roundsSinceProbe = Int(draw & 1)
    probeWait = .seconds(2) + Nanoseconds(Int64((draw >> 1) % 1_000_000_000))
  }

  private mutating func isTimeToGoDown() -> Bool {
    if wasProbeTooHigh, inFlight >= longTermInFlight {
      wasProbePrecautionary = true
      return true
    }
    if isWindowLimited, window >= longTermInFlight {
      // It is the bound that keeps the rate from growing, not the path.
      resetFullBandwidth()
      fullBandwidth = sample.rate
    } else if isAtFullBandwidth {
      return true
    }
    return false
  }

  /// RaiseInflightLongtermSlope: the bound grows by 1, 2, 4 … segments in successive rounds.
  private mutating func raiseSlope() {
    let growth = 1 << probeUpRounds
    probeUpRounds = min(probeUpRounds + 1, 30)
    probeUpAckedPerIncrease = max(window / growth, segment)
  }

  private mutating func raiseLongTermBound() {
    guard isWindowLimited, window >= longTermInFlight else { return }
    probeUpAcked += sample.newlyDelivered
    if probeUpAcked >= probeUpAckedPerIncrease {
      let (steps, rest) = probeUpAcked.quotientAndRemainder(dividingBy: probeUpAckedPerIncrease)
      probeUpAcked = rest
      longTermInFlight = min(longTermInFlight + steps * segment, CongestionWindow.largestByteCount)
    }
    if isRoundStart { raiseSlope() }
  }

  /// AdaptLongTermModel; true if it has changed the state.
  private mutating func adaptLongTermModel() -> Bool {
    if ackPhase == .probeStarting, isRoundStart { ackPhase = .probeFeedback }
    if ackPhase == .probeStopping, isRoundStart {
      isProbeSample = false
      ackPhase = .none
      if isInProbeBandwidth, !sample.isApplicationLimited { advanceBandwidthFilter() }
      if isInProbeBandwidth, wasProbePrecautionary, !wasProbeTooHigh {
        // The cautious probe did no harm: one without caution follows at once.
        startRefill()
        return true
      }
    }
    guard !isTooHigh(lost: sample.lost, inFlight: sample.inFlightAtTransmission), longTermInFlight != Self.unbounded
    else { return false }
    longTermInFlight = max(longTermInFlight, sample.inFlightAtTransmission)
    if state == .probeUp { raiseLongTermBound() }
    return false
  }

  // MARK: ProbeRTT (§5.3.4)

  mutating func checkProbeRTT(at: Instant) {
    if state != .probeRTT, isProbeRTTDue, !isIdleRestart {
      endCycle()
      saveWindow()
      enter(.probeRTT, pacingGain: 100, windowGain: Self.probeRTTWindowGain)
      probeRTTEnd = nil
      ackPhase = .probeStopping
      startRound()
    }
    if state == .probeRTT { handleProbeRTT(at: at) }
    if sample.delivered > 0 { isIdleRestart = false }
  }

  /// A probe for bandwidth that ProbeRTT cuts off, or whose last samples it does, was a cycle of the filter too.
  ///
  /// The draft leaves the filter alone here, for its time goes on a round after ProbeBW_UP alone (§5.5.6). Where a path
  /// has lost most of its rate and drops nothing, rounds last so long that ProbeRTT comes before the end of every
  /// ProbeBW_UP: the old rate would never be forgotten, half of what it fills would never drain the queue, and the
  /// least round-trip time, and the window with it, would grow without end.
  private mutating func endCycle() {
    if isInProbeBandwidth, ackPhase != .none, !sample.isApplicationLimited { advanceBandwidthFilter() }
  }

  private mutating func handleProbeRTT(at: Instant) {
    // What so small a window delivers is no measure of the path.
    sampler.markApplicationLimited(inFlight: inFlight)
    guard probeRTTEnd != nil else {
      if inFlight <= probeRTTWindow {
        probeRTTEnd = at + Self.probeRTTDuration
        isProbeRTTRoundDone = false
        startRound()
      }
      return
    }
    if isRoundStart { isProbeRTTRoundDone = true }
    if isProbeRTTRoundDone { checkProbeRTTDone(at: at) }
  }

  mutating func checkProbeRTTDone(at: Instant) {
    guard let end = probeRTTEnd, at > end else { return }
    probeRTTMinimumAt = at
    restoreWindow()
    resetShortTermModel()
    if hasReachedFullBandwidth {
      startDown(at: at)
      startCruise()
    } else {
      enterStartup()
    }
  }

  // MARK: Idleness (§5.4)

  /// HandleRestartFromIdle: data goes out and nothing was in flight, the application having had nothing to send.
  mutating func restartFromIdle(at: Instant) {
    guard sampler.isApplicationLimited else { return }
    isIdleRestart = true
    extraAckedStart = at
    extraAckedDelivered = 0
    if isInProbeBandwidth {
      setPacingRate(gain: 100)
    } else if state == .probeRTT {
      checkProbeRTTDone(at: at)
    }
  }
}
