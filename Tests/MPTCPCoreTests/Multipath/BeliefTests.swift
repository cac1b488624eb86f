import MPTCPCore
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Which segments are believed, and what is made of data that comes in odd ways (RFC 8684 §3, §3.2, §3.3.1).
@Suite struct BeliefTests {
  enum Flaw: CaseIterable, Sendable {
    case farAhead
    case longAgo
    case acknowledgesWhatWasNeverSent
  }

  // Requirement 8684-3-05
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
    let signals: [MultipathOption] = [
      connection.announcement(Pair.address(3, 1, .v4), id: AddressID(7)), .removeAddress(RemoveAddress(AddressID(9))),
      .priority(MPPriority(backup: true)), .fastClose(MPFastClose(receiverKey: connection.engineKey)),
      .fail(MPFail(dsn: connection.engineNumber(1).rawValue)), connection.dataAck(101), connection.dataFin(at: 11),
    ]
    for signal in signals {
      switch flaw {
      case .farAhead: second.send(.ack, at: 500_000_000, [signal])
      case .longAgo: second.send(.ack, at: -500_000_000, [signal])
      case .acknowledgesWhatWasNeverSent: second.send(.ack, ack: 500_000_000, [signal])
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

  // Requirement 8684-3.3.8-06
  @Test func whoAsksForABackupMaySendThereItself() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    try script.endpoint.setBackup(connection.id, SubflowID(0), true, at: script.now)
    #expect(script.take { $0.priority != nil }?.priority == MPPriority(backup: true))
    let second = try #require(connection.join(backup: true))
    second.send(.ack)
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    // The peer asked to spare the second subflow and said nothing of the first.
    #expect(script.take { $0.payload == octets(100) }?.path == 0)
  }
}
