import MPTCPWire
import Testing

@testable import MPTCPCore

/// A model on a path of its own: 1,000,000 octets a second, 100 ms; segments of 1,000 octets, so 100 of them fill it.
private final class ModelledPath {
  var model: BBRModel
  var now = Instant.zero + .seconds(1)
  /// Octets a second that it delivers, and the round-trip time without a queue.
  var rate = 1_000_000
  var delay = Nanoseconds.milliseconds(100)
  private var inFlight: [(sentAt: Instant, arrivesAt: Instant, start: Int)] = []
  private var freeAt = Instant.zero
  private var nextSend = Instant.zero
  private var position = 0
  /// Every so many segments one is lost; 0 for none.
  var lossPeriod = 0

  init(seed: UInt64 = 1) { model = BBRModel(window: 10_000, segment: 1_000, seed: seed, at: .zero + .seconds(1)) }

  var inFlightByteCount: Int { inFlight.count * 1_000 }

  /// Sends what window and pacing let out, and takes in the acknowledgements, until `condition` holds or `seconds`
  /// passed.
  @discardableResult
  func run(seconds: Int64, until condition: (BBRModel) -> Bool = { _ in false }) -> Bool {
    let end = now + .seconds(seconds)
    while now < end {
      if condition(model) { return true }
      send()
      var next = inFlight.first?.arrivesAt ?? .distantFuture
      if inFlightByteCount + 1_000 <= model.window { next = min(next, nextSend) }
      now = max(now, min(next, end))
      if let first = inFlight.first, first.arrivesAt <= now { acknowledge() }
    }
    return condition(model)
  }

  private func send() {
    while inFlightByteCount + 1_000 <= model.window, nextSend <= now {
      if inFlight.isEmpty { model.restartFromIdle(at: now) }
      // The line takes a segment after the other, each for its time.
      freeAt = max(freeAt, now) + Nanoseconds(Int64(1_000_000_000_000 / rate))
      inFlight.append((now, freeAt + delay, position))
      position += 1_000
      model.sampler.transmitted(byteCount: 1_000, inFlight: inFlightByteCount, at: now)
      if inFlightByteCount + 1_000 > model.window { model.isWindowLimitedInRound = true }
      nextSend =
        model.pacingRate == 0 ? now : max(nextSend, now) + Nanoseconds(Int64(1_000_000_000_000 / model.pacingRate))
    }
  }

  private func acknowledge() {
    let first = inFlight.removeFirst()
    if lossPeriod > 0, first.start / 1_000 % lossPeriod == lossPeriod - 1 {
      if !model.isInRecovery { model.enterRecovery() }
      model.lost(byteCount: 1_000, sentAt: first.sentAt, start: first.start, at: now)
    } else {
      model.sampler.delivered(byteCount: 1_000, sentAt: first.sentAt, end: first.start + 1_000, at: now)
    }
    model.sampler.forget(before: inFlight.first?.sentAt ?? .distantFuture)
    model.completeAcknowledgment(
      AcknowledgmentCompletion(
        inFlight: inFlightByteCount, roundTripTime: now - first.sentAt, smoothedRoundTripTime: now - first.sentAt,
        leastRoundTripTime: delay, oldestSentAt: nil, isSelective: true), at: now)
  }
}

@Suite struct BBRModelTests {
  @Test func `the first rate is the initial window in a round trip, times the gain of Startup`() {
    // §5.6.2: 10,000 octets / 0.1 s · 2.77 = 277,000. The segment's own millisecond: 10,000 / 0.101 · 2.77.
    let path = ModelledPath()
    #expect(path.run(seconds: 1) { $0.pacingRate > 0 })
    #expect(path.model.pacingRate == 99_009 * 277 / 100)
    #expect(path.model.state == .startup)
  }

