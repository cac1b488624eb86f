import MPTCPWire
import Testing

@testable import MPTCPLink

@Suite struct PayloadChangeTests {
  @Test(arguments: [false, true]) func oneOctetChangesAndTheChecksumIsRight(isIPv6: Bool) throws {
    let talk = Conversation(isIPv6: isIPv6)
    var box = Middlebox(.changePayload(PayloadChange()), seed: 2, at: .zero)
    let after = try #require(box.pass(talk.data(stream(0..<500), at: 0)).first)
    let payload = try #require(after.segment?.payload)
    #expect(after.isIntact && payload.count == 500)
    #expect(zip(payload, stream(0..<500)).filter { $0 != $1 }.count == 1)
    #expect(box.counters[.payloadChanged] == 1)
    let ack = talk.ack(500)
    #expect(box.pass(ack, .backward).map(\.bytes) == [ack])
  }

  @Test func aTextIsReplacedWhereverItStands() {
    var box = Middlebox(.changePayload(PayloadChange(find: "PORT", replace: "port")), at: .zero)
    let after = box.pass(Conversation().data(Array("xPORTPORT PORx".utf8), at: 0))
    #expect(after.first?.segment?.payload == Array("xportport PORx".utf8))
    #expect(after.first?.isIntact == true)
  }

  @Test func dataBeforeAPlaceStaysAsItIs() throws {
    let talk = Conversation()
    var box = Middlebox(.changePayload(PayloadChange(after: 1000, direction: .forward)), seed: 5, at: .zero)
    _ = box.pass(talk.syn())
    let first = talk.data(stream(0..<1000), at: 0)
    #expect(box.pass(first).map(\.bytes) == [first])
    for _ in 0..<200 {
      let payload = try #require(box.pass(talk.data(stream(900..<1100), at: 900)).first?.segment?.payload)
      #expect(Array(payload[..<100]) == stream(900..<1000))
      #expect(payload != stream(900..<1100))
    }
    #expect(box.counters[.payloadChanged] == 200)
  }

  @Test func aPlaceInAFlowThatTheBoxDoesNotKnowIsUnknown() {
    let packet = Conversation().data(stream(0..<1000), at: 0)
    var box = Middlebox(.changePayload(PayloadChange(after: 10)), at: .zero)
    #expect(box.pass(packet).map(\.bytes) == [packet])
  }
}
