import MPTCPWire
import Testing

@testable import MPTCPCore

/// A controller with one window, and the calls that the tests repeat.
private struct OneWindow {
  let controller: CongestionController
  let slot: Int
  var now = Instant.zero
  var rtt = Nanoseconds.milliseconds(100)

  init(_ algorithm: CongestionAlgorithm, segment: Int = 1_000) {
    controller = algorithm.makeController()
    slot = controller.addWindow(maximumSegmentByteCount: segment, at: .zero)
  }

  var window: CongestionWindow { controller.windows[slot] }
  var congestionWindow: Int { window.congestionWindowByteCount }

  mutating func acknowledge(_ byteCount: Int, limited: Bool = true, inFlight: Int? = nil) {
    controller.acknowledged(
      slot, byteCount: byteCount, priorInFlight: inFlight ?? congestionWindow, rtt: rtt, smoothedRTT: rtt,
      isCongestionWindowLimited: limited, at: now)
  }

  /// Acknowledges a whole window, a segment at a time.
  mutating func acknowledgeWindow() {
    for _ in 0..<congestionWindow / window.maximumSegmentByteCount { acknowledge(window.maximumSegmentByteCount) }
  }

  mutating func lose(inFlight: Int? = nil) {
    controller.congestionEvent(slot, inFlight: inFlight ?? congestionWindow, at: now)
  }

  mutating func recover() { controller.recoveryEnded(slot, at: now) }
}

@Suite struct CongestionControllerTests {
  /// All that proportional rate reduction and slow start are common to.
  static let builtIn: [CongestionAlgorithm] = [.newReno, .cubic, .lia, .olia, .balia, .wVegas]

  // Requirement 5681-3.1-01
  @Test func `the initial window is ten segments, bounded as RFC 6928 says`() {
    // RFC 6928 §2: min(10 · MSS, max(2 · MSS, 14600))
    #expect(OneWindow(.newReno, segment: 1_000).congestionWindow == 10_000)
    #expect(OneWindow(.newReno, segment: 1_460).congestionWindow == 14_600)
    #expect(OneWindow(.newReno, segment: 4_000).congestionWindow == 14_600)
    #expect(OneWindow(.newReno, segment: 9_000).congestionWindow == 18_000)
  }

  // Requirement 5681-3.1-02, 9293-3.8.2-01
  @Test(arguments: builtIn)
  func `slow start doubles the window in a round trip`(algorithm: CongestionAlgorithm) {
    var one = OneWindow(algorithm)
    one.acknowledgeWindow()
    #expect(one.congestionWindow == 20_000)
    one.acknowledge(20_000)
    #expect(one.congestionWindow == 40_000)
    #expect(one.window.isInSlowStart)
  }

  @Test(arguments: builtIn)
  func `a window that is not used does not grow`(algorithm: CongestionAlgorithm) {
    var one = OneWindow(algorithm)
    one.acknowledge(1_000, limited: false, inFlight: 2_000)
    #expect(one.congestionWindow == 10_000)
    // In slow start more than half of it in flight is use enough.
    one.acknowledge(1_000, limited: false, inFlight: 6_000)
    #expect(one.congestionWindow == 11_000)
  }

  // Requirement 5681-3.1-03, 9293-3.8.2-01
  @Test func `NewReno halves at a loss and then grows by a segment a window`() {
    // RFC 5681 §3.1, §3.2
    var one = OneWindow(.newReno)
    one.lose()
    // The window itself is proportional rate reduction's until recovery ends.
    #expect(one.congestionWindow == 10_000)
    #expect(one.window.slowStartThresholdByteCount == 5_000)
    #expect(one.window.isInRecovery)
    one.acknowledge(3_000)
    #expect(one.congestionWindow == 10_000)
    one.recover()
    #expect(one.congestionWindow == 5_000)
    // 5 segments acknowledged at 5,000: 4 · 1000 · 1000 / 5000 = 800; the fifth completes the segment.
    for _ in 0..<4 { one.acknowledge(1_000) }
    #expect(one.congestionWindow > 5_700 && one.congestionWindow < 5_800)
    // However acknowledgements are cut, a window of them brings a segment: Σ 1000²/w over w = 5000 … 6000 is 5.5 ACKs.
    var whole = OneWindow(.newReno)
    whole.lose()
    whole.recover()
    whole.acknowledge(5_000)
    #expect(whole.congestionWindow == 6_000)
  }

