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
