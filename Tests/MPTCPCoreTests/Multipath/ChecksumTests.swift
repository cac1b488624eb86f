import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Middleboxes that change payload under DSS checksums, MP_FAIL, and what follows (RFC 8684 §3.7).
@Suite struct ChecksumTests {
  private var checked: ConnectionOptions {
    var options = ConnectionOptions()
    options.checksum = true
    return options
  }

  private var lonelyChecked: ConnectionOptions {
    var options = lonely
    options.checksum = true
    return options
  }

  // Requirement 8684-3.7-12, 8684-3.7-13, 8684-3.7-14, 8684-3.7-16
  @Test func besideAnotherSubflowAWrongChecksumResetsWithMPFailAndTheDataIsNotTaken() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    let second = try #require(connection.join())
    _ = script.takeAll()
    second.send(
      [.ack, .psh], [connection.mapping(at: 11, subflowOffset: 1, octets(10, from: 10), isWrong: true)],
      payload: octets(10, from: 10))
    let reset = try #require(second.take(where: \.isReset))
    #expect(reset.fail?.dsn == connection.number(11).rawValue)
    #expect(reset.resetReason == .middleboxInterference)
    #expect(script.endpoint.readableByteCount(connection.id) == 0)
    connection.send(octets(10, from: 10), at: 11)
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 21)
    #expect(script.endpoint.description(of: connection.id)?.isMultipath == true)
  }

  // Requirement 8684-3.7-18, 8684-3.7-26, 6824-3.6-03
  @Test(arguments: [MPTCPVersion.v0, .v1])
  func onTheOnlySubflowAWrongChecksumIsSignalledByMPFailUntilThePeerUnderstands(version: MPTCPVersion) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true, version: version)
    connection.initial.send(
      [.ack, .psh], [connection.mapping(at: 11, subflowOffset: 11, octets(10, from: 10), isWrong: true)],
      payload: octets(10, from: 10))
    let answer = try #require(connection.initial.take())
    #expect(answer.fail?.dsn == connection.number(11).rawValue)
    #expect(answer.dss == nil)
    #expect(script.fallback == .checksumFailed)
    // The ACK was lost for all we know: the next one says it again.
    connection.send(octets(10, from: 20), at: 21)
    #expect(try #require(connection.initial.take()).fail != nil)
    // The infinite mapping shows that it was understood.
    connection.initial.send(
      [.ack, .psh],
      [
        .dss(
          DSS(
            mapping: DSSMapping(
              dsn: .eight(connection.number(31).rawValue), subflowSequenceNumber: 31, length: 0, checksum: 0)))
      ],
      payload: octets(10, from: 30))
    #expect(try #require(connection.initial.take()).multipath.isEmpty)
    var got: [UInt8] = []
    while let slice = try script.endpoint.read(from: connection.id, upTo: 100, at: script.now) { got += slice.array }
    #expect(got == octets(30, from: 10))
  }

  // Requirement 8684-3.7-19, 8684-3.7-20, 8684-3.7-25
  @Test func mpFailOnTheOnlySubflowIsAnsweredAndMakesItTCP() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(connection.initial.take { !$0.payload.isEmpty })
    connection.initial.send(.ack, [.fail(MPFail(dsn: connection.engineNumber(1).rawValue))])
    #expect(script.fallback == .peerSignalledFailure)
    #expect(try #require(connection.initial.take { $0.payload.isEmpty }).fail != nil)
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    let next = try #require(connection.initial.take { !$0.payload.isEmpty })
    #expect(next.dss?.mapping?.length == 0)
    // Nothing is known to have arrived intact: it acts back to the first octet.
    #expect(next.dss?.mapping?.subflowSequenceNumber == 1)
    #expect(connection.mapped(by: next) == 1)
    // A DATA_ACK says nothing any more, the subflow's own acknowledgment everything.
    let start = connection.initial.expected - 200
    connection.initial.send(.ack, ack: start + 100, [connection.dataAck(201)])
    #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == 100)
    connection.initial.send(.ack, ack: start + 150)
    #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == 150)
    connection.initial.send(.ack)
    #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == 200)
    // The peer's own data may still be mapped until it, too, sends an infinite mapping.
    connection.send(octets(10, from: 10), at: 11)
    #expect(try script.endpoint.read(from: connection.id, upTo: 100, at: script.now)?.array == octets(10, from: 10))
  }

  // Requirement 8684-3.7-17
  @Test func mpFailWithARSTEndsItsSubflowAndTheDataGoesOverTheOthers() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    let second = try #require(connection.join())
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    second.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(second.take { !$0.payload.isEmpty })
    second.send(
      [.rst, .ack],
      [
        .fail(MPFail(dsn: connection.engineNumber(1).rawValue)),
        .reset(MPTCPReset(transient: true, reason: .middleboxInterference)),
      ])
    let again = try #require(connection.initial.take { !$0.payload.isEmpty })
    #expect(again.payload == octets(100))
    #expect(connection.mapped(by: again) == 1)
    #expect(script.endpoint.description(of: connection.id)?.isMultipath == true)
    #expect(
      script.connectionEvents.contains {
        if case .subflowClosed(_, .resetByPeer(ResetReasonCode(6), isTransient: _)) = $0 { true } else { false }
      })
  }

  // Requirement 8684-3.3.3-05
  @Test func aWrongChecksumOnADataFinAloneIsDropped() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    connection.initial.send(
      .ack, [connection.mapping(at: 11, subflowOffset: 0, [], fin: true, isWrong: true)])
    #expect(script.endpoint.statistics.badDataChecksums == 1)
    connection.initial.send(.ack, [connection.dataFin(at: 11)])
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 12)
  }

  // Requirement 8684-3.7-12, 8684-3.7-17
  @Test(arguments: [1, 2, 3, 4])
  func overTwoPathsAMiddleboxThatChangesBytesOnOneHarmsNoByte(seed: UInt64) throws {
    let pair = Pair([quick, quick], seed: seed)
    let exchange = try Exchange(pair, clientSends: 600_000, serverSends: 600_000, options: checked)
    exchange.runUntilJoined(2)
    pair.middlebox { _, packet in
      guard packet.path == 1, packet.payload.count > 700 else { return true }
      packet.payload[packet.payload.count / 2] ^= 0x40
      return true
    }
    exchange.expectWhole(isMultipath: true)
    #expect(pair.endpoints[0].statistics.badDataChecksums + pair.endpoints[1].statistics.badDataChecksums > 0)
    #expect(exchange.fallback(0) == nil)
  }

  // Requirement 8684-3.7-18, 8684-3.7-20
  @Test(arguments: [0, 1], [0, 400])
  func onOnePathAMiddleboxThatReplacesBytesForcesTCPAndDataGoesOn(side: Int, hidden: Int) throws {
    // Like an FTP gateway: it rewrites a few bytes, of the same length, now and then. With `hidden`, the first answers
    // that say MP_FAIL are lost.
    let pair = Pair([quick])
    let exchange = try Exchange(pair, clientSends: 400_000, serverSends: 400_000, options: lonelyChecked)
    var touched = 0
    var lost = 0
    pair.middlebox { from, packet in
      if packet.fail != nil, lost < hidden / 100 {
        lost += 1
        return false
      }
      guard from == side, packet.payload.count > 700 else { return true }
      touched += 1
      if touched == 20 { packet.payload[300] ^= 1 }
      return true
    }
    #expect(pair.run(for: .seconds(60)) { exchange.isDone })
    // One byte is what the middlebox made of it; the streams are of the right length.
    #expect(exchange.received == [400_000, 400_000])
    #expect(exchange.mismatch?.hasPrefix("side \(1 - side) at byte") == true)
    #expect(exchange.closed == [.finished, .finished])
    #expect(pair.happened(1 - side) { $0 == .fellBack(.checksumFailed) })
    #expect(pair.happened(side) { $0 == .fellBack(.peerSignalledFailure) || $0 == .fellBack(.infiniteMapping) })
  }
}