  // Requirement 5681-3.1-04
  @Test func `of a window that was not used, only what was in flight counts at a loss`() {
    // RFC 5681 §3.1, RFC 9438 §4.6
    for (algorithm, kept) in [(CongestionAlgorithm.newReno, 3_000), (.cubic, 4_200)] {
      var one = OneWindow(algorithm)
      one.acknowledge(1_000, limited: false, inFlight: 5_000)
      one.lose(inFlight: 6_000)
      #expect(one.window.slowStartThresholdByteCount == kept)
      one.recover()
      // Two segments are the least.
      one.acknowledge(1_000, limited: false, inFlight: 1_000)
      one.lose(inFlight: 1_000)
      #expect(one.window.slowStartThresholdByteCount == 2_000)
    }
    // Of one that was, all of it counts, however little of it has not been acknowledged selectively.
    var used = OneWindow(.newReno)
    used.lose(inFlight: 3_000)
    #expect(used.window.slowStartThresholdByteCount == 5_000)
  }

  // Requirement 6582-3.2-02
  @Test(arguments: builtIn)
  func `a second event of one recovery changes nothing`(algorithm: CongestionAlgorithm) {
    var one = OneWindow(algorithm)
    one.lose()
    let threshold = one.window.slowStartThresholdByteCount
    one.lose()
    #expect(one.window.slowStartThresholdByteCount == threshold)
  }

  // Requirement 5681-3.1-05, 5681-3.1-06
  @Test(arguments: builtIn)
  func `a timeout leaves one segment, and repeated ones leave the threshold`(algorithm: CongestionAlgorithm) {
    // RFC 5681 §3.1
    var one = OneWindow(algorithm)
    one.controller.retransmissionTimeout(one.slot, inFlight: 10_000, at: one.now)
    let threshold = one.window.slowStartThresholdByteCount
    #expect(threshold < 10_000)
    #expect(one.congestionWindow == 1_000)
    one.controller.retransmissionTimeout(one.slot, inFlight: 10_000, at: one.now)
    #expect(one.window.slowStartThresholdByteCount == threshold)
    // What was in flight is repaired in slow start; recovery's end does not jump to the threshold.
    one.acknowledge(1_000)
    #expect(one.congestionWindow == 2_000)
    one.recover()
    #expect(one.congestionWindow == 2_000)
    #expect(!one.window.isInRecovery)
  }

  @Test(arguments: builtIn)
  func `a timeout in fast recovery does not reduce the threshold again`(algorithm: CongestionAlgorithm) {
    var one = OneWindow(algorithm)
    one.acknowledgeWindow()
    one.lose()
    let threshold = one.window.slowStartThresholdByteCount
    one.controller.retransmissionTimeout(one.slot, inFlight: 20_000, at: one.now)
    #expect(one.congestionWindow == 1_000)
    #expect(one.window.slowStartThresholdByteCount == threshold)
    // If it was spurious, the reduction before it stands.
    one.controller.undo(one.slot, at: .zero)
    #expect(one.congestionWindow == threshold)
    #expect(one.window.slowStartThresholdByteCount == threshold)
  }

  @Test func `after a timeout the window is open again when what was in flight is acknowledged`() {
    var one = OneWindow(.newReno)
    one.controller.retransmissionTimeout(one.slot, inFlight: 3_000, at: one.now)
    one.acknowledge(2_000)
    #expect(one.window.isInRecovery)
    one.acknowledge(1_000)
    #expect(!one.window.isInRecovery)
  }

  // Requirement 9438-4-06
  @Test(arguments: builtIn)
  func `undoing a spurious recovery restores the window`(algorithm: CongestionAlgorithm) {
    // RFC 8985 §7.4, RFC 9438 §4.9
    var one = OneWindow(algorithm)
    one.acknowledgeWindow()
    one.lose()
    one.controller.setWindow(one.slot, byteCount: 12_000)
    one.controller.undo(one.slot, at: .zero)
    #expect(one.congestionWindow == 20_000)
    #expect(one.window.isInSlowStart)
    #expect(!one.window.isInRecovery)
    // There is nothing left to take back.
    one.lose()
    one.recover()
    let reduced = one.congestionWindow
    one.controller.undo(one.slot, at: .zero)
    one.controller.undo(one.slot, at: .zero)
    #expect(one.congestionWindow == 20_000)
    #expect(reduced < 20_000)
  }

