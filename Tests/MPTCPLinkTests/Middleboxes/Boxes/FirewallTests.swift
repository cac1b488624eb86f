import MPTCPWire
import Testing

@testable import MPTCPLink

@Suite struct FirewallTests {
  private let talk = Conversation()

  private func opened(_ configuration: Firewalling = Firewalling()) -> Middlebox {
    var box = Middlebox(.firewall(configuration), at: .zero)
    #expect(box.pass(talk.syn([.windowScale(2)])).count == 1)
    #expect(
      box.pass(talk.packet(.backward, [.syn, .ack], at: -1, ack: 0, options: [.windowScale(3)]), .backward).count == 1)
    #expect(box.pass(talk.thirdAck([])).count == 1)
    return box
  }

  @Test func aConnectionWhoseOpeningItSawPasses() {
    var box = opened()
    let data = talk.data(stream(0..<1000), at: 0)
    #expect(box.pass(data).map(\.bytes) == [data])
    #expect(box.pass(talk.ack(1000), .backward).count == 1)
    #expect(box.pass(talk.packet(.backward, [.fin, .ack], at: 0, ack: 1000), .backward).count == 1)
    #expect(box.pass(talk.packet(.forward, [.fin, .ack], at: 1000, ack: 1)).count == 1)
    #expect(box.counters.sent == 7)
  }

  @Test func anUnknownFlowIsDroppedOrRefused() {
    var silent = Middlebox(.firewall(Firewalling()), at: .zero)
    #expect(silent.pass(talk.data(stream(0..<9), at: 0)).isEmpty)
    #expect(silent.counters[.unknownFlowDropped] == 1)
    var loud = Middlebox(.firewall(Firewalling(answersWithReset: true)), at: .zero)
    let answer = loud.pass(talk.data(stream(0..<9), at: 0))
    #expect(answer.map(\.direction) == [.backward] && answer.first?.segment?.tcp.flags == .rst)
    #expect(answer.first?.isIntact == true)
    var open = Middlebox(.firewall(Firewalling(requiresSYN: false)), at: .zero)
    #expect(open.pass(talk.data(stream(0..<9), at: 0)).count == 1)
  }

  @Test func dataOutsideTheWindowIsDropped() {
    var box = opened()
    // The server offers 1000 << 3 behind 0 with its first segment behind the handshake.
    #expect(box.pass(talk.ack(0), .backward).count == 1)
    #expect(box.pass(talk.data(stream(0..<1000), at: 7000)).count == 1)
    #expect(box.pass(talk.data(stream(0..<1001), at: 7000)).isEmpty)
    #expect(box.pass(talk.data(stream(0..<10), at: -80_000)).isEmpty)
    // An acknowledgment of what was never sent.
    #expect(box.pass(talk.ack(8001), .backward).isEmpty)
    #expect(box.pass(talk.ack(8000), .backward).count == 1)
    #expect(box.counters[.outOfWindowDropped] == 3)
  }

  @Test func aProbeOfAWindowOfZeroPasses() {
    var box = opened(Firewalling())
    _ = box.pass(talk.data(stream(0..<1000), at: 0))
    #expect(box.pass(talk.ack(1000, window: 0), .backward).count == 1)
    #expect(box.pass(talk.data([1], at: 1000)).count == 1)
    #expect(box.pass(talk.data([1, 2], at: 1000)).isEmpty)
  }

  @Test func fromTheServersSideNobodyOpensWhereThatIsForbidden() {
    var box = Middlebox(.firewall(Firewalling(allowsBackwardOpening: false, answersWithReset: true)), at: .zero)
    let answer = box.pass(talk.packet(.backward, .syn, at: -1), .backward)
    #expect(answer.map(\.direction) == [.forward])
    #expect(box.pass(talk.syn()).count == 1)
  }

  @Test func silenceAndAnRSTEndAFlow() {
    var box = opened(Firewalling(idle: .seconds(60)))
    #expect(box.nextDeadline == milliseconds(60_000))
    #expect(box.pass(talk.data([1], at: 0), at: milliseconds(60_000)).isEmpty)
    #expect(box.heldCount.flows == 0)
    var other = opened()
    #expect(other.pass(talk.packet(.forward, .rst, at: 0)).count == 1)
    #expect(other.heldCount.flows == 0)
    #expect(other.pass(talk.data([1], at: 0)).isEmpty)
  }

  @Test func theSameEndsMayOpenAgainWithAnotherNumber() {
    var box = opened()
    #expect(box.pass(talk.packet(.forward, .syn, at: 900_000)).count == 1)
    #expect(box.pass(talk.packet(.forward, .syn, at: 900_000)).count == 1)
  }
}
