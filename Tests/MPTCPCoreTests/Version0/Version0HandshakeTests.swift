import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Version 0 of Multipath TCP, opening and joining (RFC 6824 §3.1, §3.2).
@Suite struct Version0HandshakeTests {
  static let key = Key(0x1112_1314_1516_1718)

  static var version0: ConnectionOptions {
    var options = lonely
    options.multipath = .version0
    return options
  }

  /// The engine's end, as the test may look into it.
  private func engine(_ script: Script) -> Connection? { script.endpoint.connectionSlots.compactMap { $0 }.first }

  private func client(_ script: Script) -> ScriptedSubflow {
    ScriptedSubflow(
      script, path: 0, local: TransportAddress(Pair.address(0, 1, .v4), 4000),
      remote: TransportAddress(Pair.address(0, 0, .v4), 80))
  }

  // Requirement 6824-3.1-05, 6824-3.1-07
  @Test(arguments: [false, true])
  func theSynCarriesOurKeyAndTheThirdAckBoth(checksum: Bool) throws {
    let script = Script()
    var options = Self.version0
    options.checksum = checksum
    let flags: MPCapableFlags = checksum ? [.hmac, .checksumRequired] : .hmac
    let id = try script.endpoint.connect(
      to: TransportAddress(Pair.address(0, 1, .v4), 80), options: options, at: script.now)
    let syn = try #require(script.take())
    let ours = try #require(syn.capable?.senderKey)
    #expect(syn.capable == MPCapable(version: 0, flags: flags, senderKey: ours))
    let subflow = ScriptedSubflow(
      script, path: 0, local: TransportAddress(syn.destination, 80),
      remote: TransportAddress(syn.source, syn.tcp.sourcePort))
    subflow.note(syn)
    subflow.send([.syn, .ack], [.capable(MPCapable(version: 0, senderKey: Self.key))])
    let third = try #require(script.take())
    #expect(third.isPureAck)
    #expect(third.capable == MPCapable(version: 0, flags: flags, senderKey: ours, receiverKey: Self.key))
    #expect(script.takeAll().isEmpty)
    let description = try #require(script.endpoint.description(of: id))
    #expect(description.version == .v0)
    #expect(description.localToken == ours.token(.v0))
    #expect(description.remoteToken == Self.key.token(.v0))
  }

  /// RFC 6824 §3.6: MP_CAPABLE and a DSS do not fit together.
  // Requirement 6824-3.6-01
  @Test func theThirdAckIsEmptyAndTheFirstDataHasADSS() throws {
    let script = Script()
    let id = try script.endpoint.connect(
      to: TransportAddress(Pair.address(0, 1, .v4), 80), options: Self.version0, at: script.now)
    #expect(try script.endpoint.write(ByteSlice(octets(100)), to: id, at: script.now) == 100)
    let syn = try #require(script.take())
    let ours = try #require(syn.capable?.senderKey)
    let subflow = ScriptedSubflow(
      script, path: 0, local: TransportAddress(syn.destination, 80),
      remote: TransportAddress(syn.source, syn.tcp.sourcePort))
    subflow.note(syn)
    subflow.send([.syn, .ack], [.capable(MPCapable(version: 0, senderKey: Self.key))])
    let third = try #require(subflow.take())
    #expect(third.isPureAck && third.capable?.receiverKey == Self.key)
    let data = try #require(subflow.take())
    #expect(data.payload == octets(100))
    #expect(data.capable == nil)
    let mapping = try #require(data.dss?.mapping)
    #expect(mapping.dsn == .eight((ours.initialDataSequenceNumber(.v0) + 1).rawValue))
    #expect(mapping.subflowSequenceNumber == 1 && mapping.length == 100)
  }

