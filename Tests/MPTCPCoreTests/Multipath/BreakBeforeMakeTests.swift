import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// A connection outlives its subflows for a while (RFC 8684 §3.3.3, §3.5), and another one from either side revives it.
@Suite struct BreakBeforeMakeTests {
  enum Role: CaseIterable, Sendable {
    case initiator
    case listener
  }
  enum Death: CaseIterable, Sendable {
    case reset
    case fin
  }

  /// A connection whose only subflow has just ended; ten octets of ours were not DATA_ACKed.
  private func broken(
    _ script: Script, _ role: Role, _ death: Death, options: ConnectionOptions = lonely
  ) throws -> ScriptedConnection {
    let connection: ScriptedConnection
    switch role {
    case .initiator:
      connection = try ScriptedConnection.opened(by: script, options: options)
      connection.send(octets(10), at: 1, ack: 1)
      #expect(try connection.readAll() == octets(10))
    case .listener: connection = try ScriptedConnection.established(by: script, options: options)
    }
    connection.initial.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    _ = try #require(connection.initial.take { !$0.payload.isEmpty })
    switch death {
    case .reset: connection.initial.send([.rst, .ack])
    case .fin:
      // The subflow has all octets and ends in peace; the connection has said nothing of them.
      connection.initial.send([.ack, .fin], [connection.dataAck(1)])
      let engine = try #require(script.endpoint.connection(connection.id))
      engine.subflows[0].requestFin(now: script.now)
      _ = try #require(connection.initial.take { $0.isFin })
      connection.initial.send(.ack, [connection.dataAck(1)])
    }
    #expect(script.endpoint.description(of: connection.id)?.subflows.isEmpty == true)
    #expect(script.closeReason == nil)
    _ = script.takeAll()
    return connection
  }

  /// Data goes on in both directions where it was, on `subflow`.
  private func goesOn(_ connection: ScriptedConnection, on subflow: ScriptedSubflow) throws {
    let script = connection.script
    subflow.send(.ack, [connection.dataAck(1)])
    script.pass(.milliseconds(500))
    let again = try #require(subflow.take { !$0.payload.isEmpty })
    #expect(again.payload == octets(10))
    #expect(connection.mapped(by: again) == 1)
    subflow.send(.ack, [connection.dataAck(11)])
    connection.send(octets(10, from: 10), at: 11, on: subflow)
    #expect(try connection.readAll() == octets(10, from: 10))
    #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == 10)
    // Nothing is left of the time that it had.
    script.pass(.seconds(200))
    #expect(script.closeReason == nil)
  }

  // Requirement 8684-3.3.3-14, 8684-3.5-01
  @Test(arguments: Role.allCases, Death.allCases)
  func aJoinOfThePeerRevivesIt(role: Role, death: Death) throws {
    let script = Script()
    let connection = try broken(script, role, death)
    script.pass(.seconds(50))
    #expect(script.closeReason == nil)
    try goesOn(connection, on: try #require(connection.join()))
  }

  // Requirement 8684-3.3.3-14, 8684-3.5-01
  @Test(arguments: Role.allCases, Death.allCases)
  func aJoinOfOursRevivesIt(role: Role, death: Death) throws {
    let script = Script()
    let connection = try broken(script, role, death)
    script.pass(.seconds(50))
    _ = try script.endpoint.openSubflow(
      connection.id, on: PathID(1), to: TransportAddress(Pair.address(1, 1, .v4), 80), at: script.now)
    let syn = try #require(script.take { $0.isSyn })
    try goesOn(connection, on: try #require(connection.answerJoin(syn)))
  }

  // Requirement 8684-3.3.3-14
  @Test(arguments: [1, 5, 300] as [Int64])
  func itWaitsAsLongAsIsConfigured(seconds: Int64) throws {
    let script = Script()
    var options = lonely
    options.breakBeforeMakeTimeout = .seconds(seconds)
    _ = try broken(script, .listener, .reset, options: options)
    script.pass(.seconds(seconds) - .milliseconds(10))
    #expect(script.closeReason == nil)
    script.pass(.milliseconds(20))
    #expect(script.closeReason == .noSubflows)
    #expect(script.endpoint.nextDeadline == nil)
  }

  /// Whole transfers over two paths that are both taken away and come back a while later.
  @Test(arguments: [1, 2, 3])
  func transfersGoOnAfterAllPathsWereGone(seed: UInt64) throws {
    let pair = Pair([quick, slow], seed: seed)
    let exchange = try Exchange(pair, clientSends: 800_000, serverSends: 800_000)
    pair.run(for: .milliseconds(250))
    for path in pair.endpoints[0].pathConfigurations { pair.endpoints[0].removePath(path.id, at: pair.now) }
    // The listener's subflows hear RSTs for what they still send.
    pair.run(for: .seconds(5))
    #expect(exchange.closed == [nil, nil])
    for index in 0..<2 {
      let path = pair.endpoints[0].addPath(
        PathConfiguration(
          name: "again\(index)", addresses: [IPPrefix(Pair.address(index, 0, .v4), length: 24)],
          offersChecksumOffload: true, offersSegmentationOffload: true), at: pair.now)
      pair.aliases[path] = index
    }
    exchange.expectWhole(within: .seconds(120), isMultipath: true)
  }
}
