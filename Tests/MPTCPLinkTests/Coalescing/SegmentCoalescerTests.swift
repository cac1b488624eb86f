import MPTCPWire
import PacketFactory
import Testing

@testable import MPTCPLink

@Suite struct SegmentCoalescerTests {
  private func coalesce(_ packets: [[UInt8]], maximumByteCount: Int = 65_535, flowLimit: Int = 8) -> [CoalescedPacket] {
    var coalescer = SegmentCoalescer(maximumByteCount: maximumByteCount, flowLimit: flowLimit)
    for packet in packets { coalescer.add(packet) }
    coalescer.flush()
    var result: [CoalescedPacket] = []
    while let packet = coalescer.next() { result.append(packet) }
    return result
  }

  private func superSegment(_ byteCount: Int, isIPv6: Bool = false) -> SegmentTemplate {
    var segment = SegmentTemplate(payloadByteCount: byteCount, isIPv6: isIPv6)
    segment.options.append(SegmentTemplate.mapping(dsn: 1 << 33, subflowSequenceNumber: 1, length: byteCount))
    segment.flags = [.ack, .psh]
    return segment
  }

  @Test(arguments: [false, true], [1401, 2800, 10_000, 64_000]) func cuttingGivesBackWhatWasMerged(
    isIPv6: Bool, byteCount: Int
  ) throws {
    let template = superSegment(byteCount, isIPv6: isIPv6)
    let wire = try cut(template.partialPacket(), segmentByteCount: 1400)
    let merged = try #require(coalesce(wire).first)
    #expect(coalesce(wire).count == 1)
    #expect(merged.segmentByteCount == 1400)
    #expect(merged.wirePacketCount == wire.count)
    #expect(merged.isChecksumValid && merged.isChecksumPartial)
    #expect(try cut(merged.bytes, segmentByteCount: merged.segmentByteCount) == wire)
  }

  @Test(arguments: [false, true]) func aSuperSegmentIsWhatASenderWithOffloadWouldHandOver(isIPv6: Bool) throws {
    let template = superSegment(5000, isIPv6: isIPv6)
    let merged = try #require(coalesce(try cut(template.partialPacket(), segmentByteCount: 1400)).first)
    let ip = try IPHeader(parsing: merged.bytes.span.bytes)
    let tcp = try TCPHeader(parsing: ip.payload(in: merged.bytes.span.bytes))
    let isHeaderValid = IPHeader.hasValidChecksum(merged.bytes.span.bytes)
    #expect(isHeaderValid)
    #expect(ip.totalByteCount == merged.bytes.count)
    #expect(merged.networkHeaderByteCount == ip.headerByteCount)
    #expect(merged.headerByteCount == ip.headerByteCount + tcp.headerByteCount)
    #expect(tcp.flags == [.ack, .psh])
    #expect(Array(merged.bytes[merged.headerByteCount...]) == template.payload)
    var pseudoHeader = InternetChecksum()
    pseudoHeader.add(
      pseudoHeader: ip.source, destination: ip.destination, protocol: IPProtocol.tcp, length: ip.payloadByteCount)
    #expect(tcp.checksum == pseudoHeader.partial)
    // Once the checksum is filled in, it is the packet that the sender had.
    var whole = merged.bytes
    try whole.withUnsafeMutableBytes { try Segmentation.fillChecksums(in: $0) }
    #expect(whole == template.packet())
  }

