import MPTCPLink
import MPTCPWire
import PacketFactory
import Testing

@Suite struct LinkSuperSegmentTests {
  @Test(arguments: [false, true]) func aSuperSegmentCrossesAsWirePackets(isIPv6: Bool) throws {
    var segment = SegmentTemplate(payloadByteCount: 64_000, isIPv6: isIPv6)
    segment.options = [SegmentTemplate.mapping(dsn: 77, subflowSequenceNumber: 1, length: 64_000)]
    let packet = segment.partialPacket()
    var link = Link(LinkConfiguration(bitsPerSecond: 100_000_000), at: .zero)
    link.send(superSegment: packet.span.bytes, segmentByteCount: 1400, at: .zero)
    let wire = try cut(packet, segmentByteCount: 1400)
    #expect(link.counters.sent.packetCount == 46)
    let packets = link.drain()
    #expect(packets.map(\.bytes) == wire)
    var byteCount = 0
    for packet in packets {
      byteCount += packet.bytes.count
      #expect(packet.arrival.nanoseconds == Int64(byteCount) * 80)
    }
  }

  @Test func theQueueCountsWirePackets() {
    let packet = SegmentTemplate(payloadByteCount: 64_000).partialPacket()
    var link = Link(LinkConfiguration(bitsPerSecond: 100_000_000, queuePacketCount: 9), at: .zero)
    link.send(superSegment: packet.span.bytes, segmentByteCount: 1400, at: .zero)
    #expect(link.drain().count == 10)
    #expect(link.counters.dropped(.queueFull).packetCount == 36)
  }

  @Test func aSinglePacketHasItsChecksumFilledIn() {
    let segment = SegmentTemplate(payloadByteCount: 500)
    var link = Link(at: .zero)
    link.send(superSegment: segment.partialPacket().span.bytes, segmentByteCount: 0, at: .zero)
    #expect(link.drain().map(\.bytes) == [segment.packet()])
  }

  @Test func whatIsNoPacketCrossesAsItIs() {
    let bytes: [UInt8] = [1, 2, 3]
    var link = Link(at: .zero)
    link.send(superSegment: bytes.span.bytes, segmentByteCount: 1400, at: .zero)
    #expect(link.drain().map(\.bytes) == [bytes])
  }
}
