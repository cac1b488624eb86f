import Testing

@testable import MPTCPWire

@Suite struct TCPHeaderTests {
  func parse(_ bytes: [UInt8]) throws(WireError) -> TCPHeader { try TCPHeader(parsing: bytes.span.bytes) }

  @Test func headersComeBackAsTheyWereWritten() throws {
    var random = SeededGenerator(seed: 20)
    for _ in 0..<10_000 {
      var header = TCPHeader(
        sourcePort: Port(random.number()), destinationPort: Port(random.number()),
        sequenceNumber: SequenceNumber(random.number()), acknowledgmentNumber: SequenceNumber(random.number()),
        flags: TCPFlags(rawValue: random.number() & 0x1ff), window: random.number(), urgentPointer: random.number(),
        checksum: random.number())
      var options = TCPOptionBlock()
      for _ in 0..<random.below(4) { _ = options.append(random.option()) }
      let bytes = try written { buffer throws(WireError) in try header.write(options: options, into: buffer) }
      header.headerByteCount = 20 + options.byteCount
      #expect(try parse(bytes + [7]) == header)
      let segment = bytes + [7]
      let optionBytes = header.optionBytes(in: segment.span.bytes).withUnsafeBytes { Array($0) }
      #expect(optionBytes == options.withBytes { Array($0) })
      #expect(header.payload(in: segment.span.bytes).withUnsafeBytes { Array($0) } == [7])
    }
  }

  @Test func everyCutHeaderNamesTheField() throws {
    var options = TCPOptionBlock()
    _ = options.append(.timestamps(TCPTimestamps(value: 1, echo: 2)))
    let header = TCPHeader(
      sourcePort: 1, destinationPort: 2, sequenceNumber: SequenceNumber(3), flags: .ack, window: 4)
    let bytes = try written { buffer throws(WireError) in try header.write(options: options, into: buffer) }
    for count in 0..<bytes.count {
      let expected =
        count < 20 ? WireError(.tcpHeader, .truncated, at: 0) : WireError(.tcpDataOffset, .truncated, at: 12)
      #expect(throws: expected) { try parse(Array(bytes[..<count])) }
    }
    for offset: UInt8 in 0..<5 {
      var bad = bytes
      bad[12] = offset << 4
      #expect(throws: WireError(.tcpDataOffset, .badValue, at: 12)) { try parse(bad) }
    }
  }

  @Test func aBufferThatIsTooSmallIsNotTouched() throws {
    let header = TCPHeader(
      sourcePort: 1, destinationPort: 2, sequenceNumber: SequenceNumber(3), flags: .ack, window: 4)
    var options = TCPOptionBlock()
    _ = options.append(.maximumSegmentSize(1460))
    #expect(throws: WireError(.outputBuffer, .bufferTooSmall, at: 0)) {
      try written(23) { buffer throws(WireError) in try header.write(options: options, into: buffer) }
    }
  }
}
