import MPTCPWire
import Testing

@testable import MPTCPCore

/// ECF by hand, in milliseconds and octets: δ is the larger variation, x_f = max(k, cwnd_f).
@Suite struct EarliestCompletionTests {
  private let fast = snapshot(milliseconds: 10, variation: 2, window: 10_000)
  private let slow = snapshot(milliseconds: 100, variation: 5, window: 20_000)

  @Test func aLittleDataWaitsForTheFastSubflow() {
    var completion = EarliestCompletion()
    // 10·(30,000 + 10,000) = 400,000 < 10,000·(100 + 5) = 1,050,000, and
    // 100·30,000 = 3,000,000 ≥ 20,000·(2·10 + 5) = 500,000.
    let waits = completion.waits(fast: fast, slow: slow, waiting: 30_000)
    #expect(waits)
    #expect(completion.isWaiting)
  }

  @Test func muchDataUsesBothAndWaitingLastsAQuarterLonger() {
    var completion = EarliestCompletion()
    func waits(_ waiting: Int) -> Bool { completion.waits(fast: fast, slow: slow, waiting: waiting) }
    // 10·(95,000 + 10,000) = 1,050,000 is not less than 1,050,000.
    #expect(!waits(95_000))
    #expect(waits(94_999))
    // While waiting: less than 1.25·1,050,000 = 1,312,500, so up to 121,249.
    #expect(waits(121_249))
    #expect(!waits(121_250))
    #expect(!completion.isWaiting)
    #expect(!waits(121_249))
  }

  @Test func aSlowSubflowThatIsDoneInTwoFastRoundTripsIsUsed() {
    var completion = EarliestCompletion()
    let nearly = snapshot(milliseconds: 20, variation: 5, window: 100_000)
    // 10·(10,000 + 10,000) = 200,000 < 10,000·(20 + 5) = 250,000, but 20·100,000 = 2,000,000 < 100,000·(20 + 5).
    let waits = completion.waits(fast: fast, slow: nearly, waiting: 5000)
    #expect(!waits)
    #expect(!completion.isWaiting)
  }

  @Test func extremesDoNotOverflow() {
    var completion = EarliestCompletion()
    let wild = snapshot(milliseconds: .max / 1_000_000, variation: .max / 1_000_000, window: 1 << 40)
    let answers = [
      completion.waits(fast: wild, slow: wild, waiting: .max), completion.waits(fast: fast, slow: wild, waiting: 0),
    ]
    #expect(answers == [false, false])
  }
}
