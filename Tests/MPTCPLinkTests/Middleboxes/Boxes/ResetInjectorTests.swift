import MPTCPWire
import Testing

@testable import MPTCPLink

@Suite struct ResetInjectorTests {
  @Test(arguments: [false, true]) func atItsTimeBothEndsGetAnRSTThatCounts(isIPv6: Bool) {
    let talk = Conversation(isIPv6: isIPv6)
    var box = Middlebox(.reset(ResetInjection(at: [.seconds(1)])), at: .zero)
    _ = box.pass(talk.syn())
    _ = box.pass(talk.packet(.backward, [.syn, .ack], at: -1, ack: 0), .backward)
    _ = box.pass(talk.data(stream(0..<1000), at: 0), tag: 4)
    _ = box.pass(talk.data(stream(0..<500), at: 0))
    #expect(box.nextDeadline == milliseconds(1000))
    let out = box.wait(until: milliseconds(1000))
    #expect(out.map(\.direction) == [.forward, .backward])
    #expect(out.allSatisfy { $0.isIntact && $0.segment?.tcp.flags == [.rst, .ack] })
    // RFC 9293 §3.10.7.4: exactly what is expected next.
    #expect(out[0].clientPlace == 1000)
    #expect(out[1].segment?.tcp.sequenceNumber == Conversation.serverStart)
    #expect(box.nextDeadline == nil && box.counters[.resetSent] == 2)
  }

  @Test func afterSoMuchDataAFlowEndsOnce() {
    let talk = Conversation()
    var box = Middlebox(.reset(ResetInjection(afterByteCount: 1500, toServer: false)), at: .zero)
    _ = box.pass(talk.syn())
    _ = box.pass(talk.synAck(), .backward)
    #expect(box.pass(talk.data(stream(0..<1000), at: 0)).count == 1)
    let out = box.pass(talk.data(stream(1000..<2000), at: 1000))
    #expect(out.map(\.direction) == [.forward, .backward])
    #expect(box.pass(talk.data(stream(2000..<3000), at: 2000)).count == 1)
    // The next connection between the same ports is another flow.
    _ = box.pass(talk.packet(.forward, .syn, at: 50_000))
    #expect(box.pass(talk.data(stream(0..<1500), at: 50_001)).count == 1)
    #expect(box.counters[.resetSent] == 1)
  }

  @Test func anEndedFlowGetsNoMore() {
    let talk = Conversation()
    var box = Middlebox(.reset(ResetInjection(at: [.seconds(1), .seconds(2)])), at: .zero)
    _ = box.pass(talk.syn())
    // Of the server's numbers nothing is known: only the server gets one.
    #expect(box.wait(until: milliseconds(1500)).map(\.direction) == [.forward])
    #expect(box.wait(until: milliseconds(2500)).isEmpty)
  }

  @Test func anOldPacketComesAgainAsItWas() {
    let talk = Conversation()
    var box = Middlebox(.replay(SegmentReplay(chance: .always, after: .seconds(3), limit: 2)), at: .zero)
    let packets = [talk.syn(), talk.thirdAck(), talk.data([1], at: 0)]
    for (place, packet) in packets.enumerated() {
      #expect(box.pass(packet, tag: UInt64(place), at: milliseconds(Int64(place))).map(\.bytes) == [packet])
    }
    #expect(box.heldCount.packets == 2)
    #expect(box.nextDeadline == milliseconds(3000))
    let again = box.wait(until: milliseconds(9000))
    #expect(again.map(\.bytes) == Array(packets[..<2]) && again.map(\.tag) == [0, 1])
    #expect(box.counters[.replayed] == 2 && box.nextDeadline == nil)
  }
}
