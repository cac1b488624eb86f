import MPTCPWire
import Testing

@testable import MPTCPCore

/// RFC 9438 §4 in floating point, in segments and seconds, as it stands there: what the integers must agree with.
private struct CubicReference {
  var window: Double
  var maximum = 0.0
  var prior = 0.0
  var estimate = 0.0
  var timeToMaximum = 0.0
  var epoch: Double?

  mutating func lose() {
    prior = window
    maximum = window < maximum ? window * (1 + 0.7) / 2 : window
    window = Swift.max(window * 0.7, 2)
    epoch = nil
  }

  mutating func acknowledge(segments: Double, rtt: Double, now: Double) {
    if epoch == nil {
      epoch = now
      maximum = Swift.max(maximum, window)
      timeToMaximum = cubeRoot((maximum - window) / 0.4)
      estimate = window
    }
    let alpha = estimate >= prior ? 1 : 3 * (1 - 0.7) / (1 + 0.7)
    estimate += alpha * segments / window
    let elapsed = now - (epoch ?? now)
    if curve(elapsed) < estimate {
      window = Swift.max(window, estimate)
    } else {
      let target = Swift.min(Swift.max(curve(elapsed + rtt), window), window * 1.5)
      window += (target - window) / window * segments
    }
  }

  private func curve(_ time: Double) -> Double {
    let span = time - timeToMaximum
    return 0.4 * span * span * span + maximum
  }

  private func cubeRoot(_ value: Double) -> Double {
    guard value > 0 else { return 0 }
    var root = Swift.max(value, 1)
    for _ in 0..<200 { root -= (root * root * root - value) / (3 * root * root) }
    return root
  }
}

@Suite struct CubicReferenceTests {
  // Requirement 9438-4-01, 9438-4-02, 9438-4-03
  @Test(arguments: [(2, 1_448), (20, 1_448), (60, 1_448), (300, 1_448), (100, 536), (100, 8_948)])
  func `windows agree with the formulas to one part in a thousand`(milliseconds: Int, segment: Int) {
    var generator = SeededGenerator(seed: UInt64(milliseconds * segment))
    let rtt = Nanoseconds.milliseconds(Int64(milliseconds))
    let controller = CongestionAlgorithm.cubic.makeController()
    let slot = controller.addWindow(maximumSegmentByteCount: segment, at: .zero)
    controller.setWindow(slot, byteCount: 400 * segment)
    controller.congestionEvent(slot, inFlight: 400 * segment, at: .zero)
    controller.recoveryEnded(slot, at: .zero)
    var reference = CubicReference(window: 400)
    reference.lose()

    // Acknowledgements of one to forty segments, as receive offload makes them, and a loss now and then.
    var now = Instant.zero
    var largestError = 0.0
    for _ in 0..<20_000 {
      let window = controller.windows[slot].congestionWindowByteCount
      let segments = min(Int.random(in: 1...40, using: &generator), max(window / segment, 1))
      now = now + Nanoseconds(Int64(Double(rtt.count) * Double(segments * segment) / Double(window)))
      if Int.random(in: 0..<1_500, using: &generator) == 0 {
        controller.congestionEvent(slot, inFlight: window, at: now)
        controller.recoveryEnded(slot, at: now)
        reference.lose()
      }
      controller.acknowledged(
        slot, byteCount: segments * segment, priorInFlight: window, rtt: rtt, smoothedRTT: rtt,
        isCongestionWindowLimited: true, at: now)
      reference.acknowledge(
        segments: Double(segments), rtt: Double(rtt.count) / 1e9, now: Double(now.nanoseconds) / 1e9)
      let actual = Double(controller.windows[slot].congestionWindowByteCount) / Double(segment)
      largestError = max(largestError, abs(actual - reference.window) / reference.window)
    }
    #expect(largestError < 0.001)
  }
}
