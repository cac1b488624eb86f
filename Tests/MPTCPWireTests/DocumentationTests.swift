import MPTCPWire
import Testing

/// The examples of the module's documentation, as they stand there.
@Suite struct DocumentationTests {
  func read(_ packet: RawSpan) throws -> String? {
    let ip = try IPHeader(parsing: packet)
    let segment = ip.payload(in: packet)
    let tcp = try TCPHeader(parsing: segment)
    let options = TCPOptions(parsing: tcp.optionBytes(in: segment))
    if let mapping = options.multipath.dss?.mapping {
      return "subflow octet \(mapping.subflowSequenceNumber), \(mapping.length) octets"
    }
    return nil
  }

  @Test func theExampleOfReadingFindsTheMapping() throws {
    var options = TCPOptionBlock()
    _ = options.append(
      .dss(DSS(mapping: DSSMapping(dsn: .eight(9), subflowSequenceNumber: 1, length: 4))))
    let tcp = TCPHeader(
      sourcePort: 1000, destinationPort: 2000, sequenceNumber: SequenceNumber(1), flags: .ack, window: 500)
    let address = IPAddress(v4: 0x0a00_0001)
    let ip = IPHeader(source: address, destination: address, protocolNumber: IPProtocol.tcp, payloadByteCount: 0)
    let packet = try tcpPacket(ip, tcp, options: options, payload: [1, 2, 3, 4])
    #expect(try read(packet.span.bytes) == "subflow octet 1, 4 octets")
  }

  @Test func theExampleOfWritingFillsTheBuffer() throws {
    let bytes = try written { buffer throws(WireError) in
      var options = TCPOptionBlock()
      _ = options.append(.timestamps(TCPTimestamps(value: 1, echo: 2)))
      _ = options.append(.dss(DSS(dataAck: .eight(3))))
      let tcp = TCPHeader(
        sourcePort: 1000, destinationPort: 2000, sequenceNumber: SequenceNumber(1), flags: .ack, window: 500)
      let byteCount = try tcp.write(options: options, into: buffer)
      return byteCount
    }
    #expect(bytes.count == 20 + 12 + 12)
  }
}
