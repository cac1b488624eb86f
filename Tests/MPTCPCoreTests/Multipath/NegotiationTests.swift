import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// What MP_CAPABLE offers, and what it is answered with (RFC 8684 §3.1).
@Suite struct NegotiationTests {
  private let key = Key(0x1112_1314_1516_1718)

  private func client(_ script: Script, port: Port = 4000) -> ScriptedSubflow {
    ScriptedSubflow(
      script, path: 0, local: TransportAddress(Pair.address(0, 1, .v4), port),
      remote: TransportAddress(Pair.address(0, 0, .v4), 80))
  }

  // MARK: Versions and flags

  // Requirement 8684-3.1-02
  @Test(arguments: [(.enabled, 1), (.version1Then0, 1), (.version0, 0)] as [(MultipathMode, UInt8)])
  func theHighestVersionThatIsSpokenIsOffered(mode: MultipathMode, version: UInt8) throws {
    let script = Script()
    var options = lonely
    options.multipath = mode
    let (_, syn, _) = try script.connect(sending: [], options: options)
    #expect(syn.capable?.version == version)
  }

  // Requirement 8684-3.1-47
  @Test(arguments: [0x01, 0x03, 0x1f] as [UInt8])
  func ofSeveralAlgorithmsOneIsChosen(flags: UInt8) throws {
    let script = Script()
    _ = try script.endpoint.listen(on: TransportAddress(.anyV4, 80), at: script.now)
    let subflow = client(script)
    subflow.send(.syn, [.capable(MPCapable(flags: MPCapableFlags(rawValue: flags)))])
    #expect(try #require(subflow.take(where: \.isSynAck)).capable?.flags == .hmac)
  }

  // MARK: Checksums that are refused

  private var sparing: ConnectionOptions {
    var options = lonely
    options.refusesChecksum = true
    return options
  }

  // Requirement 8684-3.1-46
  @Test(arguments: [false, true])
  func aListenerThatRefusesChecksumsAnswersAsTCP(underCookies: Bool) throws {
    var configuration = EndpointConfiguration()
    if underCookies { configuration.maximumHalfOpenCount = 0 }
    let script = Script(configuration: configuration)
    var listen = ListenerOptions()
    listen.connection = sparing
    _ = try script.endpoint.listen(on: TransportAddress(.anyV4, 80), options: listen, at: script.now)
    let subflow = client(script)
    subflow.send(.syn, [.capable(MPCapable(flags: [.hmac, .checksumRequired]))])
    #expect(try #require(subflow.take(where: \.isSynAck)).multipath.isEmpty)
    subflow.send([.ack, .psh], payload: octets(10))
    #expect(script.connectionEvents.first == .established(isMultipath: false))
    let id = try #require(script.events.last?.connection)
    #expect(try script.endpoint.read(from: id, upTo: 100, at: script.now)?.array == octets(10))
    #expect(script.endpoint.tokens.count == 0)
    // Who does not ask is served as ever.
    let other = client(script, port: 4001)
    other.send(.syn, [.capable(MPCapable())])
    #expect(try #require(other.take(where: \.isSynAck)).capable?.flags == .hmac)
  }

  // Requirement 8684-3.1-46
  @Test func anInitiatorThatRefusesChecksumsIgnoresAnAnswerThatAsksForThem() throws {
    let script = Script()
    let (id, syn, subflow) = try script.connect(sending: octets(10), options: sparing)
    #expect(syn.capable?.flags == .hmac)
    subflow.send([.syn, .ack], [.capable(MPCapable(flags: [.hmac, .checksumRequired], senderKey: key))])
    #expect(script.endpoint.description(of: id)?.fallback == .unacceptableCapability)
    let sent = script.takeAll()
    #expect(sent.allSatisfy { $0.multipath.isEmpty })
    #expect(sent.last?.payload == octets(10))
    // It is another host's choice, and no reason to withhold the option.
    #expect(script.endpoint.peerMemory == PeerMemory())
    let (other, _, again) = try script.connect(sending: [], options: sparing)
    again.send([.syn, .ack], [.capable(MPCapable(senderKey: key))])
    #expect(script.endpoint.description(of: other)?.isMultipath == true)
  }

  /// Who asks for checksums himself refuses none.
  // Requirement 8684-3.1-46
  @Test func askingForChecksumsGoesBeforeRefusingThem() throws {
    let script = Script()
    var options = sparing
    options.checksum = true
    let connection = try ScriptedConnection.opened(by: script, options: options, flags: [.hmac, .checksumRequired])
    #expect(script.endpoint.description(of: connection.id)?.usesChecksum == true)
  }

  // MARK: Tokens behind a SYN cookie

  /// `taken` of the keys that a cookie may go with have tokens of other connections.
  // Requirement 8684-3.1-19, 8684-3.1-20
  @Test(arguments: 0...4)
  func aCookieGoesWithAKeyWhoseTokenIsFreeOrWithNone(taken: UInt8) throws {
    var configuration = EndpointConfiguration()
    configuration.maximumHalfOpenCount = 0
    let script = Script(configuration: configuration)
    _ = try script.endpoint.listen(on: TransportAddress(.anyV4, 80), at: script.now)
    let subflow = client(script)
    subflow.send(.syn, [.capable(MPCapable())])
    let cookie = try #require(subflow.take(where: \.isSynAck)).tcp.sequenceNumber
    let tuple = FourTuple(local: subflow.remote, remote: subflow.local)
    let keys = (0..<SYNCookies.keyAttempts).map {
      script.endpoint.cookies.multipathKey(
        tuple: tuple, clientISN: subflow.initialNumber, cookie: cookie, attempt: $0)
    }
    for key in keys.prefix(Int(taken)) { script.endpoint.tokens.insert(key.token(.v1), 0) }
    subflow.send(.syn, at: 0, [.capable(MPCapable())])
    let answer = try #require(subflow.take(where: \.isSynAck))
    #expect(answer.tcp.sequenceNumber == cookie)
    #expect(answer.capable?.senderKey == keys.dropFirst(Int(taken)).first)
    guard taken == SYNCookies.keyAttempts else { return }
    subflow.send([.ack, .psh], payload: octets(10))
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
  }

