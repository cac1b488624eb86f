import Testing

@testable import MPTCPWire

@Suite struct IPHeaderTests {
  func parse(_ bytes: [UInt8]) throws(WireError) -> IPHeader { try IPHeader(parsing: bytes.span.bytes) }

  func write(_ header: IPHeader) throws -> [UInt8] {
    try written { buffer throws(WireError) in try header.write(into: buffer) }
  }

  @Test func headersComeBackAsTheyWereWritten() throws {
    var random = SeededGenerator(seed: 10)
    for _ in 0..<10_000 {
      let source = random.address()
      let isV4 = source.family == .v4
      var header = IPHeader(
        source: source,
        destination: isV4 ? IPAddress(v4: random.number()) : IPAddress(v6High: random.number(), low: random.number()),
        protocolNumber: 6, payloadByteCount: random.below(100), trafficClass: random.number(),
        hopLimit: random.number(), dontFragment: isV4 ? random.flag() : true,
        flowLabel: isV4 ? 0 : random.number() & 0xfffff, identification: isV4 ? random.number() & 0xffff : 0)
      if isV4, random.flag() {
        header.fragment = IPFragment(
          offset: 8 * (1 + random.below(8000)), hasMore: random.flag(), identification: header.identification)
      }
      let bytes = try write(header) + [UInt8](repeating: 0, count: header.payloadByteCount)
      #expect(try parse(bytes) == header)
      // Link-layer padding behind the packet changes nothing.
      #expect(try parse(bytes + [1, 2, 3]) == header)
      let isValid = IPHeader.hasValidChecksum(bytes.span.bytes)
      #expect(isValid)
      if isV4 { #expect(referenceChecksum(Array(bytes[..<20])) == 0) }
    }
  }

  @Test func everyCutPacketIsRefused() throws {
    for address in [IPAddress(v4: 1), IPAddress(v6High: 1, low: 1)] {
      let header = IPHeader(source: address, destination: address, protocolNumber: 6, payloadByteCount: 30)
      let bytes = try write(header) + [UInt8](repeating: 0, count: 30)
      for count in 0..<bytes.count {
        let cut = Array(bytes[..<count])
        let error = #expect(throws: WireError.self) { try parse(cut) }
        #expect(error?.problem == .truncated)
        let front = try? IPHeader(parsingFrontOf: cut.span.bytes)
        #expect(front == (count >= header.headerByteCount ? header : nil))
      }
    }
  }

  @Test func lengthsThatContradictEachOtherNameTheField() throws {
    let header = IPHeader(source: .anyV4, destination: .anyV4, protocolNumber: 6, payloadByteCount: 4)
    let good = try write(header) + [0, 0, 0, 0]
    var bad = good
    bad[0] = 0x44
    #expect(throws: WireError(.ipHeaderLength, .badValue, at: 0)) { try parse(bad) }
    bad[0] = 0x47
    #expect(throws: WireError(.ipTotalLength, .badValue, at: 2)) { try parse(bad) }
    bad = good
    bad[3] = 19
    #expect(throws: WireError(.ipTotalLength, .badValue, at: 2)) { try parse(bad) }
    bad[3] = 25
    #expect(throws: WireError(.ipTotalLength, .truncated, at: 2)) { try parse(bad) }
    bad[0] = 0x55
    #expect(throws: WireError(.ipVersion, .badValue, at: 0)) { try parse(bad) }
  }

  @Test func optionsOfIPv4AreSkipped() throws {
    let header = IPHeader(source: .anyV4, destination: .anyV4, protocolNumber: 6, payloadByteCount: 12)
    var bytes = try write(header) + [UInt8](repeating: 1, count: 8) + [9, 9, 9, 9]
    bytes[0] = 0x47
    let parsed = try parse(bytes)
    #expect(parsed.headerByteCount == 28)
    #expect(parsed.payloadByteCount == 4)
  }

  @Test func aPacketThatIPCannotCarryIsNotWritten() throws {
    var header = IPHeader(source: .anyV4, destination: .anyV4, protocolNumber: 6, payloadByteCount: 65_516)
    #expect(throws: WireError(.ipTotalLength, .tooLarge, at: 0)) { try write(header) }
    header.payloadByteCount = -1
    #expect(throws: WireError(.ipTotalLength, .tooLarge, at: 0)) { try write(header) }
    header.payloadByteCount = 65_515
    #expect(try write(header).count == 20)
    #expect(throws: WireError(.outputBuffer, .bufferTooSmall, at: 0)) {
      try written(19) { buffer throws(WireError) in try header.write(into: buffer) }
    }
  }
}
