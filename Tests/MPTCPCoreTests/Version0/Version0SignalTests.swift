import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// What version 0 says otherwise than version 1 once a connection is open (RFC 6824 §3.3 to §3.6).
@Suite struct Version0SignalTests {
  private var meshed: ConnectionOptions {
    var options = ConnectionOptions()
    options.multipath = .version0
    return options
  }

  /// The engine opened it, and a DSS has come: joins are possible.
  private func opened(_ script: Script, _ options: ConnectionOptions) throws -> ScriptedConnection {
    let connection = try ScriptedConnection.opened(by: script, options: options, version: 0)
    connection.initial.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    return connection
  }

  private func plain(_ address: IPAddress, id: UInt8, port: Port? = nil) -> MultipathOption {
    .addAddress(AddAddress(version: .v0, addressID: AddressID(id), address: address, port: port))
  }

  private func joins(_ script: Script, to address: IPAddress) -> [WirePacket] {
    script.takeAll().filter { $0.isSyn && $0.join != nil && $0.destination == address }
  }

  // MARK: ADD_ADDR (§3.4.1)

  @Test func anAnnouncementNeedsNoHMACAndGetsNoEcho() throws {
    let script = Script()
    let connection = try opened(script, meshed)
    let address = Pair.address(1, 1, .v4)
    connection.initial.send(.ack, [plain(address, id: 7)])
    let sent = script.takeAll()
    #expect(sent.contains { $0.isSyn && $0.destination == address && $0.tcp.destinationPort == 80 })
    #expect(!sent.contains { $0.addAddress != nil })
    #expect(script.connectionEvents.contains(.addressAnnounced(AddressID(7), TransportAddress(address, 80))))
  }

  // Requirement 6824-3.4.1-05, 6824-3.4.1-06
  @Test func whatIsSaidAgainOnAnotherSubflowOpensNothingMore() throws {
    let script = Script()
    let connection = try opened(script, meshed)
    let address = Pair.address(1, 5, .v4)
    connection.initial.send(.ack, [plain(address, id: 7)])
    let syns = joins(script, to: address)
    #expect(syns.count == 2)
    connection.initial.send(.ack, [plain(address, id: 7)])
    #expect(joins(script, to: address).isEmpty)
    // Another port of the same address is news; another address under the same ID is none.
    connection.initial.send(.ack, [plain(address, id: 7, port: 8080)])
    #expect(joins(script, to: address).allSatisfy { $0.tcp.destinationPort == 8080 })
    connection.initial.send(.ack, [plain(Pair.address(1, 6, .v4), id: 7)])
    #expect(joins(script, to: Pair.address(1, 6, .v4)).isEmpty)
    let announced = script.connectionEvents.filter { if case .addressAnnounced = $0 { true } else { false } }
    #expect(announced.count == 2)
  }

  /// ADD_ADDR2: see `AddAddress.hmac`.
  @Test(arguments: [Version0Announcements.plain, .authenticated])
  func anAnnouncementWithAnHMACCountsWhereItIsRight(mode: Version0Announcements) throws {
    let script = Script()
    var options = meshed
    options.version0Announcements = mode
    let connection = try opened(script, options)
    let address = Pair.address(1, 1, .v4)
    connection.initial.send(.ack, [connection.announcement(address, id: AddressID(7), isWrong: true)])
    #expect(joins(script, to: address).isEmpty)
    #expect(script.endpoint.statistics.badAddressAuthentications == 1)
    if mode == .authenticated {
      connection.initial.send(.ack, [plain(address, id: 7)])
      #expect(joins(script, to: address).isEmpty)
      #expect(script.endpoint.statistics.badAddressAuthentications == 2)
    }
    connection.initial.send(.ack, [connection.announcement(address, id: AddressID(7))])
    #expect(!joins(script, to: address).isEmpty)
  }

  // Requirement 6824-3.4.1-03
  @Test(arguments: [Version0Announcements.plain, .authenticated])
  func ourAddressesAreSaidOnAllSubflowsAFewTimes(mode: Version0Announcements) throws {
    let script = Script(paths: 3)
    var options = ConnectionOptions()
    options.version0Announcements = mode
    let connection = try ScriptedConnection.established(by: script, options: options, version: .v0)
    _ = try #require(connection.join())
    script.pass(.seconds(20))
    let third = Pair.address(2, 0, .v4)
    let said = script.takeAll().filter { $0.addAddress?.address == third }
    #expect(Set(said.map(\.path)) == [0, 1])
    #expect(said.count <= 6, "\(said.count)")
    for option in said.compactMap(\.addAddress) {
      let hmac = JoinAuthentication.addAddressHMAC(
        version: .v0, senderKey: connection.engineKey, receiverKey: connection.key, addressID: option.addressID,
        address: third, port: nil)
      #expect(option.hmac == (mode == .plain ? nil : hmac))
      #expect(!option.isEcho && option.port == nil)
    }
    // Taken back on all subflows as well (§3.4.2).
    script.endpoint.removePath(PathID(2), at: script.now)
    #expect(Set(script.takeAll().filter { $0.removeAddress != nil }.map(\.path)) == [0, 1])
  }