  @Test func aListenerAnswersWithItsKeyAndTheThirdAckOpens() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely, version: .v0))
    #expect(script.connectionEvents.contains(.established(isMultipath: true)))
    let description = try #require(script.endpoint.description(of: connection.id))
    #expect(description.version == .v0)
    #expect(description.localToken == connection.engineKey.token(.v0))
    #expect(description.remoteToken == Self.key.token(.v0))
    connection.send(octets(10), at: 1)
    #expect(try connection.readAll() == octets(10))
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 11)
  }

  @Test func aThirdAckWithAnotherKeyThanTheSynsMakesItTCP() throws {
    let script = Script()
    let connection = try #require(
      try ScriptedConnection.accepted(by: script, options: lonely, sendsKeys: false, version: .v0))
    connection.initial.send(
      .ack,
      [.capable(MPCapable(version: 0, senderKey: Key(~Self.key.rawValue), receiverKey: connection.engineKey))])
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
  }

  // Requirement 6824-3.1-13
  @Test func aThirdAckWithoutOptionsMakesItTCP() throws {
    let script = Script()
    let connection = try #require(
      try ScriptedConnection.accepted(by: script, options: lonely, sendsKeys: false, version: .v0))
    connection.initial.send(.ack)
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
  }

  @Test func whereTheThirdAckIsLostADSSThatFitsTheKeysOpens() throws {
    let script = Script()
    let connection = try #require(
      try ScriptedConnection.accepted(by: script, options: lonely, sendsKeys: false, version: .v0))
    connection.initial.send(
      [.ack, .psh], at: 1, [connection.mapping(at: 1000, subflowOffset: 1, octets(10))], payload: octets(10))
    #expect(script.connectionEvents.isEmpty)
    connection.send(octets(10), at: 1)
    #expect(script.connectionEvents.contains(.established(isMultipath: true)))
    let id = try #require(script.events.last?.connection)
    #expect(try script.endpoint.read(from: id, upTo: 100, at: script.now)?.array == octets(10))
  }

  /// RFC 6824 §3.1: bit A where either side asks, bit B makes the SYN nothing, of C to H exactly one comes back.
  // Requirement 6824-3.1-06, 6824-3.1-07, 6824-3.1-08, 6824-3.1-11
  @Test func flagsAreNegotiatedAsVersion0HasThem() throws {
    let asked = Script()
    var options = lonely
    options.checksum = true
    options.refusesJoinsToInitialAddress = true
    _ = try #require(try ScriptedConnection.accepted(by: asked, options: options, version: .v0))
    #expect(engine(asked)?.usesChecksum == true)

    let extended = Script()
    #expect(
      try ScriptedConnection.accepted(by: extended, flags: [.hmac, .extensibility], version: .v0) == nil)
    #expect(extended.takeAll().isEmpty, "the SYN was answered")

    let foreign = Script()
    let subflow = client(foreign)
    _ = try foreign.endpoint.listen(on: TransportAddress(.anyV4, 80), at: foreign.now)
    subflow.send(.syn, [.capable(MPCapable(version: 0, flags: MPCapableFlags(rawValue: 0x3e), senderKey: Self.key))])
    #expect(try #require(subflow.take(where: \.isSynAck)).multipath.isEmpty)

    let many = Script()
    let other = client(many)
    _ = try many.endpoint.listen(on: TransportAddress(.anyV4, 80), at: many.now)
    other.send(.syn, [.capable(MPCapable(version: 0, flags: MPCapableFlags(rawValue: 0x3f), senderKey: Self.key))])
    let answer = try #require(other.take(where: \.isSynAck)?.capable)
    #expect(answer == MPCapable(version: 0, flags: .hmac, senderKey: answer.senderKey))
    #expect(answer.senderKey != nil)
    // Bit C chooses an algorithm here, and forbids nothing.
    #expect(engine(many)?.peerRefusesInitialAddress == false)
  }

  // Requirement 6824-3.1-08
  @Test func anAnswerThatDoesNotFitMakesItTCP() throws {
    for flags in [MPCapableFlags(rawValue: 0x03), MPCapableFlags(rawValue: 0x20), [.hmac, .extensibility], []] {
      let script = Script()
      let connection = try ScriptedConnection.opened(by: script, options: Self.version0, flags: flags, version: 0)
      #expect(script.endpoint.description(of: connection.id)?.fallback == .unacceptableCapability, "\(flags)")
      #expect(script.takeAll().allSatisfy { $0.multipath.isEmpty })
    }
    let newer = Script()
    let connection = try ScriptedConnection.opened(by: newer, options: Self.version0, version: 1)
    #expect(newer.endpoint.description(of: connection.id)?.fallback == .unacceptableCapability)
  }

  @Test(arguments: [MPTCPVersion.v0, .v1])
  func aSynThatComesAgainWithAnotherVersionIsAnsweredWithThat(first: MPTCPVersion) throws {
    let script = Script()
    _ = try script.endpoint.listen(on: TransportAddress(.anyV4, 80), at: script.now)
    let subflow = client(script)
    let second: MPTCPVersion = first == .v0 ? .v1 : .v0
    var engineKey: Key?
    for version in [first, second] {
      subflow.send(
        .syn, at: version == first ? nil : 0,
        [.capable(MPCapable(version: version.rawValue, senderKey: version == .v0 ? Self.key : nil))])
      let answer = try #require(subflow.take(where: \.isSynAck)?.capable)
      #expect(answer.version == version.rawValue)
      engineKey = answer.senderKey
    }
    subflow.send(
      .ack, [.capable(MPCapable(version: second.rawValue, senderKey: Self.key, receiverKey: engineKey))])
    #expect(script.connectionEvents.contains(.established(isMultipath: true)))
    let id = try #require(script.events.last?.connection)
    #expect(script.endpoint.description(of: id)?.version == second)
    #expect(script.endpoint.description(of: id)?.localToken == engineKey?.token(second))
    #expect(script.endpoint.tokens.count == 1)
  }

  // Requirement 8684-3.1-07
  @Test func aListenerForVersion0AloneAnswersAVersion1SynAsTCP() throws {
    let script = Script()
    var listen = ListenerOptions()
    listen.versions = .v0
    _ = try script.endpoint.listen(on: TransportAddress(.anyV4, 80), options: listen, at: script.now)
    let subflow = client(script)
    subflow.send(.syn, [.capable(MPCapable())])
    #expect(try #require(subflow.take(where: \.isSynAck)).multipath.isEmpty)
  }

  // Requirement 6824-3.1-04
  @Test func aCookieOpensVersion0FromTheKeysOfTheThirdAck() throws {
    var configuration = EndpointConfiguration()
    configuration.maximumHalfOpenCount = 0
    let script = Script(configuration: configuration)
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely, version: .v0))
    #expect(script.endpoint.statistics.cookiesAccepted == 1)
    #expect(script.endpoint.description(of: connection.id)?.version == .v0)
    #expect(script.endpoint.description(of: connection.id)?.remoteToken == Self.key.token(.v0))
    connection.send(octets(10), at: 1)
    #expect(try connection.readAll() == octets(10))
    #expect(connection.join() != nil)
  }

  @Test func joinsAreAuthenticatedBySHA1InBothDirections() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, version: .v0)
    let second = try #require(connection.join())
    #expect(second.take(where: \.isPureAck) != nil)
    second.send([.ack, .psh], [connection.mapping(at: 11, subflowOffset: 1, octets(5))], payload: octets(5))
    #expect(try connection.readAll() == octets(5))
    // And one of ours.
    _ = try script.endpoint.openSubflow(
      connection.id, on: PathID(1), to: TransportAddress(Pair.address(1, 1, .v4), 9000), at: script.now)
    let syn = try #require(script.take { $0.join != nil })
    guard case .syn(_, _, let token, _)? = syn.join else {
      Issue.record("no MP_JOIN of a SYN")
      return
    }
    #expect(token == Self.key.token(.v0))
    let third = try #require(connection.answerJoin(syn))
    guard case .ack(let hmac)? = third.take(where: { $0.join != nil })?.join, case .syn(_, _, _, let nonce)? = syn.join
    else {
      Issue.record("no third ACK")
      return
    }
    let expected = JoinAuthentication.joinHMAC(
      version: .v0, senderKey: connection.engineKey, receiverKey: Self.key, senderNonce: nonce,
      receiverNonce: 0x0506_0708)
    #expect(hmac == expected.left160)
  }

  /// RFC 6824 knows no MP_TCPRST.
  // Requirement 6824-3.2-03, 6824-8-01
  @Test func resetsSayNoReason() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, version: .v0)
    let subflow = ScriptedSubflow(
      script, path: 1, local: TransportAddress(Pair.address(1, 1, .v4), 4001),
      remote: TransportAddress(Pair.address(1, 0, .v4), 80))
    subflow.send(
      .syn,
      [.join(.syn(backup: false, addressID: AddressID(2), token: connection.engineKey.token(.v0), nonce: 1))])
    _ = try #require(subflow.take(where: \.isSynAck))
    subflow.send(.ack, [connection.joinProof(nonce: 2, theirs: 3)])
    #expect(try #require(subflow.take(where: \.isReset)).multipath.isEmpty)
    #expect(script.endpoint.statistics.badJoinAuthentications == 1)
    // One more than is let in.
    script.endpoint.abort(connection.id, at: script.now)
    _ = script.takeAll()
    subflow.sent = 0
    subflow.send(
      .syn,
      [.join(.syn(backup: false, addressID: AddressID(2), token: connection.engineKey.token(.v0), nonce: 1))])
    #expect(try #require(subflow.take(where: \.isReset)).multipath.isEmpty)
  }
}
