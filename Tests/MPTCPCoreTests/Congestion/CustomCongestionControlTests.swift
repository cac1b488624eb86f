import MPTCPWire
import Testing

@testable import MPTCPCore

/// Adds a segment for each acknowledgement, but never exceeds what all windows together are worth; halves to a third.
private struct Frugal: CustomCongestionControl {
  var name: String { "frugal" }
  var acknowledgmentCount = 0
  let limit: Int

  mutating func congestionWindow(
    after acknowledgment: CongestionAcknowledgment, of index: Int, windows: Span<CongestionWindow>
  ) -> Int {
    acknowledgmentCount += 1
    var total = 0
    for slot in windows.indices where windows[slot].isInUse { total += windows[slot].effectiveByteCount }
    let window = windows[index].congestionWindowByteCount
    return total < limit ? window + windows[index].maximumSegmentByteCount : window
  }

  mutating func slowStartThreshold(
    afterCongestionOf index: Int, inFlight: Int, windows: Span<CongestionWindow>, at: Instant
  ) -> Int { inFlight / 3 }
}

@Suite struct CustomCongestionControlTests {
  // Requirement 8684-3.3.7-01, 8684-3.3.7-03
  @Test func `an algorithm of the application's sees all windows and sets its own`() {
    let controller = CongestionAlgorithm.custom(Frugal(limit: 25_000)).makeController()
    #expect(controller.name == "frugal")
    for _ in 0..<2 { _ = controller.addWindow(maximumSegmentByteCount: 1_000, at: .zero) }
    for _ in 0..<20 {
      controller.acknowledged(
        0, byteCount: 1_000, priorInFlight: 10_000, rtt: nil, smoothedRTT: .milliseconds(10),
        isCongestionWindowLimited: true, at: .zero)
    }
    // The other window is worth 10,000: this one stops at 15,000.
    #expect(controller.windows[0].congestionWindowByteCount == 15_000)
    controller.congestionEvent(0, inFlight: 15_000, at: .zero)
    #expect(controller.windows[0].slowStartThresholdByteCount == 5_000)
    controller.recoveryEnded(0, at: .zero)
    #expect(controller.windows[0].congestionWindowByteCount == 5_000)
    // A window that is gone no longer counts.
    controller.removeWindow(1)
    for _ in 0..<40 {
      controller.acknowledged(
        0, byteCount: 1_000, priorInFlight: 30_000, rtt: nil, smoothedRTT: .milliseconds(10),
        isCongestionWindowLimited: true, at: .zero)
    }
    #expect(controller.windows[0].congestionWindowByteCount == 25_000)
  }

  @Test func `what an algorithm answers is kept within what a window may be`() {
    struct Wild: CustomCongestionControl {
      var name: String { "wild" }
      let answer: Int
      mutating func congestionWindow(
        after acknowledgment: CongestionAcknowledgment, of index: Int, windows: Span<CongestionWindow>
      ) -> Int { answer }
      mutating func slowStartThreshold(
        afterCongestionOf index: Int, inFlight: Int, windows: Span<CongestionWindow>, at: Instant
      ) -> Int { answer }
    }
    for (answer, expected) in [(Int.max, CongestionWindow.largestByteCount), (Int.min, 1_000), (0, 1_000)] {
      let controller = CongestionAlgorithm.custom(Wild(answer: answer)).makeController()
      let slot = controller.addWindow(maximumSegmentByteCount: 1_000, at: .zero)
      controller.acknowledged(
        slot, byteCount: 1_000, priorInFlight: 10_000, rtt: nil, smoothedRTT: nil, isCongestionWindowLimited: true,
        at: .zero)
      #expect(controller.windows[slot].congestionWindowByteCount == expected)
      controller.congestionEvent(slot, inFlight: 10_000, at: .zero)
      #expect(controller.windows[slot].slowStartThresholdByteCount == max(expected, 2_000))
    }
  }

  @Test func `connections work on copies of the algorithm`() {
    let algorithm = CongestionAlgorithm.custom(Frugal(limit: 11_000))
    for _ in 0..<2 {
      let controller = algorithm.makeController()
      let slot = controller.addWindow(maximumSegmentByteCount: 1_000, at: .zero)
      for _ in 0..<3 {
        controller.acknowledged(
          slot, byteCount: 1_000, priorInFlight: 10_000, rtt: nil, smoothedRTT: nil, isCongestionWindowLimited: true,
          at: .zero)
      }
      #expect(controller.windows[slot].congestionWindowByteCount == 11_000)
    }
  }
}
