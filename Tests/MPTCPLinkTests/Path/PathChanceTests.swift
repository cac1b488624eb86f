import MPTCPLink
import MPTCPWire
import Testing

@Suite("Chance of paths")
struct PathChanceTests {
  /// The numbers of the packets that get lost.
  private func lost(_ configuration: LinkConfiguration) -> [Int] {
    var link = Link(configuration, at: .zero)
    for number in 0..<1000 { link.send([UInt8](repeating: 0, count: 100), tag: UInt64(number), at: .zero) }
    var arrived: Set<Int> = []
    while let packet = link.receive(at: .zero) { arrived.insert(Int(packet.tag)) }
    return (0..<1000).filter { !arrived.contains($0) }
  }

  @Test("Each direction of each path loses other packets, also where the text is the same", arguments: [0, 1, 7])
  func links(seed: UInt64) {
    let configuration = LinkConfiguration(lossRate: .percent(5), seed: seed)
    var all: [[Int]] = []
    for path in 0..<4 {
      for direction in PathDirection.allCases {
        all.append(lost(PathChance(path: path).link(configuration, direction)))
      }
    }
    for (index, one) in all.enumerated() {
      #expect((20...90).contains(one.count))
      // Of 50 each, 2.5 are common to two by chance.
      for other in all[..<index] { #expect(Set(one).intersection(other).count < 15) }
    }
  }

  @Test("Seeds of paths do not meet, whatever the text's seeds are")
  func distinct() {
    var seeds: Set<UInt64> = []
    for path in 0..<64 {
      let chance = PathChance(path: path)
      seeds.formUnion([chance.boxSeed(atFirstEnd: true), chance.boxSeed(atFirstEnd: false)])
      for seed in UInt64(0)..<64 {
        for direction in PathDirection.allCases {
          seeds.insert(chance.link(LinkConfiguration(seed: seed), direction).seed)
        }
      }
    }
    #expect(seeds.count == 64 * (64 * 2 + 2))
  }

  @Test("The same description has the same chance in every run, and another seed another")
  func determinism() {
    func seed(_ seed: UInt64) -> UInt64 { PathChance(path: 1).link(LinkConfiguration(seed: seed), .forward).seed }
    #expect(seed(0) == 4190073277485196000)
    #expect(seed(1) != seed(0))
  }
}
