import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct SlowStartExitTests {
  /// Acknowledges rounds of ten segments with the given round-trip times, and returns the growth of each round.
  private func run(_ roundTrips: [Nanoseconds], in exit: inout SlowStartExit) -> [(growth: Int, isOver: Bool)] {
    roundTrips.map { rtt in
      var total = 0
      var over = false
      for _ in 0..<10 {
        let (growth, isOver) = exit.acknowledged(byteCount: 1_000, priorInFlight: 11_000, rtt: rtt)
        total += growth
        over = isOver
      }
      return (total, over)
    }
  }

  // Requirement 9406-4-01, 9406-4-02, 9406-4-03
  @Test func `a rise of an eighth of the round-trip time slows growth to a quarter, and ends it five rounds later`() {
    // RFC 9406 §4.2: threshold = clamp(4 ms, 80/8 ms, 16 ms) = 10 ms.
    var exit = SlowStartExit()
    let steady = run([Nanoseconds](repeating: .milliseconds(80), count: 4), in: &exit)
    #expect(steady.allSatisfy { $0.growth == 10_000 && !$0.isOver })
    #expect(!exit.isConservative)
    let below = run([Nanoseconds](repeating: .microseconds(89_900), count: 1), in: &exit)
    #expect(below[0].growth == 10_000)
    let risen = run([Nanoseconds](repeating: .milliseconds(120), count: 8), in: &exit)
    #expect(risen.contains { $0.growth == 2_500 })
    #expect(risen.last?.isOver == true)
    #expect(risen.count { $0.isOver } >= 1)
    #expect(risen.prefix(5).allSatisfy { !$0.isOver })
  }

  // Requirement 9406-4-02
  @Test func `a rise that goes away leaves slow start as it was`() {
    var exit = SlowStartExit()
    _ = run([.milliseconds(20), .milliseconds(20), .milliseconds(20)], in: &exit)
    _ = run([.milliseconds(40), .milliseconds(40)], in: &exit)
    #expect(exit.isConservative)
    _ = run([.milliseconds(20), .milliseconds(20)], in: &exit)
    #expect(!exit.isConservative)
  }

  // Requirement 9406-4-04
  @Test func `fewer than eight samples in a round decide nothing`() {
    var exit = SlowStartExit()
    for round in 0..<20 {
      for _ in 0..<7 {
        _ = exit.acknowledged(byteCount: 1_000, priorInFlight: 8_000, rtt: .milliseconds(round < 5 ? 20 : 200))
      }
    }
    #expect(!exit.isConservative)
  }
}