  @Test func oneChangeOfAddressesGoesOutInARoundTrip() throws {
    let script = Script(paths: 4)
    let connection = try #require(
      try ScriptedConnection.accepted(by: script, roundTrip: .milliseconds(300), version: .v0))
    connection.send(octets(10), at: 1)
    var times: [(IPAddress, Instant)] = []
    for _ in 0..<200 {
      for packet in script.takeAll() {
        if let option = packet.addAddress { times.append((option.address, script.now)) }
      }
      script.pass(.milliseconds(10))
    }
    #expect(Set(times.map(\.0)).count == 3)
    for (one, next) in zip(times, times.dropFirst()) { #expect(next.1 - one.1 >= .milliseconds(290)) }
  }

  // MARK: MP_PRIO (§3.3.8)

  // Requirement 6824-3.3.8-02, 6824-3.3.8-03
  @Test func aPriorityWithAnAddressIDIsForAllSubflowsOfThatAddress() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, version: .v0)
    _ = try #require(connection.join())
    _ = try #require(connection.join(port: 4002))
    connection.initial.send(.ack, [.priority(MPPriority(backup: true, addressID: AddressID(2)))])
    let backups = script.endpoint.description(of: connection.id)?.subflows.map(\.isBackup)
    #expect(backups == [false, true, true])
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    connection.initial.send(.ack, [.priority(MPPriority(backup: false, addressID: AddressID(2)))])
    #expect(script.endpoint.description(of: connection.id)?.subflows.map(\.isBackup) == [true, false, false])
  }

  // Requirement 6824-3.3.8-02
  @Test(arguments: [MPTCPVersion.v0, .v1])
  func ourPriorityForAnAddressNamesItInVersion0Alone(version: MPTCPVersion) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, version: version)
    _ = try #require(connection.join())
    _ = try #require(connection.join(port: 4002))
    _ = script.takeAll()
    let id = try #require(script.endpoint.description(of: connection.id)?.subflows.last?.localAddressID)
    try script.endpoint.setBackup(connection.id, address: id, true, at: script.now)
    let said = script.takeAll().compactMap(\.priority)
    #expect(
      said == (version == .v0 ? [MPPriority(backup: true, addressID: id)] : [.init(backup: true), .init(backup: true)]))
    #expect(script.endpoint.description(of: connection.id)?.subflows.map(\.isBackup) == [false, true, true])
    #expect(throws: EndpointError.unknownSubflow) {
      try script.endpoint.setBackup(connection.id, address: AddressID(99), true, at: script.now)
    }
  }

  // MARK: DSS (§3.3)

  // Requirement 6824-3.3-01
  @Test func aChecksumThatWasNotAgreedOnIsIgnored() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, version: .v0)
    connection.usesChecksum = true
    connection.initial.send(
      [.ack, .psh], [connection.mapping(at: 11, subflowOffset: 11, octets(5), isWrong: true)], payload: octets(5))
    #expect(try connection.readAll() == octets(5))
  }

  // Requirement 6824-3.3-02
  @Test func aMissingChecksumResetsTheSubflowWithoutAReason() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true, version: .v0)
    connection.usesChecksum = false
    connection.send(octets(5), at: 11)
    #expect(try #require(script.take(where: \.isReset)).multipath.isEmpty)
  }

  /// RFC 6824 §3.3.1 does not say that a mapping touches its segment.
  // Requirement 6824-3.3.1-01
  @Test func aMappingMayComeBehindTheOneOfLaterBytes() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, version: .v0)
    let second = try #require(connection.join())
    _ = script.takeAll()
    second.send([.ack, .psh], [connection.mapping(at: 11, subflowOffset: 1, octets(2))], payload: octets(2))
    second.send([.ack, .psh], payload: octets(4, from: 2))
    second.send(
      [.ack, .psh], [connection.mapping(at: 17, subflowOffset: 7, octets(4, from: 6))], payload: octets(4, from: 6))
    #expect(try connection.readAll() == octets(2))
    second.send(.ack, [connection.mapping(at: 13, subflowOffset: 3, octets(4, from: 2))])
    #expect(try connection.readAll() == octets(8, from: 2))
    #expect(!script.takeAll().contains { $0.isReset })
  }

  // MARK: MP_FAIL (§3.6)

  // Requirement 6824-3.6-03
  @Test func mpFailIsNotAnsweredByAnother() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true, version: .v0)
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    _ = script.takeAll()
    connection.initial.send(.ack, [.fail(MPFail(dsn: connection.engineNumber(1).rawValue))])
    #expect(script.fallback == .peerSignalledFailure)
    #expect(!script.takeAll().contains { $0.fail != nil })
    connection.initial.send(.ack, ack: 11)
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    let next = try #require(connection.initial.take { !$0.payload.isEmpty })
    #expect(next.dss?.mapping?.length == 0)
  }

  // MARK: MP_FASTCLOSE (§3.5)

  private func aborted() throws -> (Script, ScriptedConnection, ScriptedSubflow) {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, version: .v0)
    let second = try #require(connection.join())
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    _ = script.takeAll()
    script.endpoint.abort(connection.id, at: script.now)
    return (script, connection, second)
  }

  // Requirement 6824-3.5-01, 6824-3.5-03
  @Test func anAbortSaysFastCloseOnOneSubflowAndResetsTheOthers() throws {
    let (script, connection, _) = try aborted()
    let sent = script.takeAll()
    #expect(sent.count == 2)
    let close = try #require(sent.first { $0.fastClose != nil })
    #expect(close.isPureAck && close.fastClose?.receiverKey == connection.key)
    let reset = try #require(sent.first { $0.isReset })
    #expect(reset.multipath.isEmpty && reset.path != close.path)
    // Said again three times, then given up.
    script.pass(.seconds(20))
    let repeats = script.takeAll()
    #expect(repeats.filter { $0.fastClose != nil }.count == 3)
    #expect(repeats.last?.isReset == true && repeats.last?.multipath.isEmpty == true)
    #expect(repeats.count == 4)
    #expect(script.endpoint.connectionCount == 0)
  }

  // Requirement 6824-3.5-01
  @Test(arguments: [false, true])
  func theAnswerToAFastCloseEndsIt(isCrossing: Bool) throws {
    let (script, connection, second) = try aborted()
    let close = try #require(script.takeAll().first { $0.fastClose != nil })
    let subflow = close.path == 0 ? connection.initial : second
    // What else comes is not taken in, and not answered.
    subflow.send(
      [.ack, .psh], [connection.mapping(at: 11, subflowOffset: subflow.sent, octets(5))], payload: octets(5))
    #expect(script.takeAll().isEmpty)
    if isCrossing {
      subflow.send(.ack, [.fastClose(MPFastClose(receiverKey: connection.engineKey))])
      #expect(try #require(script.takeAll().first).isReset)
    } else {
      // The RST stands behind data that was not taken in; asked about it, the peer, which knows nothing any more, says
      // it where we stand (RFC 5961 §3.2).
      subflow.send([.rst, .ack])
      let challenge = try #require(script.takeAll().first)
      #expect(challenge.fastClose != nil)
      subflow.send(.rst, at: subflow.acknowledged(by: challenge))
    }
    #expect(script.endpoint.connectionCount == 0)
    script.pass(.seconds(5))
    #expect(script.takeAll().isEmpty)
  }

  // Requirement 6824-3.5-02
  @Test func aFastCloseIsAnsweredWithPlainResetsOnAllSubflows() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, version: .v0)
    _ = try #require(connection.join())
    _ = script.takeAll()
    connection.initial.send(.ack, [.fastClose(MPFastClose(receiverKey: Key(1)))])
    #expect(script.closeReason == nil)
    connection.initial.send(.ack, [.fastClose(MPFastClose(receiverKey: connection.engineKey))])
    let sent = script.takeAll()
    #expect(sent.count == 2 && sent.allSatisfy { $0.isReset && $0.multipath.isEmpty })
    #expect(script.closeReason == .resetByPeer)
  }

  /// Version 0 has no reasons, and believes none that somebody adds: the join may be tried again.
  // Requirement 6824-8-01
  @Test func aReasonOnAResetIsNotBelieved() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, version: .v0)
    let second = try #require(connection.join())
    second.send(
      [.rst, .ack], [.reset(MPTCPReset(transient: false, reason: .administrativelyProhibited))])
    let closed = script.connectionEvents.compactMap { event -> SubflowCloseReason? in
      if case .subflowClosed(_, let reason) = event { reason } else { nil }
    }
    #expect(closed == [.resetByPeer(nil, isTransient: true)])
  }
}
