import MPTCPWire
import Testing

@testable import MPTCPLink

@Suite struct EarlyAcknowledgerTests {
  private let talk = Conversation()

  private func opened(_ configuration: EarlyAcknowledgment = EarlyAcknowledgment()) -> Middlebox {
    var box = Middlebox(.acknowledgeEarly(configuration), at: .zero)
    _ = box.pass(talk.syn([.windowScale(0)]))
    _ = box.pass(talk.synAck([.windowScale(4)]), .backward)
    _ = box.pass(talk.thirdAck([]))
    // The receiver offers 16,000 octets.
    _ = box.pass(talk.ack(0), .backward)
    return box
  }

  @Test func dataIsAcknowledgedBeforeItsReceiverHasIt() throws {
    var box = opened()
    let data = talk.data(stream(0..<1000), at: 0)
    let out = box.pass(data, tag: 6)
    #expect(out.map(\.direction) == [.forward, .backward])
    #expect(out[0].bytes == data)
    #expect(out[1].isIntact && out[1].acknowledged == 1000 && out[1].tag == 6)
    #expect(out[1].segment?.tcp.flags == .ack)
    #expect(out[1].segment?.tcp.sequenceNumber == Conversation.serverStart)
    // The right edge stays at 16,000: 15,000 in units of 16, rounded up.
    #expect(out[1].segment?.tcp.window == 938)
    #expect(box.counters[.acknowledgedEarly] == 1)
  }

  @Test func timestampsAreAnsweredAsTheReceiverWould() {
    var box = opened()
    _ = box.pass(talk.ack(0, options: [.timestamps(TCPTimestamps(value: 500, echo: 7))]), .backward)
    let out = box.pass(
      talk.data(stream(0..<10), at: 0, options: [.timestamps(TCPTimestamps(value: 8, echo: 500))]))
    #expect(out.last?.options?.timestamps == TCPTimestamps(value: 500, echo: 8))
  }

  @Test func theReceiversOwnWordIsSwallowedOrRaised() {
    var box = opened()
    _ = box.pass(talk.data(stream(0..<1000), at: 0))
    _ = box.pass(talk.data(stream(1000..<2000), at: 1000))
    // 1,000 of what was acknowledged up to 2,000: nothing new, the edge has not moved.
    #expect(box.pass(talk.ack(1000, window: 900), .backward).isEmpty)
    #expect(box.counters[.acknowledgmentSwallowed] == 1)
    // A wider window is news; so is an option, which may carry a DATA_ACK.
    let wider = box.pass(talk.ack(1000, window: 1500), .backward)
    #expect(wider.first?.acknowledged == 2000 && wider.first?.isIntact == true)
    #expect(wider.first?.segment?.tcp.window == 1438)
    let option = box.pass(talk.ack(1000, window: 1500, options: [Conversation.capable]), .backward)
    #expect(option.first?.acknowledged == 2000 && option.first?.options?.multipath.capable != nil)
    // What goes beyond passes as it is.
    let beyond = talk.ack(2000, window: 1500)
    #expect(box.pass(beyond, .backward).map(\.bytes) == [beyond])
  }

  @Test func lossBehindTheBoxIsItsOwnAffair() {
    var box = opened()
    let first = talk.data(stream(0..<1000), at: 0)
    _ = box.pass(first)
    for place in 1..<5 { _ = box.pass(talk.data(stream(place * 1000..<place * 1000 + 1000), at: place * 1000)) }
    var sent: [MiddleboxPacket] = []
    for right in 2...4 {
      sent += box.pass(talk.ack(0, options: [Conversation.sack(1000, right * 1000)]), .backward)
    }
    // The third duplicate brings the copy; the sender hears of none.
    #expect(sent == [MiddleboxPacket(first, .forward)])
    #expect(box.counters[.copySent] == 1 && box.counters[.acknowledgmentSwallowed] == 3)
    // The sender repeats what the box has: it gets an answer and nothing goes on.
    let again = box.pass(first)
    #expect(again.map(\.direction) == [.backward] && again.first?.acknowledged == 5000)
  }

