import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Middleboxes that remove options, and what becomes of the connection (RFC 8684 §3.7).
@Suite struct FallbackTests {
  enum Place: CaseIterable, Sendable {
    case syn
    case synAck
    case thirdAck
    case dataOfClient
    case dataOfServer
    case everythingAfterTheHandshake
    case everythingOfClientAfterTheHandshake
    case everythingOfServerAfterTheHandshake
    case everything
  }

  static func isStripped(_ place: Place, side: Int, _ packet: WirePacket) -> Bool {
    let isHandshake = packet.isSyn || packet.isSynAck || (packet.capable != nil && packet.payload.isEmpty)
    return switch place {
    case .syn: packet.isSyn
    case .synAck: packet.isSynAck
    case .thirdAck: side == 0 && packet.capable?.receiverKey != nil
    case .dataOfClient: side == 0 && !packet.payload.isEmpty
    case .dataOfServer: side == 1 && !packet.payload.isEmpty
    case .everythingAfterTheHandshake: !isHandshake
    case .everythingOfClientAfterTheHandshake: side == 0 && !isHandshake
    case .everythingOfServerAfterTheHandshake: side == 1 && !isHandshake
    case .everything: true
    }
  }

  // Requirement 8684-3.1-50, 8684-3.7-08, 8684-3.7-28
  @Test(arguments: Place.allCases, [(60_000, 0), (0, 60_000), (60_000, 60_000), (10, 10), (0, 0)])
  func wherePacketsLoseTheirOptionsTheDataIsWhole(place: Place, sizes: (Int, Int)) throws {
    let pair = Pair([quick])
    let exchange = try Exchange(pair, clientSends: sizes.0, serverSends: sizes.1, options: lonely)
    let auditor = WireAuditor()
    pair.middlebox { side, packet in
      auditor.look(at: packet, from: side, isPlain: exchange.fallback(side) != nil)
      if Self.isStripped(place, side: side, packet) { packet.strip() }
      return true
    }
    exchange.expectWhole()
    #expect((pair.now - Instant(nanoseconds: 1_000_000_000)).seconds < 8)
    // Once plain TCP, never Multipath TCP again (RFC 8684 §3.7), and before that each mapping by the rules.
    #expect(auditor.violations.isEmpty, "\(auditor.violations.prefix(5))")
  }

  // Requirement 8684-3.1-50
  @Test func aSynWithoutTheOptionMakesItTCP() throws {
    let pair = Pair([quick, quick])
    let exchange = try Exchange(pair, clientSends: 10_000, serverSends: 10_000)
    pair.middlebox { _, packet in
      if packet.isSyn { packet.strip() }
      return true
    }
    exchange.expectWhole(isMultipath: false)
    #expect(exchange.fallback(0) == .peerWithoutMultipath)
    #expect(exchange.fallback(1) == .peerWithoutMultipath)
  }

  // Requirement 8684-3.1-52
  @Test func aThirdAckWithoutTheOptionMakesItTCP() throws {
    let pair = Pair([quick, quick])
    let exchange = try Exchange(pair, clientSends: 10_000, serverSends: 10_000)
    pair.middlebox { side, packet in
      if side == 0, packet.capable?.receiverKey != nil { packet.strip() }
      return true
    }
    exchange.expectWhole()
    #expect(exchange.isMultipath[1] == false)
    #expect(exchange.fallback(0) == .optionMissingOnData)
    #expect(exchange.fallback(1) == .optionMissingOnThirdAck)
    #expect(pair.happened(0) { $0 == .fellBack(.optionMissingOnData) })
  }

