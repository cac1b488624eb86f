import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// MP_JOIN (RFC 8684 §3.2).
@Suite struct JoinTests {
  /// A connection of the engine's, with the SYN of its first join.
  private func joining(_ script: Script) throws -> (ScriptedConnection, WirePacket) {
    let connection = try ScriptedConnection.opened(by: script)
    connection.initial.send(.ack, [connection.dataAck(1)])
    return (connection, try #require(script.take(where: \.isSyn)))
  }

  private func accepted(_ script: Script, _ options: ConnectionOptions = lonely) throws -> ScriptedConnection {
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: options))
    connection.send(octets(1), at: 1)
    _ = script.takeAll()
    return connection
  }

  // Requirement 8684-3.2-02, 8684-3.2-03, 8684-3.2-15, 8684-3.2-18, 8684-3.2-20
  // Requirement 8684-3.1-13
  @Test func aJoinIsProvedByHMACsAndSendsNoDataBeforeTheFourthAck() throws {
    let script = Script()
    let (connection, syn) = try joining(script)
    guard case .syn(let backup, let id, let token, let nonce)? = syn.join else {
      Issue.record("no MP_JOIN")
      return
    }
    #expect(!backup)
    #expect(id != .initial)
    #expect(token == connection.key.token())
    let subflow = try #require(connection.answerJoin(syn))
    let third = try #require(subflow.take())
    #expect(third.multipath == [connection.proofOfEngine(nonce: nonce, theirs: 0x0506_0708)])
    // The initial subflow is full, yet nothing goes out here.
    _ = try script.endpoint.write(ByteSlice(octets(60_000)), to: connection.id, at: script.now)
    #expect(subflow.take { !$0.payload.isEmpty } == nil)
    subflow.send(.ack)
    #expect(
      script.connectionEvents.contains {
        if case .subflowEstablished(let description) = $0 { !description.isInitial } else { false }
      })
    script.pass(.milliseconds(100))
    #expect(script.outgoing.contains { $0.path == syn.path && !$0.payload.isEmpty })
  }

  // Requirement 8684-3.2-17
  @Test func theThirdAckIsRepeatedUntilTheFourthComes() throws {
    let script = Script()
    let (connection, syn) = try joining(script)
    let subflow = try #require(connection.answerJoin(syn))
    _ = try #require(subflow.take { $0.join != nil })
    script.pass(.milliseconds(1500))
    let repeated = script.takeAll().filter { $0.tcp.sourcePort == subflow.remote.port && $0.join != nil }
    #expect(repeated.count >= 1)
    script.pass(.seconds(60))
    // Nobody answers: it is given up, the connection is not.
    #expect(
      script.endpoint.description(of: connection.id)?.subflows.contains { $0.tuple.local == subflow.remote } == false)
    #expect(script.closeReason == nil)
  }

  // Requirement 8684-3.2-16
  @Test func aRepeatedThirdAckGetsItsFourthAgain() throws {
    let script = Script()
    let connection = try accepted(script)
    let subflow = try #require(connection.join())
    let fourth = try #require(subflow.take())
    #expect(fourth.isPureAck)
    #expect(fourth.join == nil)
    subflow.send(.ack, [connection.joinProof(nonce: 0x0102_0304, theirs: 0)])
    #expect(subflow.take()?.isPureAck == true)
  }

  /// Somebody has recorded a join of the peer's, and sends it again when the subflow has ended: the engine's random
  /// number is another one, so the recorded HMAC proves nothing.
  // Requirement 8684-3.2-04, 8684-5-03
  @Test func aJoinThatIsReplayedIsRefused() throws {
    let script = Script()
    let connection = try accepted(script)
    func send(_ third: MultipathOption?) throws -> (MultipathOption, ScriptedSubflow) {
      let subflow = ScriptedSubflow(
        script, path: 1, local: TransportAddress(Pair.address(1, 1, .v4), 4001),
        remote: TransportAddress(Pair.address(1, 0, .v4), 80))
      let token = connection.engineKey.token()
      subflow.send(
        .syn, [.join(.syn(backup: false, addressID: AddressID(3), token: token, nonce: 0x0102_0304))],
        plain: [.maximumSegmentSize(1460)])
      guard case .synAck(_, _, _, let theirs)? = try #require(subflow.take(where: \.isSynAck)).join else {
        throw EndpointError.noRoute
      }
      let proof = third ?? connection.joinProof(nonce: 0x0102_0304, theirs: theirs)
      subflow.send(.ack, [proof])
      return (proof, subflow)
    }
    let (proof, subflow) = try send(nil)
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 2)
    subflow.send(.rst)
    _ = script.takeAll()
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 1)
    let (_, replayed) = try send(proof)
    #expect(replayed.take(where: \.isReset)?.resetReason == .mptcpSpecific)
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 1)
    #expect(script.endpoint.statistics.badJoinAuthentications == 1)
  }

  // Requirement 8684-3.2-24, 8684-3.2-25, 8684-3.2-29, 8684-3.4.1-20
  @Test func aWrongHMACOnTheSynAckResetsOnlyTheJoin() throws {
    let script = Script()
    let (connection, syn) = try joining(script)
    let subflow = try #require(connection.answerJoin(syn, isWrong: true))
    let reset = try #require(subflow.take(where: \.isReset))
    #expect(reset.resetReason == .mptcpSpecific)
    #expect(script.endpoint.statistics.badJoinAuthentications == 1)
    #expect(script.endpoint.description(of: connection.id)?.isMultipath == true)
    connection.send(octets(5), at: 1)
    #expect(try script.endpoint.read(from: connection.id, upTo: 10, at: script.now)?.count == 5)
    // RFC 8684 §3.2: not again to the same address soon.
    script.pass(.seconds(5))
    #expect(!script.takeAll().contains { $0.isSyn })
  }

  // Requirement 8684-3.2-25, 8684-3.2-26, 8684-3.2-27, 8684-3.2-29
  @Test(arguments: [(false, 0), (true, 0), (true, 10)])
  func aThirdAckWithAWrongHMACOrWithoutIsReset(isMissing: Bool, dataByteCount: Int) throws {
    let script = Script()
    let connection = try accepted(script)
    let subflow = ScriptedSubflow(
      script, path: 1, local: TransportAddress(Pair.address(1, 1, .v4), 4001),
      remote: TransportAddress(Pair.address(1, 0, .v4), 80))
    subflow.send(
      .syn, [.join(.syn(backup: false, addressID: AddressID(3), token: connection.engineKey.token(), nonce: 1))])
    _ = try #require(subflow.take(where: \.isSynAck))
    subflow.send(
      .ack, isMissing ? [] : [.join(.ack(hmac: HMAC160(high: 1, middle: 2, low: 3)))], payload: octets(dataByteCount))
    let reset = try #require(subflow.take(where: \.isReset))
    #expect(reset.resetReason == .mptcpSpecific)
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 1)
    connection.send(octets(5), at: 2)
    #expect(script.take { connection.acknowledged(by: $0) == 7 } != nil)
  }

  // Requirement 8684-3.6-02, 8684-3.6-05, 8684-3.6-07
  // Requirement 8684-3.9.2-03
  @Test(arguments: [
    nil, MPTCPReset(transient: true, reason: ResetReason(2)), MPTCPReset(transient: false, reason: ResetReason(3)),
  ])
  func aJoinThatWasResetIsTriedAgainUnlessThePeerRefusedItForGood(reset: MPTCPReset?) throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script)
    connection.initial.send(.ack, [connection.dataAck(1)])
    var attempts = 0
    for _ in 0..<100 {
      script.pass(.milliseconds(50))
      while let syn = script.take(where: { $0.isSyn && $0.join != nil }) {
        attempts += 1
        let refusal = ScriptedSubflow(
          script, path: syn.path, local: TransportAddress(syn.destination, syn.tcp.destinationPort),
          remote: TransportAddress(syn.source, syn.tcp.sourcePort))
        refusal.note(syn)
        refusal.send([.rst, .ack], at: 0, ack: 1, reset.map { [.reset($0)] } ?? [])
      }
    }
    // 0.5, 1 and 2 seconds apart.
    #expect(attempts == (reset?.transient == false ? 1 : 4))
    #expect(script.closeReason == nil)
  }

  /// A middlebox lets each join through and ends the subflow as soon as it is used: by the peer's RST, which may be
  /// tried again, later and later; or by what made us reset it, with our word that it would not do better.
  // Requirement 8684-3.6-05, 8684-3.9.2-03
  @Test(arguments: [false, true])
  func aPathThatSpoilsEachSubflowIsJoinedLaterAndLaterOrNotAgain(isOurReset: Bool) throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script)
    connection.initial.send(.ack, [connection.dataAck(1), .priority(MPPriority(backup: true))])
    var times: [Instant] = []
    var written = 0
    for _ in 0..<900 {
      while let syn = script.take(where: { $0.isSyn && $0.path == 1 }) {
        times.append(script.now)
        let other = try #require(connection.answerJoin(syn))
        other.send(.ack, [connection.dataAck(1 + written)])
        #expect(script.endpoint.description(of: connection.id)?.subflows.count == 2)
        if isOurReset {
          _ = script.takeAll()
          _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
          written += 100
          _ = try #require(other.take { !$0.payload.isEmpty })
          other.send(.ack)
          #expect(script.take(where: \.isReset)?.resetReason == .middleboxInterference)
          connection.initial.send(.ack, ack: connection.initial.expected + 100, [connection.dataAck(1 + written)])
        } else {
          other.send([.rst, .ack], [.reset(MPTCPReset(transient: true, reason: .middleboxInterference))])
        }
        #expect(script.endpoint.description(of: connection.id)?.subflows.count == 1)
      }
      script.pass(.milliseconds(100))
    }
    let waits = zip(times.dropFirst(), times).map { $0 - $1 }
    if isOurReset {
      #expect(times.count == 1)
    } else {
      #expect((7...11).contains(waits.count), "\(waits)")
      #expect(zip(waits, [0.5, 1, 2, 4, 8, 15, 15]).allSatisfy { abs($0.seconds - $1) < 0.2 }, "\(waits)")
    }
  }

  /// Where there is no other path, waiting longer each time would only make what is slow slower.
  @Test func theOnlyPathIsJoinedAsSoonAgainHoweverOftenItsSubflowsAreReset() throws {
    let script = Script(paths: 1)
    let connection = try ScriptedConnection.opened(by: script)
    connection.initial.send(.ack, [connection.dataAck(1)])
    connection.initial.send([.rst, .ack])
    var times: [Instant] = []
    for _ in 0..<60 {
      script.pass(.milliseconds(100))
      while let syn = script.take(where: { $0.isSyn }) {
        times.append(script.now)
        let other = try #require(connection.answerJoin(syn))
        other.send(.ack, [connection.dataAck(1)])
        other.send([.rst, .ack], [.reset(MPTCPReset(transient: true, reason: .middleboxInterference))])
      }
    }
    #expect((10...12).contains(times.count), "\(times)")
  }

  /// RFC 8684 §3.6: the reason speaks of the subflow; only a peer that has forgotten the token ends the connection.
  /// Requirement 8684-3.3.3-14, 8684-3.6-02
  @Test func aRefusedJoinLeavesAConnectionWithoutSubflowsItsTime() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script, options: lonely)
    connection.initial.send(.ack, [connection.dataAck(1)])
    connection.initial.send([.rst, .ack])
    func refuse(_ reset: MPTCPReset?) throws {
      _ = try script.endpoint.openSubflow(connection.id, on: PathID(1), at: script.now)
      let syn = try #require(script.take(where: \.isSyn))
      let refusal = ScriptedSubflow(
        script, path: 1, local: TransportAddress(syn.destination, syn.tcp.destinationPort),
        remote: TransportAddress(syn.source, syn.tcp.sourcePort))
      refusal.note(syn)
      refusal.send([.rst, .ack], at: 0, ack: 1, reset.map { [.reset($0)] } ?? [])
    }
    try refuse(MPTCPReset(transient: false, reason: .administrativelyProhibited))
    try refuse(MPTCPReset(transient: true, reason: .mptcpSpecific))
    try refuse(nil)
    #expect(script.closeReason == nil)
    try refuse(MPTCPReset(transient: false, reason: .mptcpSpecific))
    #expect(script.closeReason == .resetByPeer)
  }

  @Test func aRouterThatReachesNobodyRefusesNoJoinForGood() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script)
    connection.initial.send(.ack, [connection.dataAck(1)])
    let syn = try #require(script.take { $0.isSyn && $0.path == 1 })
    connection.initial.send([.rst, .ack])
    // Host unreachable for the SYN and its repetition.
    func unreachable(_ syn: WirePacket) {
      let body: [UInt8] = [3, 1, 0, 0, 0, 0, 0, 0] + syn.bytes.prefix(28)
      let header = IPHeader(
        source: syn.destination, destination: syn.source, protocolNumber: IPProtocol.icmp, payloadByteCount: body.count)
      var bytes = [UInt8](repeating: 0, count: header.totalByteCount)
      bytes.withUnsafeMutableBytes { buffer in
        _ = try? header.write(into: buffer)
        for (index, octet) in body.enumerated() { buffer[header.headerByteCount + index] = octet }
        try? Segmentation.fillChecksums(in: buffer)
      }
      var sum = InternetChecksum()
      sum.add(body.span.bytes)
      let value = sum.value
      bytes[header.headerByteCount + 2] = UInt8(value >> 8)
      bytes[header.headerByteCount + 3] = UInt8(value & 255)
      script.endpoint.receive(ByteSlice(bytes), on: PathID(1), at: script.now)
      script.drain()
    }
    unreachable(syn)
    script.pass(.milliseconds(1100))
    let again = try #require(script.take { $0.isSyn && $0.tcp.sourcePort == syn.tcp.sourcePort })
    unreachable(again)
    #expect(
      script.endpoint.description(of: connection.id)?.subflows.contains { $0.tuple.local.port == syn.tcp.sourcePort }
        == false)
    #expect(script.closeReason == nil)
    script.pass(.seconds(2))
    #expect(script.takeAll().contains { $0.isSyn && $0.path == 1 && $0.tcp.sourcePort != syn.tcp.sourcePort })
  }

  // Requirement 8684-3.2-13, 8684-3.2-21, 8684-3.2-25
  @Test func anUnknownTokenIsAnsweredWithResetReason1() throws {
    let script = Script()
    _ = try accepted(script)
    let subflow = ScriptedSubflow(
      script, path: 1, local: TransportAddress(Pair.address(1, 1, .v4), 4001),
      remote: TransportAddress(Pair.address(1, 0, .v4), 80))
    subflow.send(.syn, [.join(.syn(backup: false, addressID: AddressID(3), token: Token(12345), nonce: 1))])
    let reset = try #require(subflow.take(where: \.isReset))
    #expect(reset.resetReason == .mptcpSpecific)
  }

  /// Two connections of the same two hosts; a join's port is the other connection's first one, so that no part of a
  /// tuple alone tells them apart.
  private func twins(_ script: Script) throws -> [ScriptedConnection] {
    try [(0x1112_1314_1516_1718, 4000), (0x2122_2324_2526_2728, 4010)].map { (key: UInt64, port: UInt16) in
      let connection = try #require(
        try ScriptedConnection.accepted(by: script, options: lonely, key: Key(key), port: Port(port)))
      connection.send(octets(10), at: 1)
      #expect(try connection.readAll() == octets(10))
      return connection
    }
  }

  // Requirement 8684-3.1-16
  @Test func theTokenLeadsToItsConnectionAndThatOnesKeysProveTheJoin() throws {
    let script = Script()
    let both = try twins(script)
    func counts() -> [Int?] { both.map { script.endpoint.description(of: $0.id)?.subflows.count } }
    // Each checks the engine's HMAC with the keys of its own connection.
    _ = try #require(both[0].join(port: 4001))
    #expect(counts() == [2, 1])
    _ = try #require(both[1].join(port: 4002))
    #expect(counts() == [2, 2])
    // The token of one and the proof of the other.
    let mixed = ScriptedSubflow(
      script, path: 1, local: TransportAddress(Pair.address(1, 1, .v4), 4003),
      remote: TransportAddress(Pair.address(1, 0, .v4), 80))
    mixed.send(
      .syn, [.join(.syn(backup: false, addressID: AddressID(3), token: both[1].engineKey.token(), nonce: 1))])
    guard case .synAck(_, _, _, let theirs)? = mixed.take(where: \.isSynAck)?.join else {
      Issue.record("no answer to the join")
      return
    }
    mixed.send(.ack, [both[0].joinProof(nonce: 1, theirs: theirs)])
    #expect(mixed.take(where: \.isReset)?.resetReason == .mptcpSpecific)
    #expect(counts() == [2, 2])
  }

  // Requirement 8684-3.2-32
  @Test(arguments: [TCPFlags.fin, .rst])
  func addressesAndPortsAloneTellToWhichConnectionAPacketBelongs(end: TCPFlags) throws {
    let script = Script()
    let both = try twins(script)
    let joined = [try #require(both[0].join(port: 4010)), try #require(both[1].join(port: 4000))]
    for subflow in joined { subflow.send(.ack) }
    func starts(_ index: Int) -> [UInt8] { octets(80, from: 100 + index * 100) }
    // Twenty octets on each of the four, ten of them without any option: the mapping of the first covers them.
    for (index, connection) in both.enumerated() {
      for (place, subflow) in [connection.initial, joined[index]].enumerated() {
        let bytes = Array(starts(index)[(place * 20)..<(place * 20 + 20)])
        let mapping = connection.mapping(at: 11 + place * 20, subflowOffset: subflow.sent, bytes)
        subflow.send([.ack, .psh], [mapping], payload: Array(bytes[..<10]))
      }
    }
    for (index, connection) in both.enumerated() {
      for (place, subflow) in [connection.initial, joined[index]].enumerated() {
        subflow.send([.ack, .psh], payload: Array(starts(index)[(place * 20 + 10)..<(place * 20 + 20)]))
      }
    }
    for (index, connection) in both.enumerated() {
      #expect(try connection.readAll() == Array(starts(index)[..<40]))
    }
    // And an end is that subflow's alone.
    func open() -> [[TransportAddress]] {
      both.map { connection in
        let subflows = script.endpoint.description(of: connection.id)?.subflows ?? []
        return subflows.filter { $0.state == .established }.map(\.tuple.remote)
      }
    }
    #expect(open() == [[both[0].initial.local, joined[0].local], [both[1].initial.local, joined[1].local]])
    joined[0].send([.ack, end])
    #expect(open() == [[both[0].initial.local], [both[1].initial.local, joined[1].local]])
    both[1].initial.send([.ack, end])
    #expect(open() == [[both[0].initial.local], [joined[1].local]])
    #expect(script.closeReason == nil)
  }

  /// With the right keys and the shape of a third ACK that carries data.
  // Requirement 8684-3.1-49
  @Test func keysOnAJoinedSubflowMapNoData() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let subflow = try #require(connection.join())
    subflow.send([.ack, .psh], [connection.thirdAcknowledgment(data: octets(10))], payload: octets(10))
    script.pass(.seconds(1))
    #expect(try connection.readAll().isEmpty)
    #expect(script.takeAll().allSatisfy { connection.acknowledged(by: $0).map { $0 == 11 } ?? true })
    let description = try #require(script.endpoint.description(of: connection.id))
    #expect(description.isMultipath && description.subflows.map(\.isInitial) == [true])
    connection.send(octets(5), at: 11)
    #expect(try connection.readAll() == octets(5))
  }

  // Requirement 8684-3.2-30, 8684-3.2-31
  @Test func aJoinMayComeToAnyPort() throws {
    let script = Script()
    let connection = try accepted(script)
    #expect(connection.join(to: TransportAddress(Pair.address(1, 0, .v4), 9999)) != nil)
    // The listener's address on the other path, too.
    #expect(connection.join(port: 4005, to: TransportAddress(Pair.address(0, 0, .v4), 1234)) != nil)
    #expect(script.endpoint.statistics.joins == 2)
  }

  // Requirement 8684-3.2-22, 8684-3.6-01, 8684-3.6-04, 8684-3.6-11, 8684-3.9.2-04
  // Requirement 8684-3.9.1-04, 8684-3.2-34
  @Test func joinsBeyondTheLimitAreRefusedWithAReason() throws {
    var configuration = EndpointConfiguration()
    configuration.maximumSubflowCount = 3
    let script = Script(configuration: configuration)
    let connection = try accepted(script)
    for port in 0..<2 { #expect(connection.join(port: Port(5000 + UInt16(port))) != nil) }
    _ = script.takeAll()
    #expect(connection.join(port: 5010) == nil)
    // Others may go: the peer may try again (RFC 8684 §3.6).
    let subflow = ScriptedSubflow(
      script, path: 1, local: TransportAddress(Pair.address(1, 1, .v4), 5011),
      remote: TransportAddress(Pair.address(1, 0, .v4), 80))
    subflow.send(
      .syn, [.join(.syn(backup: false, addressID: AddressID(3), token: connection.engineKey.token(), nonce: 1))])
    let reset = try #require(subflow.take(where: \.isReset))
    #expect(reset.multipath == [.reset(MPTCPReset(transient: true, reason: .lackOfResources))])
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 3)
  }

  @Test func joinsInFlightAreBoundedForOneToken() throws {
    let script = Script()
    let connection = try accepted(script)
    for port in 0..<40 {
      let subflow = ScriptedSubflow(
        script, path: 1, local: TransportAddress(Pair.address(1, 1, .v4), Port(6000 + UInt16(port))),
        remote: TransportAddress(Pair.address(1, 0, .v4), 80))
      subflow.send(
        .syn, [.join(.syn(backup: false, addressID: AddressID(3), token: connection.engineKey.token(), nonce: 1))])
    }
    #expect(script.endpoint.description(of: connection.id).map { $0.subflows.count <= 9 } == true)
  }

  // Requirement 8684-3.2-11, 8684-3.3.8-02
  @Test func theBackupFlagOfAJoinIsHeard() throws {
    let script = Script()
    let connection = try accepted(script)
    let subflow = try #require(connection.join(backup: true))
    let description = try #require(script.endpoint.description(of: connection.id))
    #expect(description.subflows.first { $0.tuple.remote == subflow.local }?.isBackup == true)
    #expect(description.subflows.first { $0.isInitial }?.isBackup == false)
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(40_000)), to: connection.id, at: script.now)
    script.pass(.milliseconds(1))
    #expect(script.takeAll().allSatisfy { $0.payload.isEmpty || $0.path == 0 })
  }

  // Requirement 8684-3.2-11
  @Test func aBackupJoinOfOursSaysSo() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script, options: lonely)
    connection.initial.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    _ = try script.endpoint.openSubflow(connection.id, on: PathID(1), isBackup: true, at: script.now)
    let syn = try #require(script.take(where: \.isSyn))
    guard case .syn(true, _, _, _)? = syn.join else {
      Issue.record("no backup flag")
      return
    }
  }

  // Requirement 8684-3.1-32
  @Test func noJoinGoesOutBeforeADSSWasReceived() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script)
    #expect(throws: EndpointError.notMultipath) {
      try script.endpoint.openSubflow(connection.id, on: PathID(1), at: script.now)
    }
    script.pass(.seconds(1))
    #expect(!script.takeAll().contains { $0.join != nil })
    connection.initial.send(.ack, [connection.dataAck(1)])
    #expect(script.takeAll().contains { $0.join != nil })
  }

  // Requirement 8684-3.2-01, 8684-3.3-01
  @Test func bothSidesMayJoin() throws {
    let pair = Pair([quick, quick])
    let exchange = try Exchange(pair, clientSends: 300_000, serverSends: 300_000, options: lonely)
    #expect(
      pair.run(for: .seconds(2)) { (0..<2).allSatisfy { (exchange.description($0)?.receivedByteCount ?? 0) > 1000 } })
    let client = exchange.ids[0]!
    let server = exchange.ids[1]!
    _ = try pair.endpoints[0].openSubflow(
      client, on: PathID(1), to: TransportAddress(Pair.address(1, 1, .v4), 80), at: pair.now)
    _ = try pair.endpoints[1].openSubflow(server, on: PathID(1), at: pair.now)
    var joined = false
    #expect(
      pair.run(for: .seconds(20)) {
        joined =
          joined || (exchange.description(0)?.subflows.count == 3 && exchange.description(1)?.subflows.count == 3)
        return exchange.isDone
      })
    #expect(joined)
    #expect(pair.endpoints[0].statistics.joins == 2)
    #expect(pair.endpoints[1].statistics.joins == 2)
    exchange.expectWhole(isMultipath: true)
  }

  enum Stripped: CaseIterable, Sendable {
    case syn
    case synAck
    case thirdAck
    case everything
  }

  // Requirement 8684-3.2-29
  @Test(arguments: Stripped.allCases)
  func aJoinThatLosesItsOptionsHarmsOnlyItself(place: Stripped) throws {
    let pair = Pair([quick, quick])
    let exchange = try Exchange(pair, clientSends: 300_000, serverSends: 300_000)
    pair.middlebox { _, packet in
      guard packet.path == 1 else { return true }
      switch place {
      case .syn: if packet.isSyn { packet.strip() }
      case .synAck: if packet.isSynAck { packet.strip() }
      case .thirdAck: if case .ack? = packet.join { packet.strip() }
      case .everything: packet.strip()
      }
      return true
    }
    exchange.expectWhole(isMultipath: true)
    #expect(exchange.description(0)?.isMultipath == true)
  }

  // Requirement 8684-3.2-16, 8684-3.2-17
  @Test(arguments: [0, 1, 2, 3])
  func joinPacketsThatAreLostAreRepeated(which: Int) throws {
    let thin = LinkConfiguration(bitsPerSecond: 4_000_000, delay: .milliseconds(10), queueByteCount: 30_000)
    let pair = Pair([thin, quick])
    let exchange = try Exchange(pair, clientSends: 20_000_000, serverSends: 100_000)
    var lost: Set<Port> = []
    var acks: [Port: Int] = [:]
    pair.middlebox { side, packet in
      guard packet.path == 1 else { return true }
      let port = side == 0 ? packet.tcp.sourcePort : packet.tcp.destinationPort
      let isIt: Bool
      switch which {
      case 0: isIt = packet.isSyn
      case 1: isIt = packet.isSynAck
      case 2: if case .ack? = packet.join { isIt = true } else { isIt = false }
      default: isIt = side == 1 && packet.isPureAck && acks[port, default: 0] == 0
      }
      if side == 1, packet.isPureAck { acks[port, default: 0] += 1 }
      return !(isIt && lost.insert(port).inserted)
    }
    #expect(
      pair.run(for: .seconds(6)) {
        (exchange.description(0)?.subflows.filter { $0.path == PathID(1) && $0.acknowledgedByteCount > 0 }.count ?? 0)
          == 2
      })
    #expect(exchange.mismatch == nil)
    #expect(lost.count >= 2)
  }

  // Requirement 8684-3.7-11
  @Test func dataOnAJoinedSubflowWithoutMappingResetsItWithReason6() throws {
    let script = Script()
    let connection = try accepted(script)
    let subflow = try #require(connection.join())
    subflow.send([.ack, .psh], payload: octets(10))
    #expect(script.take(where: \.isReset)?.resetReason == .middleboxInterference)
    #expect(script.endpoint.description(of: connection.id)?.isMultipath == true)
  }

  /// What the initial subflow has shown says nothing of the path of another one.
  // Requirement 8684-3.7-06, 8684-3.7-07, 8684-6-08
  @Test(arguments: [false, true])
  func dataAcknowledgedWithoutDSSOnAJoinedSubflowResetsItWhereOthersAreFine(hasBroughtDSS: Bool) throws {
    let script = Script()
    let connection = try accepted(script)
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    _ = try #require(connection.initial.take { !$0.payload.isEmpty })
    connection.initial.send(.ack, [connection.dataAck(11)])
    let other = try #require(connection.join())
    if hasBroughtDSS { other.send(.ack, [connection.dataAck(11)]) }
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(other.take { !$0.payload.isEmpty })
    other.send(.ack)
    #expect(script.take(where: \.isReset)?.resetReason == .middleboxInterference)
    // The data was never DATA_ACKed.
    script.pass(.seconds(3))
    #expect(script.outgoing.contains { $0.payload == octets(100) })
    #expect(script.endpoint.description(of: connection.id)?.isMultipath == true)
  }

  /// A mapping of several segments has its DSS on the first, and the peer's data may acknowledge ours without one.
  @Test func dataOfThePeerThatAnEarlierMappingCoversProvesNothingOfThePath() throws {
    let script = Script()
    let connection = try accepted(script)
    let other = try #require(connection.join())
    other.send(.ack, [connection.mapping(at: 2, subflowOffset: 1, octets(30))], payload: octets(10))
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(other.take { !$0.payload.isEmpty })
    other.send([.ack, .psh], payload: octets(10))
    #expect(script.take(where: \.isReset) == nil)
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 2)
  }

  /// The fourth ACK is bare (RFC 8684 §3.2), and the network may bring it behind what was sent after it.
  @Test func aLateFourthAckProvesNothingOfThePath() throws {
    let script = Script()
    let (connection, syn) = try joining(script)
    let other = try #require(connection.answerJoin(syn))
    other.send(.ack, [.priority(MPPriority(backup: false))])
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    let start = other.expected
    _ = try #require(other.take { !$0.payload.isEmpty })
    // An option took the place of the DSS.
    other.send(.ack, [.priority(MPPriority(backup: false))])
    other.send(.ack, ack: start)
    #expect(script.take(where: \.isReset) == nil)
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 2)
    // At the place of the data the same says all.
    other.send(.ack)
    #expect(script.take(where: \.isReset)?.resetReason == .middleboxInterference)
  }

  /// A peer in TIME-WAIT has forgotten the connection, and acknowledges the last data and our FIN without a DSS.
  @Test func dataAndFinAcknowledgedWithoutDSSEndTheSubflowInPeace() throws {
    let script = Script()
    let connection = try accepted(script)
    let other = try #require(connection.join())
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(other.take { !$0.payload.isEmpty })
    // The DATA_ACK comes by the other subflow; this one ends.
    connection.initial.send(.ack, [connection.dataAck(101)])
    let id = try #require(script.endpoint.description(of: connection.id)?.subflows.last?.id)
    try script.endpoint.closeSubflow(connection.id, id, at: script.now)
    _ = try #require(other.take(where: \.isFin))
    other.send(.ack)
    #expect(script.take(where: \.isReset) == nil)
  }

  /// Its FIN is no data: a subflow that carried none of ours says nothing when that is acknowledged.
  @Test func aFinAcknowledgedWithoutDSSEndsAJoinedSubflowInPeace() throws {
    let script = Script()
    let connection = try accepted(script)
    let other = try #require(connection.join())
    _ = script.takeAll()
    other.send([.ack, .fin])
    _ = try #require(other.take(where: \.isFin))
    other.send(.ack)
    #expect(script.take(where: \.isReset) == nil)
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 1)
  }

  // Requirement 8684-3.7-05, 8684-3.7-06, 8684-3.7-07
  @Test func firstDataAcknowledgedWithoutDSSOnAJoinedSubflowResetsItWithReason6() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.initial.window = 0
    connection.initial.send(.ack)
    let subflow = try #require(connection.join())
    // The initial subflow asks to be spared, so the data goes here.
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    subflow.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    let other = try #require(connection.join(port: 4100))
    connection.initial.send(.ack)
    subflow.send(.ack, [.priority(MPPriority(backup: true))])
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(other.take { !$0.payload.isEmpty })
    other.send(.ack)
    #expect(script.take(where: \.isReset)?.resetReason == .middleboxInterference)
    // The data goes over the others, for it was never DATA_ACKed.
    script.pass(.seconds(1))
    #expect(script.outgoing.contains { $0.payload == octets(100) })
  }
}

extension ScriptedConnection {
  /// The HMAC that the engine has to send on its third ACK.
  func proofOfEngine(nonce: UInt32, theirs: UInt32) -> MultipathOption {
    .join(
      .ack(
        hmac: JoinAuthentication.joinHMAC(
          version: .v1, senderKey: engineKey, receiverKey: key, senderNonce: nonce, receiverNonce: theirs
        ).left160))
  }
}
