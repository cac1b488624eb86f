import FuzzTargets
import Foundation
import Testing

/// The fuzzers' targets over their corpus and over inputs made from it, in a debug build and without libFuzzer. A
/// violation ends the process, so each runs in one of its own.
@Suite struct FuzzTargetTests {
  @Test func theParsersTakeEveryInput() async {
    await #expect(processExitsWith: .success) {
      FuzzRun(corpus: "packet", inputCount: 20_000).run(PacketTarget.run)
    }
  }

  @Test func anEndpointTakesEveryInput() async {
    await #expect(processExitsWith: .success) {
      FuzzRun(corpus: "endpoint", inputCount: 1500).run(EndpointTarget.run)
    }
  }

  @Test func aPairEndsProperlyWhateverTheNetworkDoes() async {
    await #expect(processExitsWith: .success) {
      FuzzRun(corpus: "pair", inputCount: 150).run(PairTarget.run)
    }
  }

  @Test(arguments: ["packet", "endpoint", "pair"])
  func theCorpusIsThere(corpus: String) throws {
    #expect(try FuzzRun.inputs(corpus).count >= 20)
  }
}

/// The inputs of a corpus, then others made from them from a seed.
struct FuzzRun {
  var corpus: String
  var inputCount: Int

  static func inputs(_ corpus: String) throws -> [[UInt8]] {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let folder = root.appendingPathComponent("FuzzTesting/Corpus/\(corpus)")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    return try names.map { [UInt8](try Data(contentsOf: folder.appendingPathComponent($0))) }
  }

  func run(_ target: (UnsafeRawBufferPointer) -> Void) {
    guard let known = try? Self.inputs(corpus), !known.isEmpty else { fatalError("no corpus '\(corpus)'") }
    for input in known { input.withUnsafeBytes(target) }
    var random = SplitMix(state: 1)
    for _ in 0..<inputCount {
      var input = known[Int(random.next() % UInt64(known.count))]
      let other = known[Int(random.next() % UInt64(known.count))]
      for _ in 0...random.next() % 6 { mutate(&input, other, &random) }
      if input.count > 2000 { input.removeLast(input.count - 2000) }
      input.withUnsafeBytes(target)
    }
  }

  private func mutate(_ input: inout [UInt8], _ other: [UInt8], _ random: inout SplitMix) {
    guard !input.isEmpty else {
      input = other
      return
    }
    let place = Int(random.next() % UInt64(input.count))
    switch random.next() % 5 {
    case 0: input[place] ^= 1 << UInt8(random.next() % 8)
    case 1: input[place] = UInt8(truncatingIfNeeded: random.next())
    case 2: input.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
    case 3: input.removeSubrange(place..<min(place + Int(random.next() % 8), input.count))
    default: input.replaceSubrange(place..., with: other.dropFirst(place))
    }
  }
}

private struct SplitMix {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
