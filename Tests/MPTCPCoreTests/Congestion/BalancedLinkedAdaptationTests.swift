import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct BalancedLinkedAdaptationTests {
  @Test func `paths of equal rates grow by x over rtt and the square of the sum`() {
    // In segments and milliseconds: x = 10/20 = 30/60 = 0.5, Σx = 1, α = 1.
    // 0.5 / (20 · 1²) · 1 · 1 = 1/40 a segment; ten segments: 0.25.
    let controller = BalancedLinkedAdaptation()
    let first = controller.addAvoiding(segments: 10, milliseconds: 20)
    controller.addAvoiding(segments: 30, milliseconds: 60)
    controller.acknowledge(first, 10_000)
    #expect(controller.window(first) == 10_250)
    // It is the faster one now, with α = 1, and halves.
    controller.congestionEvent(first, inFlight: 10_250, at: .zero)
    #expect(controller.windows[first].slowStartThresholdByteCount == 5_125)
  }

  @Test func `a path slower than the best grows faster than its share, and loses more`() {
    // x = 10/20 = 0.5 and 60/60 = 1, Σx = 1.5, α of the first 2.
    // 0.5 / (20 · 2.25) · 3/2 · 6/5 = 0.02 a segment; ten segments: 0.2.
    let controller = BalancedLinkedAdaptation()
    let first = controller.addAvoiding(segments: 10, milliseconds: 20)
    let second = controller.addAvoiding(segments: 60, milliseconds: 60)
    controller.acknowledge(first, 10_000)
    #expect(controller.window(first) == 10_200)
    // The second: 1 / (60 · 2.25) a segment with α = 1; sixty: 0.4444. x of the first is 0.51 by now:
    // 60 / (60 · 1.51²) = 0.4386.
    controller.acknowledge(second, 60_000)
    #expect(controller.window(second) == 60_438)
    // A loss takes w/2 · min(2, 3/2): a quarter of 12,000 stays. α = 1/0.6 > 3/2.
    controller.setAvoiding(first, byteCount: 12_000, rtt: .milliseconds(20))
    controller.congestionEvent(first, inFlight: 12_000, at: .zero)
    #expect(controller.windows[first].slowStartThresholdByteCount == 3_000)
  }

  @Test func `many fast paths leave a slow one its share, however much faster they are`() {
    // Four paths of 2³⁰ octets in a microsecond, one of as many in 1,000 s: y is nothing beside m, and m/S = 1/4.
    // 2³⁰ · 1,000/2³⁰ · 1/(10·4²) = 6.25 octets.
    let controller = BalancedLinkedAdaptation()
    let slow = controller.addAvoiding(segments: 1, milliseconds: 1)
    controller.setAvoiding(slow, byteCount: 1 << 30, rtt: .seconds(1_000))
    for _ in 0..<4 {
      let fast = controller.addAvoiding(segments: 1, milliseconds: 1)
      controller.setAvoiding(fast, byteCount: 1 << 30, rtt: .microseconds(1))
    }
    controller.acknowledge(slow, 1 << 30)
    #expect(controller.window(slow) == (1 << 30) + 6)
  }

  @Test func `between one and three halves the decrease is alpha's`() {
    // x = 0.5 and 37.5/60 = 0.625: α = 1.25; 10,000 · (1 − 1.25/2) = 3,750.
    let controller = BalancedLinkedAdaptation()
    let first = controller.addAvoiding(segments: 10, milliseconds: 20)
    let second = controller.addAvoiding(segments: 1, milliseconds: 60)
    controller.setAvoiding(second, byteCount: 37_500, rtt: .milliseconds(60))
    controller.congestionEvent(first, inFlight: 10_000, at: .zero)
    #expect(controller.windows[first].slowStartThresholdByteCount == 3_750)
  }

  @Test func `alone on its path it is NewReno`() {
    let controller = BalancedLinkedAdaptation()
    let slot = controller.addAvoiding(segments: 10, milliseconds: 20)
    controller.acknowledge(slot, 10_000)
    #expect(controller.window(slot) == 11_000)
    controller.congestionEvent(slot, inFlight: 11_000, at: .zero)
    #expect(controller.windows[slot].slowStartThresholdByteCount == 5_500)
  }

  @Test func `the integers follow the formula for any windows and round-trip times`() {
    var random = RandomWindows(generator: SeededGenerator(seed: 3))
    for _ in 0..<500 {
      let controller = BalancedLinkedAdaptation()
      for slot in 0..<random.fill(controller) {
        let before = controller.window(slot)
        let segment = controller.windows[slot].maximumSegmentByteCount
        let acknowledged = min(before, 64_000)
        let (own, sum, largest, _) = controller.rates(slot)
        let alpha = largest / own
        let reno = Double(acknowledged) * Double(segment) / Double(before)
        let expected = reno * (own / sum) * (own / sum) * (1 + alpha) / 2 * (4 + alpha) / 5
        controller.acknowledge(slot, acknowledged)
        let grown = Double(controller.window(slot) - before)
        agree(abs(grown - expected) <= 1 + reno / 1_000, true)
        // Never more than a TCP alone.
        agree(grown <= reno + 1, true)

        let window = controller.window(slot)
        let after = controller.rates(slot)
        controller.congestionEvent(slot, inFlight: window, at: .zero)
        let kept = Double(controller.windows[slot].slowStartThresholdByteCount)
        let due = Double(window) * (1 - min(after.largest / after.own, 1.5) / 2)
        agree(abs(kept - max(due, Double(2 * segment))) <= 2 + due / 1_000, true)
        controller.recoveryEnded(slot, at: .zero)
        controller.setAvoiding(slot, byteCount: window, rtt: controller.windows[slot].smoothedRoundTripTime ?? .zero)
      }
    }
  }
}