  // Requirement 9438-4-04, 9438-4-05
  @Test func `CUBIC keeps seven tenths, and converges faster when its share shrinks`() {
    // RFC 9438 §4.6, §4.7
    var one = OneWindow(.cubic)
    one.controller.setWindow(one.slot, byteCount: 100_000)
    one.lose()
    #expect(one.window.slowStartThresholdByteCount == 70_000)
    #expect(one.window.cubic.maximumByteCount == 100_000)
    one.recover()
    #expect(one.congestionWindow == 70_000)
    // Again at 70,000 < W_max: W_max = 70,000 · 1.7 / 2 = 59,500; threshold = 49,000.
    one.lose()
    #expect(one.window.cubic.maximumByteCount == 59_500)
    #expect(one.window.slowStartThresholdByteCount == 49_000)
  }

  // Requirement 9438-4-01
  @Test func `CUBIC's curve has the values of RFC 9438`() {
    // K = ∛((100 − 70) segments / 0.4) = ∛75 = 4.217163 s; 4.217163 · 2²⁰ = 4,422,016.
    let time = Cubic.timeToMaximum(from: 70_000, to: 100_000, segment: 1_000)
    #expect(time == Int64(4.217163326508746 * 1_048_576))
    #expect(Cubic.timeToMaximum(from: 100_000, to: 70_000, segment: 1_000) == 0)
    // C·t³ at 1, 2 and 10 s: 0.4, 3.2 and 400 segments of 1,000 octets.
    #expect(Cubic.growth(over: 1 << 20, segment: 1_000) == 400)
    #expect(Cubic.growth(over: -2 << 20, segment: 1_000) == -3_200)
    #expect(Cubic.growth(over: 10 << 20, segment: 1_000) == 400_000)
    // A second is 2²⁰ units.
    #expect(Cubic.units(.seconds(1)) == 1 << 20)
    #expect(Cubic.units(.microseconds(500_000)) == 1 << 19)
    #expect(Cubic.units(.max) == Cubic.largestTime)
    #expect(Cubic.units(.seconds(-1)) == 0)
  }

  @Test func `CUBIC is back at its plateau after K seconds, and beyond it later`() {
    var one = OneWindow(.cubic)
    one.controller.setWindow(one.slot, byteCount: 1_000_000)
    one.lose()
    one.recover()
    // K = ∛(300 / 0.4) = ∛750 = 9.086 s.
    var atK = 0
    for step in 0..<140 {
      one.now = .zero + .milliseconds(Int64(step) * 100)
      one.acknowledgeWindow()
      if step == 91 { atK = one.congestionWindow }
    }
    // The target is a round trip ahead, and each round closes about 1 − 1/e of the distance to it.
    #expect(atK > 995_000 && atK <= 1_001_000)
    // Five seconds later: 1,000,000 + 400 · 4.9³ ≈ 1,047,000.
    #expect(one.congestionWindow > 1_035_000 && one.congestionWindow < 1_055_000)
  }

  // Requirement 9438-4-08
  @Test func `after a timeout CUBIC starts with one segment, and its curve at the centre where slow start ends`() {
    // RFC 9438 §4.8
    var one = OneWindow(.cubic)
    one.controller.setWindow(one.slot, byteCount: 1_000_000)
    one.controller.retransmissionTimeout(one.slot, inFlight: 1_000_000, at: one.now)
    #expect(one.window.slowStartThresholdByteCount == 700_000)
    for round in 0..<10 {
      #expect(one.congestionWindow == min(1_000 << round, 700_000))
      one.acknowledge(one.congestionWindow)
    }
    while one.window.isInSlowStart { one.acknowledge(1_000) }
    let start = one.now
    let threshold = one.congestionWindow
    #expect(threshold >= 700_000 && threshold < 710_000)
    // 0.4 · t³ segments behind the end of slow start: 400 · 5³ = 50,000 after five seconds. Towards the window of before
    // the timeout it would be 270,000 by then.
    while one.now - start < .seconds(5) {
      one.now = one.now + .milliseconds(100)
      one.acknowledgeWindow()
    }
    #expect(one.congestionWindow > threshold + 40_000 && one.congestionWindow < threshold + 60_000)
  }

