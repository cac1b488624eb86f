import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct LinkedIncreasesTests {
  // Requirement 6356-3-04, 6356-3-02
  @Test func `a subflow in fast recovery counts with its threshold`() {
    // RFC 6356 §3. 10 segments at 20 ms and 30 at 60 ms; the second is halved to 15.
    // Σ w·20/rtt = 10,000 + 15,000 · 20/60 = 15,000; D = 15,000² / 10,000 = 22,500.
    let controller = LinkedIncreases()
    controller.addAvoiding(segments: 10, milliseconds: 20)
    let second = controller.addAvoiding(segments: 30, milliseconds: 60)
    controller.congestionEvent(second, inFlight: 30_000, at: .zero)
    #expect(controller.window(second) == 30_000)
    #expect(controller.windows[second].slowStartThresholdByteCount == 15_000)
    #expect(controller.divisor == 22_500)
    // Where proportional rate reduction has the window meanwhile does not matter.
    controller.setWindow(second, byteCount: 4_000)
    controller.updateDivisor()
    #expect(controller.divisor == 22_500)
  }

  @Test func `an application-limited subflow counts with no more than its flight`() {
    // RFC 6356 §3: min(flight size, cwnd). The second has 6 of its 30 segments in flight:
    // Σ = 10,000 + 6,000 · 20/60 = 12,000; D = 12,000² / 10,000 = 14,400.
    let controller = LinkedIncreases()
    controller.addAvoiding(segments: 10, milliseconds: 20)
    let second = controller.addAvoiding(segments: 30, milliseconds: 60)
    controller.acknowledged(
      second, byteCount: 1_000, priorInFlight: 6_000, rtt: nil, smoothedRTT: .milliseconds(60),
      isCongestionWindowLimited: false, at: .zero)
    controller.updateDivisor()
    #expect(controller.divisor == 14_400)
    // In fast recovery as well: min(flight size, ssthresh), and the threshold is what half the flight was.
    controller.congestionEvent(second, inFlight: 6_000, at: .zero)
    #expect(controller.windows[second].slowStartThresholdByteCount == 3_000)
    #expect(controller.divisor == 12_100)
  }

  @Test func `an increase is never above Reno's nor below an octet`() {
    // RFC 6356 §3, formula (1) and the note behind it
    var random = RandomWindows(generator: SeededGenerator(seed: 1))
    for _ in 0..<500 {
      let controller = LinkedIncreases()
      for slot in 0..<random.fill(controller) {
        let before = controller.window(slot)
        let acknowledged = min(before, 64_000)
        controller.acknowledge(slot, acknowledged)
        let grown = controller.window(slot) - before
        agree(grown >= 1, true)
        agree(grown <= acknowledged * controller.windows[slot].maximumSegmentByteCount / before + 1, true)
      }
    }
  }
}
