import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Which segments are believed, and what is made of data that comes in odd ways (RFC 8684 §3, §3.2, §3.3.1).
@Suite struct BeliefTests {
  enum Flaw: CaseIterable, Sendable {
    case farAhead
    case longAgo
    case acknowledgesWhatWasNeverSent
    // The nearest ones that are out.
    case beyondTheWindow
    case beforeTheLastOctet
    case acknowledgesTheNextOctet
    case acknowledgesOlderThanTheWindow
    case repeated
  }

  // Requirement 8684-3-05, 8684-3.4.1-01, 8684-3.4.2-09
  @Test(arguments: Flaw.allCases)
  func noSignalIsBelievedInASegmentThatTCPDoesNotAccept(flaw: Flaw) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join(addressID: AddressID(9)))
    second.send(.ack)
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    script.pass(.milliseconds(1))
    _ = script.takeAll()
    script.events.removeAll()
    var signals: [MultipathOption] = [
      connection.announcement(Pair.address(3, 1, .v4), id: AddressID(7)), .removeAddress(RemoveAddress(AddressID(9))),
      .priority(MPPriority(backup: true)), .fastClose(MPFastClose(receiverKey: connection.engineKey)),
      .fail(MPFail(dsn: connection.engineNumber(1).rawValue)),
    ]
    // A repetition may bring the only copy of these.
    if flaw != .repeated { signals += [connection.dataAck(101), connection.dataFin(at: 11)] }
    let engine = try #require(script.endpoint.connection(connection.id)?.subflows.last)
    #expect(engine.receiveNext == second.sent && engine.largestSendWindow == Int(second.window))
    for signal in signals {
      switch flaw {
      case .farAhead: second.send(.ack, at: 500_000_000, [signal])
      case .longAgo: second.send(.ack, at: -500_000_000, [signal])
      case .acknowledgesWhatWasNeverSent: second.send(.ack, ack: 500_000_000, [signal])
      case .beyondTheWindow: second.send(.ack, at: engine.acceptanceEdge + 1, [signal])
      case .beforeTheLastOctet: second.send(.ack, at: engine.receiveNext - 2, [signal])
      case .acknowledgesTheNextOctet: second.send(.ack, ack: engine.sendNext + 1, [signal])
      case .acknowledgesOlderThanTheWindow:
        second.send(.ack, ack: engine.sendUnacknowledged - engine.largestSendWindow - 1, [signal])
      case .repeated: second.send(.ack, at: engine.receiveNext - 5, [signal], payload: octets(5))
      }
      script.pass(.milliseconds(10))
      for answer in script.takeAll() {
        #expect(answer.isPureAck && answer.addAddress == nil && answer.fail == nil, "\(signal)")
      }
    }
    let description = try #require(script.endpoint.description(of: connection.id))
    #expect(script.connectionEvents.isEmpty, "\(script.connectionEvents)")
    #expect(description.acknowledgedByteCount == 0 && description.isMultipath && description.subflows.count == 2)
    #expect(description.subflows.allSatisfy { !$0.isBackup })
    #expect(script.closeReason == nil && script.fallback == nil)
  }

  /// The nearest segments that are in, so that those above are out by one; of those far away, what is next in order.
  @Test(arguments: Flaw.allCases)
  func aSignalInTheFirstOrLastAcceptableSegmentIsBelieved(near: Flaw) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join(addressID: AddressID(9)))
    second.send(.ack)
    let engine = try #require(script.endpoint.connection(connection.id)?.subflows.last)
    let signal = MultipathOption.priority(MPPriority(backup: true))
    switch near {
    case .farAhead, .longAgo, .acknowledgesWhatWasNeverSent: second.send(.ack, [signal])
    case .beyondTheWindow: second.send(.ack, at: engine.acceptanceEdge, [signal])
    case .beforeTheLastOctet: second.send(.ack, at: engine.receiveNext - 1, [signal])
    case .acknowledgesTheNextOctet: second.send(.ack, ack: engine.sendNext, [signal])
    case .acknowledgesOlderThanTheWindow:
      second.send(.ack, ack: engine.sendUnacknowledged - engine.largestSendWindow, [signal])
    case .repeated:
      second.send(
        .ack, at: engine.receiveNext - 5, [signal, connection.mapping(at: 11, subflowOffset: 1, octets(1))],
        payload: octets(6))
    }
    #expect(script.endpoint.description(of: connection.id)?.subflows.map(\.isBackup) == [false, true])
  }

  // Requirement 8684-3-05, 9293-3.10.7-03
  @Test func ofARepetitionWhatItAcknowledgesAndTheEndOfTheDataAreTaken() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(connection.initial.take { !$0.payload.isEmpty })
    func acknowledged() -> Int? { script.endpoint.description(of: connection.id)?.acknowledgedByteCount }
    // Older than a window it could be anybody's.
    connection.initial.send(
      .ack, at: connection.initial.sent - 100_000_000, [connection.dataAck(101)], payload: octets(5))
    #expect(acknowledged() == 0)
    connection.initial.send(.ack, at: connection.initial.sent - 5, [connection.dataAck(101)], payload: octets(5))
    #expect(acknowledged() == 100)
    connection.initial.send(
      .ack, at: connection.initial.sent - 5, [connection.dataFin(at: 11, ack: 101)], payload: octets(5))
    let answer = try #require(script.takeAll().last)
    #expect(connection.acknowledged(by: answer) == 12)
  }

  /// What is missing on the second subflow came over the first one: by the numbers of its subflow the segment lies ten
  /// octets ahead, by those of the data none.
  // Requirement 8684-3.3.4-05
  @Test func aSegmentMayLieFartherAheadOnItsSubflowThanInTheData() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    connection.send(octets(10, from: 10), at: 11)
    #expect(try connection.readAll() == octets(10, from: 10))
    second.send(
      [.ack, .psh], at: second.sent + 10,
      [connection.mapping(at: 21, subflowOffset: second.sent + 10, octets(10, from: 20))], payload: octets(10, from: 20)
    )
    // The subflow keeps it, and hands it on when what is missing there has come.
    second.send(
      [.ack, .psh], [connection.mapping(at: 11, subflowOffset: second.sent, octets(10))], payload: octets(10))
    #expect(try connection.readAll() == octets(10, from: 20))
  }

  // Requirement 8684-3.2-25, 8684-3.2-28
  @Test func aSynAckWithoutMPJoinResetsTheSubflow() throws {
    let script = Script()
    let connection = try ScriptedConnection.opened(by: script)
    connection.initial.send(.ack, [connection.dataAck(1)])
    let syn = try #require(script.take(where: \.isSyn))
    let subflow = ScriptedSubflow(
      script, path: syn.path, local: TransportAddress(syn.destination, syn.tcp.destinationPort),
      remote: TransportAddress(syn.source, syn.tcp.sourcePort))
    subflow.note(syn)
    subflow.send([.syn, .ack])
    #expect(try #require(subflow.take(where: \.isReset)).resetReason == .mptcpSpecific)
    #expect(script.endpoint.description(of: connection.id)?.isMultipath == true)
    connection.send(octets(5), at: 1)
    #expect(try connection.readAll() == octets(5))
  }

  // Requirement 8684-3.3.1-13, 8684-3.3.1-14
  @Test func unmappedDataIsAcknowledgedOnItsSubflowAlone() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send([.ack, .psh], payload: octets(2000))
    script.pass(.milliseconds(100))
    let answer = try #require(script.takeAll().last)
    #expect(connection.initial.acknowledged(by: answer) == 2011)
    #expect(connection.acknowledged(by: answer).map { $0 == 11 } ?? true)
  }

  // Requirement 8684-3.3.1-05
  @Test func ofTwoCopiesTheFirstThatArrivesIsDelivered() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    // Behind a hole, so that both copies are there before either is read.
    connection.send([UInt8](repeating: 7, count: 10), at: 21, on: second)
    connection.send([UInt8](repeating: 9, count: 20), at: 21)
    connection.send([UInt8](repeating: 1, count: 10), at: 11)
    #expect(
      try connection.readAll() == [UInt8](repeating: 1, count: 10) + [UInt8](repeating: 7, count: 10)
        + [UInt8](repeating: 9, count: 10))
  }

  // Requirement 8684-3.3.1-12
  @Test func urgentDataUnderAMappingIsDelivered() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send(
      [.ack, .urg], [connection.mapping(at: 11, subflowOffset: 11, octets(10, from: 10))], payload: octets(10, from: 10)
    )
    #expect(try connection.readAll() == octets(10, from: 10))
  }

  /// MP_PRIO asks of its receiver alone: what we asked for and what the peer asked for are two things.
  // Requirement 8684-3.3.8-06
  @Test func theWishesOfBothSidesAreApart() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    second.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    func wishes() -> [[Bool]]? {
      script.endpoint.connection(connection.id)?.subflows.map { [$0.isBackup, $0.isPeerBackup] }
    }
    var data = 1
    /// Where new data goes; everything is acknowledged.
    func carriers() throws -> Set<Int> {
      var paths: Set<Int> = []
      _ = try script.endpoint.write(ByteSlice(octets(20_000)), to: connection.id, at: script.now)
      for _ in 0..<40 {
        for packet in script.takeAll() {
          (packet.path == 0 ? connection.initial : second).note(packet)
          if !packet.payload.isEmpty { paths.insert(packet.path) }
          if let at = connection.mapped(by: packet) { data = max(data, at + packet.payload.count) }
        }
        for subflow in [connection.initial, second] { subflow.send(.ack, [connection.dataAck(data)]) }
        script.pass(.milliseconds(5))
      }
      return paths
    }
    // The peer asks us to spare the second.
    second.send(.ack, [.priority(MPPriority(backup: true))])
    #expect(wishes() == [[false, false], [false, true]])
    #expect(try carriers() == [0])
    // That we have no such wish takes nothing back, be it said or not.
    for wish in [false, true, false] {
      try script.endpoint.setBackup(connection.id, SubflowID(1), wish, at: script.now)
      #expect(wishes() == [[false, false], [wish, true]])
      #expect(try carriers() == [0])
    }
    // Ours for the first is none of the peer's, and goes no further when the peer says that it has none.
    try script.endpoint.setBackup(connection.id, SubflowID(0), true, at: script.now)
    #expect(wishes() == [[true, false], [false, true]])
    connection.initial.send(.ack, [.priority(MPPriority(backup: false))])
    second.send(.ack, [.priority(MPPriority(backup: false))])
    #expect(wishes() == [[true, false], [false, false]])
  }

  /// Where every subflow is somebody's backup, one that we asked to be spared on is as good as any: the peer asked
  /// nothing of the kind of us. So data goes there, be it the first or the second, and all of it when it is alone.
  // Requirement 8684-3.3.8-06
  @Test(arguments: [0, 1])
  func whoAsksForABackupMaySendThereItself(asked: Int) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    second.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    let subflows = [connection.initial, second]
    try script.endpoint.setBackup(connection.id, SubflowID(Int32(asked)), true, at: script.now)
    let wish = try #require(script.take { $0.priority != nil })
    #expect(wish.path == asked && wish.priority == MPPriority(backup: true))
    subflows[1 - asked].send(.ack, [.priority(MPPriority(backup: true))])
    _ = try script.endpoint.write(ByteSlice(octets(28_000)), to: connection.id, at: script.now)
    script.pass(.milliseconds(1))
    #expect(script.takeAll().contains { !$0.payload.isEmpty && $0.path == asked })
    // And alone it carries everything.
    subflows[1 - asked].send([.rst, .ack])
    script.pass(.milliseconds(1))
    #expect(script.takeAll().contains { !$0.payload.isEmpty && $0.path == asked })
  }
}
