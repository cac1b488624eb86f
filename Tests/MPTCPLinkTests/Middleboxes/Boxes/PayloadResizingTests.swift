import MPTCPWire
import Testing

@testable import MPTCPLink

@Suite struct PayloadResizingTests {
  private func box(_ configuration: PayloadResizing, _ talk: Conversation = Conversation()) -> Middlebox {
    var box = Middlebox(.resizePayload(configuration), at: .zero)
    _ = box.pass(talk.syn())
    return box
  }

  @Test(arguments: [false, true]) func aLongerTextMovesAllThatFollows(isIPv6: Bool) throws {
    let talk = Conversation(isIPv6: isIPv6)
    var box = box(PayloadResizing(find: "10.0.0.1", replace: "192.168.17.21"), talk)
    let first = try #require(box.pass(talk.data(Array("a 10.0.0.1 b".utf8), at: 0)).first)
    #expect(first.segment?.payload == Array("a 192.168.17.21 b".utf8))
    #expect(first.isIntact && first.clientPlace == 0)
    let second = try #require(box.pass(talk.data(stream(12..<20), at: 12)).first)
    #expect(second.clientPlace == 17 && second.isIntact)
    let ack = try #require(box.pass(talk.ack(25, options: [Conversation.sack(17, 25)]), .backward).first)
    #expect(ack.acknowledged == 20 && ack.isIntact)
    #expect(ack.options?.sack?[0].left == Conversation.clientStart + 12)
    #expect(ack.options?.sack?[0].right == Conversation.clientStart + 20)
    #expect(box.counters[.payloadResized] == 1)
  }

  @Test(arguments: [7, -7, 1, -1, -90]) func whatIsSentAgainIsChangedAlikeHoweverItIsCut(by: Int) throws {
    let talk = Conversation()
    // A receiver that puts together what it gets, and complains when an octet comes in two forms.
    var received: [Int: UInt8] = [:]
    var box = box(PayloadResizing(at: 150, by: by))
    var generator = SeededGenerator(seed: UInt64(by + 100))
    var cuts = [0..<100, 100..<300, 300..<400]
    for _ in 0..<300 {
      let start = Int.random(in: 0..<399, using: &generator)
      cuts.append(start..<Int.random(in: start + 1...400, using: &generator))
    }
    for cut in cuts {
      for packet in box.pass(talk.data(stream(cut), at: cut.lowerBound)) {
        #expect(packet.isIntact)
        let segment = try #require(packet.segment)
        for (index, octet) in segment.payload.enumerated() {
          let place = try #require(packet.clientPlace) + index
          #expect(received[place] == nil || received[place] == octet)
          received[place] = octet
        }
      }
    }
    var expected = stream(0..<400)
    if by > 0 {
      expected.insert(contentsOf: [UInt8](repeating: UInt8(ascii: "+"), count: by), at: 151)
    } else {
      expected.removeSubrange(150..<150 - by)
    }
    #expect((0..<400 + by).map { received[$0] ?? 0 } == expected)
    #expect(received.count == 400 + by)
    let ack = box.pass(talk.ack(400 + by), .backward)
    #expect(ack.first?.acknowledged == 400)
  }

  @Test func whatIsAcknowledgedIsForgottenAndItsRepetitionDoesNoHarm() throws {
    let talk = Conversation()
    var box = box(PayloadResizing(find: "ab", replace: "abc"))
    _ = box.pass(talk.data(Array("..ab..".utf8), at: 0))
    _ = box.pass(talk.ack(7), .backward)
    let again = try #require(box.pass(talk.data(Array("..ab..NEW".utf8), at: 0)).first)
    // What lies behind the change goes on at its place.
    #expect(again.clientPlace == 5)
    #expect(again.segment?.payload == Array("..NEW".utf8))
    #expect(again.isIntact)
  }

  @Test func changesThatNobodyAcknowledgesAreBounded() {
    let talk = Conversation()
    var box = box(PayloadResizing(find: "x", replace: "yy", maximumByteCount: 9000))
    let payload = box.pass(talk.data([UInt8](repeating: UInt8(ascii: "x"), count: 100), at: 0)).first?.segment?.payload
    #expect(payload?.count == 100 + PayloadEdits.limit)
  }

  @Test func aPacketThatBecomesTooLongGoesOnAsTwo() {
    let talk = Conversation()
    var box = box(PayloadResizing(at: 5, by: 40, maximumByteCount: 540))
    let parts = box.pass(talk.data(stream(0..<500), at: 0))
    #expect(parts.map { $0.bytes.count } == [540, 80])
    #expect(parts.map(\.clientPlace) == [0, 500])
    #expect(parts.allSatisfy { $0.isIntact })
  }

  @Test func theTwoNumberSpacesMatchAtEveryPlace() {
    var edits = PayloadEdits()
    edits.see(upTo: 1000)
    edits.append(PayloadEdits.Edit(start: 100, count: 3, replacement: Array(repeating: 1, count: 9)))
    edits.append(PayloadEdits.Edit(start: 200, count: 9, replacement: [1, 2]))
    edits.append(PayloadEdits.Edit(start: 300, count: 4, replacement: []))
    for place in 0...1000 {
      let outer = edits.outer(place)
      #expect(place == 0 || outer >= edits.outer(place - 1))
      // Nothing is acknowledged that was not: only octets that no longer exist come with their neighbours.
      #expect(edits.inner(outer) <= place || (300..<304).contains(place) || (202..<209).contains(place))
      #expect(edits.outer(edits.inner(outer)) == outer || (100..<103).contains(place))
    }
    #expect(edits.outer(1000) == 1000 + 6 - 7 - 4)
    // Part of a replacement is less than all of what was there.
    #expect(edits.inner(108) == 102)
    #expect(edits.inner(109) == 103)
  }
}
