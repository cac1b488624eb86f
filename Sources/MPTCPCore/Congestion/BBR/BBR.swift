import MPTCPWire

/// BBR version 3 (draft-ietf-ccwg-bbr) on each subflow by itself.
///
/// It wants delivery rate samples, and sets window and pacing rate in recovery too. Of what the draft leaves open:
/// marks by routers (RFC 3168) count as losses do; there is no response to the fraction of marks (L4S).
final class BBR: CongestionController {
  private(set) var models: [BBRModel] = []
  private var seeds: SplitMix

  /// - Parameter seed: unpredictable bits, so that flows do not probe in step.
  init(seed: UInt64) {
    seeds = SplitMix(state: seed)
    super.init(samplesDelivery: true, governsRecovery: true)
  }

  override var name: String { "bbr" }

  override func windowAdded(_ slot: Int, at: Instant) {
    let model = BBRModel(
      window: windows[slot].congestionWindowByteCount, segment: windows[slot].maximumSegmentByteCount,
      seed: seeds.next(), at: at)
    if slot < models.count { models[slot] = model } else { models.append(model) }
  }

  /// What the handshake, or a change of the segment size, makes of the window.
  override func setWindow(_ slot: Int, byteCount: Int) {
    windows[slot].setWindow(byteCount)
    models[slot].segment = windows[slot].maximumSegmentByteCount
    models[slot].window = windows[slot].congestionWindowByteCount
    if models[slot].sampler.delivered == 0 { models[slot].initialWindow = models[slot].window }
  }

  override func pacingRate(_ slot: Int, smoothedRTT: Nanoseconds?) -> Int {
    models[slot].pacingRate > 0 ? models[slot].pacingRate : super.pacingRate(slot, smoothedRTT: smoothedRTT)
  }

  // MARK: Samples

  override func transmitted(_ slot: Int, _ transmission: Transmission, at: Instant) {
    if transmission.inFlight <= transmission.byteCount { models[slot].restartFromIdle(at: at) }
    models[slot].sampler.transmitted(byteCount: transmission.byteCount, inFlight: transmission.inFlight, at: at)
    if transmission.inFlight + models[slot].segment > models[slot].window { models[slot].isWindowLimitedInRound = true }
    publish(slot)
  }

  override func delivered(_ slot: Int, byteCount: Int, sentAt: Instant, end: Int, at: Instant) {
    models[slot].sampler.delivered(byteCount: byteCount, sentAt: sentAt, end: end, at: at)
  }

  override func lost(_ slot: Int, byteCount: Int, sentAt: Instant, start: Int, at: Instant) {
    models[slot].lost(byteCount: byteCount, sentAt: sentAt, start: start, at: at)
  }

  override func markApplicationLimited(_ slot: Int, inFlight: Int) {
    models[slot].sampler.markApplicationLimited(inFlight: inFlight)
  }

  override func acknowledgmentCompleted(_ slot: Int, _ completion: AcknowledgmentCompletion, at: Instant) {
    guard windows[slot].phase != .vacant else { return }
    windows[slot].smoothedRoundTripTime = completion.smoothedRoundTripTime
    if let oldest = completion.oldestSentAt { models[slot].sampler.forget(before: oldest) }
    models[slot].completeAcknowledgment(completion, at: at)
    publish(slot)
  }

  // MARK: Congestion

  /// Growth comes with the samples.
  override func grow(_ slot: Int, _ acknowledgment: CongestionAcknowledgment) {}

  override func congestionEvent(_ slot: Int, inFlight: Int, at: Instant) {
    guard windows[slot].phase == .open else { return }
    models[slot].enterRecovery()
    windows[slot].phase = .recovery
  }

  override func recoveryBegan(_ slot: Int, at: Instant) { congestionEvent(slot, inFlight: 0, at: at) }

  override func congestionMarked(_ slot: Int, inFlight: Int, at: Instant) {
    guard windows[slot].phase != .vacant else { return }
    models[slot].marked(inFlight: inFlight, at: at)
    publish(slot)
  }

  override func recoveryEnded(_ slot: Int, at: Instant) {
    guard models[slot].isInRecovery, windows[slot].phase != .vacant else { return }
    windows[slot].phase = .open
    models[slot].leaveRecovery()
    models[slot].boundWindow()
    publish(slot)
  }

  override func retransmissionTimeout(_ slot: Int, inFlight: Int, at: Instant) {
    guard windows[slot].phase != .vacant else { return }
    models[slot].timedOut()
    windows[slot].enterLoss(inFlight: inFlight)
    publish(slot)
  }

  override func undo(_ slot: Int, at: Instant) {
    guard windows[slot].phase != .vacant else { return }
    windows[slot].phase = .open
    models[slot].undo(at: at)
    models[slot].boundWindow()
    publish(slot)
  }

  /// It paces after idleness at the rate that it knows, instead of forgetting it (§5.4).
  override func restartAfterIdle(
    _ slot: Int, idle: Nanoseconds, retransmissionTimeout: Nanoseconds, at: Instant
  ) {}

  /// The window grows back with what is delivered.
  override func penalize(_ slot: Int) {
    guard windows[slot].phase == .open else { return }
    models[slot].window = max(models[slot].window / 2, models[slot].leastWindow)
    publish(slot)
  }

  private func publish(_ slot: Int) { windows[slot].setWindow(models[slot].window) }
}
