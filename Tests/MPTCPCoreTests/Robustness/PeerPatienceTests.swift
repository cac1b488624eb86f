import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// What a peer may do to keep a host's memory, time or data, and what the host does about it.
@Suite struct PeerPatienceTests {
  @Test func anInfiniteMappingThatLeavesAHoleResets() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send(
      [.ack, .psh],
      [
        .dss(
          DSS(
            mapping: DSSMapping(
              dsn: .eight(connection.number(1011).rawValue), subflowSequenceNumber: 11, length: 0)))
      ], payload: octets(50))
    #expect(connection.initial.take(where: \.isReset) != nil)
    #expect(script.fallback == nil)
  }

  // Requirement 9293-3.6-03
  @Test func nothingIsTakenBehindAFin() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    puppet.sendNext([1, 2, 3], [.ack, .psh, .fin])
    for _ in 0..<20 { puppet.sendNext([UInt8](repeating: 9, count: 1000)) }
    #expect(puppet.read() == [1, 2, 3])
    for case let connection? in puppet.endpoint.connectionSlots {
      #expect(connection.reassembly.byteCount == 0)
      #expect(connection.receiveQueue.byteCount == 0)
    }
    #expect(puppet.state == .closeWait)
  }

  @Test func whatLiesBehindAFinThatWaitsForAGapIsCut() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    puppet.send([.fin, .ack], offset: 5)
    puppet.send(offset: 3, payload: [4, 5, 6, 7])
    puppet.send(payload: [1, 2, 3])
    #expect(puppet.read() == [1, 2, 3, 4, 5])
    #expect(puppet.state == .closeWait)
  }

  // Requirement 8684-3.1-30
  @Test func underChecksumsAMappingMayComeAgainWithTheDataFin() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    let payload = octets(1000)
    connection.initial.send(
      .ack, [connection.mapping(at: 11, subflowOffset: 11, payload)], payload: Array(payload.prefix(500)))
    connection.initial.send(
      [.ack, .psh], [connection.mapping(at: 11, subflowOffset: 11, payload, fin: true)],
      payload: Array(payload.dropFirst(500)))
    #expect(try connection.readAll() == payload)
    #expect(try script.endpoint.read(from: connection.id, upTo: 10, at: script.now)?.isEmpty == true)
    #expect(connection.initial.take(where: \.isReset) == nil)
  }

  // Requirement 4987-3.6-01
  @Test func aFloodOfSYNsLeavesRoomInTheBacklog() throws {
    let puppet = try Puppet(backlog: 8)
    for port in 0..<1500 {
      puppet.theirs.port = Port(10_000 + UInt16(port))
      puppet.send([.syn], options: puppet.synOptions)
    }
    _ = puppet.take()
    puppet.theirs.port = 9000
    #expect(puppet.open())
    puppet.sendNext([1, 2, 3])
    #expect(puppet.read() == [1, 2, 3])
  }

  // Requirement 2018-8-01, 2018-8-02
  @Test func aReceiverThatThrowsAwayWhatItReportedGetsItAgain() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    let start = puppet.expected
    puppet.write(2000)
    let sent = puppet.takeData()
    #expect(sent.count == 2)
    let end = sent.reduce(0) { $0 + $1.payload.count }
    let first = sent[0].payload.count
    var blocks = SACKBlocks()
    _ = blocks.append(SACKBlock(left: start + first, right: start + end))
    puppet.expected = start
    puppet.send(options: [.sack(blocks)])
    puppet.wait(.milliseconds(500))
    _ = puppet.takeData()
    // The first is here now, and the second has been thrown away.
    puppet.expected = start + first
    puppet.send()
    puppet.wait(.seconds(3))
    #expect(puppet.takeData().contains { $0.tcp.sequenceNumber == start + first && $0.payload.count == end - first })
  }

  // Requirement 9293-3.4-02
  @Test(arguments: [TCPFlags.ack, []])
  func anAcknowledgementInAnAncientSegmentIsNotBelieved(flags: TCPFlags) throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    puppet.sendNext([1])
    puppet.write(1000)
    _ = puppet.take()
    puppet.send(flags, offset: -1_000_000_000, acknowledging: 1000, payload: [7])
    puppet.wait(.seconds(2))
    // Still unacknowledged, so it is sent again.
    #expect(!puppet.takeData().isEmpty)
  }

  @Test func whatWasWrittenBeforeCloseArrivesHoweverLongItTakes() throws {
    // 40 kbit/s: 600 kB take two minutes.
    let link = LinkConfiguration(bitsPerSecond: 40_000, delay: .milliseconds(20), queueByteCount: 20_000)
    let pair = Pair([link])
    let exchange = try Exchange(pair, clientSends: 500_000, serverSends: 0, options: lonely)
    #expect(pair.run(for: .seconds(200)) { exchange.sent[0] == 500_000 })
    let id = try #require(exchange.ids[0])
    exchange.finished[0] = true
    pair.endpoints[0].close(id, at: pair.now)
    pair.run(for: .seconds(400)) { exchange.received[1] == 500_000 && exchange.ended[1] }
    #expect(exchange.received[1] == 500_000)
    #expect(exchange.mismatch == nil)
  }

  // Requirement 8684-3.3.3-14
  @Test func aFinWithoutADataFinOnTheOnlySubflowEndsTheConnectionInTime() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send([.fin, .ack])
    script.pass(.seconds(30))
    #expect(script.closeReason == nil)
    script.pass(.seconds(40))
    #expect(script.closeReason == .noSubflows)
  }

  @Test func aPeerThatAcknowledgesAndNeverTakesTheDataIsGivenUp() throws {
    let script = Script()
    var options = lonely
    options.userTimeout = .seconds(30)
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: options))
    connection.send(octets(10), at: 1)
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    for _ in 0..<300 {
      script.pass(.milliseconds(500))
      while connection.initial.take(where: { !$0.payload.isEmpty }) != nil {}
      connection.initial.send(.ack, [connection.dataAck(1)])
    }
    #expect(script.closeReason == .timedOut)
  }

  @Test func octetsThatComeOneByOneFromTheBackTakeBoundedMemory() throws {
    let puppet = try Puppet()
    puppet.windowScale = 7
    #expect(puppet.open())
    for offset in stride(from: 40_000, to: 10, by: -1) { puppet.send(offset: offset, payload: [1]) }
    let connection = try #require(puppet.endpoint.connectionSlots.compactMap { $0 }.first)
    let queue = connection.subflows[0].reassembly
    #expect(queue.pieceCount == Limits.pieces)
    #expect(queue.memoryByteCount < 2 << 20)
  }

  @Test func sackOnPlainDataLeavesTheSegmentItsSize() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    puppet.send(offset: 100, payload: [1, 2, 3])
    _ = puppet.take()
    puppet.write(20_000)
    for segment in puppet.takeData() {
      #expect(segment.ip.totalByteCount <= 1500)
    }
  }
}
