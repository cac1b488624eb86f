import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct WeightedVegasTests {
  /// The rest of a round whose flight was 20,000 octets: nineteen acknowledgements of a segment, that of the first
  /// having opened it.
  private func finishRound(_ controller: WeightedVegas, _ slot: Int, milliseconds: Int64) {
    for _ in 0..<19 { controller.acknowledge(slot, 1_000, sample: .milliseconds(milliseconds), inFlight: 20_000) }
  }

  /// Makes the least round-trip time known and opens a round.
  private func open(_ controller: WeightedVegas, _ slot: Int, base: Int64, window: Int) {
    controller.acknowledge(slot, 1_000, sample: .milliseconds(base), inFlight: 20_000)
    controller.windows[slot].setWindow(window)
  }

  @Test func `a path that holds fewer segments than its share gets one more, and one that holds more one less`() {
    let controller = WeightedVegas()
    let slot = controller.addAvoiding(segments: 20, milliseconds: 100)
    open(controller, slot, base: 100, window: 20_000)
    // Nothing queued.
    finishRound(controller, slot, milliseconds: 100)
    #expect(controller.window(slot) == 21_000)
    // 21,000 · 25/125 = 4,200: not below α = 2 segments, which becomes 10, the whole, alone; 4.2 < 10.
    finishRound(controller, slot, milliseconds: 125)
    #expect(controller.paths[slot].targetByteCount == 10_000)
    #expect(controller.window(slot) == 22_000)
    // 22,000 · 49/149 = 7,234: still below, and the delay has not doubled.
    finishRound(controller, slot, milliseconds: 149)
    #expect(controller.window(slot) == 23_000)
  }

  @Test func `once the queueing delay has doubled the window is cut for the queue to drain`() {
    let controller = WeightedVegas()
    let slot = controller.addAvoiding(segments: 20, milliseconds: 100)
    open(controller, slot, base: 100, window: 40_000)
    // 40,000 · 25/125 = 8,000: below the ten segments, so 25 ms are no least delay.
    finishRound(controller, slot, milliseconds: 125)
    #expect(controller.window(slot) == 41_000)
    #expect(controller.paths[slot].leastDelay == nil)
    // 41,000 · 50/150 = 13,666: a segment less, and 50 ms are the least.
    finishRound(controller, slot, milliseconds: 150)
    #expect(controller.window(slot) == 40_000)
    #expect(controller.paths[slot].leastDelay == .milliseconds(50))
    // 40,000 · 99/199 = 19,899. 99 ms are not twice 50.
    finishRound(controller, slot, milliseconds: 199)
    #expect(controller.window(slot) == 39_000)
    // 39,000 · 100/200 = 19,500: 38,000. And 100 ≥ 2 · 50 ms: 38,000 · 100/(2 · 200) = 9,500.
    finishRound(controller, slot, milliseconds: 200)
    #expect(controller.window(slot) == 9_500)
    #expect(controller.paths[slot].leastDelay == nil)
    // Slow start leads back to ¾ · 38,000.
    #expect(controller.windows[slot].slowStartThresholdByteCount == 28_500)
    finishRound(controller, slot, milliseconds: 100)
    #expect(controller.window(slot) == 28_500)
  }

  @Test func `the delay of a queue that is being filled may double as often as it likes`() {
    let controller = WeightedVegas()
    let slot = controller.addAvoiding(segments: 20, milliseconds: 100)
    open(controller, slot, base: 100, window: 20_000)
    // 198, 411, 846, 1,703 and 3,310 octets are queued: never ten segments.
    for (rounds, milliseconds) in [101, 102, 104, 108, 116].enumerated() {
      finishRound(controller, slot, milliseconds: Int64(milliseconds))
      #expect(controller.window(slot) == 21_000 + 1_000 * rounds)
    }
    #expect(controller.paths[slot].leastDelay == nil)
  }

  @Test func `the segments in queues are divided by rate`() {
    let controller = WeightedVegas()
    let first = controller.addAvoiding(segments: 10, milliseconds: 100)
    let second = controller.addAvoiding(segments: 30, milliseconds: 150)
    open(controller, second, base: 100, window: 30_000)
    // 30,000 · 50/150 = 10,000: α is 10 while no other rate is known, which is just right.
    finishRound(controller, second, milliseconds: 150)
    #expect(controller.window(second) == 30_000)
    #expect(controller.paths[second].rate == 200_000)
    open(controller, first, base: 50, window: 10_000)
    // 10,000 · 50/100 = 5,000. The rate is 100,000 of 300,000: α = 10,000/3 octets, and five segments are too many.
    finishRound(controller, first, milliseconds: 100)
    #expect(controller.paths[first].targetByteCount == 3_333)
    #expect(controller.window(first) == 9_000)
    // A loss takes the first out of the sum.
    controller.congestionEvent(first, inFlight: 9_000, at: .zero)
    #expect(controller.paths[first].rate == 0)
    #expect(controller.windows[first].slowStartThresholdByteCount == 4_500)
  }

  @Test func `slow start ends when more than a segment is queued`() {
    let controller = WeightedVegas()
    let slot = controller.addWindow(maximumSegmentByteCount: 1_000, at: .zero)
    controller.windows[slot].smoothedRoundTripTime = .milliseconds(100)
    open(controller, slot, base: 100, window: 10_000)
    // Eighteen acknowledgements bring 28,000. At the nineteenth 28,000 · 25/125 = 5,600 > 1,000:
    // 28,000 · 100/125 + 1,000 = 23,400, the threshold a segment below.
    finishRound(controller, slot, milliseconds: 125)
    #expect(controller.window(slot) == 23_400)
    #expect(controller.windows[slot].slowStartThresholdByteCount == 22_400)
    #expect(!controller.windows[slot].isInSlowStart)
  }

  @Test func `a round with fewer than three samples gives no verdict`() {
    let controller = WeightedVegas()
    let slot = controller.addAvoiding(segments: 20, milliseconds: 100)
    open(controller, slot, base: 100, window: 20_000)
    // Two samples of a queue that would cut the window in half; it grows as Reno's.
    controller.acknowledge(slot, 10_000, sample: .milliseconds(900), inFlight: 20_000)
    controller.acknowledge(slot, 9_000, sample: .milliseconds(900), inFlight: 20_000)
    #expect(controller.window(slot) == 21_000)
  }

  @Test func `the window is never below two segments`() {
    let controller = WeightedVegas()
    let slot = controller.addAvoiding(segments: 20, milliseconds: 100)
    open(controller, slot, base: 1, window: 12_000)
    // 12,000 · 99/100 = 11,880: the ten segments are there, and 99 ms are the least delay.
    finishRound(controller, slot, milliseconds: 100)
    #expect(controller.window(slot) == 11_000)
    // 11,000 · 999/1,000 = 10,989: 10,000, of which 10,000 · 1/2,000 would be five octets.
    finishRound(controller, slot, milliseconds: 1_000)
    #expect(controller.window(slot) == 2_000)
  }

  @Test func `windows stay in bounds whatever the samples are`() {
    var random = RandomWindows(generator: SeededGenerator(seed: 4))
    for _ in 0..<100 {
      let controller = WeightedVegas()
      let count = random.fill(controller)
      for _ in 0..<2_000 {
        let slot = Int.random(in: 0..<count, using: &random.generator)
        let sample = Nanoseconds(
          Int64.random(in: 0...(1 << Int64.random(in: 1...62, using: &random.generator)), using: &random.generator))
        let window = controller.window(slot)
        controller.acknowledge(slot, Int.random(in: 0...window, using: &random.generator), sample: sample)
        agree(controller.window(slot) >= 2 * controller.windows[slot].maximumSegmentByteCount, true)
        agree(controller.window(slot) <= CongestionWindow.largestByteCount, true)
        let segment = controller.windows[slot].maximumSegmentByteCount
        let target = controller.paths[slot].targetByteCount ?? 2 * segment
        agree(target >= 2 * segment && target <= 10 * segment, true)
      }
    }
  }
}
