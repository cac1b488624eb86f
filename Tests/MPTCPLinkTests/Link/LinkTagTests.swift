import MPTCPLink
import MPTCPWire
import PacketFactory
import Testing

@Suite struct LinkTagTests {
  @Test func aTagComesOutWithItsPacketAndWithItsCopy() {
    var link = Link(
      LinkConfiguration(
        bitsPerSecond: 12_000_000, delay: .milliseconds(5), jitter: .milliseconds(3), jitterReorders: true,
        duplicationRate: .percent(30), reorderRate: .percent(10), reorderDelay: .milliseconds(9), seed: 3), at: .zero)
    for number in 0..<200 {
      link.send(numbered(number), tag: number.isMultiple(of: 7) ? .max : UInt64(number) << 32, at: .zero)
    }
    let packets = link.drain()
    #expect(link.counters.duplicated.packetCount > 20)
    #expect(packets.count == 200 + link.counters.duplicated.packetCount)
    #expect(packets.allSatisfy { $0.tag == ($0.number.isMultiple(of: 7) ? .max : UInt64($0.number) << 32) })
  }

  @Test func whoeverSaysNothingGetsZero() {
    var link = Link(at: .zero)
    link.send(numbered(1), at: .zero)
    #expect(link.drain().map(\.tag) == [0])
  }

  @Test func eachWirePacketOfASuperSegmentHasItsTag() {
    var link = Link(at: .zero)
    let packet = SegmentTemplate(payloadByteCount: 3000).partialPacket()
    link.send(superSegment: packet.span.bytes, segmentByteCount: 1000, tag: 9, at: .zero)
    link.send(superSegment: [1, 2, 3].span.bytes, segmentByteCount: 1000, tag: 8, at: .zero)
    #expect(link.drain().map(\.tag) == [9, 9, 9, 8])
  }

  @Test func aSuperSegmentThatStaysWholeKeepsItsTag() {
    var link = Link(LinkConfiguration(bitsPerSecond: 1_000_000_000), at: .zero)
    for tag in 1...3 {
      let run = PacketRun(tag, headerByteCount: 40, payloadByteCount: 2920, segmentByteCount: 1460)
      let isTaken = link.send(run, tag: UInt64(tag), at: .zero)
      #expect(isTaken)
    }
    let packets = link.drain()
    #expect(packets.map(\.tag) == [1, 2, 3])
    #expect(packets.map { $0.run?.content as? Int } == [1, 2, 3])
  }

  @Test func twoPathsShareOneBottleneckInTheOrderOfTheirPackets() {
    var link = Link(LinkConfiguration(bitsPerSecond: 12_000_000, queuePacketCount: 3), at: .zero)
    for number in 0..<6 { link.send(numbered(number), tag: UInt64(number % 2), at: .zero) }
    let packets = link.drain()
    #expect(packets.map(\.tag) == [0, 1, 0, 1])
    #expect(packets.map(\.arrival) == (1...4).map { milliseconds($0) })
    #expect(link.counters.dropped(.queueFull).packetCount == 2)
  }
}