  @Test func lossBeforeTheBoxIsTheSendersAffair() {
    var box = opened()
    let ahead = talk.data(stream(1000..<2000), at: 1000)
    #expect(box.pass(ahead).map(\.bytes) == [ahead])
    let duplicate = talk.ack(0, options: [Conversation.sack(1000, 2000)])
    #expect(box.pass(duplicate, .backward).map(\.bytes) == [duplicate])
  }

  @Test func aSilentReceiverGetsTheCopyAgainAndAgainAndThenBothGetAnRST() throws {
    var box = opened()
    let data = talk.data(stream(0..<1000), at: 0)
    _ = box.pass(data)
    var times: [Instant] = []
    var last: [MiddleboxPacket] = []
    while let deadline = box.nextDeadline {
      times.append(deadline)
      last = box.wait(until: deadline)
      if box.counters[.resetSent] == 0 { #expect(last.map(\.bytes) == [data]) }
      guard times.count < 100 else { break }
    }
    // 300 ms, then twice as much each time: after ten copies it gives up.
    #expect(times.count == 11 && times[0] == milliseconds(300) && times[1] == milliseconds(900))
    #expect(last.map(\.direction) == [.forward, .backward])
    #expect(last.allSatisfy { $0.isIntact && $0.segment?.tcp.flags == [.rst, .ack] })
    // Each has the number that its receiver waits for (RFC 9293 §3.10.7.4).
    #expect(last[0].clientPlace == 0 && last[0].segment?.tcp.acknowledgmentNumber == Conversation.serverStart)
    #expect(last[1].segment?.tcp.sequenceNumber == Conversation.serverStart && last[1].acknowledged == 1000)
    #expect(box.heldCount.flows == 0 && box.heldCount.packets == 0)
  }

  @Test func whatHasNoRoomIsNotAcknowledgedEarly() {
    var box = opened(EarlyAcknowledgment(byteCount: 1500))
    #expect(box.pass(talk.data(stream(0..<1000), at: 0)).count == 2)
    #expect(box.pass(talk.data(stream(1000..<2000), at: 1000)).map(\.direction) == [.forward])
    #expect(box.heldCount.packets == 1)
    // The receiver makes room.
    _ = box.pass(talk.ack(2000), .backward)
    #expect(box.heldCount.packets == 0)
    #expect(box.pass(talk.data(stream(2000..<3000), at: 2000)).last?.acknowledged == 3000)
  }

  @Test func nothingIsAcknowledgedThatTheReceiverDidNotOffer() {
    var box = opened()
    #expect(box.pass(talk.data(stream(0..<1000), at: 15_500)).map(\.direction) == [.forward])
    _ = box.pass(talk.ack(15_500, window: 31), .backward)
    #expect(box.pass(talk.data(stream(0..<1000), at: 15_500)).map(\.direction) == [.forward])
  }

  @Test func theSimpleFormForgetsWhatItAcknowledges() {
    var box = opened(EarlyAcknowledgment(keepsCopies: false))
    #expect(box.pass(talk.data(stream(0..<1000), at: 0)).last?.acknowledged == 1000)
    #expect(box.heldCount.packets == 0 && box.nextDeadline == nil)
    for _ in 0..<5 { #expect(box.pass(talk.ack(0), .backward).isEmpty) }
    #expect(box.counters[.copySent] == 0)
  }

  @Test func anEndedFlowLeavesNothingBehind() {
    var box = opened()
    _ = box.pass(talk.data(stream(0..<1000), at: 0))
    _ = box.pass(talk.packet(.backward, .rst, at: 0), .backward)
    #expect(box.heldCount.flows == 0 && box.heldCount.packets == 0)
    let rest = box.wait(until: milliseconds(10_000))
    #expect(rest.isEmpty && box.nextDeadline == nil)
  }
}
