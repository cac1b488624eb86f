import MPTCPWire

// What an acknowledgement does (§5.2.3): the model first, then the state machine, then window and rate.
extension BBRModel {
  /// UpdateOnACK. Deliveries and losses have been told.
  mutating func completeAcknowledgment(_ completion: AcknowledgmentCompletion, at: Instant) {
    inFlight = max(completion.inFlight, 0)
    isSelective = completion.isSelective
    sample = sampler.takeSample(leastRTT: completion.leastRoundTripTime)
    startPacing(completion.smoothedRoundTripTime)
    // An acknowledgement that delivers nothing brings the model nothing.
    if let prior = sample.priorDelivered {
      updateLatestSignals(prior)
      updateCongestionSignals(prior)
      updateAggregation(at: at)
      checkFullBandwidth()
      checkStartup(at: at)
      checkDrain(at: at)
      updateProbing(at: at)
      updateMinimumRTT(completion.roundTripTime, at: at)
      checkProbeRTT(at: at)
      if isLossRoundStart {
        latestBandwidth = sample.rate
        latestInFlight = sample.delivered
      }
    } else {
      isRoundStart = false
      isLossRoundStart = false
    }
    bandwidth = min(maximumBandwidth, shortTermBandwidth)
    setPacingRate(gain: pacingGain)
    setWindow()
  }

  // MARK: Rounds and bandwidth (§5.5.1 to §5.5.6)

  private mutating func updateLatestSignals(_ prior: Int) {
    isLossRoundStart = false
    latestBandwidth = max(latestBandwidth, sample.rate)
    latestInFlight = max(latestInFlight, sample.delivered)
    if prior >= lossRoundDelivered {
      lossRoundDelivered = sampler.delivered
      isLossRoundStart = true
    }
  }

  private mutating func updateCongestionSignals(_ prior: Int) {
    isRoundStart = prior >= nextRoundDelivered
    if isRoundStart {
      startRound()
      roundCount += 1
      roundsSinceProbe += 1
      wasWindowLimited = isWindowLimitedInRound
      isWindowLimitedInRound = false
    }
    // Samples that the application limited count only if they show more than was known.
    if sample.rate > 0, sample.rate >= maximumBandwidth || !sample.isApplicationLimited {
      currentCycleBandwidth = max(currentCycleBandwidth, sample.rate)
    }
    guard isLossRoundStart else { return }
    if isLossInRound, !isProbingBandwidth { lowerBounds() }
    isLossInRound = false
    if !isInRecovery { hasSavedState = false }
    if state != .startup { lossEventCount = 0 }
  }

  mutating func startRound() { nextRoundDelivered = sampler.delivered }

  /// AdvanceMaxBwFilter. A cycle that gave no sample at all is none.
  mutating func advanceBandwidthFilter() {
    guard currentCycleBandwidth > 0 else { return }
    previousCycleBandwidth = currentCycleBandwidth
    currentCycleBandwidth = 0
  }

  // MARK: Aggregation (§5.5.9)

  private mutating func updateAggregation(at: Instant) {
    var expected = scaled(bandwidth, by: max(Int((at - extraAckedStart).count), 0), over: 1_000_000_000)
    if extraAckedDelivered <= expected {
      extraAckedDelivered = 0
      extraAckedStart = at
      expected = 0
    }
    extraAckedDelivered = min(extraAckedDelivered + sample.newlyDelivered, CongestionWindow.largestByteCount)
    extraAcked.sample(
      min(extraAckedDelivered - expected, window), round: roundCount,
      window: hasReachedFullBandwidth ? Self.extraAckedRounds : 1)
  }

  // MARK: The full pipe (§5.3.1.2)

  mutating func resetFullBandwidth() {
    fullBandwidth = 0
    fullBandwidthCount = 0
    isAtFullBandwidth = false
  }

  private mutating func checkFullBandwidth() {
    guard !isAtFullBandwidth, isRoundStart, !sample.isApplicationLimited else { return }
    // A quarter more is growth.
    if sample.rate >= scaled(fullBandwidth, by: 5, over: 4) {
      resetFullBandwidth()
      fullBandwidth = sample.rate
      return
    }
    fullBandwidthCount += 1
    isAtFullBandwidth = fullBandwidthCount >= Self.fullBandwidthRounds
    if isAtFullBandwidth { hasReachedFullBandwidth = true }
  }

  // MARK: Least round-trip time (§5.3.4.3)

  private mutating func updateMinimumRTT(_ rtt: Nanoseconds?, at: Instant) {
    isProbeRTTDue = at > probeRTTMinimumAt + Self.probeRTTInterval
    if let rtt, rtt > .zero, rtt < probeRTTMinimum || isProbeRTTDue {
      probeRTTMinimum = rtt
      probeRTTMinimumAt = at
    }
    if probeRTTMinimum < minimumRTT || at > minimumRTTAt + Self.minimumRTTWindow {
      minimumRTT = probeRTTMinimum
      minimumRTTAt = probeRTTMinimumAt
    }
  }

  // MARK: Control (§5.6)

  /// The first rate is made of the initial window (InitPacingRate).
  private mutating func startPacing(_ smoothed: Nanoseconds?) {
    guard pacingRate == 0, let smoothed, smoothed > .zero else { return }
    let nominal = scaled(initialWindow, by: 1_000_000_000, over: Int(smoothed.count))
    pacingRate = min(scaled(nominal, by: Self.startupPacingGain, over: 100), CongestionWindow.largestByteCount)
  }

  mutating func setPacingRate(gain: Int) {
    let rate = min(scaled(bandwidth, by: gain * Self.pacingMargin, over: 10_000), CongestionWindow.largestByteCount)
    // Until the pipe has been full, a rate that the application limited does not slow the search.
    if rate > 0, hasReachedFullBandwidth || rate > pacingRate { pacingRate = rate }
  }

  private mutating func setWindow() {
    let acked = sample.newlyDelivered
    let limit = quantized(volume(of: bandwidth, gain: windowGain) + extraAcked.value)
    if hasReachedFullBandwidth {
      window = min(window + acked, limit)
    } else if window < limit || sampler.delivered < initialWindow {
      window += acked
    }
    boundWindow()
  }

  /// What the state and recent congestion allow (BoundCwndForProbeRTT, BoundCwndForModel).
  mutating func boundWindow() {
    window = min(max(window, leastWindow), CongestionWindow.largestByteCount)
    if state == .probeRTT { window = min(window, probeRTTWindow) }
    var cap = Self.unbounded
    switch state {
    case .probeDown, .probeRefill, .probeUp: cap = longTermInFlight
    case .probeCruise, .probeRTT: cap = withHeadroom
    case .startup, .drain: break
    }
    window = min(window, max(min(cap, shortTermInFlight), leastWindow))
  }

  // MARK: The last known good window (§5.6.4.4)

  mutating func saveWindow() {
    priorWindow = isInRecovery || state == .probeRTT ? max(priorWindow, window) : window
  }

  mutating func restoreWindow() { window = max(window, priorWindow) }
}
