import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct OpportunisticLinkedIncreasesTests {
  /// Adds to what was acknowledged since the last loss, without growth.
  private func progress(_ controller: CongestionController, _ slot: Int, _ byteCount: Int) {
    let window = controller.windows[slot]
    controller.acknowledged(
      slot, byteCount: byteCount, priorInFlight: 0, rtt: nil, smoothedRTT: window.smoothedRoundTripTime,
      isCongestionWindowLimited: false, at: .zero)
    controller.windows[slot].isWindowLimited = true
  }

  @Test func `paths that are equally good grow by the first term alone`() {
    // 10 segments at 20 ms, 30 at 60 ms: both send 10,000 octets in 20 ms.
    // w/rtt² / (Σ w/rtt)² = 10,000 / (10,000 + 10,000)² = 1/40,000 per octet and segment: 10,000 · 1,000 / 40,000 =
    // 250.
    let controller = OpportunisticLinkedIncreases()
    let first = controller.addAvoiding(segments: 10, milliseconds: 20)
    let second = controller.addAvoiding(segments: 30, milliseconds: 60)
    // The largest window is the best path: l/rtt² = 1 against 100 octets a millisecond².
    progress(controller, first, 400)
    progress(controller, second, 360_000)
    #expect(controller.shift(of: first) == 0)
    #expect(controller.shift(of: second) == 0)
    controller.acknowledge(first, 10_000)
    #expect(controller.window(first) == 10_250)
  }

  @Test func `windows move from the largest path to a better one`() {
    // l/rtt²: 400,000/20² = 1,000 and 900,000/60² = 250. B = {first}, M = {second}: α = 1/(2·1) and −1/(2·1).
    let controller = OpportunisticLinkedIncreases()
    let first = controller.addAvoiding(segments: 10, milliseconds: 20)
    let second = controller.addAvoiding(segments: 30, milliseconds: 60)
    progress(controller, first, 400_000)
    progress(controller, second, 900_000)
    #expect(controller.shift(of: first) == 2)
    #expect(controller.shift(of: second) == -2)
    // 10,000 acknowledged: 250 as above, and 10,000 · 1,000 · ½ / 10,000 = 500.
    controller.acknowledge(first, 10_000)
    #expect(controller.window(first) == 10_750)
    // 30,000 acknowledged at w = (10,000 again, 30,000): 30,000 · 1,000 · 30,000/60,000² = 250, less 500.
    controller.setAvoiding(first, byteCount: 10_000, rtt: .milliseconds(20))
    controller.acknowledge(second, 30_000)
    #expect(controller.window(second) == 29_750)
  }

  @Test func `a path between the best and the largest is left alone`() {
    let controller = OpportunisticLinkedIncreases()
    let best = controller.addAvoiding(segments: 5, milliseconds: 10)
    let between = controller.addAvoiding(segments: 10, milliseconds: 10)
    let largest = [20, 20].map { controller.addAvoiding(segments: $0, milliseconds: 10) }
    progress(controller, best, 9_000)
    progress(controller, between, 8_000)
    for slot in largest { progress(controller, slot, 1_000) }
    // Four paths, two of them largest: 1/(4·1), 0, −1/(4·2).
    #expect(controller.shift(of: best) == 4)
    #expect(controller.shift(of: between) == 0)
    #expect(controller.shift(of: largest[0]) == -8)
    #expect(controller.shift(of: largest[1]) == -8)
  }

  @Test func `the distance between losses is the longer of the last two`() {
    let controller = OpportunisticLinkedIncreases()
    let first = controller.addAvoiding(segments: 10, milliseconds: 10)
    let second = controller.addAvoiding(segments: 20, milliseconds: 10)
    progress(controller, first, 50_000)
    progress(controller, second, 40_000)
    #expect(controller.shift(of: first) == 2)
    // One loss: the 50,000 before it still count; two: the 10,000 between them.
    for (acknowledged, shift) in [(10_000, 2), (1_000, 0)] {
      controller.congestionEvent(first, inFlight: 10_000, at: .zero)
      controller.recoveryEnded(first, at: .zero)
      controller.setAvoiding(first, byteCount: 10_000, rtt: .milliseconds(10))
      progress(controller, first, acknowledged)
      #expect(controller.shift(of: first) == shift)
    }
  }

  @Test func `alone on its path it is NewReno`() {
    let controller = OpportunisticLinkedIncreases()
    let slot = controller.addAvoiding(segments: 10, milliseconds: 20)
    controller.acknowledge(slot, 10_000)
    #expect(controller.window(slot) == 11_000)
    controller.congestionEvent(slot, inFlight: 11_000, at: .zero)
    #expect(controller.windows[slot].slowStartThresholdByteCount == 5_500)
  }

  @Test func `the integers follow the formula for any windows and round-trip times`() {
    var random = RandomWindows(generator: SeededGenerator(seed: 2))
    for _ in 0..<500 {
      let controller = OpportunisticLinkedIncreases()
      let count = random.fill(controller)
      for slot in 0..<count { progress(controller, slot, Int.random(in: 0...1 << 40, using: &random.generator)) }
      for slot in 0..<count {
        let before = controller.window(slot)
        let segment = controller.windows[slot].maximumSegmentByteCount
        let acknowledged = min(before, 64_000)
        let (own, sum, _, _) = controller.rates(slot)
        controller.acknowledge(slot, acknowledged)
        let after = controller.window(slot)
        // What was acknowledged counts in the distance already: the shift is that of the windows before it.
        controller.setAvoiding(slot, byteCount: before, rtt: controller.windows[slot].smoothedRoundTripTime ?? .zero)
        let shift = controller.shift(of: slot)
        controller.setAvoiding(slot, byteCount: after, rtt: controller.windows[slot].smoothedRoundTripTime ?? .zero)
        let reno = Double(acknowledged) * Double(segment) / Double(before)
        let expected = reno * (own / sum) * (own / sum) + (shift == 0 ? 0 : reno / Double(shift))
        let grown = Double(after - before)
        agree(abs(grown - expected) <= 1.01 + reno / 1_000, true)
        agree(controller.window(slot) >= segment, true)
      }
    }
  }
}