  // MARK: The first data

  // Requirement 8684-3.1-22
  @Test func theListenersDataWithADataAckConfirmsTheKeys() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script, options: lonely)
    _ = script.takeAll()
    connection.send(octets(10), at: 1, ack: 1)
    #expect(try #require(connection.initial.take()).capable == nil)
    _ = try script.endpoint.write(ByteSlice(octets(20)), to: connection.id, at: script.now)
    let data = try #require(connection.initial.take { !$0.payload.isEmpty })
    #expect(data.capable == nil && connection.mapped(by: data) == 1)
  }

  // Requirement 8684-3.1-23
  @Test(arguments: [false, true])
  func dataThatWaitsForTheAnswerLeavesOnTheThirdPacket(checksum: Bool) throws {
    let script = Script()
    var options = lonely
    options.checksum = checksum
    let (_, syn, subflow) = try script.connect(sending: octets(100), options: options)
    #expect(syn.payload.isEmpty && syn.fastOpen == nil)
    subflow.send([.syn, .ack], [.capable(MPCapable(senderKey: key))], plain: [.maximumSegmentSize(1460)])
    let third = try #require(subflow.take())
    let capable = try #require(third.capable)
    #expect(third.payload == octets(100) && capable.dataLength == 100 && third.dss == nil)
    var sum = DSSChecksum()
    sum.add(third.payload.span.bytes)
    let ours = try #require(capable.senderKey).initialDataSequenceNumber(.v1)
    #expect(
      capable.checksum == (checksum ? sum.value(dsn: ours + 1, subflowSequenceNumber: 1, length: 100) : nil))
  }

  // Requirement 8684-3.1-28
  @Test func theInitiatorsFirstDataMayCrossOurs() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    _ = try script.endpoint.write(ByteSlice(octets(40)), to: connection.id, at: script.now)
    #expect(try #require(connection.initial.take { !$0.payload.isEmpty }).dss?.mapping?.length == 40)
    connection.initial.send(
      [.ack, .psh], ack: 1, [connection.thirdAcknowledgment(data: octets(50))], payload: octets(50))
    #expect(try connection.readAll() == octets(50))
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 51)
    connection.send(octets(10), at: 51, ack: 41)
    #expect(try connection.readAll() == octets(10))
    #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == 40)
  }

  /// The octet of the SYN needs no DATA_ACK; a listener that says it all the same, once, lets the initiator join at
  /// once.
  @Test func aListenerSaysOnceThatItHasTheKeys() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    script.pass(.seconds(10))
    #expect(script.takeAll().map { connection.acknowledged(by: $0) } == [1])
  }

  // Requirement 8684-3.1-34
  @Test func unlessAskedToAConnectionDemandsNoChecksums() throws {
    for isAsked in [false, true] {
      let script = Script()
      var options = ConnectionOptions()
      if isAsked { options.checksum = true }
      _ = try script.endpoint.connect(
        to: TransportAddress(Pair.address(0, 1, .v4), 80), options: options, at: script.now)
      let capable = try #require(script.take(where: \.isSyn)?.capable)
      #expect(capable.flags.contains(.checksumRequired) == isAsked)
    }
  }

  // MARK: Joins

  // Requirement 8684-3.9.1-01, 8684-3.9.1-02, 8684-3.9.1-03
  @Test func joinsGoToThePortOfTheFirstSubflow() throws {
    let script = Script()
    let id = try script.endpoint.connect(
      to: TransportAddress(Pair.address(0, 1, .v4), 8443), at: script.now)
    let syn = try #require(script.take(where: \.isSyn))
    let subflow = ScriptedSubflow(
      script, path: 0, local: TransportAddress(syn.destination, 8443),
      remote: TransportAddress(syn.source, syn.tcp.sourcePort))
    subflow.note(syn)
    subflow.send([.syn, .ack], [.capable(MPCapable(senderKey: key))], plain: [.maximumSegmentSize(1460)])
    let engineKey = try #require(subflow.take { $0.capable?.senderKey != nil }?.capable?.senderKey)
    let first = DataAck.eight((engineKey.initialDataSequenceNumber(.v1) + 1).rawValue)
    subflow.send(.ack, [.dss(DSS(dataFin: false, dataAck: first, mapping: nil))])
    let joins = script.takeAll().filter { $0.isSyn && $0.join != nil }
    #expect(!joins.isEmpty)
    for join in joins {
      #expect(join.tcp.destinationPort == 8443 && join.destination == Pair.address(0, 1, .v4) && join.path == 1)
      // From a port of its own.
      #expect(join.tcp.sourcePort != syn.tcp.sourcePort)
    }
    #expect(script.endpoint.description(of: id)?.isMultipath == true)
  }
}
