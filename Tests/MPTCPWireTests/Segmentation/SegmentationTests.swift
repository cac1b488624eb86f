import Testing

@testable import MPTCPWire

@Suite struct SegmentationTests {
  func segments(_ packet: [UInt8], _ size: Int) throws(WireError) -> [[UInt8]] {
    var result: [[UInt8]] = []
    try Segmentation.forEachSegment(of: packet.span.bytes, segmentByteCount: size) { result.append(Array($0)) }
    return result
  }

  func header(_ isV6: Bool, identification: UInt32) -> IPHeader {
    isV6
      ? IPHeader(
        source: IPAddress(v6High: 1, low: 2), destination: IPAddress(v6High: 3, low: 4), protocolNumber: 6,
        payloadByteCount: 0, trafficClass: 2, flowLabel: 0xabcde)
      : IPHeader(
        source: IPAddress(v4: 0x0a00_0001), destination: IPAddress(v4: 0x0a00_0002), protocolNumber: 6,
        payloadByteCount: 0, trafficClass: 2, identification: identification)
  }

  @Test func superSegmentsAreCutAsIfEachPacketHadBeenMadeByItself() throws {
    var random = SeededGenerator(seed: 60)
    for _ in 0..<400 {
      let isV6 = random.flag()
      var options = TCPOptionBlock()
      for _ in 0..<3 { _ = options.append(random.option()) }
      let payload = random.bytes(random.below(9_000))
      let size = 1 + random.below(3_000)
      let ip = header(isV6, identification: isV6 ? 0 : 0xfffe)
      var tcp = TCPHeader(
        sourcePort: 1, destinationPort: 2, sequenceNumber: SequenceNumber(0xffff_fff0),
        flags: [.ack, .psh, .fin, .cwr],
        window: 9)
      let packet = try tcpPacket(ip, tcp, options: options, payload: payload)

      var expected: [[UInt8]] = []
      var start = 0
      repeat {
        let end = min(start + size, payload.count)
        var flags: TCPFlags = [.ack]
        if start == 0 { flags.insert(.cwr) }
        if end == payload.count { flags.formUnion([.psh, .fin]) }
        tcp.flags = flags
        tcp.sequenceNumber = SequenceNumber(0xffff_fff0) + start
        var ip = ip
        if !isV6 { ip.identification = (0xfffe + UInt32(expected.count)) & 0xffff }
        expected.append(try tcpPacket(ip, tcp, options: options, payload: Array(payload[start..<end])))
        start = end
      } while start < payload.count

      #expect(try segments(packet + [1, 2, 3], size) == expected)
      #expect(Segmentation.segmentCount(of: packet.span.bytes, segmentByteCount: size) == expected.count)
    }
  }

  @Test func checksumsLeftToADeviceAreFilledIn() throws {
    for isV6 in [false, true] {
      let tcp = TCPHeader(
        sourcePort: 1, destinationPort: 2, sequenceNumber: SequenceNumber(5), flags: .ack, window: 9)
      let whole = try tcpPacket(header(isV6, identification: 1), tcp, payload: [1, 2, 3, 4, 5])
      var partial = whole
      let start = isV6 ? 40 : 20
      partial[start + 16] = 0x12
      if !isV6 { partial[10] = 0x34 }
      #expect(try segments(partial, 0) == [whole])
      #expect(try segments(partial, 1448) == [whole])
      // The reference: what was filled in sums to zero with the pseudo-header.
      let ip = try IPHeader(parsing: whole.span.bytes)
      let segment = Array(whole[start...])
      #expect(referenceChecksum(pseudoHeader(ip.source, ip.destination, 6, segment.count) + segment) == 0)
    }
  }

  @Test func fragmentsAndOtherProtocolsPassInOnePiece() throws {
    var ip = header(false, identification: 1)
    ip.payloadByteCount = 100
    ip.fragment = IPFragment(offset: 8, hasMore: true, identification: 1)
    var random = SeededGenerator(seed: 61)
    let fragment = try written { buffer throws(WireError) in try ip.write(into: buffer) } + random.bytes(100)
    #expect(try segments(fragment, 10) == [fragment])
    ip.fragment = nil
    ip.protocolNumber = 200
    let other = try written { buffer throws(WireError) in try ip.write(into: buffer) } + random.bytes(100)
    #expect(try segments(other, 10) == [other])
  }

  @Test func whatIsNoWholePacketIsRefused() throws {
    let tcp = TCPHeader(sourcePort: 1, destinationPort: 2, sequenceNumber: SequenceNumber(5), flags: .ack, window: 9)
    let packet = try tcpPacket(header(false, identification: 1), tcp, payload: [1, 2, 3, 4, 5])
    for count in 0..<packet.count {
      #expect(throws: WireError.self) { try segments(Array(packet[..<count]), 2) }
    }
    #expect(throws: WireError(.segmentByteCount, .badValue, at: 0)) { try segments(packet, -1) }
    var short = packet
    short[3] = 30
    #expect(throws: WireError(.tcpHeader, .truncated, at: 0)) { try segments(short, 2) }
    #expect(throws: WireError(.tcpHeader, .truncated, at: 20)) { try fillChecksums(&short) }
  }
}