  struct Change: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let apply: @Sendable (inout SegmentTemplate) -> Void
    init(_ description: String, _ apply: @escaping @Sendable (inout SegmentTemplate) -> Void) {
      testDescription = description
      self.apply = apply
    }
  }

  static let changes = [
    Change("another mapping") {
      $0.options[1] = SegmentTemplate.mapping(dsn: 1 << 33 + 1400, subflowSequenceNumber: 1401, length: 1400)
    },
    Change("no mapping") { $0.options.removeLast() },
    Change("another time stamp") { $0.options[0] = .timestamps(TCPTimestamps(value: 78, echo: 66)) },
    Change("another acknowledgment") { $0.acknowledgmentNumber = $0.acknowledgmentNumber + 1 },
    Change("another window") { $0.window += 1 },
    Change("a mark of congestion") { $0.trafficClass = 3 },
    Change("another hop limit") { $0.hopLimit = 63 },
    Change("a gap") { $0.sequenceNumber = $0.sequenceNumber + 1 },
    Change("an overlap") { $0.sequenceNumber = $0.sequenceNumber + -1 },
    Change("more payload") { $0.payload.append(1) },
    Change("no payload") { $0.payload = [] },
    Change("SYN") { $0.flags.insert(.syn) },
    Change("RST") { $0.flags.insert(.rst) },
    Change("URG") { $0.flags.insert(.urg) },
    Change("CWR") { $0.flags.insert(.cwr) },
    Change("ECE") { $0.flags.insert(.ece) },
    Change("no ACK") { $0.flags.remove(.ack) },
    Change("another port") { $0.source.port = 40_001 },
    Change("another address") { $0.destination.address = IPAddress(v4: 0x0a00_0003) },
    Change("an identification that jumps, where fragments may be") { $0.identification += 1 },
  ]

  @Test(arguments: changes) func segmentsThatDifferStayApartAndInOrder(change: Change) {
    var first = superSegment(1400)
    first.flags = .ack
    first.dontFragment = false
    var second = first
    second.sequenceNumber = second.sequenceNumber + 1400
    second.identification += 1
    #expect(coalesce([first.packet(), second.packet()]).count == 1)
    change.apply(&second)
    let packets = [first.packet(), second.packet()]
    #expect(coalesce(packets).map(\.bytes) == packets)
    #expect(coalesce(packets).allSatisfy { $0.segmentByteCount == 0 && $0.wirePacketCount == 1 })
  }

  @Test func nothingFollowsAShortSegmentOrAPush() throws {
    var template = SegmentTemplate(payloadByteCount: 1000)
    var packets: [[UInt8]] = []
    for (byteCount, flags) in [(1000, TCPFlags.ack), (999, .ack), (999, .ack), (999, [.ack, .psh]), (999, .ack)] {
      template.payload = Array(repeating: 7, count: byteCount)
      template.flags = flags
      packets.append(template.packet())
      template.sequenceNumber = template.sequenceNumber + byteCount
    }
    #expect(coalesce(packets).map(\.wirePacketCount) == [2, 2, 1])
  }

  @Test func aWrongChecksumIsNeverHidden() throws {
    let wire = try cut(superSegment(7000).partialPacket(), segmentByteCount: 1400)
    for spoiledByte in [10, 40, 1451] {
      var packets = wire
      packets[2][spoiledByte] ^= 1
      let merged = coalesce(packets)
      #expect(merged.map(\.wirePacketCount) == [2, 1, 2])
      #expect(merged[1].bytes == packets[2])
      #expect(!merged[1].isChecksumValid)
    }
  }

  @Test func aCoalescerOfLimitedSizeMakesPacketsOfThatSize() throws {
    let wire = try cut(superSegment(64_000).partialPacket(), segmentByteCount: 1000)
    let merged = coalesce(wire, maximumByteCount: 16_384)
    #expect(merged.allSatisfy { $0.bytes.count <= 16_384 })
    #expect(merged.map(\.wirePacketCount) == [16, 16, 16, 16])
    #expect(
      try merged.flatMap { try cut($0.bytes, segmentByteCount: $0.segmentByteCount) }.map(payload) == wire.map(payload))
  }

  @Test func flowsThatAreMixedOnTheWireAreToldApart() throws {
    var flows: [[[UInt8]]] = []
    for flow in 0..<4 {
      var template = superSegment(14_000, isIPv6: flow % 2 == 1)
      template.source.port = Port(UInt16(1000 + flow))
      flows.append(try cut(template.partialPacket(), segmentByteCount: 1400))
    }
    let mixed = (0..<10).flatMap { index in flows.map { $0[index] } }
    #expect(coalesce(mixed).map(\.wirePacketCount) == [10, 10, 10, 10])
    // With room for three of four flows in turn, each has to go before its next segment comes; at the end there is
    // room.
    #expect(coalesce(mixed, flowLimit: 3).prefix(34).allSatisfy { $0.wirePacketCount == 1 })
  }

  @Test func whateverComesInComesOut() throws {
    for seed in 0..<120 {
      var generator = SeededGenerator(seed: UInt64(seed))
      var packets = try mixedTraffic(&generator)
      // What a link does: lose, double, swap; and what only an attacker does.
      for index in packets.indices {
        switch Int.random(in: 0..<40, using: &generator) {
        case 0: packets[index] = []
        case 1: packets[index] = packets[Int.random(in: packets.indices, using: &generator)]
        case 2: packets.swapAt(index, max(index - 1, 0))
        case 3 where !packets[index].isEmpty:
          packets[index][Int.random(in: packets[index].indices, using: &generator)] ^= UInt8.random(
            in: 1...255, using: &generator)
        case 4: packets[index] = Array(packets[index].prefix(Int.random(in: 0...80, using: &generator)))
        case 5: packets[index] = (0..<60).map { _ in UInt8.random(in: 0...255, using: &generator) }
        case _: break
        }
      }
      let merged = coalesce(packets)
      #expect(merged.reduce(0) { $0 + $1.wirePacketCount } == packets.count)
      var output: [[UInt8]] = []
      for packet in merged {
        if packet.segmentByteCount == 0 {
          output.append(packet.bytes)
        } else {
          let wire = try cut(packet.bytes, segmentByteCount: packet.segmentByteCount)
          #expect(wire.count == packet.wirePacketCount)
          output += wire
        }
      }
      #expect(byFlow(output) == byFlow(packets))
    }
  }

  /// Super-segments of a few flows, cut and mixed.
  private func mixedTraffic(_ generator: inout SeededGenerator) throws -> [[UInt8]] {
    var flows: [[[UInt8]]] = []
    for flow in 0..<Int.random(in: 1...10, using: &generator) {
      var packets: [[UInt8]] = []
      var template = superSegment(100, isIPv6: Bool.random(using: &generator))
      template.source.port = Port(UInt16(2000 + flow))
      template.dontFragment = Bool.random(using: &generator)
      for _ in 0..<Int.random(in: 1...5, using: &generator) {
        let byteCount = Int.random(in: 1...8000, using: &generator)
        template.payload = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &+ flow) }
        template.flags = Bool.random(using: &generator) ? .ack : [.ack, .psh]
        if Int.random(in: 0..<4, using: &generator) == 0 { template.flags.insert(.cwr) }
        if Bool.random(using: &generator) { template.acknowledgmentNumber = template.acknowledgmentNumber + 10 }
        packets += try cut(template.partialPacket(), segmentByteCount: 700)
        template.sequenceNumber = template.sequenceNumber + byteCount
        template.identification += 20
      }
      flows.append(packets)
    }
    var mixed: [[UInt8]] = []
    while let index = flows.indices.filter({ !flows[$0].isEmpty }).randomElement(using: &generator) {
      mixed.append(flows[index].removeFirst())
    }
    return mixed
  }

  /// The packets of each flow in their order, without what may change: the identification of whole packets.
  private func byFlow(_ packets: [[UInt8]]) -> [FourTuple?: [[UInt8]]] {
    Dictionary(grouping: packets.filter { !$0.isEmpty }) { CoalescableSegment($0.span.bytes)?.tuple }
      .mapValues { packets in
        packets.map { packet in
          guard packet[0] >> 4 == 4, let segment = CoalescableSegment(packet.span.bytes), segment.ip.dontFragment,
            segment.mayMerge, segment.hasValidChecksums(packet.span.bytes)
          else { return packet }
          return Array(packet[0..<4] + [0, 0] + packet[6..<10] + [0, 0] + packet[12...])
        }
      }
  }

  private func payload(_ packet: [UInt8]) -> [UInt8] {
    guard let segment = CoalescableSegment(packet.span.bytes) else { return [] }
    return Array(packet[segment.payloadOffset...])
  }
}
