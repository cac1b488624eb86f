import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// MP_FASTCLOSE on an ACK, as its sender (RFC 8684 §3.5, option A). The receiver's side of both options, and option R,
/// are in CloseTests.
@Suite struct FastCloseTests {
  /// A connection of two subflows that has just been aborted; the subflow that carries the option, and the other one.
  private func aborted(
    _ script: Script
  ) throws -> (ScriptedConnection, carrier: ScriptedSubflow, other: ScriptedSubflow) {
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    _ = script.takeAll()
    script.endpoint.abort(connection.id, form: .acknowledged, at: script.now)
    let sent = script.takeAll()
    #expect(sent.count == 2)
    let ack = try #require(sent.first { $0.fastClose != nil })
    #expect(ack.isPureAck)
    #expect(ack.fastClose?.receiverKey == connection.key)
    #expect(ack.multipath.count == 1)
    // On the others a regular RST.
    let reset = try #require(sent.first { $0.isReset })
    #expect(reset.fastClose == nil)
    #expect(reset.path != ack.path)
    let subflows = ack.path == 0 ? (connection.initial, second) : (second, connection.initial)
    return (connection, subflows.0, subflows.1)
  }

  // Requirement 8684-3.5-05, 8684-3.5-08, 8684-3.5-02
  @Test func itGoesOnAnAckOfOneSubflowAndTheOthersAreReset() throws {
    let script = Script()
    let (connection, carrier, _) = try aborted(script)
    #expect(script.endpoint.connection(connection.id) == nil)
    #expect(script.endpoint.connectionCount == 1)
    // The peer's RST is the answer: everything is forgotten at once.
    carrier.send(.rst)
    #expect(script.endpoint.connectionCount == 0)
    #expect(script.takeAll().isEmpty)
    script.pass(.seconds(10))
    #expect(script.takeAll().isEmpty)
    #expect(script.endpoint.nextDeadline == nil)
  }

  // Requirement 8684-3.5-10, 8684-3.5-11, 8684-3.5-12, 8684-3.5-13
  @Test func unansweredItGoesAgainThreeTimesAndThenARSTWithItEndsIt() throws {
    let script = Script()
    let (connection, carrier, _) = try aborted(script)
    let began = script.now
    var times: [Nanoseconds] = []
    for _ in 0..<3 {
      let due = try #require(script.endpoint.nextDeadline)
      script.pass(due - script.now)
      let again = script.takeAll()
      #expect(again.count == 1)
      #expect(again.first?.isPureAck == true && again.first?.fastClose?.receiverKey == connection.key)
      times.append(script.now - began)
    }
    let due = try #require(script.endpoint.nextDeadline)
    script.pass(due - script.now)
    let last = script.takeAll()
    #expect(last.count == 1)
    #expect(last.first?.isReset == true && last.first?.fastClose?.receiverKey == connection.key)
    times.append(script.now - began)
    // Each after one retransmission time-out of its subflow, 200 ms here.
    #expect(times.map { Int($0.milliseconds / 100) } == [2, 4, 6, 8], "\(times)")
    #expect(script.endpoint.connectionCount == 0)
    #expect(script.endpoint.nextDeadline == nil)
    carrier.send(.ack)
    #expect(script.takeAll().allSatisfy { $0.isReset })
  }

  // Requirement 8684-3.5-09
  @Test(arguments: [TCPFlags.ack, [.rst, .ack]])
  func fastClosesThatCrossEndBothSides(flags: TCPFlags) throws {
    let script = Script()
    let (connection, carrier, _) = try aborted(script)
    carrier.send(flags, [.fastClose(MPFastClose(receiverKey: connection.engineKey))])
    // An ACK with it gets the RST that its sender waits for.
    let answers = script.takeAll()
    #expect(answers.count == (flags == .ack ? 1 : 0))
    #expect(answers.allSatisfy { $0.isReset && $0.fastClose == nil })
    #expect(script.endpoint.connectionCount == 0)
    #expect(script.endpoint.nextDeadline == nil)
  }

