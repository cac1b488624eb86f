import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// ADD_ADDR, REMOVE_ADDR and MP_PRIO (RFC 8684 §3.4, §3.3.8), and how options share the room.
@Suite struct AddressTests {
  private func accepted(
    _ script: Script, _ options: ConnectionOptions = lonely, timestamps: Bool = false
  ) throws -> ScriptedConnection {
    let connection = try #require(
      try ScriptedConnection.accepted(by: script, options: options, timestamps: timestamps))
    connection.send(octets(10), at: 1)
    _ = try script.endpoint.read(from: connection.id, upTo: 100, at: script.now)
    return connection
  }

  /// Asks for each announcement that a test wants.
  private struct Announcer: PathPolicy {
    var port: Port?
    var count = 1
    mutating func handle(_ event: PolicyEvent, in view: PolicyView, commands: inout [PathCommand]) {
      for local in view.localAddresses where local.id != .initial && view.announced.count < count {
        commands.append(.announce(local, port: port))
      }
    }
  }

  private func announcing(port: Port? = nil, count: Int = 8) -> ConnectionOptions {
    var options = ConnectionOptions()
    options.policy = .custom(Announcer(port: port, count: count))
    return options
  }

  // Requirement 8684-3.4.1-10, 8684-3.4.1-16
  @Test(arguments: [nil, 8080] as [Port?])
  func anAnnouncementIsEchoedAndTold(port: Port?) throws {
    let script = Script()
    let connection = try accepted(script)
    _ = script.takeAll()
    let address = Pair.address(1, 1, .v4)
    connection.initial.send(.ack, [connection.announcement(address, id: AddressID(7), port: port)])
    let echo = try #require(script.take { $0.addAddress != nil }?.addAddress)
    #expect(echo == AddAddress(isEcho: true, addressID: AddressID(7), address: address, port: port))
    // Without a port it is the one of the subflow that carried it.
    #expect(
      script.connectionEvents.contains(
        .addressAnnounced(AddressID(7), TransportAddress(address, port ?? connection.initial.local.port))))
  }

  /// Linux announces right behind the third ACK and says no DATA_ACK before there is data.
  /// Requirement 8684-3.1-32, 8684-3.4.1-02, 8684-3.4.1-16
  @Test func anAnnouncementBeforeAnyDSSIsEchoedAndProvesThatThePeerHasOurKey() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script)
    _ = script.takeAll()
    connection.initial.send(.ack, [connection.announcement(Pair.address(1, 1, .v4), id: AddressID(7))])
    script.pass(.seconds(2))
    let sent = script.takeAll()
    #expect(sent.filter { $0.addAddress?.isEcho == true }.count == 1)
    #expect(sent.count <= 2, "\(sent.count) packets")
    #expect(sent.allSatisfy { $0.capable == nil })
    // Joins wait for a DSS (RFC 8684 §3.1).
    connection.initial.send(.ack, [connection.dataAck(1)])
    #expect(script.takeAll().contains { $0.isSyn && $0.destination == Pair.address(1, 1, .v4) })
  }

  @Test func aPriorityWaitsForAnIdlePeerInSilence() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script)
    _ = script.takeAll()
    try script.endpoint.setBackup(connection.id, SubflowID(0), true, at: script.now)
    script.pass(.seconds(2))
    #expect(script.takeAll().isEmpty)
    connection.initial.send(.ack, [connection.dataAck(1)])
    #expect(script.takeAll().contains { $0.priority == MPPriority(backup: true) })
  }

  // Requirement 8684-3.4.1-13
  @Test func anAnnouncementWithAWrongHMACIsIgnoredInSilence() throws {
    let script = Script()
    let connection = try accepted(script)
    _ = script.takeAll()
    connection.initial.send(
      .ack, [connection.announcement(Pair.address(1, 1, .v4), id: AddressID(7), isWrong: true)])
    #expect(script.takeAll().isEmpty)
    #expect(script.endpoint.statistics.badAddressAuthentications == 1)
  }

  // Requirement 8684-3.4.1-06, 8684-5-04
  @Test func addressesThatNobodyCanReachAreIgnored() throws {
    let script = Script()
    let connection = try accepted(script, ConnectionOptions())
    _ = script.takeAll()
    for (index, text) in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1"].enumerated() {
      let address = try #require(IPAddress(text))
      connection.initial.send(.ack, [connection.announcement(address, id: AddressID(UInt8(20 + index)))])
    }
    #expect(!script.takeAll().contains { $0.isSyn })
    #expect(
      !script.connectionEvents.contains { if case .addressAnnounced = $0 { true } else { false } })
  }

  // Requirement 8684-3.4.1-02, 8684-3.4.1-03
  @Test func anAnnouncedAddressIsJoinedByBothSidesPolicies() throws {
    for isInitiator in [true, false] {
      let script = Script()
      let connection =
        try isInitiator ? ScriptedConnection.opened(by: script) : accepted(script, ConnectionOptions())
      connection.initial.send(.ack, [connection.dataAck(1)])
      script.pass(.milliseconds(10))
      _ = script.takeAll()
      connection.initial.send(
        .ack, [connection.announcement(Pair.address(3, 1, .v4), id: AddressID(7), port: 8080)])
      let syns = script.takeAll().filter { $0.isSyn && $0.destination == Pair.address(3, 1, .v4) }
      #expect(syns.count == 2)
      #expect(syns.allSatisfy { $0.tcp.destinationPort == 8080 && $0.join != nil })
    }
  }

  // Requirement 8684-3.2-08, 8684-3.4.1-04, 8684-3.4.1-05, 8684-3.4.1-22, 8684-3.4.1-24
  @Test func anIDKeepsItsAddressUntilItIsRemoved() throws {
    let script = Script()
    let connection = try accepted(script)
    let one = Pair.address(3, 1, .v4)
    let two = Pair.address(4, 1, .v4)
    connection.initial.send(.ack, [connection.announcement(one, id: AddressID(7))])
    connection.initial.send(.ack, [connection.announcement(two, id: AddressID(7))])
    #expect(
      !script.connectionEvents.contains {
        if case .addressAnnounced(_, let at) = $0 { at.address == two } else { false }
      })
    connection.initial.send(.ack, [.removeAddress(RemoveAddress(AddressID(7)))])
    #expect(script.connectionEvents.contains(.addressRemoved(AddressID(7))))
    connection.initial.send(.ack, [connection.announcement(two, id: AddressID(7))])
    #expect(
      script.connectionEvents.contains {
        if case .addressAnnounced(_, let at) = $0 { at.address == two } else { false }
      })
  }

  // Requirement 8684-3.4.1-06, 8684-3.4.1-07, 8684-5-04
  @Test func announcementsAreBounded() throws {
    let script = Script()
    let connection = try accepted(script, ConnectionOptions())
    for id in 1...255 {
      connection.initial.send(
        .ack, [connection.announcement(IPAddress(v4: 0x0a01_0000 | UInt32(id)), id: AddressID(UInt8(id)))])
    }
    let told = script.connectionEvents.filter { if case .addressAnnounced = $0 { true } else { false } }
    #expect((1...Limits.remoteAddresses).contains(told.count))
    let known = try #require(script.endpoint.connection(connection.id))
    #expect(known.remoteAddresses.count <= Limits.remoteAddresses && known.subflows.count <= 8)
    // What is kept of them ends with the connection's Multipath TCP, and nothing that it does depends on them.
    script.pass(.seconds(1))
    connection.initial.send(
      [.ack, .psh],
      [
        .dss(
          DSS(mapping: DSSMapping(dsn: .eight(connection.number(11).rawValue), subflowSequenceNumber: 11, length: 0)))
      ], payload: octets(50, from: 10))
    #expect(script.fallback == .infiniteMapping && known.remoteAddresses.isEmpty)
    #expect(try connection.readAll() == octets(50, from: 10))
  }

  // Requirement 8684-3.4.1-03, 8684-3.4.1-11, 8684-3.4.1-12, 8684-3.4.1-17
  // Requirement 8684-3.4.1-18
  @Test(arguments: [IPAddress.Family.v4, .v6], [nil, 8080] as [Port?])
  func ourAnnouncementIsRepeatedUntilItIsEchoed(family: IPAddress.Family, port: Port?) throws {
    let script = Script(family: family)
    let connection = try accepted(script, announcing(port: port), timestamps: true)
    let first = try #require(script.take { $0.addAddress != nil })
    let option = try #require(first.addAddress)
    #expect(option.address == Pair.address(1, 0, family))
    #expect(option.port == port)
    #expect(
      option.hmac
        == JoinAuthentication.addAddressHMAC(
          senderKey: connection.engineKey, receiverKey: connection.key, addressID: option.addressID,
          address: option.address, port: port))
    // 30 octets and 10 of timestamps just fit where neither is padded.
    #expect(first.hasTimestamps)
    script.pass(.seconds(4))
    #expect(script.takeAll().filter { $0.addAddress != nil }.count == 1)
    connection.initial.send(
      .ack,
      [
        .addAddress(
          AddAddress(isEcho: true, addressID: option.addressID, address: option.address, port: option.port))
      ])
    script.pass(.seconds(20))
    #expect(!script.takeAll().contains { $0.addAddress != nil })
  }

  // Requirement 8684-3.4.1-17
  @Test func anAnnouncementThatIsNeverEchoedIsGivenUp() throws {
    let script = Script()
    _ = try accepted(script, announcing())
    script.pass(.seconds(100))
    #expect(script.takeAll().filter { $0.addAddress != nil }.count == 3)
  }

  @Test func addressesAreAnnouncedOneAfterTheOther() throws {
    let script = Script(paths: 6)
    let connection = try accepted(script, announcing(), timestamps: true)
    // The next goes with the echo of the last, or after a while without.
    var heard: [AddressID] = []
    for round in 0..<5 {
      let options = script.takeAll().compactMap(\.addAddress)
      #expect(options.count == 1, "\(round): \(options)")
      guard let option = options.first else { return }
      heard.append(option.addressID)
      if round < 2 {
        connection.initial.send(
          .ack, [.addAddress(AddAddress(isEcho: true, addressID: option.addressID, address: option.address))])
      } else {
        script.pass(.milliseconds(49))
        #expect(script.takeAll().allSatisfy { $0.addAddress == nil })
        script.pass(.milliseconds(1))
      }
    }
    #expect(Set(heard).count == 5)
    // Those that were not echoed go again, three times in all.
    script.pass(.seconds(100))
    let again = script.takeAll().compactMap { $0.addAddress?.addressID }
    for id in heard.dropFirst(2) { #expect(again.filter { $0 == id }.count == 2) }
    #expect(again.count == 6)
  }

  @Test func whatWasGivenUpUnheardIsSaidAgainOnTheNextSubflowUnlessItProvesThatItWasHeard() throws {
    let script = Script(paths: 3)
    let connection = try accepted(script, ConnectionOptions(), timestamps: true)
    script.pass(.seconds(100))
    #expect(script.takeAll().filter { $0.addAddress != nil }.count == 6)
    let joined = try #require(connection.join(path: 1))
    joined.send(.ack)
    script.pass(.seconds(10))
    let again = script.takeAll().compactMap(\.addAddress)
    #expect(again.map(\.address) == Array(repeating: Pair.address(2, 0, .v4), count: 3))
  }

  @Test func anAddressThatGoesBeforeItsAnnouncementLeftIsNotAnnounced() throws {
    let script = Script(paths: 1)
    _ = try accepted(script, announcing(), timestamps: true)
    script.pass(.seconds(1))
    _ = script.takeAll()
    let path = script.endpoint.addPath(
      PathConfiguration(name: "brief", addresses: [IPPrefix(Pair.address(5, 0, .v4), length: 24)]), at: script.now)
    script.endpoint.removePath(path, at: script.now)
    script.pass(.seconds(10))
    #expect(!script.takeAll().contains { $0.addAddress != nil })
  }

  // Requirement 8684-3-02, 8684-3-04
  // Requirement 8684-3.4.2-02
  @Test func moreOptionsThanFitFollowInLaterAcksNeverMoreThanTwoAtOnce() throws {
    let script = Script(paths: 6)
    let connection = try accepted(script, announcing(), timestamps: true)
    script.pass(.seconds(1))
    _ = script.takeAll()
    for path in 1..<6 { script.endpoint.removePath(PathID(Int32(path)), at: script.now) }
    // Each acknowledgement number comes with two of them at most.
    let burst = script.takeAll().filter { $0.removeAddress != nil }
    #expect(burst.count == 2)
    script.pass(.milliseconds(100))
    let later = script.takeAll().filter { $0.removeAddress != nil }
    #expect(Set((burst + later).compactMap { $0.removeAddress?[0] }).count == 5)
    connection.send(octets(5), at: 11)
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 16)
  }

  // Requirement 8684-3-03
  @Test func duplicateAcksWithOtherOptionsAreNoSignOfLoss() throws {
    let script = Script()
    let connection = try accepted(script)
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(8000)), to: connection.id, at: script.now)
    _ = script.takeAll()
    for id in 1...6 {
      connection.initial.send(
        .ack, [connection.announcement(IPAddress(v4: 0x0a01_0000 | UInt32(id)), id: AddressID(UInt8(id)))])
    }
    #expect(!script.takeAll().contains { !$0.payload.isEmpty })
    #expect(script.endpoint.statistics.retransmittedSegments == 0)
  }

  // Requirement 8684-3.4.2-11
  @Test func removalOfAnUnknownIDIsIgnored() throws {
    let script = Script()
    let connection = try accepted(script)
    _ = script.takeAll()
    connection.initial.send(.ack, [.removeAddress(RemoveAddress(AddressID(77), AddressID(78)))])
    #expect(script.takeAll().isEmpty)
    #expect(!script.connectionEvents.contains { if case .addressRemoved = $0 { true } else { false } })
  }

  // Requirement 8684-3.2-08, 8684-3.2-09, 8684-3.4.2-05, 8684-3.4.2-06, 8684-3.4.2-10
  @Test(arguments: [true, false])
  func removalOfAnAddressInUseAsksThePathFirst(answers: Bool) throws {
    let script = Script()
    let connection = try accepted(script)
    let second = try #require(connection.join(addressID: AddressID(9)))
    second.send(.ack)
    _ = script.takeAll()
    connection.initial.send(.ack, [.removeAddress(RemoveAddress(AddressID(9)))])
    let question = try #require(second.take())
    #expect(second.offset(of: question) == second.expected - 1)
    #expect(script.connectionEvents.contains(.addressRemoved(AddressID(9))))
    if answers { second.send(.ack) }
    script.pass(.seconds(3))
    let count = script.endpoint.description(of: connection.id)?.subflows.count
    #expect(count == (answers ? 2 : 1))
    #expect((second.take(where: \.isReset) != nil) == !answers)
  }

  /// No option ever said the ID of the peer's first address: it is 0.
  // Requirement 8684-3.2-07
  @Test(arguments: [true, false])
  func theRemovalOfThePeersID0AsksTheFirstSubflow(answers: Bool) throws {
    let script = Script()
    let connection = try accepted(script)
    let second = try #require(connection.join(addressID: AddressID(9)))
    second.send(.ack)
    _ = script.takeAll()
    second.send(.ack, [.removeAddress(RemoveAddress(.initial))])
    let questions = script.takeAll().filter { !$0.isReset && $0.removeAddress == nil }
    #expect(questions.map(\.path) == [0])
    #expect(connection.initial.offset(of: try #require(questions.first)) == connection.initial.expected - 1)
    if answers { connection.initial.send(.ack) }
    script.pass(.seconds(3))
    let remaining = script.endpoint.description(of: connection.id)?.subflows.map(\.isInitial)
    #expect(remaining == (answers ? [true, false] : [false]))
    #expect((connection.initial.take(where: \.isReset) != nil) == !answers)
  }

  // Requirement 8684-3.4.2-07
  @Test func aRemovedAddressIsNotJoinedAgain() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script)
    connection.initial.send(.ack, [connection.dataAck(1)])
    connection.initial.send(.ack, [connection.announcement(Pair.address(3, 1, .v4), id: AddressID(7))])
    _ = script.takeAll()
    connection.initial.send(.ack, [.removeAddress(RemoveAddress(AddressID(7)))])
    script.pass(.seconds(60))
    // The SYNs under way end; no new ones begin.
    let ports = script.takeAll().filter { $0.isSyn && $0.destination == Pair.address(3, 1, .v4) }.map(\.tcp.sourcePort)
    #expect(Set(ports).count <= 2)
  }

  // Requirement 8684-3.2-08, 8684-3.4.2-01, 8684-3.4.2-04
  @Test func aPathThatIsTakenAwayTakesItsAddressBack() throws {
    for isInitiator in [true, false] {
      let script = Script()
      let connection =
        try isInitiator ? ScriptedConnection.opened(by: script) : accepted(script, ConnectionOptions())
      connection.initial.send(.ack, [connection.dataAck(1)])
      let second: ScriptedSubflow?
      let id: AddressID?
      if isInitiator {
        let syn = try #require(script.take { $0.isSyn && $0.path == 1 })
        guard case .syn(_, let theirs, _, _)? = syn.join else { return }
        id = theirs
        second = connection.answerJoin(syn)
        second?.send(.ack)
      } else {
        id = script.takeAll().compactMap(\.addAddress).first?.addressID
        second = connection.join()
      }
      #expect(second != nil)
      _ = script.takeAll()
      script.endpoint.removePath(PathID(1), at: script.now)
      let removal = try #require(script.take { $0.removeAddress != nil })
      #expect(removal.path == 0)
      #expect(removal.removeAddress?[0] == id)
    }
  }

  /// A listener cannot join again after a middlebox has ended a subflow: it invites the peer to. The address that it
  /// removes for that is as good as before.
  // Requirement 8684-3.4.2-03
  @Test(arguments: [true, false])
  func aListenerAnnouncesAnewWhereASubflowFailed(isInitial: Bool) throws {
    let script = Script()
    let connection = try accepted(script, ConnectionOptions())
    let announced = try #require(script.take { $0.addAddress != nil }?.addAddress)
    let second = try #require(connection.join())
    second.send(.ack)
    _ = script.takeAll()
    (isInitial ? connection.initial : second).send(.rst)
    let removal = try #require(script.take { $0.removeAddress != nil })
    let id = isInitial ? AddressID.initial : announced.addressID
    #expect(removal.removeAddress?[0] == id)
    #expect(removal.path == (isInitial ? 1 : 0))
    #expect(script.takeAll().allSatisfy { $0.addAddress == nil })
    script.pass(.milliseconds(600))
    let again = try #require(script.take { $0.addAddress != nil }?.addAddress)
    #expect(again.addressID == id && again.address == Pair.address(isInitial ? 0 : 1, 0, .v4))
    // It may be joined: the invitation is taken, and fails later and later.
    var waits: [Nanoseconds] = []
    for port in 4002..<4014 {
      guard let third = connection.join(path: isInitial ? 0 : 1, port: Port(UInt16(port))) else { break }
      third.send(.ack)
      _ = script.takeAll()
      third.send(.rst)
      let start = script.now
      let count = waits.count
      while script.now - start < .seconds(40) {
        if script.takeAll().contains(where: { $0.addAddress?.addressID == id }) {
          waits.append(script.now - start)
          break
        }
        script.pass(.milliseconds(100))
      }
      if waits.count == count { break }
    }
    #expect(waits.count == 7, "\(waits)")
    #expect(zip(waits, waits.dropFirst()).allSatisfy { $0 <= $1 }, "\(waits)")
    #expect(waits.last.map { $0 > .seconds(14) } == true, "\(waits)")
  }

  @Test func anInvitationThatIsEchoedAndNotTakenIsRepeatedABoundedNumberOfTimes() throws {
    let script = Script()
    let connection = try accepted(script, ConnectionOptions())
    let second = try #require(connection.join())
    second.send(.ack)
    _ = script.takeAll()
    second.send(.rst)
    var times: [Instant] = []
    for _ in 0..<2000 {
      for option in script.takeAll().compactMap(\.addAddress) where option.addressID != .initial {
        times.append(script.now)
        connection.initial.send(
          .ack, [.addAddress(AddAddress(isEcho: true, addressID: option.addressID, address: option.address))])
      }
      script.pass(.milliseconds(100))
    }
    #expect(times.count == 8, "\(times)")
    #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 >= .milliseconds(900) }, "\(times)")
  }

  @Test func aListenerInvitesNobodyWhoRefusedOrHasAnotherSubflowThere() throws {
    let script = Script()
    let connection = try accepted(script, ConnectionOptions())
    let second = try #require(connection.join())
    second.send(.ack)
    let third = try #require(connection.join(port: 4002))
    third.send(.ack)
    _ = script.takeAll()
    third.send(.rst)
    second.send(.rst, [.reset(MPTCPReset(transient: false, reason: .administrativelyProhibited))])
    script.pass(.seconds(30))
    #expect(script.takeAll().allSatisfy { $0.removeAddress == nil })
  }

  // Requirement 8684-3.3.8-02, 8684-3.3.8-03, 8684-3.3.8-05
  @Test func aPriorityOfThePeerIsToldAndHeeded() throws {
    let script = Script()
    let connection = try accepted(script)
    let second = try #require(connection.join())
    second.send(.ack, [.priority(MPPriority(backup: true))])
    #expect(script.connectionEvents.contains(.priorityChanged(SubflowID(1), isBackup: true)))
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(30_000)), to: connection.id, at: script.now)
    #expect(script.takeAll().allSatisfy { $0.payload.isEmpty || $0.path == 0 })
    second.send(.ack, [.priority(MPPriority(backup: false))])
    #expect(script.connectionEvents.contains(.priorityChanged(SubflowID(1), isBackup: false)))
    script.pass(.milliseconds(50))
    #expect(script.takeAll().contains { !$0.payload.isEmpty && $0.path == 1 })
  }

  // Requirement 8684-3.3.8-03
  @Test func ourPriorityIsSentOnItsSubflow() throws {
    let script = Script()
    let connection = try accepted(script)
    let second = try #require(connection.join())
    second.send(.ack)
    _ = script.takeAll()
    try script.endpoint.setBackup(connection.id, SubflowID(1), true, at: script.now)
    #expect(try #require(second.take()).priority == MPPriority(backup: true))
    try script.endpoint.setBackup(connection.id, SubflowID(1), false, at: script.now)
    #expect(try #require(second.take()).priority == MPPriority(backup: false))
  }

  @Test func aPriorityThatChangesDuringAJoinIsToldWhenItIsThrough() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script, options: lonely)
    connection.initial.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    let id = try script.endpoint.openSubflow(connection.id, on: PathID(1), isBackup: true, at: script.now)
    let syn = try #require(script.take { $0.isSyn })
    try script.endpoint.setBackup(connection.id, id, false, at: script.now)
    script.pass(.milliseconds(1500))
    let again = try #require(script.take { $0.isSyn })
    for syn in [syn, again] {
      guard case .syn(true, _, _, _)? = syn.join else {
        Issue.record("\(syn)")
        return
      }
    }
    let second = try #require(connection.answerJoin(syn))
    second.send(.ack)
    #expect(script.take { $0.priority != nil }?.priority == MPPriority(backup: false))
  }

  // Requirement 8684-3.2-07, 8684-3.4.2-01
  @Test func anAddressThatWentWithTheLastSubflowIsTakenBackOnTheNext() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script, options: lonely)
    connection.initial.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    script.endpoint.removePath(PathID(0), at: script.now)
    _ = try script.endpoint.openSubflow(connection.id, on: PathID(1), isBackup: false, at: script.now)
    let syn = try #require(script.take { $0.isSyn })
    let second = try #require(connection.answerJoin(syn))
    second.send(.ack)
    #expect(script.take { $0.removeAddress != nil }?.removeAddress?[0] == .initial)
  }

  // Requirement 8684-3-04
  @Test func aRemovalNotYetSentFindsAnotherSubflow() throws {
    let script = Script(paths: 6)
    let connection = try accepted(script, announcing(), timestamps: true)
    script.pass(.seconds(1))
    let second = try #require(connection.join())
    second.send(.ack)
    _ = script.takeAll()
    for path in 2..<6 { script.endpoint.removePath(PathID(Int32(path)), at: script.now) }
    // No more than two at once (RFC 8684 §3): the others still wait when their subflow ends.
    #expect(script.takeAll().filter { $0.removeAddress != nil }.count == 2)
    connection.initial.send(.rst)
    script.pass(.milliseconds(100))
    let removals = script.takeAll().filter { $0.removeAddress != nil }
    #expect(removals.count == 2 && removals.allSatisfy { $0.path == 1 })
  }

  // Requirement 8684-3.2-11, 8684-3.3.8-02
  @Test func aBackupCarriesDataWhenNothingElseWorks() throws {
    let pair = Pair([quick, quick])
    let exchange = try Exchange(pair, clientSends: 3_000_000, serverSends: 0, options: lonely)
    pair.run(for: .milliseconds(100))
    let id = exchange.ids[0]!
    let backup = try pair.endpoints[0].openSubflow(id, on: PathID(1), isBackup: true, at: pair.now)
    pair.run(for: .milliseconds(200))
    let before = try #require(exchange.description(0)).subflows.first { $0.id == backup }
    #expect(before?.isBackup == true)
    #expect(before?.sentByteCount == 0)
    pair.middlebox { _, packet in packet.path != 0 }
    exchange.expectWhole(isMultipath: true)
    #expect(exchange.longestGap < .milliseconds(400), "\(exchange.longestGap.milliseconds) ms")
  }

  @Test func theAnnouncementsOfAKernelLikeListenerGiveAFullMesh() throws {
    let pair = Pair([quick, slow], family: .v6)
    let exchange = try Exchange(pair, clientSends: 200_000, serverSends: 200_000, family: .v6)
    exchange.runUntilJoined(4)
    exchange.expectWhole(isMultipath: true)
    #expect(pair.endpoints.allSatisfy { $0.statistics.badAddressAuthentications == 0 })
  }
}
