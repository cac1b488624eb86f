import MPTCPWire
import PacketFactory
import Testing

@testable import MPTCPLink

@Suite struct SegmentCuttingTests {
  private let mapping = SegmentTemplate.mapping(dsn: 77, subflowSequenceNumber: 1, length: 1000)

  @Test(arguments: [false, true], [false, true])
  func thePartsMakeTheSegment(isIPv6: Bool, copiesOptions: Bool) throws {
    let talk = Conversation(isIPv6: isIPv6)
    var box = Middlebox(.cut(SegmentCutting(byteCount: 400, copiesOptions: copiesOptions)), at: .zero)
    let parts = box.pass(talk.data(stream(0..<1000), at: 0, flags: [.ack, .psh, .fin], options: [mapping]), tag: 9)
    #expect(parts.map(\.clientPlace) == [0, 400, 800])
    #expect(parts.flatMap { $0.segment?.payload ?? [] } == stream(0..<1000))
    #expect(parts.allSatisfy { $0.isIntact && $0.tag == 9 })
    #expect(parts.map { $0.segment?.tcp.flags } == [.ack, .ack, [.ack, .psh, .fin]])
    #expect(parts.map { $0.options?.multipath.dss?.mapping != nil } == [true, copiesOptions, copiesOptions])
    #expect(box.counters[.segmentCut] == 1)
  }

  @Test func aShortSegmentPassesAsItIs() {
    let packet = Conversation().data(stream(0..<400), at: 0)
    var box = Middlebox(.cut(SegmentCutting(byteCount: 400)), at: .zero)
    #expect(box.pass(packet).map(\.bytes) == [packet])
  }

  @Test func dataInASYNFollowsTheSYN() {
    var box = Middlebox(.cut(SegmentCutting(byteCount: 4)), at: .zero)
    let parts = box.pass(Conversation().syn([], payload: stream(0..<8)))
    #expect(parts.map(\.clientPlace) == [-1, 4])
    #expect(parts.map { $0.segment?.tcp.flags } == [.syn, []])
  }

  @Test(arguments: [false, true]) func segmentsThatFollowEachOtherBecomeOneWithTheFirstOnesOptions(isIPv6: Bool) {
    let talk = Conversation(isIPv6: isIPv6)
    var box = Middlebox(.merge(SegmentMerging(byteCount: 2000, hold: .milliseconds(5))), at: .zero)
    let second = SegmentTemplate.mapping(dsn: 1077, subflowSequenceNumber: 1001, length: 1000)
    #expect(box.pass(talk.data(stream(0..<1000), at: 0, options: [mapping])).isEmpty)
    #expect(box.nextDeadline == milliseconds(5))
    #expect(box.pass(talk.data(stream(1000..<2000), at: 1000, options: [second]), at: milliseconds(1)).isEmpty)
    let merged = box.wait(until: milliseconds(5))
    #expect(merged.count == 1 && merged[0].isIntact)
    #expect(merged.first?.segment?.payload == stream(0..<2000))
    #expect(merged.first?.options?.multipath.dss?.mapping?.subflowSequenceNumber == 1)
    #expect(box.nextDeadline == nil && box.heldCount.packets == 0)
    #expect(box.counters[.segmentMerged] == 1)
  }

  @Test func aSegmentThatWaitsInVainGoesOnUnchanged() {
    let packet = Conversation().data(stream(0..<1000), at: 0)
    var box = Middlebox(.merge(SegmentMerging()), at: .zero)
    #expect(box.pass(packet, tag: 4).isEmpty)
    let later = box.wait(until: milliseconds(5))
    #expect(later == [MiddleboxPacket(packet, .forward, tag: 4)])
  }

  @Test func nothingOvertakesWhatWaits() {
    let talk = Conversation()
    var box = Middlebox(.merge(SegmentMerging(byteCount: 1500)), at: .zero)
    let packets = [
      talk.data(stream(0..<1000), at: 0), talk.data(stream(1000..<2000), at: 1000),
      talk.packet(.forward, .ack, at: 2000), talk.data(stream(5000..<5100), at: 5000),
      talk.packet(.forward, [.rst, .ack], at: 5100),
    ]
    let all = packets.flatMap { box.pass($0) }
    #expect(all.map(\.bytes) == packets)
  }

  @Test func onlySoManyWait() {
    var box = Middlebox(.merge(SegmentMerging()), at: .zero)
    var outCount = 0
    for port in 0..<500 {
      let talk = Conversation(clientPort: Port(UInt16(20_000 + port)))
      outCount += box.pass(talk.data(stream(0..<10), at: 0)).count
    }
    #expect(box.heldCount.packets == 64 && outCount == 436)
  }

  @Test(arguments: [false, true]) func theSegmentSizeIsLoweredNeverRaised(isIPv6: Bool) {
    let talk = Conversation(isIPv6: isIPv6)
    var box = Middlebox(.clampSegmentSize(SegmentSizeClamping(byteCount: 1200)), at: .zero)
    let syn = box.pass(talk.syn())
    #expect(syn.first?.options?.maximumSegmentSize == 1200 && syn.first?.isIntact == true)
    let low = talk.synAck([.maximumSegmentSize(1000)])
    #expect(box.pass(low, .backward).map(\.bytes) == [low])
    let none = talk.syn([])
    #expect(box.pass(none).map(\.bytes) == [none])
    #expect(box.counters[.segmentSizeClamped] == 1)
  }
}
