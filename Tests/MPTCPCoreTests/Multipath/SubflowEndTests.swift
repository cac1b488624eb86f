import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Subflows that end while the connection goes on, and what the full mesh makes of it.
@Suite struct SubflowEndTests {
  /// A connection of the engine's with a second subflow on path 1.
  private func opened(
    _ script: Script, _ options: ConnectionOptions = ConnectionOptions()
  ) throws -> (ScriptedConnection, ScriptedSubflow) {
    let connection = try ScriptedConnection.opened(by: script, options: options)
    connection.initial.send(.ack, [connection.dataAck(1)])
    let syn = try #require(script.take { $0.isSyn && $0.path == 1 })
    let second = try #require(connection.answerJoin(syn))
    second.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    return (connection, second)
  }

  // Requirement 8684-3.4.2-12
  @Test func aSubflowThatTheApplicationClosedIsNotOpenedAgain() throws {
    let script = Script()
    let (connection, second) = try opened(script)
    try script.endpoint.closeSubflow(connection.id, SubflowID(1), at: script.now)
    _ = try #require(second.take(where: \.isFin))
    // Something else happens while it closes.
    connection.initial.send(.ack, [connection.announcement(Pair.address(9, 1, .v6), id: AddressID(9))])
    second.send([.fin, .ack])
    script.pass(.seconds(30))
    #expect(!script.takeAll().contains { $0.isSyn })
    // The path changes: so may the mesh.
    script.endpoint.setPath(PathID(1), isUp: false, at: script.now)
    script.endpoint.setPath(PathID(1), isUp: true, at: script.now)
    #expect(script.takeAll().contains { $0.isSyn })
  }

  @Test func aSubflowThatThePeerClosedIsNotOpenedAgain() throws {
    let script = Script()
    let (_, second) = try opened(script)
    second.send([.fin, .ack])
    _ = try #require(second.take(where: \.isFin))
    script.endpoint.setPath(PathID(0), isUp: true, at: script.now)
    second.send(.ack)
    script.pass(.seconds(30))
    #expect(!script.takeAll().contains { $0.isSyn })
  }

  // Requirement 8684-3.6-07
  @Test func withoutAnySubflowARefusedJoinIsTriedAgain() throws {
    let script = Script()
    let (connection, second) = try opened(script)
    second.send([.rst, .ack], [.reset(MPTCPReset(transient: false, reason: .administrativelyProhibited))])
    script.pass(.seconds(30))
    #expect(!script.takeAll().contains { $0.isSyn && $0.path == 1 })
    connection.initial.send([.rst, .ack])
    script.pass(.seconds(20))
    #expect(script.takeAll().contains { $0.isSyn && $0.path == 1 })
    #expect(script.closeReason == nil)
  }

  @Test func aRemovalThatWaitedIsNotSentOnASubflowThatUsesTheAddressAgain() throws {
    let script = Script(paths: 1)
    let connection = try ScriptedConnection.opened(by: script)
    connection.initial.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    script.endpoint.removePath(PathID(0), at: script.now)
    _ = script.endpoint.addPath(
      PathConfiguration(name: "again", addresses: [IPPrefix(Pair.address(0, 0, .v4), length: 24)]), at: script.now)
    let syn = try #require(script.take(where: \.isSyn))
    let second = try #require(connection.answerJoin(syn))
    second.send(.ack, [connection.dataAck(1)])
    script.pass(.seconds(1))
    #expect(script.takeAll().allSatisfy { $0.removeAddress == nil })
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 1)
  }

  // Requirement 8684-3.9.2-06
  @Test func aSynThatCrossesAJoinLeavesItAsItWas() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script, options: lonely)
    connection.initial.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    _ = try script.endpoint.openSubflow(connection.id, on: PathID(1), at: script.now)
    let syn = try #require(script.take { $0.isSyn })
    let crossing = ScriptedSubflow(
      script, path: 1, local: TransportAddress(syn.destination, syn.tcp.destinationPort),
      remote: TransportAddress(syn.source, syn.tcp.sourcePort))
    crossing.usesTimestamps = true
    crossing.send(.syn)
    #expect(script.takeAll().isEmpty)
    let second = try #require(connection.answerJoin(syn))
    let third = try #require(second.take { $0.join != nil })
    #expect(!third.hasTimestamps)
    second.send(.ack)
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 2)
  }

  @Test func aPeerThatGoesOnAcknowledgingKeepsNoFinishedConnection() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.send(octets(10), at: 1)
    _ = try script.endpoint.read(from: connection.id, upTo: 100, at: script.now)
    script.endpoint.finish(connection.id, at: script.now)
    _ = script.takeAll()
    connection.initial.send(.ack, [connection.dataFin(at: 11, ack: 2)])
    #expect(script.closeReason == .finished)
    _ = try #require(connection.initial.take(where: \.isFin))
    script.endpoint.close(connection.id, at: script.now)
    for _ in 0..<3 {
      connection.initial.send(.ack)
      script.pass(.seconds(5))
    }
    #expect(script.endpoint.connectionCount == 0)
  }

  @Test func aConnectionThatEndedWakesNobody() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.send(octets(10), at: 1)
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    connection.initial.send(.ack, [.fastClose(MPFastClose(receiverKey: connection.engineKey))])
    #expect(script.closeReason == .resetByPeer)
    script.pass(.seconds(1))
    #expect(script.endpoint.nextDeadline == nil)
  }
}
