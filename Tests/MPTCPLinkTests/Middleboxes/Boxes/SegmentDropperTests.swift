import MPTCPWire
import Testing

@testable import MPTCPLink

@Suite struct SegmentDropperTests {
  @Test func onlySYNsWithTheOptionAreDropped() {
    let talk = Conversation()
    var box = Middlebox(.drop(SegmentDropping()), at: .zero)
    #expect(box.pass(talk.syn()).isEmpty)
    #expect(box.pass(talk.syn(Conversation.usual)).count == 1)
    #expect(box.pass(talk.data(stream(0..<9), at: 0, options: [Conversation.capable])).count == 1)
    #expect(box.counters[.segmentDropped] == 1 && box.counters[.resetSent] == 0)
  }

  @Test(arguments: [false, true]) func aJoinIsRefusedAndTheFirstSubflowIsNot(isIPv6: Bool) throws {
    let talk = Conversation(isIPv6: isIPv6)
    var box = Middlebox(
      .drop(SegmentDropping(option: .multipath(.join), on: [.syn], answersWithReset: true)), at: .zero)
    #expect(box.pass(talk.syn()).map(\.bytes) == [talk.syn()])
    let answer = try #require(box.pass(talk.syn([Conversation.join]), tag: 3).first)
    // RFC 9293 §3.10.7.1: with SEQ 0 and an ACK of the SYN.
    #expect(answer.direction == .backward && answer.isIntact && answer.tag == 3)
    #expect(answer.segment?.tcp.flags == [.rst, .ack])
    #expect(answer.segment?.tcp.sequenceNumber == SequenceNumber(0))
    #expect(answer.acknowledged == 0)
    #expect(answer.segment?.destination == MiddleboxPacket(talk.syn(), .forward).segment?.source)
  }

  @Test func anRSTIsNotAnswered() {
    let talk = Conversation()
    var box = Middlebox(
      .drop(SegmentDropping(option: nil, on: SegmentKind.allCases, answersWithReset: true)), at: .zero)
    #expect(box.pass(talk.packet(.forward, .rst, at: 0)).isEmpty)
    // One with an ACK gets an RST with the number that it acknowledges.
    let answer = box.pass(talk.packet(.forward, .ack, at: 50, ack: 70)).first?.segment
    #expect(answer?.tcp.flags == .rst)
    #expect(answer?.tcp.sequenceNumber == Conversation.serverStart + 70)
  }

  @Test func dataInASYNIsDroppedWithItOrTakenOut() {
    let talk = Conversation()
    let early = talk.syn([.fastOpen(FastOpenCookie())], payload: stream(0..<100))
    var dropper = Middlebox(.drop(SegmentDropping(option: nil, on: [.syn], withData: true)), at: .zero)
    #expect(dropper.pass(early).isEmpty)
    #expect(dropper.pass(talk.syn()).count == 1)
    var stripper = Middlebox(.stripSYNData, at: .zero)
    let after = stripper.pass(early)
    #expect(after.first?.segment?.payload == [] && after.first?.isIntact == true)
    #expect(after.first?.options?.fastOpen != nil)
    #expect(stripper.counters[.synDataRemoved] == 1)
    let data = talk.data(stream(0..<100), at: 0)
    #expect(stripper.pass(data).map(\.bytes) == [data])
  }
}
