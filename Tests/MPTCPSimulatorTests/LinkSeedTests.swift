import Testing

@testable import MPTCPSimulator

@Suite("The chance of each line is its own")
struct LinkSeedTests {
  private func seeds(_ first: String, _ second: String, of scenarioSeed: UInt64 = 1) throws -> [UInt64] {
    var scenario = try SmallScenarios.twoPaths("10mbit,loss=10%\(first)", "10mbit,loss=10%\(second)")
    scenario.seed = scenarioSeed
    return try Plan(scenario).wires.map(\.configuration.seed)
  }

  @Test("A seed of a line's own gives it no other line's chance", arguments: 1...20 as ClosedRange<UInt64>)
  func ownSeeds(seed: UInt64) throws {
    var all = try Set(seeds("", ""))
    all.formUnion(try seeds(",seed=\(seed)", ""))
    // Those without one are the same again.
    #expect(all.count == 6)
    #expect(try Set(seeds(",seed=\(seed)", ",seed=\(seed)")).count == 4)
    #expect(try Set(seeds(",seed=\(seed)", ",seed=\(seed + 2)")).count == 4)
  }

  @Test("It chooses another run of the scenario's chance")
  func chooses() throws {
    let first = try seeds(",seed=5", "")
    #expect(try seeds(",seed=5", "") == first)
    #expect(try seeds(",seed=6", "")[0] != first[0])
    #expect(try seeds(",seed=5", "", of: 2)[0] != first[0])
  }

  /// What was found with a seed is found with it for ever.
  @Test("Without one, a line has the chance that it always had")
  func unseeded() throws { #expect(try seeds("", "", of: 3) == (0..<4).map { 3 * 0x9e37_79b9 + $0 }) }
}