  @Test func `Startup ends on a plateau of three rounds, and Drain when the queue is gone`() {
    // §5.3.1.2, §5.3.2; appendix "Exiting STARTUP on Bandwidth Plateau", "Exiting DRAIN Based on Inflight"
    let path = ModelledPath()
    #expect(path.run(seconds: 5) { $0.state == .drain })
    #expect(path.model.hasReachedFullBandwidth)
    #expect(path.model.fullBandwidthCount == 3)
    #expect(path.model.pacingGain == 50)
    // Within 2 % of the path's rate.
    #expect(path.model.maximumBandwidth > 980_000 && path.model.maximumBandwidth <= 1_000_000)
    // Startup's queue is no larger than another 100 segments and the batches' allowance.
    #expect(path.inFlightByteCount < 230_000)
    // No queue is left for ProbeBW_DOWN to drain either, so the same acknowledgement goes through it to cruise:
    // UpdateProbeBWCyclePhase follows CheckDrainDone (§5.2.3).
    let drained = path.model.drainStartRound
    #expect(path.run(seconds: 2) { $0.state != .drain })
    #expect(path.model.state == .probeCruise)
    #expect(path.model.ackPhase == .probeStopping)
    #expect(path.model.roundCount <= drained + 3)
    #expect(path.inFlightByteCount <= path.model.filling(path.model.bandwidth) + 1_000)
  }

  @Test func `Drain ends after three rounds when the queue does not, and ProbeBW goes down`() {
    // §5.3.2; appendix "Exiting DRAIN Based on Time". Half of what was found is more than the path has by then: the
    // segments that Startup's last round sends are on the slower line, and their queue does not shrink.
    let path = ModelledPath()
    #expect(path.run(seconds: 5) { $0.fullBandwidthCount == 2 })
    path.rate = 400_000
    #expect(path.run(seconds: 5) { $0.state == .drain })
    let entered = path.model.roundCount
    #expect(path.run(seconds: 5) { $0.state != .drain })
    #expect(path.model.roundCount == entered + 4)
    #expect(path.model.state == .probeDown)
    #expect(path.inFlightByteCount > path.model.filling(path.model.maximumBandwidth))
  }

  @Test func `ProbeBW goes down, cruises, refills and probes in turn`() {
    // §5.3.3. The first cycle goes through ProbeBW_DOWN within the acknowledgement that ends Drain. Two seconds and
    // more of cruise, a round of refilling, three without growth and a second for their queue are a cycle: three in 14
    // s. ProbeRTT falls into the second half of some: what follows it is cruise.
    let path = ModelledPath()
    var seen: [BBRModel.State] = []
    path.run(seconds: 14) {
      if $0.state != .probeRTT, seen.last != $0.state { seen.append($0.state) }
      return false
    }
    let cycle: [BBRModel.State] = [.probeCruise, .probeRefill, .probeUp, .probeDown]
    #expect(seen == [.startup, .drain] + cycle + cycle + cycle)
    // Each state has the gains of the table in §5.6.1.
    for (state, pacing, window) in [
      (BBRModel.State.probeDown, 90, 200), (.probeCruise, 100, 200), (.probeRefill, 100, 200), (.probeUp, 125, 225),
      (.probeRTT, 100, 50),
    ] {
      #expect(path.run(seconds: 12) { $0.state == state })
      #expect(path.model.pacingGain == pacing)
      #expect(path.model.windowGain == window)
    }
  }

  @Test func `ProbeRTT comes after five seconds, holds half the path for 200 ms and lets go`() {
    // §5.3.4; appendix "Entering and Exiting PROBE_RTT"
    let path = ModelledPath()
    #expect(path.run(seconds: 9) { $0.state == .probeRTT })
    let entered = path.now
    #expect((entered - (.zero + .seconds(1))).seconds > 5)
    let before = path.model.priorWindow
    #expect(path.run(seconds: 1) { $0.probeRTTEnd != nil })
    // Half of 1,000,000 octets a second in 100 ms (and the segment's own millisecond) are about 50,000.
    #expect(path.inFlightByteCount <= 51_000)
    #expect(path.model.window >= 45_000 && path.model.window <= 51_000)
    let held = path.now
    #expect(path.run(seconds: 1) { $0.state != .probeRTT })
    #expect((path.now - held).milliseconds > 200)
    #expect(path.model.state == .probeCruise)
    #expect(path.model.window >= min(before, 150_000))
    #expect(path.model.minimumRTT >= .milliseconds(101) && path.model.minimumRTT < .milliseconds(103))
  }

