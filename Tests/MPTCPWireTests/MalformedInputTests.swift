import Testing

@testable import MPTCPWire

/// Whatever the octets, parsing ends: with a value or with an error that names a field of what was parsed.
@Suite struct MalformedInputTests {
  /// Options and headers of what may be a TCP packet.
  static func readSegment(_ span: RawSpan) {
    _ = TCPOptions(parsing: span)
    guard let ip = try? IPHeader(parsingFrontOf: span) else { return }
    let payload = ip.payload(in: span)
    if let tcp = try? TCPHeader(parsing: payload) { _ = TCPOptions(parsing: tcp.optionBytes(in: payload)) }
  }

  /// Everything in the module that reads octets from a network.
  static func readEverything(_ span: RawSpan, segmentByteCount: Int) {
    readSegment(span)
    try? TCPOption.forEach(in: span) { _, _ in }
    _ = try? TCPHeader(parsing: span)
    _ = try? UDPHeader(parsing: span)
    _ = try? ARPPacket(parsing: span)
    _ = try? EthernetHeader(parsing: span)
    _ = IPHeader.hasValidChecksum(span)
    try? Segmentation.forEachSegment(of: span, segmentByteCount: segmentByteCount) { _ in }
    _ = Segmentation.segmentCount(of: span, segmentByteCount: segmentByteCount)
    if let ip = try? IPHeader(parsingFrontOf: span) { _ = try? ICMPMessage(parsing: span, header: ip) }
  }

  /// A quarter of a million packets; the fuzzers see many more.
  @Test(arguments: [80, 180] as [UInt64])
  func randomOctetsNeverTrap(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for round in 0..<125_000 {
      var bytes = random.bytes(random.below(round % 16 == 0 ? 128 : 44))
      // Most of them get past the version check.
      if !bytes.isEmpty, round % 4 != 0 { bytes[0] = round % 4 == 1 ? 0x60 : 0x45 }
      if round % 8 < 2 {
        Self.readEverything(bytes.span.bytes, segmentByteCount: random.below(20))
      } else {
        Self.readSegment(bytes.span.bytes)
      }
    }
  }

  @Test func damagedPacketsNeverTrap() throws {
    var random = SeededGenerator(seed: 81)
    var packets: [[UInt8]] = []
    for _ in 0..<200 {
      var options = TCPOptionBlock()
      for _ in 0..<5 { _ = options.append(random.option()) }
      let tcp = TCPHeader(
        sourcePort: 1, destinationPort: 2, sequenceNumber: SequenceNumber(random.number()), flags: .ack, window: 9)
      let address = random.address()
      let ip = IPHeader(source: address, destination: address, protocolNumber: 6, payloadByteCount: 0)
      packets.append(try tcpPacket(ip, tcp, options: options, payload: random.bytes(random.below(40))))
    }
    for advertisement in [MACAddress(1), nil] {
      let target = IPAddress(v6High: 0xfe80 << 48, low: 7)
      for message: NeighborMessage in [
        .neighborSolicitation(target: target, sourceLinkLayer: advertisement),
        .routerSolicitation(sourceLinkLayer: advertisement),
        .routerAdvertisement(
          RouterAdvertisement(lifetimeSeconds: 9, mtu: 1500, onLinkPrefix: IPPrefix(target, length: 64))),
      ] {
        packets.append(
          try written { buffer throws(WireError) in try message.write(from: target, to: target, into: buffer) })
      }
    }
    for _ in 0..<50_000 {
      var bytes = packets[random.below(packets.count)]
      for _ in 0..<random.below(4) { bytes[random.below(bytes.count)] = random.number() }
      if random.flag() { bytes.removeLast(random.below(bytes.count)) }
      // With right checksums the damage reaches the parsers behind them.
      try? fillChecksums(&bytes)
      Self.readEverything(bytes.span.bytes, segmentByteCount: random.below(20))
    }
  }

  @Test func everyCutOfAnOptionIsRefusedAndNamed() throws {
    var random = SeededGenerator(seed: 82)
    for _ in 0..<2_000 {
      let option = random.option()
      var block = TCPOptionBlock()
      _ = block.append(option)
      let padded = block.withBytes { Array($0) }
      let start = padded.firstIndex { $0 != 1 } ?? 0
      let bytes = Array(padded[start..<start + option.encodedByteCount])
      for count in 1..<bytes.count {
        let cut = Array(bytes[..<count])
        let error = #expect(throws: WireError.self) { try TCPOption.forEach(in: cut.span.bytes) { _, _ in } }
        #expect(error?.field == .tcpOptionLength && error?.problem == .truncated)
        #expect(TCPOptions(parsing: cut.span.bytes).malformedCount == 1)
      }
    }
  }

  @Test func anErrorSaysInOneLineWhatIsWrongAndWhere() {
    #expect(WireError(.tcpDataOffset, .badValue, at: 12).description == "tcpDataOffset: badValue at octet 12")
  }
}