  // Requirement 9438-4-03
  @Test func `CUBIC with a short round trip grows as Reno would`() {
    // RFC 9438 §4.3. 10 ms, window 20 segments after a loss at 20/0.7: the estimate gains 9/17 of a segment a round.
    var one = OneWindow(.cubic)
    one.rtt = .milliseconds(10)
    one.controller.setWindow(one.slot, byteCount: 20_000)
    one.lose()
    one.recover()
    #expect(one.congestionWindow == 14_000)
    for round in 0..<10 {
      one.now = .zero + .milliseconds(Int64(round) * 10)
      one.acknowledge(one.congestionWindow)
    }
    // Ten rounds: 14,000 + 10 · 9/17 · 1,000 = 19,294. The cubic curve alone would be at 14,000 + 4.
    #expect(one.congestionWindow >= 19_200 && one.congestionWindow <= 19_300)
  }

  // Requirement 9438-4-07
  @Test func `CUBIC does not count time in which the window was not used`() {
    // RFC 9438 §5.8
    var used = OneWindow(.cubic)
    var paused = OneWindow(.cubic)
    for index in 0..<2 {
      var one = index == 0 ? used : paused
      one.controller.setWindow(one.slot, byteCount: 1_000_000)
      one.lose()
      one.recover()
      one.acknowledge(1_000)
      if index == 1 {
        for second in 1...30 {
          one.now = .zero + .seconds(Int64(second))
          one.acknowledge(1_000, limited: false, inFlight: 1_000)
        }
      }
      for _ in 0..<10 {
        one.now = one.now + .milliseconds(100)
        one.acknowledgeWindow()
      }
      if index == 0 { used = one } else { paused = one }
    }
    #expect(used.congestionWindow == paused.congestionWindow)
  }

  // Requirement 6356-3-01
  @Test func `LIA with one subflow is NewReno`() {
    var reno = OneWindow(.newReno)
    var lia = OneWindow(.lia)
    reno.lose()
    lia.lose()
    reno.recover()
    lia.recover()
    for step in 0..<200 {
      reno.now = .zero + .milliseconds(Int64(step))
      lia.now = reno.now
      reno.acknowledge(1_000)
      lia.acknowledge(1_000)
      #expect(reno.congestionWindow == lia.congestionWindow)
    }
  }

  // Requirement 6356-3-03
  @Test func `LIA's divisor has the value of RFC 6356's formula`() {
    // Two windows of 10 and 30 segments with 20 and 60 ms.
    // w/rtt² in segments/ms²: 10/400 = 0.025, 30/3600 = 0.00833; the maximum is the first.
    // Σ w/rtt = 10/20 + 30/60 = 1; D = 1² / 0.025 = 40 segments; α = w_total / D = 40/40 = 1.
    let controller = LinkedIncreases()
    for (segments, milliseconds) in [(10, 20), (30, 60)] as [(Int, Int64)] {
      let slot = controller.addWindow(maximumSegmentByteCount: 1_000, at: .zero)
      controller.congestionEvent(slot, inFlight: 10_000, at: .zero)
      controller.recoveryEnded(slot, at: .zero)
      controller.setWindow(slot, byteCount: segments * 1_000)
      let rtt = Nanoseconds.milliseconds(milliseconds)
      controller.acknowledged(
        slot, byteCount: 0, priorInFlight: segments * 1_000, rtt: rtt, smoothedRTT: rtt,
        isCongestionWindowLimited: true, at: .zero)
    }
    controller.updateDivisor()
    #expect(controller.divisor == 40_000)

    // Ten segments acknowledged on the first: min(1 · 10000 · 1000 / 40000, 10000 · 1000 / 10000) = 250 octets.
    controller.acknowledged(
      0, byteCount: 10_000, priorInFlight: 10_000, rtt: nil, smoothedRTT: .milliseconds(20),
      isCongestionWindowLimited: true, at: .zero)
    #expect(controller.windows[0].congestionWindowByteCount == 10_250)
    // Thirty on the second: 30000 · 1000 / 40000 = 750 octets.
    controller.acknowledged(
      1, byteCount: 30_000, priorInFlight: 30_000, rtt: nil, smoothedRTT: .milliseconds(60),
      isCongestionWindowLimited: true, at: .zero)
    #expect(controller.windows[1].congestionWindowByteCount == 30_750)
  }

  @Test func `a removed window's slot is used again, and starts afresh`() {
    let controller = CongestionAlgorithm.lia.makeController()
    let first = controller.addWindow(maximumSegmentByteCount: 1_000, at: .zero)
    let second = controller.addWindow(maximumSegmentByteCount: 1_000, at: .zero)
    controller.setWindow(first, byteCount: 77_000)
    controller.removeWindow(first)
    #expect(!controller.windows[first].isInUse)
    let third = controller.addWindow(maximumSegmentByteCount: 500, at: .zero)
    #expect(third == first)
    #expect(second == 1)
    #expect(controller.windows[third].congestionWindowByteCount == 5_000)
  }