  @Test func `a path that gains rate is found again, and one that loses it is unlearned`() {
    // Appendix "Increasing Bandwidth 10x", "Decreasing Bandwidth 10x"; without the losses of the latter, which make it
    // easier: the queue is endless, its round trips last seconds, and ProbeRTT comes before any probe is over.
    let path = ModelledPath()
    path.run(seconds: 6)
    path.rate = 10_000_000
    #expect(path.run(seconds: 30) { $0.maximumBandwidth > 9_000_000 })
    path.rate = 1_000_000
    #expect(path.run(seconds: 40) { $0.maximumBandwidth < 1_100_000 })
    // The queue goes as well: each ProbeRTT, at half of what is thought to fill the path, halves the round-trip time.
    #expect(path.run(seconds: 60) { $0.minimumRTT < .milliseconds(110) })
    path.run(seconds: 10)
    #expect(path.inFlightByteCount < 260_000)
  }

  @Test func `a probe that is cut off by ProbeRTT was a cycle for the filter, an idle one was not`() {
    // §5.5.6, and beyond it
    for (state, phase, isLimited, maximum) in [
      (BBRModel.State.probeUp, BBRModel.AckPhase.probeFeedback, false, 300), (.probeRefill, .refilling, false, 300),
      (.probeDown, .probeStopping, false, 300), (.probeCruise, .none, false, 500),
      (.probeUp, .probeFeedback, true, 500),
    ] {
      var model = BBRModel(window: 10_000, segment: 1_000, seed: 1, at: .zero)
      model.previousCycleBandwidth = 500
      model.currentCycleBandwidth = 300
      model.state = state
      model.ackPhase = phase
      model.sample.isApplicationLimited = isLimited
      model.isProbeRTTDue = true
      model.checkProbeRTT(at: .zero + .seconds(6))
      #expect(model.state == .probeRTT)
      #expect(model.maximumBandwidth == maximum)
    }
  }

  @Test func `the bandwidth of two probing cycles counts`() {
    // §5.5.5, §5.5.6
    var model = BBRModel(window: 10_000, segment: 1_000, seed: 1, at: .zero)
    model.currentCycleBandwidth = 500
    model.advanceBandwidthFilter()
    model.currentCycleBandwidth = 300
    #expect(model.maximumBandwidth == 500)
    model.advanceBandwidthFilter()
    #expect(model.maximumBandwidth == 300)
    // A cycle without a sample takes nothing away.
    model.advanceBandwidthFilter()
    #expect(model.maximumBandwidth == 300)
  }

  @Test func `more than two in a hundred lost while probing sets the long-term bound where it happened`() {
    // §5.5.10.2. 100 segments in flight, the last ten of them a burst of which all are lost; none before:
    // (90,000/50 − 0) / (1 − 1/50) = 1,836 of them were bearable: 91,836.
    var model = BBRModel(window: 100_000, segment: 1_000, seed: 1, at: .zero)
    model.minimumRTT = .milliseconds(100)
    model.currentCycleBandwidth = 1_000_000
    model.bandwidth = 1_000_000
    model.hasReachedFullBandwidth = true
    model.state = .probeUp
    model.isProbeSample = true
    let sent = Instant.zero + .seconds(1)
    model.sampler.transmitted(byteCount: 10_000, inFlight: 100_000, at: sent)
    model.lost(byteCount: 10_000, sentAt: sent, start: 0, at: sent + .milliseconds(100))
    #expect(model.longTermInFlight == 91_836)
    #expect(model.wasProbeTooHigh)
    #expect(model.state == .probeDown)
    // Once for each probe.
    model.lost(byteCount: 10_000, sentAt: sent, start: 10_000, at: sent + .milliseconds(100))
    #expect(model.longTermInFlight == 91_836)
    // Fifteen hundredths of it stay free: 91,836 − ⌊918⌋ · 15 = 78,066.
    #expect(model.withHeadroom == 78_066)
    // It was for nothing after all (§5.5.11.2): no bound, and the probe begins again.
    model.undo(at: sent + .milliseconds(200))
    #expect(model.longTermInFlight == BBRModel.unbounded)
    #expect(model.state == .probeRefill)
  }

