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

  // Requirement 8684-3.7-21, 8684-3.7-23, 8684-3.7-24
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
    // No infinite mapping: one of this data, under a checksum.
    #expect(again.dss?.mapping?.length == 100 && again.dss?.mapping?.checksum != nil)
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

  /// MP_FAIL names a number in the midst of what we have sent: whatever the subflow has acknowledged behind it counts
  /// for nothing, and goes over the next one.
  // Requirement 8684-3.7-15
  @Test func whatFollowsTheNumberOfAnMPFailIsSentAgain() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    let second = try #require(connection.join())
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    second.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(6000)), to: connection.id, at: script.now)
    let sent = script.takeAll().filter { $0.path == 1 && !$0.payload.isEmpty }
    #expect(sent.count > 3)
    for packet in sent { second.note(packet) }
    let edge = sent[0].payload.count + 1
    // All of it is here on the subflow, the first segment whole; the second is not what was sent.
    second.send(.ack, [connection.dataAck(edge)])
    #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == edge - 1)
    second.send([.rst, .ack], [.fail(MPFail(dsn: connection.engineNumber(edge).rawValue))])
    var again = Array(repeating: false, count: 6001)
    for _ in 0..<100 {
      for packet in script.takeAll() where packet.path == 0 && !packet.payload.isEmpty {
        connection.initial.note(packet)
        let start = try #require(connection.mapped(by: packet))
        #expect(packet.payload == octets(packet.payload.count, from: start - 1))
        for offset in start..<(start + packet.payload.count) { again[offset] = true }
      }
      connection.initial.send(.ack, [connection.dataAck(edge)])
      script.pass(.milliseconds(100))
    }
    // What was never sent waits for the DATA_ACK of a part of a segment.
    let end = 1 + sent.reduce(0) { $0 + $1.payload.count }
    #expect(again[edge..<end].allSatisfy { $0 })
    #expect(!again[..<edge].contains(true))
    #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == edge - 1)
  }

  /// On the only subflow, in data that is not contiguous: what was held behind the failed data goes with it.
  // Requirement 8684-3.7-22
  @Test func whatWaitsBehindTheNumberOfOurMPFailIsDiscarded() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    let second = try #require(connection.join())
    // Twenty octets that wait for the ten before them came over a subflow that is gone.
    connection.send(octets(20, from: 30), at: 21, on: second)
    second.send([.rst, .ack])
    connection.initial.send(
      [.ack, .psh], [connection.mapping(at: 11, subflowOffset: 11, octets(10, from: 10), isWrong: true)],
      payload: octets(10, from: 10))
    #expect(connection.initial.take(where: \.isReset)?.fail?.dsn == connection.number(11).rawValue)
    let third = try #require(connection.join(port: 4100))
    connection.send(octets(10, from: 10), at: 11, on: third)
    #expect(try connection.readAll() == octets(10, from: 10))
    #expect(connection.acknowledged(by: try #require(script.takeAll().last { $0.dss?.dataAck != nil })) == 21)
    connection.send(octets(20, from: 30), at: 21, on: third)
    #expect(try connection.readAll() == octets(20, from: 30))
  }
}
