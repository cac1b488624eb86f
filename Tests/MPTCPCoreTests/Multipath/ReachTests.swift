import MPTCPCore
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Paths that do not lead everywhere.
@Suite struct ReachTests {
  private func network(_ path: Int, _ family: IPAddress.Family) -> IPPrefix {
    IPPrefix(Pair.address(path, 0, family), length: family == .v4 ? 24 : 64)
  }

  private func elsewhere(_ family: IPAddress.Family) -> TransportAddress {
    TransportAddress(Pair.address(77, 1, family), 80)
  }

  // Requirement 9293-3.9.1-08
  @Test(arguments: [IPAddress.Family.v4, .v6])
  func aConnectionBeginsOnAPathThatLeadsThere(family: IPAddress.Family) throws {
    let script = Script(family: family) { $0 == 0 ? [network(0, family)] : nil }
    _ = try script.endpoint.connect(to: elsewhere(family), at: script.now)
    #expect(script.take(where: \.isSyn)?.path == 1)
    // On the link of the first path it begins there.
    _ = try script.endpoint.connect(to: TransportAddress(Pair.address(0, 1, family), 80), at: script.now)
    #expect(script.take(where: \.isSyn)?.path == 0)
  }

  /// A path stands for its address; a listener names one.
  // Requirement 9293-3.9.1-11
  @Test(arguments: [IPAddress.Family.v4, .v6])
  func theApplicationChoosesTheAddressOfItsOwn(family: IPAddress.Family) throws {
    let script = Script(family: family)
    for path in [1, 0] {
      var options = ConnectionOptions()
      options.path = PathID(Int32(path))
      _ = try script.endpoint.connect(to: elsewhere(family), options: options, at: script.now)
      #expect(script.take(where: \.isSyn)?.source == Pair.address(path, 0, family))
    }
    _ = try script.endpoint.listen(on: TransportAddress(Pair.address(1, 0, family), 80), at: script.now)
    for path in [0, 1] {
      let client = ScriptedSubflow(
        script, path: path, local: TransportAddress(Pair.address(path, 1, family), 4000),
        remote: TransportAddress(Pair.address(path, 0, family), 80))
      client.send(.syn)
      #expect((client.take(where: \.isSynAck) != nil) == (path == 1))
    }
  }

  /// Also where its packets come and go on a path that has another.
  // Requirement 9293-3.9.1-12
  @Test func aConnectionKeepsTheAddressThatItBeganWith() throws {
    let script = Script(paths: 2)
    _ = try script.endpoint.listen(on: TransportAddress(.anyV4, 80), at: script.now)
    let ours = Pair.address(0, 0, .v4)
    let client = ScriptedSubflow(
      script, path: 1, local: TransportAddress(Pair.address(1, 1, .v4), 4000), remote: TransportAddress(ours, 80))
    client.send(.syn)
    var sent = script.takeAll()
    client.note(try #require(sent.last))
    client.send(.ack)
    let id = try #require(script.events.last?.connection)
    _ = try script.endpoint.write(ByteSlice([UInt8](repeating: 1, count: 5000)), to: id, at: script.now)
    script.endpoint.finish(id, at: script.now)
    script.pass(.seconds(10))
    script.endpoint.abort(id, at: script.now)
    sent += script.takeAll()
    #expect(sent.count > 5 && sent.contains { $0.isReset })
    #expect(sent.allSatisfy { $0.source == ours && $0.tcp.sourcePort == 80 })
  }

  @Test(arguments: [IPAddress.Family.v4, .v6])
  func whereNoPathLeadsIsToldAtOnce(family: IPAddress.Family) {
    let script = Script(family: family) { [network($0, family)] }
    #expect(throws: EndpointError.noRoute) {
      try script.endpoint.connect(to: elsewhere(family), at: script.now)
    }
    var options = ConnectionOptions()
    options.path = PathID(1)
    #expect(throws: EndpointError.noRoute) {
      try script.endpoint.connect(
        to: TransportAddress(Pair.address(0, 1, family), 80), options: options, at: script.now)
    }
    #expect(throws: EndpointError.noPath) {
      try script.endpoint.connect(to: elsewhere(family == .v4 ? .v6 : .v4), at: script.now)
    }
    #expect(script.takeAll().isEmpty)
  }

  @Test func joinsGoOnlyWhereTheirPathLeads() throws {
    let script = Script { $0 == 1 ? [network(1, .v4)] : nil }
    let connection = try ScriptedConnection.established(by: script, options: ConnectionOptions())
    connection.initial.send(.ack, [connection.announcement(elsewhere(.v4).address, id: AddressID(3))])
    #expect(script.takeAll().filter(\.isSyn).map(\.path) == [0])
    #expect(throws: EndpointError.noRoute) {
      try script.endpoint.openSubflow(connection.id, on: PathID(1), to: elsewhere(.v4), at: script.now)
    }
    // An address of the peer on that path's own network.
    connection.initial.send(.ack, [connection.announcement(Pair.address(1, 1, .v4), id: AddressID(4))])
    #expect(script.takeAll().filter(\.isSyn).map(\.path).contains(1))
  }
}
