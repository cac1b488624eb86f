import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Rules that version 0 shares in the main with version 1, with its own keys and forms (RFC 6824).
@Suite struct Version0RuleTests {
  private var meshed: ConnectionOptions {
    var options = ConnectionOptions()
    options.multipath = .version0
    return options
  }

  /// The engine opened it, and a DSS has come: joins are possible.
  private func opened(_ script: Script, _ options: ConnectionOptions) throws -> ScriptedConnection {
    let connection = try ScriptedConnection.opened(by: script, options: options, version: 0)
    connection.initial.send(.ack, [connection.dataAck(1)])
    return connection
  }

  // MARK: MP_CAPABLE (§3.1)

  /// Checksums where either side asks: whoever would rather not compute them has no say in version 0.
  // Requirement 6824-3.1-11
  @Test(arguments: [true, false])
  func nobodyRefusesChecksums(isInitiator: Bool) throws {
    let script = Script()
    var options = Version0HandshakeTests.version0
    options.refusesChecksum = true
    let flags: MPCapableFlags = [.hmac, .checksumRequired]
    let connection =
      try isInitiator
      ? ScriptedConnection.opened(by: script, options: options, flags: flags, version: 0)
      : #require(try ScriptedConnection.accepted(by: script, options: options, flags: flags, version: .v0))
    #expect(script.endpoint.description(of: connection.id)?.usesChecksum == true)
    connection.send(octets(10), at: 1)
    #expect(try connection.readAll() == octets(10))
    #expect(script.fallback == nil)
  }

  // Requirement 6824-3.1-13
  @Test func aSynAckWithoutTheOptionMakesItTCP() throws {
    let script = Script()
    let (_, syn, subflow) = try script.connect(sending: octets(10), options: Version0HandshakeTests.version0)
    #expect(syn.capable?.version == 0)
    subflow.send([.syn, .ack])
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
    let data = try #require(subflow.take())
    #expect(data.payload == octets(10) && data.multipath.isEmpty)
  }

  // MARK: MP_JOIN (§3.2)

  // Requirement 6824-3.2-02
  @Test func theThirdPacketOfAJoinComesAgainUntilTheFourthAndNoDataBefore() throws {
    let script = Script()
    let connection = try opened(script, meshed)
    let syn = try #require(script.take { $0.isSyn && $0.join != nil })
    let subflow = try #require(connection.answerJoin(syn))
    let third = try #require(subflow.take { $0.join != nil })
    connection.initial.window = 0
    connection.initial.send(.ack, [connection.dataAck(1)])
    _ = try script.endpoint.write(ByteSlice(octets(5000)), to: connection.id, at: script.now)
    script.pass(.milliseconds(1500))
    let sent = script.takeAll().filter { $0.path == syn.path && $0.tcp.sourcePort == subflow.remote.port }
    #expect(sent.contains { $0.join == third.join })
    #expect(sent.allSatisfy { $0.payload.isEmpty })
    subflow.send(.ack)
    script.pass(.seconds(1))
    #expect(script.takeAll().contains { $0.path == syn.path && !$0.payload.isEmpty })
  }

  // Requirement 6824-3.2-02
  @Test func aThirdPacketThatComesAgainIsAnsweredAgain() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, version: .v0)
    let subflow = try #require(connection.join())
    let fourth = try #require(subflow.take())
    #expect(fourth.isPureAck && fourth.join == nil)
    subflow.send(.ack, [connection.joinProof(nonce: 0x0102_0304, theirs: 0)])
    #expect(subflow.take()?.isPureAck == true)
  }

  // Requirement 6824-3.2-03
  @Test func aJoinWithoutItsOptionOrWithAnUnknownTokenIsReset() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, version: .v0)
    func joining(_ token: Token, port: Port) -> ScriptedSubflow {
      let subflow = ScriptedSubflow(
        script, path: 1, local: TransportAddress(Pair.address(1, 1, .v4), port),
        remote: TransportAddress(Pair.address(1, 0, .v4), 80))
      subflow.send(.syn, [.join(.syn(backup: false, addressID: AddressID(2), token: token, nonce: 1))])
      return subflow
    }
    let stripped = joining(connection.engineKey.token(.v0), port: 4001)
    _ = try #require(stripped.take(where: \.isSynAck))
    stripped.send(.ack)
    #expect(try #require(stripped.take()).isReset)
    #expect(try #require(joining(connection.engineKey.token(.v1), port: 4002).take()).isReset)
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 1)
  }

  // MARK: ADD_ADDR (§3.4.1)

  // Requirement 6824-3.4.1-07
  @Test func severalAnnouncementsInOneSegmentAreAllTaken() throws {
    let script = Script()
    let connection = try opened(script, meshed)
    _ = script.takeAll()
    let addresses = (5..<8).map { Pair.address(1, $0, .v4) }
    connection.initial.send(
      .ack,
      addresses.enumerated().map {
        .addAddress(AddAddress(version: .v0, addressID: AddressID(UInt8(7 + $0.offset)), address: $0.element))
      })
    let announced = script.connectionEvents.compactMap { event -> IPAddress? in
      if case .addressAnnounced(_, let address) = event { address.address } else { nil }
    }
    #expect(announced == addresses)
    let joined = Set(script.takeAll().filter { $0.isSyn && $0.join != nil }.map(\.destination))
    #expect(joined == Set(addresses))
  }

  // MARK: Fallback and what is not needed any more (§3.3.3, §3.6)

  // Requirement 6824-3.6-02
  @Test func firstDataAcknowledgedWithoutADSSMakesTheOnlySubflowTCP() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(
      by: script, options: Version0HandshakeTests.version0, version: 0)
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    _ = try #require(connection.initial.take { !$0.payload.isEmpty })
    connection.initial.send(.ack)
    #expect(script.fallback == .optionMissingOnData)
  }

  // Requirement 6824-3.6-02, 6824-8-01
  @Test func onAJoinedSubflowItCostsTheSubflowWithoutAReason() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, version: .v0)
    let subflow = try #require(connection.join())
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(subflow.take { !$0.payload.isEmpty })
    subflow.send(.ack)
    let reset = try #require(subflow.take(where: \.isReset))
    #expect(reset.multipath.isEmpty)
    #expect(script.endpoint.description(of: connection.id)?.isMultipath == true)
    script.pass(.seconds(1))
    #expect(script.outgoing.contains { $0.path == 0 && $0.payload == octets(100) })
  }

  /// What a silent subflow holds went elsewhere: in the end it is given up with a bare RST.
  // Requirement 6824-3.3.3-01
  @Test func aSubflowWhoseDataWentElsewhereIsResetWithoutAReason() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, version: .v0)
    let subflow = try #require(connection.join())
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(subflow.take { !$0.payload.isEmpty })
    var resets: [WirePacket] = []
    for _ in 0..<600 where resets.isEmpty {
      script.pass(.seconds(1))
      while let packet = script.take() {
        if packet.path == 0 {
          connection.initial.note(packet)
          if !packet.payload.isEmpty { connection.initial.send(.ack, [connection.dataAck(101)]) }
        } else if packet.isReset {
          resets.append(packet)
        }
      }
    }
    let reset = try #require(resets.first)
    #expect(reset.multipath.isEmpty)
    #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == 100)
    #expect(script.closeReason == nil)
  }
}
