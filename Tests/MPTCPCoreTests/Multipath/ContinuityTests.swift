import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Plain TCP may go on only where both streams ran on one subflow, each octet once (RFC 8684 §3.7).
@Suite struct ContinuityTests {
  private func infinite(_ connection: ScriptedConnection, dsn: Int, ssn: Int) -> MultipathOption {
    .dss(
      DSS(
        mapping: DSSMapping(
          dsn: .eight(connection.number(dsn).rawValue), subflowSequenceNumber: UInt32(ssn), length: 0,
          checksum: connection.usesChecksum ? 0 : nil)))
  }

  // Requirement 8684-3.7-21, 8684-3.7-23
  @Test func mpFailAfterAJoinResetsWithMPFailAndWhatWasNotDataAcknowledgedGoesOverTheNextSubflow() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    let second = try #require(connection.join())
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    second.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(second.take { !$0.payload.isEmpty })
    second.send([.rst, .ack])
    _ = try #require(connection.initial.take { !$0.payload.isEmpty })
    connection.initial.send(.ack, ack: 1, [.fail(MPFail(dsn: connection.engineNumber(1).rawValue))])
    let reset = try #require(connection.initial.take(where: \.isReset))
    #expect(reset.fail?.dsn == connection.number(11).rawValue)
    #expect(reset.resetReason == .middleboxInterference)
    #expect(script.fallback == nil)
    #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == 0)
    let third = try #require(connection.join(port: 4100))
    third.send(.ack, [connection.dataAck(1)])
    let again = try #require(third.take { !$0.payload.isEmpty })
    #expect(again.payload == octets(100))
    #expect(connection.mapped(by: again) == 1)
  }

  // Requirement 8684-3.7-12, 8684-3.7-16, 8684-3.7-21
  @Test func aWrongChecksumAfterAJoinResetsWithMPFailAlsoOnTheOnlySubflowLeft() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    let second = try #require(connection.join())
    second.send([.rst, .ack])
    _ = script.takeAll()
    connection.initial.send(
      [.ack, .psh], [connection.mapping(at: 11, subflowOffset: 11, octets(10, from: 10), isWrong: true)],
      payload: octets(10, from: 10))
    let reset = try #require(connection.initial.take(where: \.isReset))
    #expect(reset.fail?.dsn == connection.number(11).rawValue)
    #expect(reset.resetReason == .middleboxInterference)
    #expect(script.fallback == nil)
    // The failed data is not DATA_ACKed and comes again on another subflow.
    #expect(script.endpoint.readableByteCount(connection.id) == 0)
    let third = try #require(connection.join(port: 4100))
    connection.send(octets(10, from: 10), at: 11, on: third)
    #expect(try connection.readAll() == octets(10, from: 10))
  }

  @Test func anInfiniteMappingAfterAJoinResets() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    second.send([.rst, .ack])
    _ = script.takeAll()
    connection.initial.send([.ack, .psh], [infinite(connection, dsn: 11, ssn: 11)], payload: octets(10))
    #expect(connection.initial.take(where: \.isReset) != nil)
    #expect(script.fallback == nil)
  }

  // Requirement 8684-3.7-21
  @Test func aWrongChecksumAfterDataThatCameTwiceResets() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    connection.initial.send(
      [.ack, .psh], [connection.mapping(at: 1, subflowOffset: 11, octets(10))], payload: octets(10))
    connection.initial.send(
      [.ack, .psh], [connection.mapping(at: 11, subflowOffset: 21, octets(10), isWrong: true)], payload: octets(10))
    #expect(connection.initial.take(where: \.isReset)?.fail?.dsn == connection.number(11).rawValue)
    #expect(script.fallback == nil)
  }

  // Requirement 8684-3.3.2-07, 8684-3.3.6-04
  @Test func anInfiniteMappingAfterDataThatWeSentTwiceResets() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    _ = try #require(connection.initial.take { !$0.payload.isEmpty })
    // The subflow has it, the connection does not.
    connection.initial.send(.ack, [connection.dataAck(1)])
    script.pass(.seconds(1))
    let again = try #require(connection.initial.take { !$0.payload.isEmpty })
    #expect(connection.initial.offset(of: again) == 11)
    #expect(connection.mapped(by: again) == 1)
    connection.initial.send([.ack, .psh], [infinite(connection, dsn: 11, ssn: 11)], payload: octets(10))
    #expect(connection.initial.take(where: \.isReset) != nil)
    #expect(script.fallback == nil)
  }

  @Test func aPeerThatMapsOldDataAnewAfterOurMPFailIsReset() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    connection.initial.send(
      [.ack, .psh], [connection.mapping(at: 11, subflowOffset: 11, octets(10, from: 10), isWrong: true)],
      payload: octets(10, from: 10))
    #expect(try #require(connection.initial.take()).fail != nil)
    #expect(script.fallback == .checksumFailed)
    // It has never heard of the failure, and repeats what was not DATA_ACKed.
    connection.initial.send(
      [.ack, .psh], [connection.mapping(at: 11, subflowOffset: 21, octets(10, from: 10))], payload: octets(10, from: 10)
    )
    #expect(try #require(connection.initial.take(where: \.isReset)).fail?.dsn == connection.number(11).rawValue)
    #expect(script.closeReason == .protocolError)
    #expect(try script.endpoint.read(from: connection.id, upTo: 100, at: script.now)?.count == 10)
  }

  // Requirement 8684-3.7-19
  @Test func ourInfiniteMappingBeginsWhereThePeerLastDataAcknowledged() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    for _ in 0..<2 {
      _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
      _ = try #require(connection.initial.take { !$0.payload.isEmpty })
      if connection.initial.expected == 101 { connection.initial.send(.ack, [connection.dataAck(101)]) }
    }
    connection.initial.send(.ack, [.fail(MPFail(dsn: connection.engineNumber(101).rawValue))])
    #expect(script.fallback == .peerSignalledFailure)
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    let next = try #require(connection.initial.take { !$0.payload.isEmpty })
    #expect(connection.initial.offset(of: next) == 201)
    #expect(next.dss?.mapping?.length == 0)
    #expect(next.dss?.mapping?.subflowSequenceNumber == 101)
    #expect(connection.mapped(by: next) == 101)
  }

  @Test func firstDataIsNotRepeatedUnderNewNumbersWhereOnlyAcknowledgementsWithSACKCome() throws {
    let script = Script()
    var options = lonely
    options.noDelay = true
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: options))
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(4000)), to: connection.id, at: script.now)
    let first = try #require(connection.initial.take { !$0.payload.isEmpty })
    let second = try #require(connection.initial.take { !$0.payload.isEmpty })
    let third = try #require(connection.initial.take { !$0.payload.isEmpty })
    var blocks = SACKBlocks()
    _ = blocks.append(SACKBlock(left: third.tcp.sequenceNumber, right: third.tcp.sequenceNumber + third.payload.count))
    connection.initial.send(.ack, ack: connection.initial.offset(of: second), plain: [.sack(blocks)])
    #expect(script.fallback == nil)
    #expect(first.payload.count > 1000)
    script.pass(.seconds(5))
    #expect(script.fallback == .optionMissingOnData)
    #expect(script.takeAll().allSatisfy { connection.initial.offset(of: $0) + $0.payload.count <= 4001 })
  }

  // MARK: The end

  @Test func aFallbackAfterTheFINEndsTheStream() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    connection.initial.send([.ack, .fin], [connection.dataAck(1)])
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(connection.initial.take { !$0.payload.isEmpty })
    #expect(try script.endpoint.read(from: connection.id, upTo: 100, at: script.now) == nil)
    connection.initial.send(.ack, [.fail(MPFail(dsn: connection.engineNumber(1).rawValue))])
    #expect(script.fallback == .peerSignalledFailure)
    #expect(try script.endpoint.read(from: connection.id, upTo: 100, at: script.now)?.isEmpty == true)
  }

  @Test func aMappingThatComesAfterTheFINPlacesItsDataRight() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send(.ack, payload: octets(10, from: 10))
    connection.initial.send([.ack, .fin])
    connection.initial.send(.ack, [connection.mapping(at: 11, subflowOffset: 11, octets(10))])
    #expect(try connection.readAll() == octets(10, from: 10))
    connection.initial.send(.ack, [connection.dataFin(at: 21)])
    #expect(try script.endpoint.read(from: connection.id, upTo: 100, at: script.now)?.isEmpty == true)
  }

  @Test func nothingFollowsADataFINAfterAFallback() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send(.ack, [connection.dataFin(at: 11)])
    #expect(try script.endpoint.read(from: connection.id, upTo: 100, at: script.now)?.isEmpty == true)
    connection.initial.send([.ack, .psh], [infinite(connection, dsn: 12, ssn: 11)], payload: octets(10))
    connection.initial.send([.ack, .psh], payload: octets(10))
    #expect(script.endpoint.readableByteCount(connection.id) == 0)
    #expect(script.closeReason == nil)
  }
}
