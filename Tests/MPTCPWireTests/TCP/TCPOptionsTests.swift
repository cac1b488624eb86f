import Testing

@testable import MPTCPWire

@Suite struct TCPOptionsTests {
  @Test func fixedFieldsHoldTheFirstOfEachKindThatTheVisitorSees() throws {
    var random = SeededGenerator(seed: 30)
    for _ in 0..<10_000 {
      var block = TCPOptionBlock()
      for _ in 0..<6 { _ = block.append(random.option()) }
      let bytes = block.withBytes { Array($0) }
      var expected = TCPOptions()
      var subtypes: [MultipathOption] = []
      try TCPOption.forEach(in: bytes.span.bytes) { option, _ in
        switch option {
        case .maximumSegmentSize(let size): expected.maximumSegmentSize = expected.maximumSegmentSize ?? size
        case .windowScale(let shift): expected.windowScale = expected.windowScale ?? shift
        case .sackPermitted: expected.sackPermitted = true
        case .sack(let blocks): expected.sack = expected.sack ?? blocks
        case .timestamps(let timestamps): expected.timestamps = expected.timestamps ?? timestamps
        case .fastOpen(let cookie): expected.fastOpen = expected.fastOpen ?? cookie
        case .multipath(let option): subtypes.append(option)
        case .endOfList, .noOperation, .unknown: break
        }
      }
      let options = TCPOptions(parsing: bytes.span.bytes)
      #expect(options.malformedCount == 0)
      #expect(options.maximumSegmentSize == expected.maximumSegmentSize)
      #expect(options.windowScale == expected.windowScale)
      #expect(options.sackPermitted == expected.sackPermitted)
      #expect(options.sack == expected.sack)
      #expect(options.timestamps == expected.timestamps)
      #expect(options.fastOpen == expected.fastOpen)
      #expect(options.multipath.isEmpty == subtypes.isEmpty)
      expectFirsts(options.multipath, subtypes)
    }
  }

  func expectFirsts(_ fields: MultipathOptions, _ options: [MultipathOption]) {
    var found: [MultipathOption] = []
    if let option = fields.capable { found.append(.capable(option)) }
    if let option = fields.join { found.append(.join(option)) }
    if let option = fields.dss { found.append(.dss(option)) }
    if let option = fields.addAddress { found.append(.addAddress(option)) }
    if let option = fields.removeAddress { found.append(.removeAddress(option)) }
    if let option = fields.priority { found.append(.priority(option)) }
    if let option = fields.fail { found.append(.fail(option)) }
    if let option = fields.fastClose { found.append(.fastClose(option)) }
    if let option = fields.reset { found.append(.reset(option)) }
    #expect(fields.hasRepeats == (found.count < options.count))
    for option in found { #expect(options.contains(option)) }
  }

  // Requirement 9293-3.1-08
  @Test func aMalformedOptionIsCountedAndTheNextOnesAreRead() {
    // Window scale of length 4, DSS of length 3, then a good maximum segment size.
    let bytes: [UInt8] = [3, 4, 7, 7, 30, 3, 0x20, 1, 2, 4, 5, 180]
    let options = TCPOptions(parsing: bytes.span.bytes)
    #expect(options.malformedCount == 2)
    #expect(options.windowScale == nil)
    #expect(options.multipath.isEmpty)
    #expect(options.maximumSegmentSize == 1460)
    #expect(wellFormed(in: bytes) == [.maximumSegmentSize(1460)])
  }

  private func wellFormed(in bytes: [UInt8]) -> [TCPOption] {
    var found: [TCPOption] = []
    TCPOption.forEachWellFormed(in: bytes.span.bytes) { found.append($0) }
    return found
  }

  // Requirement 9293-3.1-08
  @Test(arguments: [[2], [8, 10, 1], [30, 0, 1, 1], [30, 1, 0, 0], [5, 255, 0, 0]] as [[UInt8]])
  func anOptionThatLeavesTheBlockEndsIt(bytes: [UInt8]) {
    let options = TCPOptions(parsing: bytes.span.bytes)
    #expect(options.malformedCount == 1)
    #expect(wellFormed(in: [2, 4, 5, 180] + bytes) == [.maximumSegmentSize(1460)])
    let error = #expect(throws: WireError.self) { try TCPOption.forEach(in: bytes.span.bytes) { _, _ in } }
    #expect(error?.field == .tcpOptionLength)
  }

  @Test func nothingIsReadBehindTheEndOfTheList() throws {
    let bytes: [UInt8] = [1, 0, 2, 4, 5, 180]
    #expect(TCPOptions(parsing: bytes.span.bytes) == TCPOptions())
    var offsets: [Int] = []
    try TCPOption.forEach(in: bytes.span.bytes) { _, offset in offsets.append(offset) }
    #expect(offsets == [0, 1])
    #expect(wellFormed(in: bytes).isEmpty)
  }

  // Requirement 9293-3.1-07
  @Test func optionsOfOtherKindsAreSkipped() throws {
    let bytes: [UInt8] = [253, 4, 1, 2, 30, 5, 0xf0, 1, 2, 30, 4, 0x90, 0, 4, 2]
    let options = TCPOptions(parsing: bytes.span.bytes)
    #expect(options.malformedCount == 0)
    #expect(options.sackPermitted)
    #expect(!options.multipath.isEmpty)
    var found: [TCPOption] = []
    try TCPOption.forEach(in: bytes.span.bytes) { option, _ in found.append(option) }
    #expect(
      found == [
        .unknown(kind: 253, byteCount: 4), .multipath(.experimental(byteCount: 5)),
        .multipath(.unknown(subtype: 9, byteCount: 4)), .sackPermitted,
      ])
  }
}
