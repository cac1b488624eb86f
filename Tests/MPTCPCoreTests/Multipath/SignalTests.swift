import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Options that are out of place, too many, or ride on the wrong segment.
@Suite struct SignalTests {
  private func subflow(_ script: Script, _ index: Int = 0) throws -> Subflow {
    try #require(script.endpoint.connectionSlots.compactMap { $0 }.first).subflows[index]
  }

  // MARK: Checksums (RFC 8684 §3.3.1)

  enum Lonely: CaseIterable, Sendable {
    case dataFin
    case infiniteMapping
  }

  // Requirement 8684-3.3-07, 8684-3.3-08, 8684-3.3-09
  @Test(arguments: [false, true], Lonely.allCases)
  func aMappingWithoutDataNeedsAChecksumJustWhereOneWasNegotiated(isNegotiated: Bool, kind: Lonely) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: isNegotiated)
    connection.usesChecksum = !isNegotiated
    switch kind {
    case .dataFin: connection.initial.send(.ack, [connection.dataFin(at: 11)])
    case .infiniteMapping:
      connection.initial.send(
        .ack,
        [
          .dss(
            DSS(
              mapping: DSSMapping(
                dsn: .eight(connection.number(11).rawValue), subflowSequenceNumber: 11, length: 0,
                checksum: isNegotiated ? nil : 0)))
        ])
    }
    #expect(script.take(where: \.isReset)?.resetReason == .mptcpSpecific)
    #expect(script.fallback == nil)
  }

  // MARK: Bounds

  // Requirement 8684-5-06
  @Test func moreMappingsThanThereIsRoomForResetWithReason2() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    var reset: WirePacket?
    var count = 0
    while reset == nil, count < 2 * Limits.receivedMappings {
      let at = 13 + count * 2
      connection.initial.send(.ack, [connection.mapping(at: at, subflowOffset: at, octets(1))])
      count += 1
      reset = script.takeAll().first(where: \.isReset)
    }
    #expect(reset?.resetReason == .lackOfResources)
    #expect(count <= Limits.receivedMappings + 1)
  }

  @Test func octetsThatWaitForAChecksumAreGathered() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script, checksum: true)
    let all = octets(20_000, from: 10)
    connection.initial.send(.ack, [connection.mapping(at: 11, subflowOffset: 11, all)], payload: [all[0]])
    for octet in all[1..<19_999] { connection.initial.send(.ack, payload: [octet]) }
    var held = try subflow(script).checksumHold
    #expect(held.byteCount == 19_999)
    #expect(held.popAll().count <= 4)
    connection.initial.send(.ack, payload: [all[19_999]])
    var got: [UInt8] = []
    while let slice = try script.endpoint.read(from: connection.id, upTo: 1 << 20, at: script.now) {
      got += slice.array
    }
    #expect(got == all)
  }

  @Test(.timeLimit(.minutes(5)))
  func aMappingFarAheadMovesNoBytesThatWaitForTheirs() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    for _ in 0..<4000 { connection.initial.send(.ack, payload: [1]) }
    let mapping = connection.mapping(at: 9011, subflowOffset: 9011, octets(10))
    for _ in 0..<20_000 { connection.initial.send(.ack, [mapping]) }
    let held = try subflow(script).unmappedByteCount
    #expect(held == 4000)
    connection.initial.send(.ack, [connection.mapping(at: 11, subflowOffset: 11, octets(4000))])
    #expect(script.endpoint.readableByteCount(connection.id) == 4000)
  }

  // MARK: Several options on a segment

  // Requirement 9293-3.1-08
  @Test func anAnnouncementBehindAMalformedOptionIsTaken() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    var block = TCPOptionBlock()
    // ADD_ADDR of an impossible length, then two that repeat one another's kind.
    var raw: [UInt8] = [30, 4, 0x30, 9]
    for id in [7, 8] as [UInt8] {
      block = TCPOptionBlock()
      _ = block.append(.multipath(connection.announcement(Pair.address(Int(id), 1, .v4), id: AddressID(id))))
      raw += block.withBytes { Array($0) }
    }
    connection.initial.send(.ack, raw: raw)
    script.pass(.milliseconds(100))
    #expect(Set(script.takeAll().compactMap { $0.addAddress?.addressID.rawValue }) == [7, 8])
  }

  @Test func aPriorityOfVersion0IsIgnored() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send(.ack, [.priority(MPPriority(backup: true, addressID: AddressID(0)))])
    #expect(script.endpoint.description(of: connection.id)?.subflows.first?.isBackup == false)
  }

  @Test func plainTCPHasNoPriority() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let subflow = try #require(script.endpoint.description(of: connection.id)?.subflows.first?.id)
    connection.initial.send(
      .ack,
      [
        .dss(
          DSS(
            mapping: DSSMapping(
              dsn: .eight(connection.number(11).rawValue), subflowSequenceNumber: 11, length: 0, checksum: nil)))
      ], payload: octets(1))
    #expect(script.fallback == .infiniteMapping)
    #expect(throws: EndpointError.notMultipath) {
      try script.endpoint.setBackup(connection.id, subflow, true, at: script.now)
    }
    script.pass(.seconds(1))
    #expect(script.takeAll().allSatisfy { $0.multipath.isEmpty })
  }

  // MARK: Segments that the peer drops

  @Test func aProbeTakesNothingAwayThatIsSaidOnce() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    // The removal has the path probed at once; the echo must not go with the probe, which is an old octet to the peer.
    connection.initial.send(
      .ack,
      [
        connection.announcement(Pair.address(3, 1, .v4), id: AddressID(7)),
        .removeAddress(RemoveAddress(.initial)),
      ])
    let sent = script.takeAll()
    let probe = try #require(sent.first { connection.initial.offset(of: $0) == 0 })
    #expect(probe.addAddress == nil)
    #expect(sent.contains { $0.addAddress?.isEcho == true && connection.initial.offset(of: $0) == 1 })
  }

  // MARK: Windows

  @Test func whatWaitsToBeSentAgainProbesTheWindowOfItsSubflow() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    second.send(.ack, [connection.dataAck(1)])
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(second.take { !$0.payload.isEmpty })
    // The peer said long ago that it has no room on the initial subflow, and the news that it has was lost.
    let initial = try subflow(script)
    initial.sendWindowEdge = initial.sendNext
    second.send([.rst, .ack])
    #expect(script.takeAll().allSatisfy { $0.payload.isEmpty })
    script.pass(.seconds(5))
    #expect(script.takeAll().contains { connection.initial.offset(of: $0) == 0 })
    connection.initial.send(.ack, [connection.dataAck(1)])
    #expect(script.take { $0.payload == octets(100) } != nil)
  }
}
