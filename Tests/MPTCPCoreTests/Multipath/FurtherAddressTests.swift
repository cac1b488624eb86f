import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Where joins go, and what is known of the peer's addresses: RFC 8684 §3.2, §3.4, §4 and §6.
@Suite struct FurtherAddressTests {
  /// A connection of the engine's that may join, its own joins swallowed so far.
  private func opened(_ script: Script) throws -> ScriptedConnection {
    let connection = try ScriptedConnection.opened(by: script)
    connection.initial.send(.ack, [connection.dataAck(1)])
    return connection
  }

  // Requirement 8684-3.4-01, 8684-3.9.1-01
  @Test func aJoinFromAFurtherAddressGoesToThePeersFirstAddressAndPort() throws {
    let script = Script()
    let connection = try opened(script)
    let syn = try #require(script.take { $0.isSyn && $0.join != nil })
    #expect(syn.path == 1)
    #expect(syn.source == Pair.address(1, 0, .v4))
    #expect(TransportAddress(syn.destination, syn.tcp.destinationPort) == connection.initial.local)
  }

  // Requirement 8684-3.4-02
  @Test func anAnnouncedAddressOfAnotherFamilyIsJoined() throws {
    let script = Script(paths: 1)
    _ = script.endpoint.addPath(
      PathConfiguration(name: "six", addresses: [IPPrefix(Pair.address(1, 0, .v6), length: 64)]), at: script.now)
    let connection = try opened(script)
    script.pass(.seconds(1))
    #expect(!script.takeAll().contains { $0.join != nil })
    let address = Pair.address(1, 1, .v6)
    connection.initial.send(.ack, [connection.announcement(address, id: AddressID(5))])
    let syn = try #require(script.take { $0.isSyn })
    #expect(syn.source == Pair.address(1, 0, .v6) && syn.destination == address)
    #expect(syn.tcp.destinationPort == connection.initial.local.port)
    let second = try #require(connection.answerJoin(syn))
    second.send(.ack, [connection.dataAck(1)])
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 2)
  }

  /// The peer joins from the address whose ID it announces: before that, after it, and from behind a NAT, where only
  /// the ID says so.
  // Requirement 8684-3.2-05, 8684-3.2-06
  @Test(arguments: [(false, false), (true, false), (false, true)])
  func aJoinAndAnAnnouncementOfOneAddressGiveOneSubflow(announcesFirst: Bool, hasNAT: Bool) throws {
    let script = Script(paths: 1)
    let connection = try #require(try ScriptedConnection.accepted(by: script))
    connection.send(octets(10), at: 1)
    _ = try connection.readAll()
    _ = script.takeAll()
    let private7 = hasNAT ? IPAddress(v4: 0xc0a8_0007) : Pair.address(0, 7, .v4)
    // The join comes from 10.0.0.8, be it the peer's own address or a NAT's.
    let outside = TransportAddress(Pair.address(0, 7, .v4), 4001)
    func announce() { connection.initial.send(.ack, [connection.announcement(private7, id: AddressID(7))]) }
    func join() throws {
      let subflow = ScriptedSubflow(script, path: 0, local: outside, remote: connection.initial.remote)
      let token = connection.engineKey.token()
      subflow.send(
        .syn, [.join(.syn(backup: false, addressID: AddressID(7), token: token, nonce: 1))],
        plain: [.maximumSegmentSize(1460)])
      let answer = try #require(subflow.take(where: \.isSynAck))
      guard case .synAck(_, _, _, let theirs)? = answer.join else { throw Missing() }
      subflow.send(.ack, [connection.joinProof(nonce: 1, theirs: theirs)])
    }
    if announcesFirst {
      announce()
      // Ours is on its way when theirs comes; both cannot be told apart from two addresses before one is through.
      _ = script.takeAll()
      try join()
      connection.initial.send(.ack, [connection.announcement(private7, id: AddressID(7))])
      #expect(!script.takeAll().contains { $0.isSyn })
    } else {
      try join()
      announce()
      script.pass(.seconds(40))
      #expect(!script.takeAll().contains { $0.isSyn })
      #expect(script.endpoint.description(of: connection.id)?.subflows.count == 2)
    }
  }

  struct Missing: Error {}

  /// However many addresses have come and gone, those that are here have one ID each, and each has its own. IDs have 8
  /// bits, and paths that stay keep theirs while the numbers of others go round.
  // Requirement 8684-3.2-05, 8684-3.4.1-04, 8684-3.4.1-22, 8684-3.4.1-24
  @Test(arguments: [1, 2, 3])
  func anAddressIDStandsForOneAddressAfterHundredsHaveComeAndGone(addressesOfAPath: Int) throws {
    for churn in [0, 1] + Array(120...130) + Array(248...260) + [509, 510, 511, 765] {
      let script = Script()
      func prefixes(_ net: Int) -> [IPPrefix] {
        (0..<addressesOfAPath).map { IPPrefix(IPAddress(v4: 0x0a01_0001 + UInt32(net * 256 + $0)), length: 24) }
      }
      for _ in 0..<churn {
        let path = script.endpoint.addPath(PathConfiguration(name: "brief", addresses: prefixes(1)), at: script.now)
        script.endpoint.removePath(path, at: script.now)
      }
      for net in 2...3 {
        _ = script.endpoint.addPath(PathConfiguration(name: "late", addresses: prefixes(net)), at: script.now)
      }
      let connection = try opened(script)
      // A join from each address, to the peer's first one and to another.
      connection.initial.send(.ack, [connection.announcement(Pair.address(0, 7, .v4), id: AddressID(7))])
      script.pass(.seconds(1))
      var ids: [IPAddress: Set<AddressID>] = [connection.initial.remote.address: [.initial]]
      for packet in script.takeAll() {
        if case .syn(_, let id, _, _)? = packet.join { ids[packet.source, default: []].insert(id) }
      }
      #expect(ids.count >= 4, "\(ids)")
      #expect(ids.values.allSatisfy { $0.count == 1 }, "\(churn): \(ids)")
      #expect(Set(ids.values).count == ids.count, "\(churn): \(ids)")
    }
  }

  // Requirement 8684-3.4.1-21
  @Test func aRepeatedAnnouncementAllowsOneMoreAttempt() throws {
    let script = Script(paths: 1)
    let connection = try opened(script)
    let address = Pair.address(0, 7, .v4)
    for _ in 0..<3 {
      connection.initial.send(.ack, [connection.announcement(address, id: AddressID(7))])
      let syn = try #require(script.take { $0.isSyn && $0.destination == address })
      // Refused for good, so that only the announcement can be a reason for another one.
      let refusal = ScriptedSubflow(
        script, path: 0, local: TransportAddress(address, syn.tcp.destinationPort),
        remote: TransportAddress(syn.source, syn.tcp.sourcePort))
      refusal.note(syn)
      refusal.send([.rst, .ack], [.reset(MPTCPReset(transient: false, reason: .administrativelyProhibited))])
      script.pass(.seconds(60))
      #expect(!script.takeAll().contains { $0.isSyn })
    }
  }

  // Requirement 8684-3.4.1-23
  @Test func anAnnouncementWithAnotherPortLeadsToAnAttemptAtThatPort() throws {
    let script = Script(paths: 1)
    let connection = try opened(script)
    let address = Pair.address(0, 7, .v4)
    connection.initial.send(.ack, [connection.announcement(address, id: AddressID(7), port: 8080)])
    let first = try #require(script.take { $0.isSyn && $0.destination == address })
    #expect(first.tcp.destinationPort == 8080)
    let subflow = try #require(connection.answerJoin(first))
    subflow.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    connection.initial.send(.ack, [connection.announcement(address, id: AddressID(7), port: 8081)])
    let second = try #require(script.take { $0.isSyn && $0.destination == address })
    #expect(second.tcp.destinationPort == 8081)
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 3)
  }

  // Requirement 8684-4-09
  @Test func whatOneConnectionLearnsIsNothingToAnother() throws {
    let script = Script(paths: 1)
    let first = try opened(script)
    let second = try opened(script)
    _ = script.takeAll()
    let address = Pair.address(0, 7, .v4)
    first.initial.send(.ack, [first.announcement(address, id: AddressID(7))])
    let syns = script.takeAll().filter { $0.isSyn && $0.destination == address }
    #expect(syns.count == 1)
    #expect(
      syns.allSatisfy { if case .syn(_, _, let token, _)? = $0.join { token == first.key.token() } else { false } })
    script.pass(.seconds(30))
    #expect(script.endpoint.description(of: second.id)?.subflows.count == 1)
    // The other one's ID 7 is another address.
    second.initial.send(.ack, [second.announcement(Pair.address(0, 8, .v4), id: AddressID(7))])
    #expect(script.takeAll().contains { $0.isSyn && $0.destination == Pair.address(0, 8, .v4) })
  }

  // Requirement 8684-4-10
  @Test func theFirstSubflowsEndsStandForTheConnectionAlsoWhenItIsGone() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let expected = FourTuple(local: connection.initial.remote, remote: connection.initial.local)
    #expect(script.endpoint.description(of: connection.id)?.initialTuple == expected)
    let second = try #require(connection.join())
    second.send(.ack, [connection.dataAck(1)])
    connection.initial.send([.rst, .ack])
    let description = try #require(script.endpoint.description(of: connection.id))
    #expect(description.subflows.map(\.tuple.local) == [second.remote])
    #expect(description.initialTuple == expected)
  }

  /// A path on which no join gets through is not used: neither waits for it, nor does it cost more than attempts now
  /// and then.
  // Requirement 8684-6-02
  @Test func whereJoinsAreDroppedTheOtherPathDoesAlone() throws {
    let pair = Pair([quick, slow])
    let exchange = try Exchange(pair, clientSends: 500_000, serverSends: 500_000)
    var joins = 0
    var others = 0
    pair.middlebox { _, packet in
      guard packet.path == 1 else { return true }
      if packet.join != nil {
        joins += 1
      } else if !packet.isReset {
        others += 1
      }
      return packet.join == nil
    }
    exchange.expectWhole(within: .seconds(20), isMultipath: true)
    #expect(joins > 0 && joins < 40)
    #expect(others == 0)
  }
}