  // Requirement 8684-3.7-08, 8684-3.7-09
  @Test func dataWithoutMappingAtTheStartMakesItTCP() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.initial.send([.ack, .psh], payload: octets(100))
    #expect(script.fallback == .optionMissingOnData)
    #expect(try script.endpoint.read(from: connection.id, upTo: 200, at: script.now)?.array == octets(100))
    // One infinite mapping, then no option any more.
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    let first = try #require(connection.initial.take())
    #expect(first.dss?.mapping?.length == 0)
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    connection.initial.send(.ack)
    let second = try #require(connection.initial.take { !$0.payload.isEmpty })
    #expect(second.multipath.isEmpty)
  }

  // Requirement 8684-3.3.1-27, 8684-3.7-05, 8684-3.7-08, 8684-3.7-09
  @Test func firstDataAcknowledgedWithoutDSSMakesItTCPAfterOneInfiniteMapping() throws {
    for isInitiator in [true, false] {
      let script = Script()
      let connection =
        try isInitiator
        ? ScriptedConnection.opened(by: script, options: lonely)
        : #require(try ScriptedConnection.accepted(by: script, options: lonely))
      _ = script.takeAll()
      _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
      _ = try #require(connection.initial.take { !$0.payload.isEmpty })
      connection.initial.send(.ack)
      #expect(script.fallback == .optionMissingOnData)
      _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
      let next = try #require(connection.initial.take { !$0.payload.isEmpty })
      #expect(next.dss?.mapping?.length == 0)
      #expect(next.dss?.mapping?.subflowSequenceNumber == 1)
      #expect(connection.mapped(by: next) == 1)
    }
  }

  /// Who does not know that we fell back repeats its data under other subflow sequence numbers when no DATA_ACK comes:
  /// to plain TCP that would be more data.
  @Test func dataThatIsMappedAnewAfterAFallbackIsNotTakenTwice() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    script.drain()
    while connection.initial.take() != nil {}
    connection.initial.send(.ack)
    #expect(script.endpoint.description(of: connection.id)?.fallback == .optionMissingOnData)
    connection.send(octets(50), at: 1)
    // The same segment again is nothing new.
    connection.initial.send(
      [.ack, .psh], at: connection.initial.sent - 50,
      [connection.mapping(at: 1, subflowOffset: connection.initial.sent - 50, octets(50))], payload: octets(50))
    #expect(try connection.readAll() == octets(50) && script.closeReason == nil)
    connection.send(octets(50), at: 1)
    #expect(script.closeReason == .protocolError)
    #expect(script.take(where: \.isReset) != nil)
  }

  // Requirement 8684-3.7-05
  @Test func bytesThatWereDroppedForWantOfAMappingLeaveNoHoleInPlainTCP() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.send(octets(10), at: 1)
    // These lose their mapping on the way; what follows has one, so they never will.
    connection.initial.send([.ack, .psh], payload: octets(10))
    connection.send(octets(10), at: 21)
    _ = script.takeAll()
    // Our first data is acknowledged without a DATA_ACK: plain TCP could not go on from here.
    _ = try script.endpoint.write(ByteSlice(octets(5)), to: connection.id, at: script.now)
    _ = try #require(connection.initial.take { !$0.payload.isEmpty })
    connection.initial.send(.ack)
    connection.initial.send([.ack, .psh], payload: octets(7))
    script.pass(.milliseconds(1))
    var read = 0
    while let slice = try? script.endpoint.read(from: connection.id, upTo: 100, at: script.now), !slice.isEmpty {
      read += slice.count
    }
    #expect(read == 10)
    #expect(script.fallback == nil)
  }

  // Requirement 8684-3.7-05
  @Test func aPeerThatFellBackWhileAJoinWasUnderWayGetsNoByteTwice() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script)
    // Its first data confirms the keys, so a join goes out, and is answered before the peer falls back.
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    _ = try #require(connection.initial.take { !$0.payload.isEmpty })
    connection.initial.expected = 1
    connection.send(octets(5), at: 1)
    let syn = try #require(script.take(where: \.isSyn))
    let join = try #require(connection.answerJoin(syn))
    script.pass(.milliseconds(1))
    join.send(.rst)
    // The join is gone, and from here on the peer speaks plain TCP: our data is acknowledged without a DATA_ACK.
    connection.initial.expected = 11
    connection.initial.send(.ack)
    _ = script.takeAll()
    script.pass(.seconds(20))
    let sent = script.takeAll()
    #expect(!sent.contains { $0.source == connection.initial.remote.address && !$0.payload.isEmpty && !$0.isReset })
  }

  // Requirement 8684-3.3.1-27
  @Test func anInfiniteMappingIsTakenAndAnswered() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.send(octets(100), at: 1)
    connection.initial.send(
      [.ack, .psh],
      [
        .dss(
          DSS(
            mapping: DSSMapping(
              dsn: .eight(connection.number(101).rawValue), subflowSequenceNumber: 101, length: 0)))
      ],
      payload: octets(50, from: 100))
    #expect(script.fallback == .infiniteMapping)
    connection.initial.send([.ack, .psh], payload: octets(50, from: 150))
    var got: [UInt8] = []
    while let slice = try script.endpoint.read(from: connection.id, upTo: 500, at: script.now), !slice.isEmpty {
      got += slice.array
    }
    #expect(got == octets(200))
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    #expect(connection.initial.take { !$0.payload.isEmpty }?.dss?.mapping?.length == 0)
    // A FIN ends it, as TCP has it.
    connection.initial.send([.fin, .ack])
    #expect(try script.endpoint.read(from: connection.id, upTo: 500, at: script.now)?.isEmpty == true)
    script.endpoint.finish(connection.id, at: script.now)
    let fin = try #require(connection.initial.take(where: \.isFin))
    #expect(fin.multipath.isEmpty)
    connection.initial.send(.ack)
    #expect(script.closeReason == .finished)
  }

  /// It goes with the first data that it is about (RFC 8684 §3.7), and a mapping touches the segment that carries it.
  // Requirement 8684-3.3.1-25, 8684-3.3.1-27, 8684-3.7-19
  @Test(arguments: [0, 1, 11, 12])
  func aMappingOfNothingOnAnAcknowledgementSaysNothing(subflowOffset: Int) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(connection.initial.take { !$0.payload.isEmpty })
    connection.initial.send(
      .ack,
      [
        .dss(
          DSS(
            dataAck: .eight(connection.engineNumber(101).rawValue),
            mapping: DSSMapping(
              dsn: .eight(connection.number(11).rawValue), subflowSequenceNumber: UInt32(subflowOffset), length: 0)))
      ])
    #expect(script.fallback == nil)
    let known = try #require(script.endpoint.description(of: connection.id))
    #expect(known.subflows.count == 1 && known.acknowledgedByteCount == 100)
    connection.send(octets(10, from: 10), at: 11)
    #expect(try connection.readAll() == octets(10, from: 10))
    #expect(connection.acknowledged(by: try #require(connection.initial.take())) == 21)
  }

  /// Joins that are under way have nothing to join any more.
  // Requirement 8684-3.7-27
  @Test(arguments: [false, true])
  func anInfiniteMappingEndsTheJoinsUnderWay(isOurs: Bool) throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script, options: isOurs ? ConnectionOptions() : lonely)
    connection.initial.send(.ack, [connection.dataAck(1)])
    let joining = ScriptedSubflow(
      script, path: 1, local: TransportAddress(Pair.address(1, 1, .v4), 4001),
      remote: TransportAddress(Pair.address(1, 0, .v4), connection.initial.remote.port))
    if !isOurs {
      joining.send(
        .syn, [.join(.syn(backup: false, addressID: AddressID(3), token: connection.engineKey.token(), nonce: 1))])
    }
    let first = try #require(script.take { $0.path == 1 })
    #expect(first.join != nil && first.isSyn == isOurs && first.isSynAck == !isOurs)
    connection.initial.send(
      [.ack, .psh],
      [
        .dss(
          DSS(mapping: DSSMapping(dsn: .eight(connection.number(1).rawValue), subflowSequenceNumber: 1, length: 0)))
      ], payload: octets(50))
    #expect(script.fallback == .infiniteMapping)
    #expect(try connection.readAll() == octets(50))
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 1)
    let last = script.takeAll().filter { $0.path == 1 }
    #expect(last.count == 1 && last.allSatisfy(\.isReset))
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    #expect(try #require(connection.initial.take { !$0.payload.isEmpty }).payload == octets(100))
    connection.initial.send(.ack)
    script.pass(.seconds(60))
    #expect(script.takeAll().allSatisfy { $0.path == 0 && $0.multipath.isEmpty })
    #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == 100)
  }

  @Test func anInfiniteMappingBesideOtherSubflowsResetsItsOwn() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.send(octets(100), at: 1)
    let second = try #require(connection.join())
    second.send(
      [.ack, .psh],
      [
        .dss(
          DSS(
            mapping: DSSMapping(dsn: .eight(connection.number(101).rawValue), subflowSequenceNumber: 1, length: 0)))
      ],
      payload: octets(50, from: 100))
    #expect(script.take(where: \.isReset) != nil)
    #expect(script.endpoint.description(of: connection.id)?.isMultipath == true)
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 1)
  }

  // Requirement 8684-3.7-28
  @Test func afterFallbackJoinsFindNoToken() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.initial.send([.ack, .psh], payload: octets(100))
    _ = script.takeAll()
    #expect(connection.join() == nil)
    #expect(script.endpoint.statistics.unknownTokens == 1)
  }

  // Requirement 8684-3.1-54
  @Test func unansweredSynsAreRepeatedWithoutTheOption() throws {
    let pair = Pair([quick])
    let exchange = try Exchange(pair, clientSends: 10_000, serverSends: 10_000)
    pair.middlebox { _, packet in !(packet.isSyn && packet.capable != nil) }
    exchange.expectWhole(isMultipath: false)
    #expect(exchange.fallback(0) == .synsLost)
  }
}
