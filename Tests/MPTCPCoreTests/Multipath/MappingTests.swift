import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Data sequence mappings and DATA_ACKs (RFC 8684 §3.3.1, §3.3.2).
@Suite struct MappingTests {
  private func accepted(
    _ script: Script, flags: MPCapableFlags = .hmac, options: ConnectionOptions = lonely
  ) throws -> ScriptedConnection {
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: options, flags: flags))
    _ = script.takeAll()
    return connection
  }

  // Requirement 8684-3.3.1-20, 8684-3.3.2-02
  @Test func shortNumbersAreUnderstoodAndLongOnesAreAnsweredWithLong() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.initial.send(
      [.ack, .psh], [connection.mapping(at: 1, subflowOffset: 1, octets(10), ack: 1, four: true)], payload: octets(10))
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 11)
    connection.send(octets(10, from: 10), at: 11)
    let answer = try #require(script.takeAll().last)
    guard case .eight? = answer.dss?.dataAck else {
      Issue.record("an 8-octet number needs an 8-octet DATA_ACK")
      return
    }
    #expect(connection.acknowledged(by: answer) == 21)
    #expect(try connection.readAll() == octets(20))
  }

  // Requirement 8684-3.3.2-02
  @Test func aLongNumberIsAnsweredWithALongOneEvenWhereAShortOneFollows() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.send(octets(10), at: 1)
    _ = script.takeAll()
    connection.initial.send(
      [.ack, .psh], [connection.mapping(at: 11, subflowOffset: 11, octets(10), ack: 1, four: true)],
      payload: octets(10))
    guard case .eight? = script.takeAll().last?.dss?.dataAck else {
      Issue.record("the 8-octet number may not have been acknowledged yet")
      return
    }
  }

  /// Four full segments that have left with 4-octet DATA_ACKs, and then the peer's first 8-octet number.
  private func segmentsBeforeTheLongAck(_ script: Script) throws -> (ScriptedConnection, [WirePacket]) {
    let connection = try #require(
      try ScriptedConnection.accepted(
        by: script, options: lonely, sack: true, roundTrip: .milliseconds(40)))
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(4 * 1436)), to: connection.id, at: script.now)
    let sent = script.takeAll().filter { !$0.payload.isEmpty }
    #expect(sent.map(\.payload.count) == [1436, 1436, 1436, 1436] && sent.allSatisfy { $0.bytes.count == 1500 })
    for packet in sent {
      guard case .four? = packet.dss?.dataAck else {
        Issue.record("nothing obliges us to an 8-octet DATA_ACK: \(String(describing: packet.dss))")
        break
      }
    }
    connection.send(octets(10), at: 1)
    guard case .eight? = script.takeAll().last?.dss?.dataAck else {
      Issue.record("the peer has sent an 8-octet number")
      return (connection, sent)
    }
    return (connection, sent)
  }

  // Requirement 8684-3.3.1-19
  @Test func segmentsFromBeforeTheLongDataAckAreRepeatedAsTheyWere() throws {
    let script = Script()
    let (_, sent) = try segmentsBeforeTheLongAck(script)
    var again = 0
    // Not long enough for a time-out to look like a black hole.
    for _ in 0..<4 {
      script.pass(.milliseconds(100))
      for packet in script.takeAll() where !packet.payload.isEmpty {
        #expect(packet.bytes.count <= 1500)
        let original = sent.first { $0.tcp.sequenceNumber == packet.tcp.sequenceNumber }
        #expect(original?.payload == packet.payload)
        again += 1
      }
    }
    #expect(again > 0)
  }

  @Test func segmentsFromBeforeTheLongDataAckCountAsOneEach() throws {
    let script = Script()
    let (connection, sent) = try segmentsBeforeTheLongAck(script)
    func report(_ last: Int) {
      var blocks = SACKBlocks()
      _ = blocks.append(SACKBlock(left: sent[1].tcp.sequenceNumber, right: sent[last].tcp.sequenceNumber + 1436))
      connection.initial.send(.ack, ack: connection.initial.offset(of: sent[0]), plain: [.sack(blocks)])
    }
    script.pass(.milliseconds(40))
    report(2)
    let early = script.takeAll().filter { !$0.payload.isEmpty }
    #expect(early.isEmpty, "two behind a hole are no loss")
    report(3)
    let repaired = script.takeAll().filter { !$0.payload.isEmpty }
    #expect(repaired.map(\.payload) == [sent[0].payload])
    #expect(repaired.allSatisfy { $0.bytes.count <= 1500 })
  }

  // Requirement 8684-3.3.2-03
  @Test func shortDataAcksFreeTheSendBuffer() throws {
    let script = Script()
    let connection = try accepted(script)
    _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
    _ = try #require(connection.initial.take { !$0.payload.isEmpty })
    connection.initial.send(.ack, [connection.dataAck(101, four: true)])
    #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == 100)
  }

  // Requirement 8684-3.3.1-22, 8684-3.3.1-23
  @Test func shortNumbersWidenAcrossTheirWrap() throws {
    // Keys are given, so the numbers cannot be chosen: mappings and DATA_ACKs advance through what they are, and the
    // widening itself is a function of the nearest number.
    let reference = DataSequenceNumber(0x0000_0007_ffff_fff0)
    #expect(DataSequenceNumber(low32: 0xffff_fff8, near: reference).rawValue == 0x0000_0007_ffff_fff8)
    #expect(DataSequenceNumber(low32: 0x10, near: reference).rawValue == 0x0000_0008_0000_0010)
    #expect(DataSequenceNumber(low32: 0xffff_0000, near: DataSequenceNumber(0x8_0000_0005)).rawValue == 0x7_ffff_0000)
    #expect(DataSequenceNumber(low32: 5, near: DataSequenceNumber(.max)).rawValue == 5)
  }

  // Requirement 8684-3.3.2-11
  @Test func numbersOfBothSizesMayComeInOneConnection() throws {
    let script = Script()
    let connection = try accepted(script)
    for step in 0..<8 {
      _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
      let data = octets(10, from: step * 10)
      let at = connection.initial.sent
      var options: [MultipathOption] = []
      if step % 3 > 0 {
        options = [
          connection.mapping(
            at: 1 + step * 10, subflowOffset: at, data, ack: step % 3 == 1 ? 11 + step * 10 : nil, four: step % 2 == 0)
        ]
      } else {
        // Without a DATA_ACK; that comes alone.
        options = [connection.mapping(at: 1 + step * 10, subflowOffset: at, data, four: step % 2 == 0)]
      }
      _ = script.takeAll()
      connection.initial.send([.ack, .psh], options, payload: data)
      if step % 3 != 1 {
        connection.initial.send(.ack, [connection.dataAck(11 + step * 10, four: step % 2 == 1)])
      }
      #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == 10 + step * 10)
    }
    #expect(try connection.readAll() == octets(80))
    #expect(script.endpoint.description(of: connection.id)?.isMultipath == true)
  }

  // Requirement 8684-3.3.1-01, 8684-3.3.1-26, 8684-3.3.2-11
  @Test func aMappingMayBeLongerThanItsSegment() throws {
    let script = Script()
    let connection = try accepted(script)
    let all = octets(3000)
    connection.initial.send(
      .ack, [connection.mapping(at: 1, subflowOffset: 1, all)], payload: Array(all[..<1000]))
    // What follows needs no option of its own.
    connection.initial.send(.ack, [connection.dataAck(1)], payload: Array(all[1000..<2000]))
    connection.initial.send([.ack, .psh], payload: Array(all[2000...]))
    #expect(try connection.readAll() == all)
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 3001)
  }

  // Requirement 8684-3.1-30, 8684-3.3.1-02
  @Test func aMappingSurvivesLossAndReordering() throws {
    let script = Script()
    let connection = try accepted(script)
    let all = octets(3000)
    let mapping = connection.mapping(at: 1, subflowOffset: 1, all)
    connection.initial.send(.ack, at: 2001, [mapping], payload: Array(all[2000...]))
    connection.initial.send(.ack, at: 1001, [mapping], payload: Array(all[1000..<2000]))
    connection.initial.send(.ack, at: 1, [mapping], payload: Array(all[..<1000]))
    #expect(try connection.readAll() == all)
  }

  // Requirement 8684-3.1-30
  @Test func aRetransmissionMayRepeatAPartOfAMapping() throws {
    let script = Script()
    let connection = try accepted(script)
    let all = octets(3000)
    connection.initial.send(.ack, [connection.mapping(at: 1, subflowOffset: 1, all)], payload: Array(all[..<1000]))
    // A sender that cuts anew says the same of a part, or of more.
    connection.initial.send(
      .ack, [connection.mapping(at: 1001, subflowOffset: 1001, Array(all[1000..<2000]))],
      payload: Array(all[1000..<2000]))
    connection.initial.send(
      .ack, [connection.mapping(at: 2001, subflowOffset: 2001, octets(2000))], payload: Array(all[2000...]))
    #expect(script.take(where: \.isReset) == nil)
    #expect(try connection.readAll() == all)
    connection.initial.send(.ack, payload: octets(1000, from: 1000))
    #expect(try connection.readAll() == octets(1000, from: 1000))
  }

  @Test func aMappingThatContradictsAnotherResetsTheSubflow() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.initial.send(.ack, [connection.mapping(at: 1, subflowOffset: 1, octets(2000))], payload: octets(1000))
    connection.initial.send(
      .ack, [connection.mapping(at: 5001, subflowOffset: 1001, octets(1000))], payload: octets(1000))
    #expect(script.take(where: \.isReset)?.resetReason == .mptcpSpecific)
  }

  // Requirement 8684-3.3.1-14, 8684-3.3.1-15
  @Test func dataMayComeBeforeItsMapping() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.send(octets(10), at: 1)
    connection.initial.send(.ack, payload: octets(10, from: 10))
    #expect(try connection.readAll() == octets(10))
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 11)
    connection.initial.send(
      .ack, [connection.mapping(at: 11, subflowOffset: 11, octets(20))], payload: octets(10, from: 20))
    #expect(try connection.readAll() == octets(20, from: 10))
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 31)
  }

  // Requirement 8684-3.3.1-16, 8684-3.3.1-17, 8684-3.7-10, 8684-3.7-11
  @Test func dataWithoutMappingIsHeldWithinBoundsAndThenResetWithReason6() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.send(octets(10), at: 1)
    var reset: WirePacket?
    var count = 0
    while reset == nil, count < 300 {
      connection.initial.send(.ack, payload: octets(1400))
      count += 1
      for packet in script.takeAll() where packet.isReset { reset = packet }
    }
    #expect(reset?.resetReason == .middleboxInterference)
    #expect(count * 1400 <= 300_000)
  }

  // Requirement 8684-3.3.1-04, 8684-3.3.1-05
  @Test func theSameDataOnTwoSubflowsCountsOnce() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.send(octets(1), at: 1)
    let second = try #require(connection.join())
    connection.send(octets(100, from: 1), at: 2)
    connection.send(octets(100, from: 1), at: 2, on: second)
    connection.send(octets(150, from: 51), at: 52, on: second)
    connection.send(octets(150, from: 1), at: 2)
    #expect(try connection.readAll() == octets(201))
    #expect(script.endpoint.description(of: connection.id)?.duplicateByteCount == 300)
  }

  // Requirement 8684-3.3.2-01, 8684-3.3.4-06, 8684-4-02
  @Test func subflowsMayDeliverOutOfOrder() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.send(octets(1), at: 1)
    let second = try #require(connection.join())
    _ = script.takeAll()
    connection.send(octets(100, from: 101), at: 102, on: second)
    let answer = try #require(second.take())
    // A subflow acknowledgement says nothing of the data.
    #expect(second.acknowledged(by: answer) == 101)
    #expect(connection.acknowledged(by: answer) == 2)
    connection.send(octets(100, from: 1), at: 2)
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 202)
    #expect(try connection.readAll() == octets(201))
  }

  /// What the connection drops, beyond its window or because another subflow brought it, the subflow has all the same.
  // Requirement 8684-3.3.4-07
  @Test func aSubflowReportsWhatItHasThoughTheConnectionDropsIt() throws {
    let script = Script()
    var options = lonely
    options.receiveBufferByteCount = 20_000
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: options, sack: true))
    connection.send(octets(101), at: 1)
    _ = script.takeAll()
    let subflow = connection.initial
    func blocks() throws -> [Range<Int>] {
      let answer = try #require(script.takeAll().last)
      #expect(subflow.acknowledged(by: answer) == 102)
      for case .sack(let blocks) in answer.options {
        return (0..<blocks.count).map {
          (blocks[$0].left - subflow.initialNumber)..<(blocks[$0].right - subflow.initialNumber)
        }
      }
      return []
    }
    // A hole, and behind it data far beyond the window, and then data that is here already.
    subflow.send(
      .ack, at: 202, [connection.mapping(at: 1_000_000, subflowOffset: 202, octets(100))], payload: octets(100))
    #expect(try blocks() == [202..<302])
    subflow.send(.ack, at: 302, [connection.mapping(at: 1, subflowOffset: 302, octets(100))], payload: octets(100))
    #expect(try blocks() == [202..<402])
    subflow.send(
      .ack, at: 502, [connection.mapping(at: 2_000_000, subflowOffset: 502, octets(100))], payload: octets(100))
    #expect(try blocks() == [502..<602, 202..<402])
    // The hole fills: the subflow is at the next one, the connection has no more than the hundred octets.
    subflow.send(.ack, at: 102, [connection.mapping(at: 102, subflowOffset: 102, octets(100))], payload: octets(100))
    var answer = try #require(script.takeAll().last)
    #expect(subflow.acknowledged(by: answer) == 402)
    #expect(connection.acknowledged(by: answer) == 202)
    subflow.send(.ack, at: 402, [connection.mapping(at: 202, subflowOffset: 402, octets(100))], payload: octets(100))
    answer = try #require(script.takeAll().last)
    #expect(subflow.acknowledged(by: answer) == 602)
    #expect(connection.acknowledged(by: answer) == 302)
    #expect(try connection.readAll() == octets(101) + octets(100) + octets(100))
  }

  /// It is acknowledged on its subflow, so it never comes again there, and delivered as it is when it comes under
  /// numbers that the window has reached.
  // Requirement 8684-3.3.2-04, 8684-3.3.2-06
  @Test func dataOutsideTheWindowIsDroppedAndTakenWhenItComesAgain() throws {
    let script = Script()
    var options = lonely
    options.receiveBufferByteCount = 20_000
    let connection = try accepted(script, options: options)
    connection.send(octets(1), at: 1)
    _ = script.takeAll()
    connection.send([UInt8](repeating: 7, count: 1000), at: 50_000)
    connection.send([UInt8](repeating: 7, count: 1000), at: 60_000)
    let answer = try #require(script.takeAll().last)
    #expect(connection.initial.acknowledged(by: answer) == 2002)
    #expect(connection.acknowledged(by: answer) == 2)
    _ = try connection.readAll()
    var next = 2
    while next < 61_000 {
      let piece = octets(min(1000, 61_000 - next), from: next)
      connection.send(piece, at: next)
      next += piece.count
      script.pass(.milliseconds(50))
      #expect(connection.acknowledged(by: try #require(script.takeAll().last { $0.dss?.dataAck != nil })) == next)
      #expect(try connection.readAll() == piece)
    }
    #expect(script.endpoint.description(of: connection.id)?.duplicateByteCount == 0)
  }

  // Requirement 8684-3.3.4-04, 8684-3.8-02
  @Test func dataOutsideTheWindowIsNeverDataAcknowledged() throws {
    let script = Script()
    var options = lonely
    options.receiveBufferByteCount = 20_000
    let connection = try accepted(script, options: options)
    connection.send(octets(1), at: 1)
    _ = script.takeAll()
    connection.send(octets(1000), at: 1_000_000)
    connection.send(octets(1000), at: 50_000)
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 2)
    connection.send(octets(1000, from: 1), at: 2)
    #expect(connection.acknowledged(by: try #require(script.takeAll().last)) == 1002)
    #expect(try connection.readAll().count == 1001)
  }

  // Requirement 8684-3.3-08, 8684-3.3-09
  @Test func aMissingChecksumWhereOneWasNegotiatedResets() throws {
    let script = Script()
    let connection = try accepted(script, flags: [.hmac, .checksumRequired])
    connection.send(octets(10), at: 1)
    connection.usesChecksum = false
    connection.send(octets(10), at: 11)
    #expect(script.take(where: \.isReset)?.resetReason == .mptcpSpecific)
  }

  // Requirement 8684-3.3-07, 8684-3.3-09
  @Test func aChecksumWhereNoneWasNegotiatedResets() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.send(octets(10), at: 1)
    connection.usesChecksum = true
    connection.send(octets(10), at: 11)
    #expect(script.take(where: \.isReset)?.resetReason == .mptcpSpecific)
  }

  // Requirement 8684-3.8-02
  @Test func absurdNumbersAreIgnored() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.send(octets(10), at: 1)
    for (index, distance) in [Int.max, Int.min, 1 << 50, -(1 << 50), 1 << 33].enumerated() {
      connection.initial.send(.ack, [connection.dataAck(distance)])
      connection.initial.send(.ack, [connection.mapping(at: distance, subflowOffset: 20_000 + index * 10, octets(10))])
      connection.initial.send(.ack, [connection.dataFin(at: distance)])
    }
    connection.initial.send(.ack, [connection.mapping(at: 11, subflowOffset: 0x7fff_ffff, octets(10))])
    connection.initial.send(.ack, [connection.mapping(at: 11, subflowOffset: 0xffff_ffff, octets(10))])
    connection.initial.send(.ack, [.fail(MPFail(dsn: 7))], raw: [30, 12, 0x61, 0, 0, 0, 0, 0])
    connection.send(octets(10, from: 10), at: 11)
    #expect(try connection.readAll() == octets(20))
  }

  // Requirement 8684-5-06
  @Test func aPeerThatSendsOnlyHolesIsBounded() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.send(octets(1), at: 1)
    var data = 10
    for _ in 0..<2000 {
      connection.initial.send(
        .ack, at: data, [connection.mapping(at: data, subflowOffset: data, octets(1))], payload: octets(1))
      data += 2
    }
    let second = try #require(connection.join())
    for index in 0..<1000 {
      connection.send(octets(1), at: 10_001 + index * 2, on: second)
    }
    _ = script.takeAll()
    #expect(script.endpoint.description(of: connection.id)?.receivedByteCount == 1)
    // It still works.
    connection.send(octets(200, from: 1), at: 2, on: second)
    #expect(try connection.readAll().count >= 200)
  }

  /// What comes first may come late: a peer whose first segment from here has no DSS falls back (RFC 8684 §3.7).
  /// Requirement 8684-A-04
  /// Requirement 8684-3.3.2-09
  /// Requirement 8684-3.3.2-10
  @Test func theFirstAcknowledgmentsCarryADataAckWhateverRoomSACKWants() throws {
    let script = Script()
    let connection = try #require(
      try ScriptedConnection.accepted(by: script, options: lonely, timestamps: true, sack: true))
    _ = script.takeAll()
    var isMissing = false
    for index in 1...30 {
      let offset = 1 + index * 100
      connection.initial.send(
        .ack, at: offset, [connection.mapping(at: offset, subflowOffset: offset, octets(10))], payload: octets(10))
      for answer in script.takeAll() {
        #expect(answer.options.contains { if case .sack = $0 { true } else { false } })
        if answer.dss?.dataAck == nil { isMissing = true }
        #expect(index > 14 || !isMissing, "\(index)")
      }
    }
    // Later the reports of what is missing are worth more than a number said before.
    #expect(isMissing)
  }

  // Requirement 8684-3.3.1-18, 8684-3.3.1-20, 8684-3.3.1-22, 8684-3.3.1-23
  @Test(arguments: [false, true], [false, true])
  func dataSequenceNumbersMayPassTheWrapOfTheirLow32Bits(checksum: Bool, four: Bool) throws {
    let script = Script()
    // The initial number of this key ends in fffff0f1: 3,855 octets before the wrap.
    let connection = try #require(
      try ScriptedConnection.accepted(
        by: script, options: lonely, flags: checksum ? [.hmac, .checksumRequired] : .hmac, key: Key(0x449658)))
    #expect(connection.number(0).low32 == 0xffff_f0f1)
    for index in 0..<10 {
      connection.initial.send(
        .ack,
        [
          connection.mapping(
            at: 1 + index * 1000, subflowOffset: 1 + index * 1000, octets(1000, from: index * 1000), four: four)
        ], payload: octets(1000, from: index * 1000))
      let answer = try #require(script.takeAll().last { $0.dss?.dataAck != nil })
      #expect(connection.acknowledged(by: answer) == 1001 + index * 1000)
    }
    // From beyond the wrap, what lies before it is known.
    connection.initial.send(
      .ack, [connection.mapping(at: 3001, subflowOffset: 10_001, octets(1000, from: 3000), four: four)],
      payload: octets(1000, from: 3000))
    #expect(try connection.readAll() == octets(10_000))
    #expect(script.endpoint.description(of: connection.id)?.duplicateByteCount == 1000)
  }
}
