import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// MP_CAPABLE (RFC 8684 §3.1).
@Suite struct HandshakeTests {
  // Requirement 8684-3.1-09
  @Test func aSynCarriesNoKeyAndTheSynAckCarriesTheListeners() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script)
    #expect(connection.engineKey != Key(0))
    let listening = Script()
    let accepted = try #require(try ScriptedConnection.accepted(by: listening))
    #expect(accepted.engineKey != Key(0))
    #expect(listening.connectionEvents.contains(.established(isMultipath: true)))
  }

  /// RFC 8684 §3.1: no MP_CAPABLE in answer to a SYN without. A box may drop packets that have one.
  /// Requirement 8684-3.1-51
  @Test(arguments: [false, true])
  func aSynThatComesAgainWithoutTheOptionIsAnsweredWithout(isOfferedAgain: Bool) throws {
    let script = Script()
    _ = try script.endpoint.listen(on: TransportAddress(.anyV4, 80), at: script.now)
    let subflow = ScriptedSubflow(
      script, path: 0, local: TransportAddress(Pair.address(0, 1, .v4), 4000),
      remote: TransportAddress(Pair.address(0, 0, .v4), 80))
    subflow.send(.syn, [.capable(MPCapable(flags: .hmac))])
    #expect(try #require(subflow.take(where: \.isSynAck)).capable != nil)
    subflow.send(.syn, at: 0)
    #expect(try #require(subflow.take(where: \.isSynAck)).multipath.isEmpty)
    if isOfferedAgain {
      subflow.send(.syn, at: 0, [.capable(MPCapable(flags: .hmac))])
      #expect(try #require(subflow.take(where: \.isSynAck)).capable != nil)
    }
    subflow.send(.ack)
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
  }

  // Requirement 8684-3.1-54
  @Test func anInitiatorWhoseListenersAnswersAreDroppedForTheOptionConnectsWithout() throws {
    let pair = Pair([quick])
    let exchange = try Exchange(pair, clientSends: 10_000, serverSends: 10_000)
    pair.middlebox { _, packet in !(packet.isSynAck && packet.capable != nil) }
    exchange.expectWhole(isMultipath: false)
  }

  // Requirement 8684-3.1-31, 8684-3.1-45
  @Test(arguments: [false, true])
  func aThirdAckThatContradictsTheSynsOnChecksumsMakesItTCP(isNegotiated: Bool) throws {
    let script = Script()
    let connection = try #require(
      try ScriptedConnection.accepted(
        by: script, options: lonely, flags: isNegotiated ? [.hmac, .checksumRequired] : .hmac, sendsKeys: false))
    connection.usesChecksum = !isNegotiated
    connection.initial.send(.ack, [connection.thirdAcknowledgment()])
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
  }

  // Requirement 8684-3.1-01, 8684-3.1-08, 8684-3.1-10, 8684-3.1-24, 8684-3.1-33, 8684-3.1-35
  // Requirement 8684-3.1-39
  @Test func withoutDataTheThirdAckCarriesBothKeys() throws {
    let script = Script()
    _ = try script.endpoint.connect(to: TransportAddress(Pair.address(0, 1, .v4), 80), at: script.now)
    let syn = try #require(script.take())
    #expect(syn.capable == MPCapable(version: 1, flags: .hmac))
    let subflow = ScriptedSubflow(
      script, path: 0, local: TransportAddress(syn.destination, 80),
      remote: TransportAddress(syn.source, syn.tcp.sourcePort))
    subflow.note(syn)
    let key = Key(0x1112_1314_1516_1718)
    subflow.send([.syn, .ack], [.capable(MPCapable(senderKey: key))])
    let third = try #require(subflow.take())
    #expect(third.isPureAck)
    #expect(third.capable?.receiverKey == key)
    #expect(third.capable?.dataLength == nil)
  }

  // Requirement 8684-3.1-11, 8684-3.1-25, 8684-3.1-26
  // Requirement 8684-3.3.1-06
  @Test(arguments: [false, true])
  func theFirstDataCarriesTheKeysAndItsLength(checksum: Bool) throws {
    let script = Script()
    var options = lonely
    options.checksum = checksum
    let connection = try ScriptedConnection.opened(by: script, options: options)
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    let data = try #require(connection.initial.take())
    #expect(data.payload == octets(100))
    #expect(data.capable?.dataLength == 100)
    #expect((data.capable?.checksum != nil) == checksum)
    #expect(data.dss == nil)
    // A DSS of the peer is proof enough: what follows is mapped as usual.
    connection.initial.send(.ack, [connection.dataAck(101)])
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    let next = try #require(connection.initial.take { !$0.payload.isEmpty })
    #expect(next.capable == nil)
    #expect(connection.mapped(by: next) == 101)
    #expect(next.dss?.mapping?.subflowSequenceNumber == 101)
  }

  // Requirement 8684-3.1-26, 8684-3.1-27, 8684-3.1-29
  @Test(arguments: [false, true])
  func dataOfMPCapableIsMappedAndDataAcknowledged(checksum: Bool) throws {
    let script = Script()
    let connection = try #require(
      try ScriptedConnection.accepted(by: script, flags: checksum ? [.hmac, .checksumRequired] : .hmac))
    connection.initial.send([.ack, .psh], [connection.thirdAcknowledgment(data: octets(50))], payload: octets(50))
    let answer = try #require(script.takeAll().last)
    #expect(connection.acknowledged(by: answer) == 51)
    #expect(try script.endpoint.read(from: connection.id, upTo: 100, at: script.now)?.array == octets(50))
    // The same again, as a retransmission brings it, changes nothing.
    connection.initial.send(
      [.ack, .psh], at: 1, [connection.thirdAcknowledgment(data: octets(50))], payload: octets(50))
    connection.send(octets(10), at: 51)
    #expect(try script.endpoint.read(from: connection.id, upTo: 100, at: script.now)?.array == octets(10))
  }

  // Requirement 8684-3.3-08, 8684-3.3-09
  @Test func dataOfAnMPCapableThatContradictsTheChecksumRuleResetsTheSubflow() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, flags: [.hmac, .checksumRequired]))
    connection.usesChecksum = false
    connection.initial.send([.ack, .psh], [connection.thirdAcknowledgment(data: octets(50))], payload: octets(50))
    let reset = try #require(script.take(where: \.isReset))
    #expect(reset.resetReason == .mptcpSpecific)
  }

  // Requirement 8684-3.1-21
  @Test(arguments: [0, 3000])
  func aLostThirdAckIsRepeated(serverSends: Int) throws {
    let pair = Pair([quick])
    let exchange = try Exchange(pair, clientSends: 0, serverSends: serverSends, options: lonely)
    var lost = 0
    pair.middlebox { side, packet in
      guard side == 0, packet.capable?.receiverKey != nil, lost < 2 else { return true }
      lost += 1
      return false
    }
    exchange.expectWhole(isMultipath: true)
    #expect(lost == 2)
    #expect(exchange.fallback(0) == nil)
    #expect(exchange.fallback(1) == nil)
  }

  // Requirement 8684-3.1-21
  @Test func lostFirstDataIsSentAgainWithTheKeys() throws {
    let pair = Pair([quick])
    let exchange = try Exchange(pair, clientSends: 50_000, serverSends: 100, options: lonely)
    var lost = 0
    pair.middlebox { side, packet in
      guard side == 0, packet.capable?.dataLength != nil, lost < 1 else { return true }
      lost += 1
      return false
    }
    exchange.expectWhole(isMultipath: true)
    #expect(exchange.fallback(0) == nil)
    #expect(exchange.fallback(1) == nil)
  }

  // Requirement 8684-3.1-21
  @Test func everythingButTheSynAndLaterDataMayBeLostAtFirst() throws {
    // The third ACK and the first data are lost; the second data overtakes both.
    let pair = Pair([quick])
    let exchange = try Exchange(pair, clientSends: 50_000, serverSends: 100, options: lonely)
    var lost = 0
    pair.middlebox { side, packet in
      guard side == 0, packet.capable?.receiverKey != nil, lost < 3 else { return true }
      lost += 1
      return false
    }
    exchange.expectWhole(isMultipath: true)
    #expect(exchange.fallback(0) == nil)
    #expect(exchange.fallback(1) == nil)
  }

  // Requirement 8684-3.1-52
  @Test func aPeerThatHasNoKeysToSendAnyMoreIsServedAsTCP() throws {
    // The third ACK and the first data were lost, and the peer has ended: Linux repeats its data with a DSS then.
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, sendsKeys: false))
    let client = connection.initial
    let payload = octets(1000)
    func sendLate() {
      client.send(
        [.ack, .psh], at: 1, [connection.mapping(at: 1, subflowOffset: 1, payload, fin: true)], payload: payload)
    }
    sendLate()
    // The keys may still come: they are asked for by another SYN/ACK.
    #expect(script.connectionEvents.isEmpty)
    script.pass(.milliseconds(1100))
    #expect(client.take(where: \.isSynAck) != nil)
    sendLate()
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
    let answer = try #require(client.take { !$0.isSynAck })
    #expect(client.acknowledged(by: answer) == 1001)
    #expect(answer.dss == nil)
    let id = try #require(script.events.last?.connection)
    #expect(try script.endpoint.read(from: id, upTo: 5000, at: script.now)?.array == payload)
  }

  // Requirement 8684-3.1-03
  @Test func anOfferOfVersion2IsAnsweredWithVersion1() throws {
    let script = Script()
    _ = try script.endpoint.listen(on: TransportAddress(.anyV4, 80), at: script.now)
    let subflow = ScriptedSubflow(
      script, path: 0, local: TransportAddress(Pair.address(0, 1, .v4), 4000),
      remote: TransportAddress(Pair.address(0, 0, .v4), 80))
    subflow.send(.syn, [.capable(MPCapable(version: 2))])
    let answer = try #require(subflow.take())
    #expect(answer.capable?.version == 1)
    #expect(answer.capable?.senderKey != nil)
  }

  // Requirement 8684-3.1-31
  @Test(arguments: [0, 2] as [UInt8])
  func anAnswerOfAnotherVersionMakesItTCP(version: UInt8) throws {
    let script = Script()
    _ = try ScriptedConnection.opened(by: script, version: version)
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
  }

  @Test func aListenerForVersion1AloneAnswersAVersion0SynAsTCP() throws {
    let script = Script()
    var listen = ListenerOptions()
    listen.versions = .v1
    _ = try script.endpoint.listen(on: TransportAddress(.anyV4, 80), options: listen, at: script.now)
    let subflow = ScriptedSubflow(
      script, path: 0, local: TransportAddress(Pair.address(0, 1, .v4), 4000),
      remote: TransportAddress(Pair.address(0, 0, .v4), 80))
    subflow.send(.syn, [.capable(MPCapable(version: 0, senderKey: Key(77)))])
    let answer = try #require(subflow.take())
    #expect(answer.isSynAck)
    #expect(answer.multipath.isEmpty)
  }

  // Requirement 8684-3.1-31, 8684-3.1-36, 8684-3.1-39, 8684-3.1-40, 8684-3.1-48
  @Test(arguments: [[.hmac, .extensibility], []] as [MPCapableFlags])
  func anOptionWithFlagBOrWithoutFlagHIsIgnored(flags: MPCapableFlags) throws {
    let listening = Script()
    #expect(try ScriptedConnection.accepted(by: listening, flags: flags) == nil)
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script, flags: flags)
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
    #expect(script.endpoint.description(of: connection.id)?.fallback == .unacceptableCapability)
    #expect(script.takeAll().allSatisfy { $0.multipath.isEmpty })
  }

  // Requirement 8684-3.1-31, 8684-3.1-36, 8684-3.1-40
  @Test(arguments: [[.hmac, .extensibility], []] as [MPCapableFlags])
  func aThirdAcknowledgementWithFlagBOrWithoutFlagHMakesItTCP(flags: MPCapableFlags) throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely, sendsKeys: false))
    connection.initial.send(
      .ack, [.capable(MPCapable(flags: flags, senderKey: connection.key, receiverKey: connection.engineKey))])
    let id = try #require(script.events.last).connection
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
    #expect(script.endpoint.description(of: id)?.fallback == .unacceptableCapability)
    #expect(script.takeAll().isEmpty, "a third ACK is not acknowledged")
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: id, at: script.now)
    connection.initial.send([.ack, .psh], payload: octets(10))
    #expect(script.takeAll().allSatisfy { $0.multipath.isEmpty })
    #expect(try script.endpoint.read(from: id, upTo: 100, at: script.now)?.array == octets(10))
  }

  // Requirement 8684-3.1-39, 8684-3.1-44, 8684-3.3.1-07
  @Test(arguments: [(true, false), (false, true), (true, true), (false, false)])
  func checksumsAreUsedWhereEitherSideAsks(client: Bool, server: Bool) throws {
    let pair = Pair([quick, quick])
    var options = ConnectionOptions()
    options.checksum = client
    var serverOptions = ConnectionOptions()
    serverOptions.checksum = server
    let exchange = try Exchange(
      pair, clientSends: 100_000, serverSends: 100_000, options: options, serverOptions: serverOptions)
    var mappings = 0
    var sums = 0
    pair.middlebox { _, packet in
      guard let mapping = packet.dss?.mapping else { return true }
      mappings += 1
      if mapping.checksum != nil { sums += 1 }
      return true
    }
    exchange.expectWhole(isMultipath: true)
    #expect(mappings > 0)
    #expect(sums == (client || server ? mappings : 0))
    #expect(exchange.description(0)?.usesChecksum == (client || server))
    #expect(exchange.description(1)?.usesChecksum == (client || server))
    #expect(pair.endpoints.allSatisfy { $0.statistics.badDataChecksums == 0 })
  }

  // Requirement 8684-3.1-37, 8684-3.1-39
  @Test func theListenersFlagCKeepsTheInitiatorFromJoiningThere() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script, flags: [.hmac, .noMoreSubflows])
    connection.initial.send(.ack, [connection.dataAck(1)])
    script.pass(.seconds(2))
    #expect(!script.takeAll().contains { $0.join != nil })
    // An address that is announced is another matter.
    connection.initial.send(
      .ack, [connection.announcement(Pair.address(1, 1, .v4), id: AddressID(5))])
    #expect(script.takeAll().contains { $0.isSyn && $0.destination == Pair.address(1, 1, .v4) })
    #expect(throws: EndpointError.self) {
      try script.endpoint.openSubflow(connection.id, on: PathID(1), at: script.now)
    }
  }

  // Requirement 8684-3.1-38, 8684-3.2-23
  @Test func ourFlagCRefusesJoinsToTheInitialAddressAndPort() throws {
    let script = Script()
    var options = lonely
    options.refusesJoinsToInitialAddress = true
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: options))
    connection.send(octets(1), at: 1)
    _ = script.takeAll()
    let refused = ScriptedSubflow(
      script, path: 1, local: TransportAddress(Pair.address(1, 1, .v4), 4001), remote: connection.initial.remote)
    let token = connection.engineKey.token()
    refused.send(.syn, [.join(.syn(backup: false, addressID: AddressID(2), token: token, nonce: 1))])
    let answer = try #require(script.take { $0.isReset })
    #expect(answer.resetReason == .administrativelyProhibited)
    #expect(connection.join(port: 4002) != nil)
  }

  // Requirement 8684-3.1-15
  @Test func keysAndTokensOfManyConnectionsDiffer() throws {
    let script = Script()
    var tokens = Set<Token>()
    for _ in 0..<200 {
      _ = try script.endpoint.connect(to: TransportAddress(Pair.address(0, 1, .v4), 80), at: script.now)
    }
    for _ in 0..<200 {
      let syn = try #require(script.take(where: \.isSyn))
      let subflow = ScriptedSubflow(
        script, path: 0, local: TransportAddress(syn.destination, 80),
        remote: TransportAddress(syn.source, syn.tcp.sourcePort))
      subflow.note(syn)
      subflow.send([.syn, .ack], [.capable(MPCapable(senderKey: Key(1)))])
      let third = try #require(script.outgoing.last?.capable?.senderKey)
      tokens.insert(third.token())
    }
    #expect(tokens.count == 200)
  }

  /// A key whose token another connection of the host has is drawn again (RFC 8684 §3.1).
  // Requirement 8684-3.1-15, 8684-3.1-17, 6824-3.1-12
  @Test(arguments: [MPTCPVersion.v0, .v1])
  func aKeyWhoseTokenIsTakenIsNotUsed(version: MPTCPVersion) throws {
    let script = Script(entropy: Stutter())
    _ = try script.endpoint.listen(on: TransportAddress(.anyV4, 80), at: script.now)
    var keys = Set<Key>()
    for port in 1...20 as ClosedRange<UInt16> {
      let subflow = ScriptedSubflow(
        script, path: 0, local: TransportAddress(Pair.address(0, 1, .v4), Port(4000 + port)),
        remote: TransportAddress(Pair.address(0, 0, .v4), 80))
      let theirs = version == .v0 ? Key(UInt64(port)) : nil
      subflow.send(.syn, [.capable(MPCapable(version: version.rawValue, senderKey: theirs))])
      keys.insert(try #require(subflow.take(where: \.isSynAck)?.capable?.senderKey))
    }
    #expect(keys.count == 20)
  }

  /// Entropy that gives each number many times over.
  private struct Stutter: EntropySource {
    private var numbers = SeededEntropy(seed: 3)
    private var current: UInt64 = 0
    private var drawn = 0

    mutating func next() -> UInt64 {
      if drawn.isMultiple(of: 30) { current = numbers.next() }
      drawn += 1
      return current
    }
  }

  // Requirement 8684-7.2-02, 9293-3.1-08
  @Test func malformedOptionsAreCountedAndHarmNothing() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.send(octets(4), at: 1)
    let malformed: [[UInt8]] = [
      [30, 3, 0x20, 1], [30, 2, 1, 1], [30, 1, 1, 1], [30, 40, 0x20, 0], [30, 4, 0xf0, 0], [30, 4, 0x90, 0],
      [30, 7, 0x30, 1, 10, 0, 0, 1], [30, 12, 0x20, 5, 0, 0, 0, 1, 0, 0, 0, 1],
    ]
    for raw in malformed { connection.initial.send(.ack, raw: raw) }
    #expect(script.endpoint.statistics.malformedOptions >= 6)
    connection.send(octets(4), at: 5)
    #expect(try script.endpoint.read(from: connection.id, upTo: 100, at: script.now)?.count == 8)
  }
}