  @Test func `two in a hundred are borne`() {
    var model = BBRModel(window: 100_000, segment: 1_000, seed: 1, at: .zero)
    #expect(!model.isTooHigh(lost: 2_000, inFlight: 100_000))
    #expect(model.isTooHigh(lost: 2_001, inFlight: 100_000))
    #expect(!model.isTooHigh(lost: 0, inFlight: 0))
    // A peer without SACK shows one loss a round trip at most.
    model.isSelective = false
    #expect(model.isTooHigh(lost: 1, inFlight: 100_000))
  }

  @Test func `outside of probes a round with a loss lowers the short-term bounds, to what was delivered at most`() {
    // §5.5.10.3: max(latest, 0.7 · bound), from max_bw and the window.
    var model = BBRModel(window: 100_000, segment: 1_000, seed: 1, at: .zero)
    model.currentCycleBandwidth = 1_000_000
    model.latestBandwidth = 800_000
    model.latestInFlight = 60_000
    model.lowerBounds()
    #expect(model.shortTermBandwidth == 800_000)
    #expect(model.shortTermInFlight == 70_000)
    model.latestBandwidth = 100_000
    model.lowerBounds()
    #expect(model.shortTermBandwidth == 560_000)
    #expect(model.shortTermInFlight == 60_000)
  }

  @Test func `six places of loss in a round of recovery end Startup, and a spurious recovery brings it back`() {
    // §5.3.1.3
    let path = ModelledPath()
    path.rate = 100_000_000
    path.lossPeriod = 10
    #expect(path.run(seconds: 3) { $0.state != .startup })
    #expect(path.model.hasReachedFullBandwidth)
    #expect(path.model.longTermInFlight != BBRModel.unbounded)
    #expect(path.model.undoState == .startup)
    path.model.undo(at: path.now)
    #expect(path.model.state == .startup)
    #expect(!path.model.hasReachedFullBandwidth)
  }

  @Test func `one loss in a hundred does not slow it down much`() {
    let path = ModelledPath()
    path.lossPeriod = 100
    path.run(seconds: 10)
    #expect(path.model.maximumBandwidth > 950_000)
    let before = path.model.sampler.delivered
    path.run(seconds: 10)
    #expect(path.model.sampler.delivered - before > 8_000_000)
  }

  @Test func `a mark while probing sets the long-term bound, and in Startup ends it`() {
    // RFC 3168 §6.1.2; the draft's §3.5 wants marks to be treated as congestion.
    let path = ModelledPath()
    path.run(seconds: 1) { $0.roundCount == 3 }
    path.model.marked(inFlight: 40_000, at: path.now)
    #expect(path.model.hasReachedFullBandwidth)
    #expect(path.run(seconds: 10) { $0.state == .probeUp && $0.isProbeSample })
    path.model.marked(inFlight: 150_000, at: path.now)
    #expect(path.model.state == .probeDown)
    #expect(path.model.longTermInFlight <= 150_000)
  }

  @Test func `after a time-out one segment leaves, and the window comes back when all is repaired`() {
    // §5.6.4.4
    var model = BBRModel(window: 100_000, segment: 1_000, seed: 1, at: .zero)
    model.timedOut()
    #expect(model.window == 1_000)
    // A second one does not make that the last good window.
    model.timedOut()
    model.leaveRecovery()
    #expect(model.window == 100_000)
  }

