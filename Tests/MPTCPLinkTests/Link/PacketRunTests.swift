import MPTCPLink
import MPTCPWire
import Testing

@Suite struct PacketRunTests {
  /// 40 wire packets of 1,500 bytes: 4.8 ms at 100 Mbit/s, 0.96 ms at 500 Mbit/s.
  private let run = PacketRun(
    "super-segment", headerByteCount: 52, payloadByteCount: 40 * 1448, segmentByteCount: 1448)

  private func content(_ packet: LinkPacket?) -> String? { packet?.run?.content as? String }

  @Test func aRunCountsAsItsWirePackets() {
    #expect(run.wirePacketCount == 40)
    #expect(run.wireByteCount == 60_000)
    let last = PacketRun("", headerByteCount: 52, payloadByteCount: 2 * 1448 + 1, segmentByteCount: 1448)
    #expect(last.wirePacketCount == 3)
    #expect(PacketRun("", headerByteCount: 40, payloadByteCount: 9, segmentByteCount: 0).wireByteCount == 49)
    var link = Link(LinkConfiguration(bitsPerSecond: 500_000_000), at: .zero)
    let isTaken1 = link.send(run, at: .zero)
    #expect(isTaken1)
    #expect(link.counters.sent.packetCount == 40)
    #expect(link.packetCount == 40)
    _ = link.drain()
    #expect(link.counters.delivered.byteCount == 60_000)
    #expect(link.packetCount == 0)
  }

  @Test func aRunArrivesWhenItsLastWirePacketWould() {
    var link = Link(LinkConfiguration(bitsPerSecond: 500_000_000, delay: .milliseconds(10)), at: .zero)
    let isTaken2 = link.send(run, at: .zero)
    #expect(isTaken2)
    link.send(numbered(7), at: .zero)
    #expect(link.nextDeadline == .zero + .microseconds(10_960))
    let early = link.receiveAll(at: .zero + .microseconds(10_959))
    #expect(early.isEmpty)
    let packets = link.drain()
    #expect(packets.map { content($0) ?? "\($0.number)" } == ["super-segment", "7"])
    #expect(packets.last?.arrival == .zero + .microseconds(10_984))
  }

  @Test func aRunThatTakesTheLineTooLongIsRefused() {
    var link = Link(LinkConfiguration(bitsPerSecond: 100_000_000), at: .zero)
    let isTaken3 = link.send(run, at: .zero)
    #expect(!isTaken3)
    #expect(link.counters.sent.packetCount == 0)
  }

  @Test func aRunForWhichTheQueueHasNoRoomIsRefused() {
    var link = Link(LinkConfiguration(bitsPerSecond: 500_000_000, queueByteCount: 100_000), at: .zero)
    let isTaken4 = link.send(run, at: .zero)
    #expect(isTaken4)
    let isTaken5 = link.send(run, at: .zero)
    #expect(isTaken5)
    #expect(link.queuedPacketCount == 40)
    let isTaken6 = link.send(run, at: .zero)
    #expect(!isTaken6)
    #expect(link.counters.dropped.packetCount == 0)
  }

  @Test(arguments: [
    LinkConfiguration(lossRate: .always), LinkConfiguration(duplicationRate: .always),
    LinkConfiguration(reorderRate: .always), LinkConfiguration(jitter: .milliseconds(1)),
    LinkConfiguration(markingByteCount: 1), LinkConfiguration(maximumTransmissionUnit: 1400),
  ])
  func aLinkThatTellsPacketsApartRefusesRuns(_ configuration: LinkConfiguration) {
    var link = Link(configuration, at: .zero)
    let isTaken7 = link.send(run, at: .zero)
    #expect(!isTaken7)
  }

  @Test func aCutLosesRunsAsItLosesPackets() {
    var link = Link(LinkConfiguration(bitsPerSecond: 500_000_000, delay: .milliseconds(10)), at: .zero)
    let isTaken8 = link.send(run, at: .zero)
    #expect(isTaken8)
    let isTaken9 = link.send(run, at: .zero)
    #expect(isTaken9)
    link.set(isUp: false, at: milliseconds(1))
    let isTaken10 = link.send(run, at: milliseconds(1))
    #expect(isTaken10)
    let arrived = link.drain()
    #expect(arrived.isEmpty)
    #expect(link.packetCount == 0)
    #expect(link.counters.dropped(.linkDown).packetCount == 120)
  }
}
