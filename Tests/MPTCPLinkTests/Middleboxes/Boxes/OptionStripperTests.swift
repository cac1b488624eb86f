import MPTCPWire
import Testing

@testable import MPTCPLink

@Suite struct OptionStripperTests {
  @Test(arguments: [false, true], [false, true])
  func theOptionIsGoneFromSYNsAndTheRestIsAsItWas(isIPv6: Bool, shortensHeader: Bool) {
    let talk = Conversation(isIPv6: isIPv6)
    var box = Middlebox(
      .strip(OptionStripping(option: .multipath, on: [.syn], shortensHeader: shortensHeader)), at: .zero)
    let before = MiddleboxPacket(talk.syn(), .forward)
    let after = box.pass(talk.syn(), tag: 5)
    #expect(after.count == 1 && after[0].isIntact && after[0].tag == 5)
    #expect(after[0].options?.multipath == MultipathOptions())
    #expect(after[0].options?.maximumSegmentSize == 1460)
    #expect(after[0].options?.sackPermitted == true)
    #expect(after[0].options?.windowScale == 7)
    #expect(after[0].options?.timestamps == TCPTimestamps(value: 10, echo: 0))
    #expect((after[0].bytes.count < before.bytes.count) == shortensHeader)
    #expect(after[0].bytes.count % 4 == 0)
    // The answer and what follows keep theirs.
    #expect(box.pass(talk.synAck(), .backward).map(\.bytes) == [talk.synAck()])
    #expect(box.pass(talk.thirdAck()).map(\.bytes) == [talk.thirdAck()])
    #expect(box.counters[.optionRemoved] == 1)
    #expect(box.counters.received == 3 && box.counters.sent == 3)
  }

  @Test(arguments: SegmentKind.allCases) func onlySegmentsOfTheChosenKindAreTouched(kind: SegmentKind) {
    let talk = Conversation()
    let packets: [(SegmentKind, [UInt8], PathDirection)] = [
      (.syn, talk.syn(), .forward), (.synAck, talk.synAck(), .backward), (.thirdAck, talk.thirdAck(), .forward),
      (.data, talk.data(stream(0..<9), at: 0, options: [Conversation.capable]), .forward),
      (.ack, talk.ack(9, options: [Conversation.capable]), .backward),
      (.ack, talk.packet(.forward, .ack, at: 9, options: [Conversation.capable]), .forward),
      (.fin, talk.packet(.forward, [.fin, .ack], at: 9, options: [Conversation.capable]), .forward),
      (.reset, talk.packet(.forward, [.rst, .ack], at: 9, options: [Conversation.capable]), .forward),
    ]
    var box = Middlebox(.strip(OptionStripping(on: [kind])), at: .zero)
    for (own, packet, direction) in packets {
      let isTouched = box.pass(packet, direction).map(\.bytes) != [packet]
      #expect(isTouched == (own == kind), "\(own)")
    }
  }

  @Test func aSubtypeIsFoundWhereTheOthersStay() {
    let talk = Conversation()
    var box = Middlebox(.strip(OptionStripping(option: .multipath(.join))), at: .zero)
    #expect(box.pass(talk.syn()).map(\.bytes) == [talk.syn()])
    let join = box.pass(talk.syn(Conversation.usual + [Conversation.join]))
    #expect(join.first?.options?.multipath == MultipathOptions())
    #expect(join.first?.isIntact == true)
  }

  @Test func timestampsAndSACKPermittedCanGo() {
    let talk = Conversation(isIPv6: true)
    var box = Middlebox(.strip(OptionStripping(option: .kind(TCPOptionKind.timestamps))), at: .zero)
    #expect(box.pass(talk.syn()).first?.options?.timestamps == nil)
    var other = Middlebox(.strip(OptionStripping(option: .kind(TCPOptionKind.sackPermitted))), at: .zero)
    let packet = other.pass(talk.syn()).first
    #expect(packet?.options?.sackPermitted == false && packet?.options?.timestamps != nil && packet?.isIntact == true)
  }

  @Test func unknownOptionsAreThoseOfLaterTimes() {
    let talk = Conversation()
    var box = Middlebox(.strip(OptionStripping(option: .unknown)), at: .zero)
    let packet = box.pass(talk.syn(Conversation.usual + [Conversation.capable, .fastOpen(FastOpenCookie())])).first
    #expect(packet?.options?.fastOpen == nil && packet?.options?.multipath == MultipathOptions())
    #expect(packet?.options?.windowScale == 7 && packet?.isIntact == true)
    #expect(box.counters[.optionRemoved] == 2)
  }

  @Test func directionAndChanceHold() {
    let talk = Conversation()
    var box = Middlebox(.strip(OptionStripping(direction: .backward)), at: .zero)
    #expect(box.pass(talk.syn()).map(\.bytes) == [talk.syn()])
    #expect(box.pass(talk.synAck(), .backward).map(\.bytes) != [talk.synAck()])
    var seldom = Middlebox(.strip(OptionStripping(chance: .percent(20))), seed: 3, at: .zero)
    for _ in 0..<2000 { _ = seldom.pass(talk.syn()) }
    // 2,000 draws stray from 400 by more than 90, five deviations, once in two million.
    #expect(abs(seldom.counters[.optionRemoved] - 400) < 90)
  }

  @Test func damageFromBeforeTheBoxStaysToBeSeen() {
    let talk = Conversation()
    var packet = talk.data(stream(0..<100), at: 0, options: [Conversation.capable])
    packet[packet.count - 1] ^= 0x55
    var box = Middlebox(.strip(OptionStripping()), at: .zero)
    let after = box.pass(packet)
    #expect(after.count == 1 && after[0].bytes != packet && !after[0].isIntact)
  }
}
