import Testing

@testable import MPTCPWire

@Suite struct ICMPMessageTests {
  let v4 = (IPAddress(v4: 0x0a00_0001), IPAddress(v4: 0x0a00_0002), IPAddress(v4: 0x0a00_00fe))
  let v6 = (
    IPAddress(v6High: 0x2001_0db8_0000_0000, low: 1), IPAddress(v6High: 0x2001_0db8_0000_0000, low: 2),
    IPAddress(v6High: 0x2001_0db8_0000_0000, low: 0xfe)
  )

  func parse(_ packet: [UInt8]) throws(WireError) -> ICMPMessage {
    let bytes = packet.span.bytes
    return try ICMPMessage(parsing: bytes, header: try IPHeader(parsing: bytes))
  }

  func echoRequest(_ ends: (IPAddress, IPAddress, IPAddress), payload: [UInt8]) throws -> [UInt8] {
    let isV6 = ends.0.family == .v6
    let ip = IPHeader(
      source: ends.0, destination: ends.1, protocolNumber: isV6 ? 58 : 1, payloadByteCount: 8 + payload.count)
    var packet = try written { buffer throws(WireError) in try ip.write(into: buffer) }
    packet += [isV6 ? 128 : 8, 0, 0, 0, 0x12, 0x34, 0, 7] + payload
    try fillChecksums(&packet)
    return packet
  }

  @Test(arguments: [false, true], [0, 1, 56, 1001])
  func anEchoRequestIsAnsweredWithItsOwnPayload(isV6: Bool, byteCount: Int) throws {
    var random = SeededGenerator(seed: 3)
    let payload = random.bytes(byteCount)
    let request = try echoRequest(isV6 ? v6 : v4, payload: payload)
    #expect(try parse(request) == .echoRequest(identifier: 0x1234, sequenceNumber: 7))
    let reply = try written { buffer throws(WireError) in
      try ICMPMessage.writeEchoReply(to: request.span.bytes, into: buffer)
    }
    #expect(try parse(reply) == .echoReply(identifier: 0x1234, sequenceNumber: 7))
    let ip = try IPHeader(parsing: reply.span.bytes)
    #expect(ip.source == (isV6 ? v6 : v4).1 && ip.destination == (isV6 ? v6 : v4).0)
    let isValid = IPHeader.hasValidChecksum(reply.span.bytes)
    #expect(isValid)
    #expect(Array(reply[(ip.headerByteCount + 8)...]) == payload)
  }

  @Test(arguments: [false, true])
  func aPacketThatIsTooBigIsQuotedWithItsEndsAndSequenceNumber(isV6: Bool) throws {
    let ends = isV6 ? v6 : v4
    let tcp = TCPHeader(
      sourcePort: 1000, destinationPort: 2000, sequenceNumber: SequenceNumber(0xdead_beef), flags: [.ack], window: 5)
    let ip = IPHeader(source: ends.0, destination: ends.1, protocolNumber: 6, payloadByteCount: 0)
    let packet = try tcpPacket(ip, tcp, payload: [UInt8](repeating: 7, count: 1400))
    let error = try written { buffer throws(WireError) in
      try ICMPMessage.writePacketTooBig(quoting: packet.span.bytes, from: ends.2, nextHopMTU: 1280, into: buffer)
    }
    #expect(error.count == (isV6 ? 1280 : 576))
    let message = try parse(error)
    #expect(message.announcedMTU == 1280)
    let quotation = try #require(message.quotation)
    #expect(quotation.sequenceNumber == SequenceNumber(0xdead_beef))
    #expect(
      quotation.tuple
        == FourTuple(local: TransportAddress(ends.0, 1000), remote: TransportAddress(ends.1, 2000)))
    #expect(quotation.header.totalByteCount == packet.count)
  }

  @Test func everyChangedOctetOfAMessageIsRefused() throws {
    for ends in [v4, v6] {
      let request = try echoRequest(ends, payload: [1, 2, 3])
      let start = ends.0.family == .v6 ? 40 : 20
      for index in start..<request.count {
        var changed = request
        changed[index] ^= 0x40
        #expect(throws: WireError(.icmpChecksum, .badValue, at: start + 2)) { try parse(changed) }
      }
    }
  }

  @Test func anErrorWhoseQuotationIsCutNamesIt() throws {
    let ip = IPHeader(source: v4.0, destination: v4.1, protocolNumber: 1, payloadByteCount: 8 + 27)
    var packet = try written { buffer throws(WireError) in try ip.write(into: buffer) }
    let quoted = IPHeader(source: v4.1, destination: v4.0, protocolNumber: 6, payloadByteCount: 20)
    packet += [3, 4, 0, 0, 0, 0, 5, 0]
    packet += try written { buffer throws(WireError) in try quoted.write(into: buffer) }
    packet += [UInt8](repeating: 0, count: 7)
    try fillChecksums(&packet)
    #expect(throws: WireError(.icmpQuotation, .badValue, at: 8)) { try parse(packet) }
  }

  @Test func aRouterOlderThanRFC1191AnnouncesNoMTU() throws {
    let ip = IPHeader(source: v4.0, destination: v4.1, protocolNumber: 1, payloadByteCount: 8 + 28)
    var packet = try written { buffer throws(WireError) in try ip.write(into: buffer) }
    let quoted = IPHeader(source: v4.1, destination: v4.0, protocolNumber: 6, payloadByteCount: 20)
    packet += [3, 4, 0, 0, 0, 0, 0, 0]
    packet += try written { buffer throws(WireError) in try quoted.write(into: buffer) }
    packet += [0, 1, 0, 2, 0, 0, 0, 3]
    try fillChecksums(&packet)
    let message = try parse(packet)
    #expect(message.announcedMTU == nil)
    #expect(message.quotation?.sequenceNumber == SequenceNumber(3))
  }
}