  @Test func `probes of two flows are not in step, and the same seed gives the same times`() {
    var waits: [Nanoseconds] = []
    for seed in [1, 2, 1] as [UInt64] {
      var model = BBRModel(window: 10_000, segment: 1_000, seed: seed, at: .zero)
      model.startDown(at: .zero)
      #expect(model.probeWait >= .seconds(2) && model.probeWait < .seconds(3))
      waits.append(model.probeWait)
    }
    #expect(waits[0] != waits[1])
    #expect(waits[0] == waits[2])
  }

  @Test func `a loss before any round-trip time is known does not stop it`() {
    let controller = BBR(seed: 1)
    let slot = controller.addWindow(maximumSegmentByteCount: 1_000, at: .zero)
    controller.congestionEvent(slot, inFlight: 10_000, at: .zero)
    #expect(controller.pacingRate(slot, smoothedRTT: nil) == .max)
    // The model paces with the first sample; until then the window in a round-trip time, doubled as in slow start:
    // 10,000 octets / 10 ms · 2.
    #expect(controller.pacingRate(slot, smoothedRTT: .milliseconds(10)) == 2_000_000)
  }

  @Test func `windows and rates stay in bounds whatever happens`() {
    for seed in 0..<20 {
      var generator = SeededGenerator(seed: UInt64(seed))
      let controller = BBR(seed: UInt64(seed))
      for _ in 0..<3 {
        _ = controller.addWindow(maximumSegmentByteCount: Int.random(in: 1...65_535, using: &generator), at: .zero)
      }
      var now = Instant.zero
      var sent: [Instant] = [.zero]
      for step in 0..<4_000 {
        now =
          now + Nanoseconds(Int64.random(in: 0...(1 << Int64.random(in: 1...40, using: &generator)), using: &generator))
        let slot = Int.random(in: 0..<3, using: &generator)
        let count = 1 << Int.random(in: 0...31, using: &generator)
        let sentAt = sent.randomElement(using: &generator) ?? .zero
        switch Int.random(in: 0..<16, using: &generator) {
        case 0: controller.congestionEvent(slot, inFlight: count, at: now)
        case 1: controller.recoveryEnded(slot, at: now)
        case 2: controller.retransmissionTimeout(slot, inFlight: count, at: now)
        case 3: controller.undo(slot, at: now)
        case 4: controller.congestionMarked(slot, inFlight: count, at: now)
        case 5: controller.markApplicationLimited(slot, inFlight: count)
        case 6: controller.setMaximumSegment(slot, byteCount: count)
        case 7: controller.lost(slot, byteCount: count, sentAt: sentAt, start: step, at: now)
        case 8, 9, 10:
          sent.append(now)
          controller.transmitted(
            slot, Transmission(byteCount: count, inFlight: Int.random(in: 0...1 << 31, using: &generator)), at: now)
        default:
          controller.delivered(slot, byteCount: count, sentAt: sentAt, end: step, at: now)
          let rtt = Nanoseconds(
            Int64.random(in: -1...(1 << Int64.random(in: 1...62, using: &generator)), using: &generator))
          controller.acknowledgmentCompleted(
            slot,
            AcknowledgmentCompletion(
              inFlight: count, roundTripTime: rtt, smoothedRoundTripTime: rtt, leastRoundTripTime: nil,
              oldestSentAt: nil, isSelective: Bool.random(using: &generator)), at: now)
        }
        let window = controller.windows[slot]
        agree(window.congestionWindowByteCount >= window.maximumSegmentByteCount, true)
        agree(window.congestionWindowByteCount <= CongestionWindow.largestByteCount, true)
        let rate = controller.pacingRate(slot, smoothedRTT: .milliseconds(10))
        agree(rate > 0, true)
      }
    }
  }
}
