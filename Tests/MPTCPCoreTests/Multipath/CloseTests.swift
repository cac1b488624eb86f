import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// DATA_FIN, FIN, MP_FASTCLOSE and RST (RFC 8684 §3.3.3, §3.5, §3.6).
@Suite struct CloseTests {
  private func read(_ script: Script, _ connection: ScriptedConnection) throws -> [UInt8]? {
    try script.endpoint.read(from: connection.id, upTo: 1000, at: script.now)?.array
  }

  // Requirement 8684-3.3.3-02, 8684-3.3.3-03, 8684-D-03
  @Test func aDataFinAloneEndsTheStreamAndIsDataAcknowledged() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send(.ack, [connection.dataFin(at: 11)])
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 12)
    #expect(try read(script, connection) == [])
    // The other direction is open.
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    #expect(connection.initial.take { !$0.payload.isEmpty } != nil)
  }

  // Requirement 8684-3.3.3-03
  @Test func aDataFinWithDataEndsTheStreamBehindIt() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send(
      [.ack, .psh], [connection.mapping(at: 11, subflowOffset: 11, octets(5), fin: true)], payload: octets(5))
    #expect(try read(script, connection) == octets(5))
    #expect(try read(script, connection) == [])
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 17)
  }

  // Requirement 8684-3.3.3-06
  @Test func aDataFinBeforeItsDataWaits() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send(.ack, [connection.dataFin(at: 16)])
    #expect(try read(script, connection) == nil)
    connection.send(octets(5), at: 11)
    #expect(try read(script, connection) == octets(5))
    #expect(try read(script, connection) == [])
    // Nothing follows it.
    connection.send(octets(5), at: 17)
    #expect(try read(script, connection) == [])
  }

  // Requirement 8684-3.3-04, 8684-3.3.3-02, 8684-3.3.3-03, 8684-3.3.3-04
  @Test func ourDataFinRidesOnTheLastDataOrGoesAlone() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    script.endpoint.finish(connection.id, at: script.now)
    let alone = try #require(connection.initial.take())
    #expect(alone.dss?.dataFin == true)
    #expect(alone.dss?.mapping?.length == 1)
    #expect(alone.dss?.mapping?.subflowSequenceNumber == 0)
    #expect(alone.payload.isEmpty && !alone.isFin)

    let other = Script()
    let second = try ScriptedConnection.established(by: other)
    _ = try other.endpoint.write(ByteSlice(octets(10)), to: second.id, at: other.now)
    other.endpoint.finish(second.id, at: other.now)
    let joint = try #require(second.initial.take { $0.dss?.dataFin == true })
    #expect(joint.dss?.mapping?.length == 11)
    #expect(joint.payload.count == 10)
  }

  // Requirement 8684-3.3.3-13, 8684-D-01
  @Test func aLostDataFinIsRepeatedUntilItIsDataAcknowledged() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    script.endpoint.finish(connection.id, at: script.now)
    script.pass(.seconds(3))
    let repeats = script.takeAll().filter { $0.dss?.dataFin == true }
    #expect(repeats.count >= 3)
    connection.initial.send(.ack, [connection.dataAck(2)])
    script.pass(.seconds(3))
    #expect(!script.takeAll().contains { $0.dss?.dataFin == true })
    connection.initial.send(.ack, [connection.dataFin(at: 11, ack: 2)])
    #expect(script.closeReason == .finished)
    // Both DATA_FINs are through: now the subflow's own end.
    #expect(script.takeAll().contains { $0.isFin })
  }

  // Requirement 8684-3.3.3-08, 8684-3.3.3-09, 8684-3.3.3-13
  @Test func subflowsCloseWhenBothDirectionsAreDone() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    _ = script.takeAll()
    script.endpoint.finish(connection.id, at: script.now)
    #expect(!script.takeAll().contains { $0.isFin })
    // Ours has its DATA_ACK: the peer may still send, and over either subflow.
    connection.initial.send(.ack, [connection.dataAck(2)])
    script.pass(.seconds(5))
    connection.send(octets(10, from: 10), at: 11, on: second)
    #expect(try connection.readAll() == octets(10, from: 10))
    #expect(!script.takeAll().contains { $0.isFin || $0.isReset })
    connection.initial.send(.ack, [connection.dataFin(at: 21, ack: 2)])
    let fins = script.takeAll().filter(\.isFin)
    #expect(fins.count == 2)
    for fin in fins { (fin.path == 0 ? connection.initial : second).note(fin) }
    for subflow in [connection.initial, second] { subflow.send([.fin, .ack]) }
    script.endpoint.close(connection.id, at: script.now)
    #expect(script.endpoint.connectionCount == 0)
  }

  /// As a courtesy to the boxes on the way: to one that is known to lead nowhere, and to one whose silence nobody has
  /// noticed. There the FIN is repeated, which no acknowledgment answers.
  // Requirement 8684-3.3.3-10
  @Test(arguments: [false, true])
  func eachSubflowGetsItsFinAlsoWhereItHasFailed(isKnown: Bool) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    if isKnown { script.endpoint.setPath(PathID(1), isUp: false, at: script.now) }
    _ = script.takeAll()
    #expect(script.endpoint.description(of: connection.id)?.subflows.map(\.isStalled) == [false, isKnown])
    script.endpoint.finish(connection.id, at: script.now)
    #expect(!script.takeAll().contains { $0.isFin })
    connection.initial.send(.ack, [connection.dataFin(at: 11, ack: 2)])
    let fin = try #require(connection.initial.take(where: \.isFin))
    #expect(fin.path == 0)
    connection.initial.send([.fin, .ack])
    script.pass(.seconds(5))
    let further = script.takeAll()
    #expect(further.filter { $0.isFin && $0.path == 1 && $0.tcp.destinationPort == second.local.port }.count > 1)
    #expect(!further.contains { $0.isReset })
  }

  // Requirement 8684-D-03
  @Test func aDataFinMayShareASegmentWithAFIN() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send([.ack, .fin], [connection.dataFin(at: 11)])
    #expect(try read(script, connection) == [])
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    let data = try #require(connection.initial.take { !$0.payload.isEmpty })
    #expect(data.payload == octets(10))
    script.endpoint.finish(connection.id, at: script.now)
    _ = connection.initial.take { $0.dss?.dataFin == true }
    connection.initial.send(.ack, [connection.dataAck(12)])
    #expect(script.closeReason == .finished)
    _ = try #require(connection.initial.take(where: \.isFin))
    connection.initial.send(.ack)
    script.endpoint.close(connection.id, at: script.now)
    #expect(script.endpoint.connectionCount == 0)
  }

  // Requirement 8684-3.3.3-02, 8684-D-01
  @Test(arguments: [0, 1])
  func oneDirectionMayStayOpenAfterTheOtherEnded(side: Int) throws {
    let pair = Pair([quick, slow])
    let exchange = try Exchange(pair, clientSends: side == 0 ? 0 : 2_000_000, serverSends: side == 0 ? 2_000_000 : 0)
    exchange.expectWhole(isMultipath: true)
    exchange.closeBoth()
    #expect(pair.endpoints.allSatisfy { $0.connectionCount == 0 })
  }

  // Requirement 8684-3.3.3-13
  @Test(arguments: 0..<8)
  func endsSurviveTheLossOfAnyOneOfTheirPackets(which: Int) throws {
    let pair = Pair([quick])
    let exchange = try Exchange(pair, clientSends: 1000, serverSends: 1000, options: lonely)
    var count = 0
    pair.middlebox { _, packet in
      guard packet.dss?.dataFin == true || packet.isFin || count > 0 else { return true }
      count += 1
      return count != which + 1
    }
    exchange.expectWhole(within: .seconds(20), isMultipath: true)
    exchange.closeBoth()
    #expect(pair.endpoints.allSatisfy { $0.connectionCount == 0 })
  }

  // Requirement 8684-3.5-04, 8684-3.5-06
  @Test func closingWithUnreadDataIsAFastClose() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.send(octets(10), at: 11)
    _ = script.takeAll()
    script.endpoint.close(connection.id, at: script.now)
    let reset = try #require(connection.initial.take(where: \.isReset))
    #expect(reset.fastClose?.receiverKey == connection.key)
    #expect(script.endpoint.connectionCount == 0)
  }

  // Requirement 8684-3.5-04
  @Test func dataForAClosedApplicationIsAFastClose() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    script.endpoint.close(connection.id, at: script.now)
    _ = script.takeAll()
    connection.send(octets(10), at: 11)
    #expect(try #require(connection.initial.take(where: \.isReset)).fastClose?.receiverKey == connection.key)
  }

  // Requirement 8684-3.5-02, 8684-3.5-06
  @Test func abortResetsAllSubflowsWithMPFastClose() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    _ = try #require(connection.join())
    _ = script.takeAll()
    script.endpoint.abort(connection.id, at: script.now)
    let resets = script.takeAll().filter(\.isReset)
    #expect(resets.count == 2)
    #expect(resets.allSatisfy { $0.fastClose?.receiverKey == connection.key })
    #expect(script.endpoint.connectionCount == 0)
  }

  /// RFC 5961 §3.2: a RST that is not at the expected number is asked back about, and then the option must come again.
  @Test func aFastCloseBehindLostDataIsSaidAgainToWhoAsksBack() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = script.takeAll()
    script.endpoint.abort(connection.id, at: script.now)
    #expect(connection.initial.offset(of: try #require(script.take { $0.isReset })) == 101)
    #expect(script.endpoint.connectionCount == 0)
    connection.initial.send(.ack)
    let again = try #require(script.take { $0.isReset })
    #expect(connection.initial.offset(of: again) == 1)
    #expect(again.fastClose?.receiverKey == connection.key)
    connection.initial.send([.rst, .ack])
    #expect(script.takeAll().isEmpty)
    // It holds no ports.
    var options = lonely
    options.localPort = 80
    let next = try script.endpoint.connect(to: connection.initial.local, options: options, at: script.now)
    script.endpoint.abort(next, at: script.now)
    _ = script.takeAll()
    connection.initial.send(.ack)
    #expect(script.take { $0.isReset }?.fastClose == nil)
  }

  @Test func whatAFastCloseLeavesBehindGoesWithTime() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = script.takeAll()
    script.endpoint.abort(connection.id, at: script.now)
    _ = script.takeAll()
    // For as long as TIME-WAIT lasts.
    script.pass(.seconds(61))
    #expect(script.endpoint.nextDeadline == nil)
    connection.initial.send(.ack)
    #expect(script.take { $0.isReset }?.fastClose == nil)
  }

  // Requirement 8684-3.5-03, 8684-3.5-07, 8684-3.5-14
  @Test(arguments: [TCPFlags.ack, [.rst, .ack]])
  func aFastCloseWithTheRightKeyEndsEverything(flags: TCPFlags) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    _ = script.takeAll()
    second.send(flags, [.fastClose(MPFastClose(receiverKey: connection.engineKey))])
    #expect(script.closeReason == .resetByPeer)
    let resets = script.takeAll().filter(\.isReset)
    // RFC 8684 §3.5: RST on every subflow; the one that brought a RST needs none.
    #expect(Set(resets.map(\.path)) == (flags.contains(.rst) ? [0] : [0, 1]))
    // Reason 1 would speak of an invalid option.
    #expect(resets.allSatisfy { $0.resetReason == .unspecified })
    #expect(throws: EndpointError.closed(.resetByPeer)) {
      try script.endpoint.read(from: connection.id, upTo: 1, at: script.now)
    }
  }

  // Requirement 8684-3.5-15
  @Test func aFastCloseWithAWrongKeyIsIgnored() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    second.send(.ack, [.fastClose(MPFastClose(receiverKey: Key(99)))])
    #expect(script.closeReason == nil)
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 2)
    // On a RST it is no more than a RST.
    second.send([.rst, .ack], [.fastClose(MPFastClose(receiverKey: Key(99)))])
    #expect(script.closeReason == nil)
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 1)
  }

  // Requirement 8684-3.5-01, 8684-3.6-02, 8684-3.6-10
  @Test(arguments: [0, 1] as [UInt8], [true, false])
  func theReasonOfARSTIsTold(reason: UInt8, transient: Bool) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    second.send([.rst, .ack], [.reset(MPTCPReset(transient: transient, reason: ResetReason(reason)))])
    #expect(
      script.connectionEvents.contains {
        if case .subflowClosed(let description, .resetByPeer(ResetReasonCode(reason), let isTransient)) = $0 {
          description.tuple.remote == second.local && isTransient == (transient || reason == 0)
        } else {
          false
        }
      })
    connection.send(octets(5), at: 11)
    #expect(try read(script, connection) == octets(5))
  }

  // Requirement 8684-3.3-05, 8684-3.5-01
  @Test func aRSTOnTheOnlySubflowLeavesTheConnectionToAnother() throws {
    // Break before make (RFC 8684 §3.3.3).
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    connection.initial.send([.rst, .ack])
    #expect(script.closeReason == nil)
    script.pass(.seconds(10))
    _ = script.takeAll()
    let second = try #require(connection.join())
    second.send(.ack, [connection.dataAck(1)])
    #expect(second.take { $0.payload == octets(100) } != nil)
    connection.send(octets(5), at: 11, on: second)
    #expect(try read(script, connection) == octets(5))
    script.pass(.seconds(100))
    #expect(script.closeReason == nil)
  }

  @Test func whatWasWrittenBeforeCloseGoesOverASubflowThatIsOpenedAfterIt() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script)
    connection.initial.send(.ack, [connection.dataAck(1)])
    // The peer's join is the only other subflow; it goes.
    let data = octets(100_000)
    var left = ByteSlice(data)
    left = left.dropFirst(try script.endpoint.write(left, to: connection.id, at: script.now))
    #expect(left.isEmpty)
    script.endpoint.close(connection.id, at: script.now)
    while let syn = script.take(where: \.isSyn) {
      let refusal = ScriptedSubflow(
        script, path: syn.path, local: TransportAddress(syn.destination, syn.tcp.destinationPort),
        remote: TransportAddress(syn.source, syn.tcp.sourcePort))
      refusal.note(syn)
      refusal.send([.rst, .ack], at: 0, ack: 1)
    }
    connection.initial.send([.rst, .ack])
    script.pass(.seconds(3))
    let syn = try #require(script.take(where: \.isSyn))
    let second = try #require(connection.answerJoin(syn))
    second.send(.ack, [connection.dataAck(1)])
    var got = 0
    for _ in 0..<200 where got < data.count {
      while let packet = second.take(where: { !$0.payload.isEmpty }) {
        guard let at = connection.mapped(by: packet), at == got + 1 else { continue }
        got += packet.payload.count
      }
      second.send(.ack, [connection.dataAck(got + 1)])
      script.pass(.milliseconds(10))
    }
    #expect(got == data.count)
  }

  // Requirement 8684-3.3-05, 8684-3.3.3-01
  @Test func aFINWithoutDataFINLetsOurDataGoOnAndEndsWithAFastCloseWhenNothingMoves() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send([.ack, .fin], [connection.dataAck(1)])
    var sent = 0
    for _ in 0..<30 {
      sent += try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
      _ = try #require(connection.initial.take { !$0.payload.isEmpty })
      connection.initial.send(.ack, [connection.dataAck(sent + 1)])
      script.pass(.seconds(4))
    }
    #expect(script.closeReason == nil)
    #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == sent)
    _ = script.takeAll()
    script.pass(.seconds(130))
    #expect(script.closeReason == .noSubflows)
    #expect(script.takeAll().contains { $0.isReset && $0.fastClose?.receiverKey == connection.key })
  }

  @Test func aRSTBeforeAnyDSSEndsTheConnection() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.initial.send([.rst, .ack])
    #expect(script.closeReason == .resetByPeer)
  }

  // Requirement 8684-3.3-05, 8684-3.3.3-14
  @Test func aConnectionWithoutSubflowsEndsInTime() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send([.rst, .ack])
    // Joins that come to nothing do not keep it alive.
    for index in 0..<12 {
      script.pass(.seconds(6))
      let subflow = ScriptedSubflow(
        script, path: 1, local: TransportAddress(Pair.address(1, 1, .v4), Port(7000 + UInt16(index))),
        remote: TransportAddress(Pair.address(1, 0, .v4), 80))
      subflow.send(
        .syn, [.join(.syn(backup: false, addressID: AddressID(3), token: connection.engineKey.token(), nonce: 1))])
    }
    #expect(script.closeReason == .noSubflows)
  }

  @Test func aConnectionOfOursWithoutPathsEndsInTime() throws {
    let pair = Pair([quick])
    let exchange = try Exchange(pair, clientSends: 20_000_000, serverSends: 0)
    pair.run(for: .milliseconds(500))
    pair.onPacket = { _, _, _ in nil }
    #expect(pair.run(for: .seconds(900)) { exchange.closed[0] != nil })
    #expect(exchange.closed[0] == .timedOut || exchange.closed[0] == .noSubflows)
    exchange.closeBoth()
    #expect(pair.endpoints.allSatisfy { $0.connectionCount == 0 })
  }
}
