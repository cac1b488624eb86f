import Testing

@testable import MPTCPWire

@Suite struct TCPOptionRoundTripTests {
  /// The options of `bytes` without padding.
  func options(in bytes: [UInt8]) throws -> [TCPOption] {
    var found: [TCPOption] = []
    try TCPOption.forEach(in: bytes.span.bytes) { option, _ in
      if option != .noOperation { found.append(option) }
    }
    return found
  }

  // Requirement 9293-3.1-05, 9293-3.1-10
  // Requirement 8684-3.1-12
  @Test func everyOptionComesBackAsItWasWritten() throws {
    var random = SeededGenerator(seed: 1)
    var lengths: Set<Int> = []
    for _ in 0..<10_000 {
      let option = random.option()
      var block = TCPOptionBlock()
      let fits = block.append(option)
      #expect(fits)
      lengths.insert(option.encodedByteCount)
      let bytes = block.withBytes { Array($0) }
      #expect(bytes.count % 4 == 0 && bytes.count >= option.encodedByteCount)
      #expect(try options(in: bytes) == [option])
    }
    #expect(lengths.isSuperset(of: [2, 3, 4, 8, 10, 12, 16, 18, 20, 22, 24, 26, 28, 30, 34, 40]))
  }

  // Requirement 9293-3.1-09, 9293-3.1-11
  @Test func blocksOfManyOptionsComeBackInOrder() throws {
    var random = SeededGenerator(seed: 2)
    for _ in 0..<10_000 {
      var block = TCPOptionBlock()
      var written: [TCPOption] = []
      for _ in 0..<6 {
        let option = random.option()
        let before = block
        if block.append(option) {
          written.append(option)
        } else {
          #expect(block.withBytes { Array($0) } == before.withBytes { Array($0) })
          #expect(written.reduce(option.encodedByteCount) { $0 + $1.encodedByteCount } > 40)
        }
      }
      let bytes = block.withBytes { Array($0) }
      #expect(bytes.count <= 40 && bytes.count % 4 == 0)
      #expect(try options(in: bytes) == written)
    }
  }
}