  // Requirement 8684-3.5-03, 8684-3.5-15
  @Test func whileItWaitsNothingElseIsTaken() throws {
    let script = Script()
    let (connection, carrier, _) = try aborted(script)
    carrier.send(.ack, [.fastClose(MPFastClose(receiverKey: Key(99)))])
    connection.send(octets(100), at: 11, on: carrier)
    carrier.send([.ack, .fin], [connection.dataFin(at: 111, ack: 1)])
    #expect(script.takeAll().isEmpty)
    #expect(script.endpoint.connectionCount == 1)
    // A join finds no connection that takes it.
    #expect(connection.join(path: 1, port: 4009) == nil)
    #expect(script.take(where: \.isReset) == nil || script.endpoint.connectionCount == 1)
    _ = script.takeAll()
    // A RST that is not at the expected number is asked back about (RFC 5961 §3.2), with the option.
    carrier.send(.rst)
    let challenge = try #require(script.take())
    #expect(challenge.isPureAck && challenge.fastClose?.receiverKey == connection.key)
    carrier.send(.rst, at: carrier.acknowledged(by: challenge))
    #expect(script.endpoint.connectionCount == 0)
  }

  @Test func dataThatIsOutIsNotSentAgain() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    _ = try script.endpoint.write(ByteSlice(octets(5000)), to: connection.id, at: script.now)
    _ = script.takeAll()
    script.endpoint.abort(connection.id, form: .acknowledged, at: script.now)
    #expect(script.takeAll().allSatisfy { $0.fastClose != nil })
    connection.initial.send(.ack, ack: 1, [connection.dataAck(1)])
    script.pass(.seconds(30))
    let sent = script.takeAll()
    #expect(sent.count == 4)
    #expect(sent.allSatisfy { $0.payload.isEmpty && $0.fastClose?.receiverKey == connection.key })
    #expect(script.endpoint.connectionCount == 0)
  }

  @Test func beforeThePeerHasProvedThatItHasOurKeyARSTDoes() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script, options: lonely)
    _ = script.takeAll()
    script.endpoint.abort(connection.id, form: .acknowledged, at: script.now)
    let sent = script.takeAll()
    #expect(sent.count == 1 && sent.allSatisfy { $0.isReset })
    #expect(script.endpoint.connectionCount == 0)
  }

  @Test func plainTCPIsReset() throws {
    var options = lonely
    options.multipath = .disabled
    let script = Script()
    let id = try script.endpoint.connect(
      to: TransportAddress(Pair.address(0, 1, .v4), 80), options: options, at: script.now)
    let syn = try #require(script.take(where: \.isSyn))
    let subflow = ScriptedSubflow(
      script, path: 0, local: TransportAddress(Pair.address(0, 1, .v4), 80),
      remote: TransportAddress(Pair.address(0, 0, .v4), syn.tcp.sourcePort))
    subflow.note(syn)
    subflow.send([.syn, .ack])
    _ = script.takeAll()
    script.endpoint.abort(id, form: .acknowledged, at: script.now)
    let sent = script.takeAll()
    #expect(sent.count == 1)
    #expect(sent.allSatisfy { $0.isReset && $0.multipath.isEmpty })
    #expect(script.endpoint.connectionCount == 0)
  }

  /// Two engines, whoever aborts in whichever form, over two paths with loss: both are in CLOSED in a stated time.
  @Test(arguments: [FastCloseForm.reset, .acknowledged], [FastCloseForm?.none, .reset, .acknowledged])
  func bothSidesEndWhoeverAborts(first: FastCloseForm, second: FastCloseForm?) throws {
    for seed in 1...10 as ClosedRange<UInt64> {
      var link = quick
      link.lossRate = Probability(0.2)
      let pair = Pair([link, slow], seed: seed)
      let exchange = try Exchange(pair, clientSends: 2_000_000, serverSends: 2_000_000)
      pair.run(for: .seconds(20)) { exchange.received.allSatisfy { $0 > 0 } }
      let ids = [try #require(exchange.ids[0]), try #require(exchange.ids[1])]
      pair.onStep = {}
      pair.endpoints[0].abort(ids[0], form: first, at: pair.now)
      if let second { pair.endpoints[1].abort(ids[1], form: second, at: pair.now) }
      let began = pair.now
      #expect(
        pair.run(for: .seconds(100)) {
          pair.endpoints[0].connectionCount == 0
            && pair.events[1].contains { if case .closed = $0.event { true } else { false } }
            || second != nil
              && pair.endpoints.allSatisfy { $0.connectionCount == 0 }
        }, "seed \(seed)")
      // A peer that heard nothing of it gives up after the time for break before make.
      #expect((pair.now - began).seconds < 70, "seed \(seed)")
      pair.endpoints[1].close(ids[1], at: pair.now)
      pair.run(for: .seconds(130))
      #expect(pair.endpoints.allSatisfy { $0.connectionCount == 0 }, "seed \(seed)")
      #expect(pair.endpoints.allSatisfy { $0.nextDeadline == nil }, "seed \(seed)")
    }
  }
}