  @Test func `pacing is twice the window a round trip in slow start, and a fifth above it otherwise`() {
    var one = OneWindow(.newReno)
    #expect(one.controller.pacingRate(one.slot, smoothedRTT: nil) == .max)
    #expect(one.controller.pacingRate(one.slot, smoothedRTT: .zero) == .max)
    // 10,000 octets in 100 ms: 100,000 octets a second.
    #expect(one.controller.pacingRate(one.slot, smoothedRTT: .milliseconds(100)) == 200_000)
    one.lose()
    one.recover()
    #expect(one.controller.pacingRate(one.slot, smoothedRTT: .milliseconds(100)) == 60_000)
    one.controller.setWindow(one.slot, byteCount: .max)
    #expect(one.controller.pacingRate(one.slot, smoothedRTT: Nanoseconds(1)) == .max)
  }

  // Requirement 5681-4.1-01
  @Test func `an idle window decays to the initial window`() {
    // RFC 2861 §3, RFC 5681 §4.1
    let one = OneWindow(.newReno)
    one.controller.setWindow(one.slot, byteCount: 80_000)
    one.controller.restartAfterIdle(
      one.slot, idle: .milliseconds(200), retransmissionTimeout: .milliseconds(200), at: one.now)
    #expect(one.congestionWindow == 80_000)
    one.controller.restartAfterIdle(
      one.slot, idle: .milliseconds(400), retransmissionTimeout: .milliseconds(200), at: one.now)
    #expect(one.congestionWindow == 20_000)
    one.controller.restartAfterIdle(
      one.slot, idle: .seconds(3_600), retransmissionTimeout: .milliseconds(200), at: one.now)
    #expect(one.congestionWindow == 10_000)
  }

  @Test(arguments: builtIn)
  func `extremes saturate`(algorithm: CongestionAlgorithm) {
    let counts = [0, 1, 1_000, 1 << 31, 1 << 40, Int.max, -5]
    let spans: [Nanoseconds?] = [nil, .zero, Nanoseconds(1), .seconds(36_000), .max, Nanoseconds(.min)]
    let times = [Instant.zero, Instant(nanoseconds: 1), .distantFuture, Instant(nanoseconds: .min)]
    for segment in [0, 1, 1_460, 65_535, Int.max] {
      let controller = algorithm.makeController()
      for _ in 0..<3 { _ = controller.addWindow(maximumSegmentByteCount: segment, at: .zero) }
      var generator = SeededGenerator(seed: UInt64(truncatingIfNeeded: segment))
      for _ in 0..<4_000 {
        let slot = Int.random(in: 0..<3, using: &generator)
        let count = counts.randomElement(using: &generator) ?? 0
        let span = spans.randomElement(using: &generator) ?? nil
        let at = times.randomElement(using: &generator) ?? .zero
        switch Int.random(in: 0..<12, using: &generator) {
        case 0: controller.congestionEvent(slot, inFlight: count, at: at)
        case 1: controller.recoveryEnded(slot, at: at)
        case 2: controller.setWindow(slot, byteCount: count)
        case 3: controller.retransmissionTimeout(slot, inFlight: count, at: at)
        case 4: controller.undo(slot, at: .zero)
        case 5:
          controller.restartAfterIdle(slot, idle: span ?? .zero, retransmissionTimeout: span ?? .max, at: at)
        case 6: controller.setMaximumSegment(slot, byteCount: count)
        default:
          controller.acknowledged(
            slot, byteCount: count, priorInFlight: counts.randomElement(using: &generator) ?? 0, rtt: span,
            smoothedRTT: span, isCongestionWindowLimited: Bool.random(using: &generator), at: at)
        }
        agree(controller.pacingRate(slot, smoothedRTT: span) >= 0, true)
        let window = controller.windows[slot]
        agree(window.congestionWindowByteCount >= window.maximumSegmentByteCount, true)
        agree(window.congestionWindowByteCount <= CongestionWindow.largestByteCount, true)
        agree(window.slowStartThresholdByteCount > 0, true)
      }
    }
  }

  @Test func `a window is small`() { #expect(MemoryLayout<CongestionWindow>.stride < 250) }
}
