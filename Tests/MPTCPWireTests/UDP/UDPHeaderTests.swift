import Testing

@testable import MPTCPWire

@Suite struct UDPHeaderTests {
  @Test func headersComeBackAsTheyWereWritten() throws {
    let header = UDPHeader(sourcePort: 53, destinationPort: 4_000, payloadByteCount: 3, checksum: 0x1234)
    let bytes = try written { buffer throws(WireError) in try header.write(into: buffer) }
    #expect(bytes == [0, 53, 15, 160, 0, 11, 0x12, 0x34])
    #expect(try UDPHeader(parsing: (bytes + [1, 2, 3]).span.bytes) == header)
  }

  @Test func lengthsThatDoNotFitNameTheField() {
    #expect(throws: WireError(.udpHeader, .truncated, at: 0)) {
      try UDPHeader(parsing: [UInt8]([0, 1, 0, 2, 0, 8, 0]).span.bytes)
    }
    #expect(throws: WireError(.udpLength, .badValue, at: 4)) {
      try UDPHeader(parsing: [UInt8]([0, 1, 0, 2, 0, 7, 0, 0]).span.bytes)
    }
    #expect(throws: WireError(.udpLength, .truncated, at: 4)) {
      try UDPHeader(parsing: [UInt8]([0, 1, 0, 2, 0, 9, 0, 0]).span.bytes)
    }
  }

  @Test func aChecksumThatComesOutAsZeroIsSentAsAllOnes() throws {
    let ip = IPHeader(
      source: IPAddress(v4: 0), destination: IPAddress(v4: 0), protocolNumber: 17, payloadByteCount: 10)
    var packet = try written { buffer throws(WireError) in try ip.write(into: buffer) }
    let udp = UDPHeader(sourcePort: 0, destinationPort: 0, payloadByteCount: 2)
    packet += try written { buffer throws(WireError) in try udp.write(into: buffer) }
    // Protocol 17 and the length twice leave 0xffda to make the sum all ones.
    packet += [0xff, 0xff &- 37]
    try fillChecksums(&packet)
    #expect(packet[26] == 0xff && packet[27] == 0xff)
  }
}
