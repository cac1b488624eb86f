import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// DATA_FIN through every state of the data level (RFC 8684 §3.3.3, appendix D).
@Suite struct DataFinTests {
  private func state(_ script: Script, _ connection: ScriptedConnection) -> DataState? {
    script.endpoint.connection(connection.id)?.dataState
  }

  // Requirement 8684-3.3.3-02, 8684-3.3.3-13
  @Test func ourEndFirst() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    #expect(state(script, connection) == .established)
    script.endpoint.finish(connection.id, at: script.now)
    _ = try #require(connection.initial.take { $0.dss?.dataFin == true })
    #expect(state(script, connection) == .finWait1)
    connection.initial.send(.ack, [connection.dataAck(2)])
    #expect(state(script, connection) == .finWait2)
    // Half-closed: the peer goes on, and is acknowledged.
    connection.send(octets(10), at: 11)
    #expect(try connection.readAll() == octets(10))
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 21)
    connection.initial.send(.ack, [connection.dataFin(at: 21, ack: 2)])
    #expect(state(script, connection) == .timeWait)
    #expect(script.closeReason == .finished)
  }

  // Requirement 8684-3.3.3-03, 8684-3.3.3-13
  @Test func thePeersEndFirst() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send(.ack, [connection.dataFin(at: 11)])
    #expect(state(script, connection) == .closeWait)
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 12)
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    script.endpoint.finish(connection.id, at: script.now)
    let last = try #require(connection.initial.take { $0.dss?.dataFin == true })
    #expect(last.payload == octets(10))
    #expect(state(script, connection) == .lastAck)
    // The data alone does not do.
    connection.initial.send(.ack, [connection.dataAck(11)])
    #expect(state(script, connection) == .lastAck)
    connection.initial.send(.ack, [connection.dataAck(12)])
    #expect(state(script, connection) == .closed)
    #expect(script.closeReason == .finished)
  }

  /// A subflow sequence number other than 0 is not what RFC 8684 §3.3.3 says, but what its sender will repeat until it
  /// is heard.
  // Requirement 8684-3.3.3-06
  @Test(arguments: [0, 1, 11, 500])
  func aDataFinWithoutDataIsAcknowledgedWhateverItsSubflowSequenceNumber(subflowOffset: Int) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    for _ in 0..<2 {
      connection.initial.send(.ack, [connection.mapping(at: 11, subflowOffset: subflowOffset, [], fin: true, ack: 1)])
      #expect(state(script, connection) == .closeWait)
      let answer = try #require(connection.initial.take())
      #expect(answer.isPureAck && connection.acknowledged(by: answer) == 12)
    }
  }

  // Requirement 8684-D-02
  @Test func endsThatCross() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    script.endpoint.finish(connection.id, at: script.now)
    _ = try #require(connection.initial.take { $0.dss?.dataFin == true })
    connection.initial.send(.ack, [connection.dataFin(at: 11, ack: 1)])
    #expect(state(script, connection) == .closing)
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 12)
    #expect(script.closeReason == nil)
    connection.initial.send(.ack, [connection.dataAck(2)])
    #expect(state(script, connection) == .timeWait)
    #expect(script.closeReason == .finished)
  }

  @Test func anAcknowledgementOfTheFinOnTheSubflowIsNoDataAck() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    script.endpoint.finish(connection.id, at: script.now)
    _ = try #require(connection.initial.take { $0.dss?.dataFin == true })
    // The subflow has all octets; the connection says nothing of them.
    connection.initial.send(.ack, [connection.dataAck(1)])
    #expect(state(script, connection) == .finWait1)
    script.pass(.seconds(1))
    #expect(script.takeAll().contains { $0.dss?.mapping != nil })
  }

  /// The peer has closed the only subflow, and what would DATA_ACK our end is removed on the way: our FIN tells the end,
  /// and the connection is over when that is acknowledged, not when it leaves.
  @Test func aDataFinThatNobodyAcknowledgesIsToldByTheFinOfTheOnlySubflow() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send([.ack, .fin], [connection.dataFin(at: 11, ack: 1)])
    script.endpoint.finish(connection.id, at: script.now)
    var dataFinCount = 0
    for _ in 0..<300 where dataFinCount < 100 {
      script.pass(.milliseconds(100))
      var isOver = false
      while let packet = connection.initial.take() {
        if packet.dss?.dataFin == true { dataFinCount += 1 }
        isOver = isOver || packet.isFin
      }
      if isOver { break }
    }
    #expect((3...6).contains(dataFinCount))
    #expect(state(script, connection) == .lastAck)
    #expect(script.closeReason == nil)
    connection.initial.send(.ack)
    #expect(state(script, connection) == .closed)
    #expect(script.closeReason == .finished)
  }

  /// It is DATA_ACKed only when all data before it is here (RFC 8684 §3.3.3), on whatever subflow.
  // Requirement 8684-3.3.3-06
  @Test func aDataFinBehindAHoleOfAnotherSubflowWaits() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    connection.initial.send(
      [.ack, .psh], [connection.mapping(at: 21, subflowOffset: 11, octets(5), fin: true)], payload: octets(5))
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 11)
    #expect(state(script, connection) == .established)
    connection.send(octets(10), at: 11, on: second)
    #expect(connection.acknowledged(by: try #require(script.takeAll().last { $0.dss?.dataAck != nil })) == 27)
    #expect(state(script, connection) == .closeWait)
  }

  /// RFC 8684 §3.3.3: no FIN while data is outstanding, on this subflow or another; the peer that has everything but
  /// the DATA_FIN gets that again, and only then are all subflows closed.
  // Requirement 8684-3.3.3-08
  @Test func noFinLeavesBeforeEverythingIsDataAcknowledged() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    connection.initial.send(.ack, [connection.dataFin(at: 11)])
    _ = try script.endpoint.write(ByteSlice(octets(100_000)), to: connection.id, at: script.now)
    script.endpoint.finish(connection.id, at: script.now)
    script.pass(.seconds(2))
    #expect(!script.takeAll().contains { $0.isFin })
    for subflow in [connection.initial, second] { subflow.send(.ack, ack: 1, [connection.dataAck(2)]) }
    #expect(!script.takeAll().contains { $0.isFin })
  }

  /// A subflow closes whose last data, with the DATA_FIN, was lost: what it repeats brings the FIN along only while no
  /// other subflow has data outstanding (RFC 8684 §3.3.3).
  // Requirement 8684-3.3.3-07
  @Test(arguments: [true, false])
  func theFinGoesWithADataFinOnlyWhileNothingIsOutstandingElsewhere(isOutstanding: Bool) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    second.send(.ack, [connection.dataAck(1)])
    // The end goes over the first subflow.
    second.send(.ack, [.priority(MPPriority(backup: true))])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    script.endpoint.finish(connection.id, at: script.now)
    let end = try #require(script.take { $0.dss?.dataFin == true })
    #expect(end.path == 0 && end.payload == octets(100) && !end.isFin)
    try script.endpoint.closeSubflow(connection.id, SubflowID(0), at: script.now)
    var repeated: [WirePacket] = []
    for _ in 0..<60 {
      for packet in script.takeAll() {
        if packet.path == 1 {
          second.note(packet)
        } else if !packet.payload.isEmpty {
          repeated.append(packet)
        }
      }
      // The copy that goes here is acknowledged by the subflow, though the peer's connection drops it; or it is lost.
      if !isOutstanding { second.send(.ack, [connection.dataAck(1)]) }
      script.pass(.milliseconds(50))
    }
    #expect(repeated.contains { $0.dss?.dataFin == true && $0.payload == octets(100) })
    #expect(repeated.contains { $0.dss?.dataFin == true && $0.isFin } == !isOutstanding)
  }

  /// TIME-WAIT at both levels (RFC 8684 §3.3.3): the subflow's answers the FIN that comes again, the connection's the
  /// DATA_FIN, for as long as the subflow has not reached CLOSED.
  // Requirement 8684-3.3.3-15, 8684-D-04
  @Test(arguments: [true, false])
  func aDataFinThatComesAgainInTimeWaitIsDataAcknowledgedAgain(withFin: Bool) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    script.endpoint.finish(connection.id, at: script.now)
    _ = try #require(connection.initial.take { $0.dss?.dataFin == true })
    connection.initial.send(.ack, [connection.dataAck(2)])
    connection.initial.send(.ack, [connection.dataFin(at: 11, ack: 2)])
    _ = try #require(connection.initial.take(where: \.isFin))
    connection.initial.send([.ack, .fin], [connection.dataFin(at: 11, ack: 2)])
    script.endpoint.close(connection.id, at: script.now)
    #expect(script.endpoint.connectionCount == 0)
    _ = script.takeAll()
    let end = connection.initial.sent
    for _ in 0..<2 {
      connection.initial.send(
        withFin ? [.ack, .fin] : .ack, at: withFin ? end - 1 : end, [connection.dataFin(at: 11, ack: 2)])
      let answer = try #require(script.take())
      #expect(answer.isPureAck)
      #expect(connection.acknowledged(by: answer) == 12)
      #expect(connection.initial.acknowledged(by: answer) == end)
    }
    // A bare ACK gets none.
    connection.initial.send(.ack)
    #expect(script.takeAll().isEmpty)
    // All subflows are in CLOSED: so is the connection.
    script.pass(.seconds(61))
    #expect(script.endpoint.nextDeadline == nil)
    connection.initial.send(.ack, [connection.dataFin(at: 11, ack: 2)])
    #expect(script.takeAll().allSatisfy { $0.isReset })
  }

  /// RFC 8684 §3.3.3: a subflow whose data arrived over others may go by RST, reason 4, when the data is done.
  // Requirement 8684-3.3.3-12, 8684-3.3.2-08
  @Test func aStalledSubflowWithStaleDataEndsByRSTWithReason4() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    second.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    connection.initial.send(.ack, [connection.dataFin(at: 11, ack: 1)])
    _ = try script.endpoint.write(ByteSlice(octets(60_000)), to: connection.id, at: script.now)
    script.endpoint.finish(connection.id, at: script.now)
    // The second subflow alone answers; what the first has comes over it.
    var here = Array(repeating: false, count: 60_002)
    here[0] = true
    for _ in 0..<400 where script.closeReason == nil {
      for packet in script.takeAll() where packet.path == 1 {
        second.note(packet)
        guard let at = connection.mapped(by: packet) else { continue }
        for offset in at..<(at + packet.payload.count) { here[offset] = true }
      }
      let next = here.firstIndex(of: false) ?? 60_001
      second.send(.ack, [connection.dataAck(next > 60_000 ? 60_002 : next)])
      if script.closeReason == nil { script.pass(.milliseconds(20)) }
    }
    #expect(script.closeReason == .finished)
    let last = script.takeAll()
    #expect(last.contains { $0.isReset && $0.path == 0 && $0.resetReason == .tooMuchOutstandingData })
    #expect(last.contains { $0.isFin && $0.path == 1 })
  }
}
