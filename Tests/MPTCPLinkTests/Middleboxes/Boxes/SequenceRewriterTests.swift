import MPTCPWire
import Testing

@testable import MPTCPLink

@Suite struct SequenceRewriterTests {
  @Test(arguments: [false, true]) func bothHostsSeeAConversationThatFitsTheirOwnNumbers(isIPv6: Bool) throws {
    let talk = Conversation(isIPv6: isIPv6)
    var box = Middlebox(.rewriteSequence(SequenceRewriting()), seed: 4, at: .zero)
    let syn = try #require(box.pass(talk.syn()).first)
    let shift = try #require(syn.clientPlace) + 1
    #expect(shift != 0 && syn.isIntact)
    #expect(syn.segment?.tcp.acknowledgmentNumber == SequenceNumber(0))
    // The server acknowledges what it saw; the client gets back what it sent.
    let synAck = try #require(box.pass(talk.packet(.backward, [.syn, .ack], at: -1, ack: shift), .backward).first)
    #expect(synAck.acknowledged == 0 && synAck.isIntact)
    let serverShift = try #require(synAck.segment).tcp.sequenceNumber - (Conversation.serverStart + -1)
    #expect(serverShift != 0)
    let data = try #require(
      box.pass(talk.packet(.forward, .ack, at: 100, ack: serverShift, payload: stream(100..<200))).first)
    #expect(data.clientPlace == 100 + shift && data.isIntact)
    #expect(data.segment?.tcp.acknowledgmentNumber == Conversation.serverStart)
    let ack = try #require(
      box.pass(talk.ack(shift, options: [Conversation.sack(shift + 100, shift + 200)]), .backward).first)
    #expect(ack.acknowledged == 0 && ack.isIntact)
    #expect(ack.options?.sack?[0].left == Conversation.clientStart + 100)
    #expect(ack.options?.sack?[0].right == Conversation.clientStart + 200)
  }

  @Test func someBoxesForgetTheSACKBlocks() throws {
    let talk = Conversation()
    var box = Middlebox(.rewriteSequence(SequenceRewriting(translatesSACK: false)), seed: 4, at: .zero)
    let shift = try #require(box.pass(talk.syn()).first?.clientPlace) + 1
    let ack = box.pass(talk.ack(shift, options: [Conversation.sack(shift + 100, shift + 200)]), .backward).first
    #expect(ack?.acknowledged == 0)
    #expect(ack?.options?.sack?[0].left == Conversation.clientStart + (shift + 100))
  }

  @Test func aSYNThatComesAgainKeepsItsOffsetAndAnotherConnectionGetsAnother() throws {
    let talk = Conversation()
    var box = Middlebox(.rewriteSequence(SequenceRewriting()), seed: 4, at: .zero)
    let first = box.pass(talk.syn()).map(\.bytes)
    #expect(box.pass(talk.syn()).map(\.bytes) == first)
    let later = try #require(box.pass(talk.packet(.forward, .syn, at: 5000)).first?.clientPlace)
    let shift = try #require(MiddleboxPacket(first[0], .forward).clientPlace) + 1
    #expect(later - 5000 != shift)
  }

  @Test func aFlowFromBeforeTheBoxPassesAsItIs() {
    let talk = Conversation()
    var box = Middlebox(.rewriteSequence(SequenceRewriting()), seed: 4, at: .zero)
    let packet = talk.data(stream(0..<10), at: 0)
    #expect(box.pass(packet).map(\.bytes) == [packet])
  }
}
