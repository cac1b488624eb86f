import MPTCPWire

// Losses, marks, and what a spurious recovery gives back (§5.5.10, §5.5.11).
extension BBRModel {
  /// IsInflightTooHigh: more than 2 % of a flight is lost; any loss where the peer reports one a round trip at most.
  func isTooHigh(lost: Int, inFlight: Int) -> Bool {
    lost > inFlight / Self.lossDivisor || (lost > 0 && !isSelective)
  }

  /// HandleLostPacket: octets from offset `start` on, sent at `sentAt`, are presumed lost.
  mutating func lost(byteCount: Int, sentAt: Instant, start: Int, at: Instant) {
    let known = sampler.lost(byteCount: byteCount, sentAt: sentAt)
    noteLoss()
    // Places, not segments: a run of losses is one.
    if start != lastLossEnd { lossEventCount += 1 }
    lastLossEnd = start + byteCount
    guard isProbeSample, let known else { return }
    let lost = sampler.lost - known.lost
    guard isTooHigh(lost: lost, inFlight: known.inFlight) else { return }
    sample.isApplicationLimited = known.isApplicationLimited
    handleTooHigh(
      inFlight: inFlightAtLoss(byteCount: byteCount, lost: lost, inFlight: known.inFlight), at: at)
  }

  /// NoteLoss.
  private mutating func noteLoss() {
    if !isLossInRound {
      lossRoundDelivered = sampler.delivered
      saveState()
    }
    isLossInRound = true
  }

  /// How much was in flight when losses passed 2 %, which may have been within this burst (InflightAtLoss).
  private func inFlightAtLoss(byteCount: Int, lost: Int, inFlight: Int) -> Int {
    let before = max(inFlight - byteCount, 0)
    let lostBefore = max(lost - byteCount, 0)
    // (before/50 − lostBefore) / (1 − 1/50)
    let prefix = (before - Self.lossDivisor * lostBefore) / (Self.lossDivisor - 1)
    return max(before + min(max(prefix, 0), byteCount), 0)
  }

  /// HandleInflightTooHigh: once for each probe.
  private mutating func handleTooHigh(inFlight volume: Int, at: Instant) {
    wasProbeTooHigh = true
    isProbeSample = false
    if !sample.isApplicationLimited { longTermInFlight = max(volume, Self.reduced(target)) }
    if state == .probeUp {
      undoState = .probeUp
      startDown(at: at)
    }
  }

  /// A router has marked a segment. The draft leaves the response open and wants one (§3.5): it is that to a loss.
  /// While probing it ends the probe, and Startup; otherwise it lowers the short-term bounds at the end of the round.
  mutating func marked(inFlight: Int, at: Instant) {
    noteLoss()
    if state == .startup {
      endStartupByCongestion()
    } else if isProbeSample {
      handleTooHigh(inFlight: inFlight, at: at)
    }
  }

  // MARK: The short-term model

  /// AdaptLowerBoundsFromCongestion, once a round that saw a loss.
  mutating func lowerBounds() {
    if shortTermBandwidth == Self.unbounded { shortTermBandwidth = maximumBandwidth }
    if shortTermInFlight == Self.unbounded { shortTermInFlight = window }
    shortTermBandwidth = max(latestBandwidth, Self.reduced(shortTermBandwidth))
    shortTermInFlight = max(latestInFlight, Self.reduced(shortTermInFlight))
  }

  mutating func resetShortTermModel() {
    shortTermBandwidth = Self.unbounded
    shortTermInFlight = Self.unbounded
  }

  mutating func resetCongestionSignals() {
    isLossInRound = false
    latestBandwidth = 0
    latestInFlight = 0
  }

  // MARK: Recovery (§5.6.4.4)

  mutating func enterRecovery() {
    saveWindow()
    saveState()
    isInRecovery = true
  }

  /// After a time-out one segment may leave; acknowledgements let the window grow again.
  mutating func timedOut() {
    enterRecovery()
    window = segment
  }

  mutating func leaveRecovery() {
    guard isInRecovery else { return }
    isInRecovery = false
    hasSavedState = false
    restoreWindow()
  }

  /// Once for each recovery, when its first loss is noted: what later ones change is to be given back as well.
  private mutating func saveState() {
    guard !hasSavedState else { return }
    hasSavedState = true
    saveWindow()
    undoState = nil
    undoShortTermBandwidth = shortTermBandwidth
    undoShortTermInFlight = shortTermInFlight
    undoLongTermInFlight = longTermInFlight
  }

  /// HandleSpuriousLossDetection.
  mutating func undo(at: Instant) {
    isInRecovery = false
    restoreWindow()
    isLossInRound = false
    resetFullBandwidth()
    shortTermBandwidth = max(shortTermBandwidth, undoShortTermBandwidth)
    shortTermInFlight = max(shortTermInFlight, undoShortTermInFlight)
    longTermInFlight = max(longTermInFlight, undoLongTermInFlight)
    if undoState == .startup, state != .startup {
      hasReachedFullBandwidth = false
      if state != .probeRTT { enterStartup() }
    } else if undoState == .probeUp, state != .probeUp, state != .probeRTT {
      startRefill()
    }
    undoState = nil
    hasSavedState = false
  }
}
