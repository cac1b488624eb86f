import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// TCP Fast Open with Multipath TCP (RFC 8684 appendix B); the figures are its own.
@Suite struct FastOpenMultipathTests {
  private let key = Key(0x1112_1314_1516_1718)

  /// The number that `offset` has in the stream of whoever has `key`.
  private func number(_ offset: Int, _ key: Key) -> UInt64 { (key.initialDataSequenceNumber(.v1) + offset).rawValue }

  private func dataAck(_ offset: Int, _ key: Key) -> MultipathOption {
    .dss(DSS(dataFin: false, dataAck: .eight(number(offset, key)), mapping: nil))
  }

  private func mapping(
    at offset: Int, ssn: UInt32, _ payload: [UInt8], checksum: Bool = false, ack: UInt64? = nil, of key: Key? = nil
  ) -> MultipathOption {
    let key = key ?? self.key
    var sum: UInt16?
    if checksum {
      var value = DSSChecksum()
      value.add(payload.span.bytes)
      sum = value.value(
        dsn: DataSequenceNumber(number(offset, key)), subflowSequenceNumber: ssn, length: UInt16(payload.count))
    }
    return .dss(
      DSS(
        dataFin: false, dataAck: ack.map { .eight($0) },
        mapping: DSSMapping(
          dsn: .eight(number(offset, key)), subflowSequenceNumber: ssn, length: UInt16(payload.count), checksum: sum)))
  }

  // MARK: As initiator

  /// Figure 18. Worked by hand: 24 octets of options as ever, the request (34, 2) behind them, padded by NOPs.
  // Requirement 8684-B.1-01
  @Test func theRequestForACookieRidesBesideMPCapable() throws {
    let script = Script()
    _ = try script.endpoint.connect(
      to: TransportAddress(Pair.address(0, 1, .v4), 80), options: eager, at: script.now)
    var raw: [UInt8] = []
    while let packet = script.endpoint.nextPacket() { raw = packet.copyBytes() }
    let options = Array(raw[40...])
    #expect(options.count == 28)
    #expect(Array(options[..<8]) == [2, 4, 5, 180, 4, 2, 8, 10])
    #expect(Array(options[16..<19]) == [1, 3, 3])
    #expect(Array(options[20...]) == [30, 4, 1, 1, 34, 2, 1, 1])
  }

  /// Figure 19, the initiator's part: 20 octets on the SYN, 100 in answer, 20 more. Numbers of the figure are relative.
  // Requirement 8684-B.2-01, 8684-B.3-01, 8684-3.1-22
  @Test(arguments: [false, true])
  func dataOfTheSynLiesOutsideTheDataSequenceSpace(checksum: Bool) throws {
    let script = Script()
    try script.give()
    var options = eager
    options.checksum = checksum
    let (id, syn, subflow) = try script.connect(sending: octets(20), options: options)
    #expect(syn.fastOpen == cookie8 && syn.payload == octets(20))
    #expect(syn.capable?.senderKey == nil && syn.capable != nil)
    subflow.send(
      [.syn, .ack], ack: 21,
      [.capable(MPCapable(flags: checksum ? [.hmac, .checksumRequired] : .hmac, senderKey: key))],
      plain: [.maximumSegmentSize(1460)])
    let third = try #require(subflow.take())
    #expect(third.isPureAck && subflow.offset(of: third) == 21)
    let engineKey = try #require(third.capable?.senderKey)
    #expect(third.capable?.receiverKey == key && third.capable?.dataLength == nil)
    // The listener maps its answer before it has our key: there is no DATA_ACK, and the keys are not confirmed.
    let answer = octets(100)
    subflow.send([.ack, .psh], [mapping(at: 1, ssn: 1, answer, checksum: checksum)], payload: answer)
    #expect(try script.endpoint.read(from: id, upTo: 1000, at: script.now)?.array == answer)
    let acknowledgment = try #require(subflow.take())
    #expect(acknowledgment.capable?.receiverKey == key && subflow.acknowledged(by: acknowledgment) == 101)
    // The next data still carries the keys; its mapping counts from the first octet behind the SYN's data.
    _ = try script.endpoint.write(ByteSlice(octets(20, from: 20)), to: id, at: script.now)
    let data = try #require(subflow.take { !$0.payload.isEmpty })
    #expect(subflow.offset(of: data) == 21 && data.payload == octets(20, from: 20))
    #expect(data.capable?.dataLength == 20)
    if checksum {
      var sum = DSSChecksum()
      sum.add(data.payload.span.bytes)
      let expected = sum.value(
        dsn: DataSequenceNumber(number(1, engineKey)), subflowSequenceNumber: 1, length: 20)
      #expect(data.capable?.checksum == expected)
    }
    subflow.send(.ack, ack: 41, [dataAck(21, engineKey)])
    _ = try script.endpoint.write(ByteSlice(octets(30, from: 40)), to: id, at: script.now)
    let next = try #require(subflow.take { !$0.payload.isEmpty })
    let map = try #require(next.dss?.mapping)
    #expect(map.dsn == .eight(number(21, engineKey)) && map.subflowSequenceNumber == 21 && map.length == 30)
    #expect(subflow.offset(of: next) == 41)
    subflow.send(.ack, ack: 71, [dataAck(51, engineKey)])
    let description = try #require(script.endpoint.description(of: id))
    #expect(description.acknowledgedByteCount == 70 && description.isMultipath && description.fallback == nil)
  }

  /// Figures 20 and 21: what was not acknowledged becomes part of the data sequence space.
  // Requirement 8684-B.3-02, 8684-B.3-01
  @Test(arguments: [0, 500])
  func whatTheListenerDidNotTakeIsSentAgainUnderAMapping(taken: Int) throws {
    let script = Script()
    try script.give()
    let (id, _, subflow) = try script.connect(sending: octets(1000), options: eager)
    subflow.send(
      [.syn, .ack], ack: 1 + taken, [.capable(MPCapable(senderKey: key))], plain: [.maximumSegmentSize(1460)])
    let data = try #require(subflow.take())
    #expect(subflow.offset(of: data) == 1 + taken && data.payload == octets(1000 - taken, from: taken))
    #expect(data.capable?.dataLength == UInt16(1000 - taken))
    let engineKey = try #require(data.capable?.senderKey)
    subflow.send(.ack, ack: 1001, [dataAck(1001 - taken, engineKey)])
    #expect(script.endpoint.description(of: id)?.acknowledgedByteCount == 1000)
    script.endpoint.finish(id, at: script.now)
    let fin = try #require(subflow.take())
    #expect(fin.dss?.dataFin == true)
    #expect(fin.dss?.mapping?.dsn == .eight(number(1001 - taken, engineKey)))
  }

  /// All of it left on the SYN: the DATA_FIN is the first number behind the SYN's own.
  @Test func aConnectionMayEndWithoutAnyMappedData() throws {
    let script = Script()
    try script.give()
    let (id, _, subflow) = try script.connect(sending: octets(20), options: eager)
    script.endpoint.finish(id, at: script.now)
    subflow.send([.syn, .ack], ack: 21, [.capable(MPCapable(senderKey: key))])
    let sent = script.takeAll()
    let engineKey = try #require(sent.compactMap(\.capable?.senderKey).first)
    let fin = try #require(sent.first { $0.dss?.dataFin == true })
    #expect(fin.dss?.mapping?.dsn == .eight(number(1, engineKey)))
    #expect(fin.payload.isEmpty)
    subflow.send(.ack, ack: 21, [dataAck(2, engineKey)])
    #expect(script.endpoint.connectionSlots.compactMap { $0 }.first?.isDataFinAcknowledged == true)
  }

  /// The listener, or a box, knows no Multipath TCP: it is plain TCP, with the data of its SYN.
  @Test func withoutMPCapableInTheAnswerItIsTCP() throws {
    let script = Script()
    try script.give()
    var options = eager
    options.multipath = .version1Then0
    let (id, _, subflow) = try script.connect(sending: octets(20), options: options)
    subflow.send([.syn, .ack], ack: 21)
    // Version 0 cannot be tried any more: the data has been taken.
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
    _ = try script.endpoint.write(ByteSlice(octets(20, from: 20)), to: id, at: script.now)
    let data = try #require(subflow.take { !$0.payload.isEmpty })
    #expect(data.multipath.isEmpty && subflow.offset(of: data) == 21)
    subflow.send([.ack, .psh], ack: 41, payload: octets(5))
    #expect(try script.endpoint.read(from: id, upTo: 10, at: script.now)?.array == octets(5))
    #expect(script.endpoint.description(of: id)?.acknowledgedByteCount == 40)
  }

  /// Version 0 has no room for it (RFC 6824 §3.1: the key is on the SYN), and no rule.
  @Test func version0HasNone() throws {
    let script = Script()
    try script.give()
    var options = eager
    options.multipath = .version0
    let (_, syn, _) = try script.connect(sending: octets(20), options: options)
    #expect(syn.fastOpen == nil && syn.payload.isEmpty)
    let listening = Script()
    try listening.listenFast()
    let cookie = try #require(listening.cookie())
    let subflow = listening.client()
    subflow.send(
      .syn, [.capable(MPCapable(version: 0, senderKey: key))], payload: octets(20), plain: [.fastOpen(cookie.prefix(6))]
    )
    let answer = try #require(subflow.take())
    #expect(answer.capable?.version == 0 && answer.fastOpen == nil && subflow.acknowledged(by: answer) == 1)
  }

  /// A cookie of 16 octets does not fit beside MP_CAPABLE: no Fast Open (RFC 7413 §4.2.2).
  // Requirement 8684-B.1-01
  @Test func aCookieThatDoesNotFitIsLeftOut() throws {
    let bytes = octets(16)
    let cookie = FastOpenCookie(bytes.span.bytes)
    let long = try #require(cookie)
    for options in [eager, eagerTCP] {
      let script = Script()
      try script.give(long, options: eagerTCP)
      let (_, syn, subflow) = try script.connect(sending: octets(20), options: options)
      let fits = options.multipath == .disabled
      #expect((syn.fastOpen != nil) == fits)
      #expect(syn.payload.count == (fits ? 20 : 0))
      subflow.send([.syn, .ack], ack: fits ? 21 : 1)
      #expect(script.endpoint.description(of: ConnectionID(0)) == nil)
      #expect(script.connectionEvents.contains(.established(isMultipath: false)))
      #expect(script.endpoint.fastOpenMemory.failures.isEmpty)
    }
  }

  // MARK: As listener

  /// Worked by hand: segment size 4, SACK 2, timestamps 10, window scale 3, MP_CAPABLE 12 leave 9, of which a cookie of
  /// even length has 6. Without timestamps each option has its padding: 4, 4, 4, 12, and 12 for the whole cookie.
  // Requirement 8684-B.1-02
  @Test(arguments: [true, false])
  func theCookieIsCutToWhatMPCapableLeaves(timestamps: Bool) throws {
    let script = Script()
    try script.listenFast()
    let whole = try #require(script.cookie())
    let subflow = script.client()
    var options: [TCPOption] = [.maximumSegmentSize(1460), .sackPermitted, .windowScale(7)]
    if timestamps { options.append(.timestamps(TCPTimestamps(value: 1, echo: 0))) }
    subflow.send(.syn, [.capable(MPCapable())], plain: options + [.fastOpen(FastOpenCookie())])
    let answer = try #require(subflow.take())
    #expect(answer.capable?.senderKey != nil)
    #expect(answer.hasTimestamps == timestamps)
    #expect(answer.fastOpen == (timestamps ? whole.prefix(6) : whole))
    #expect(answer.tcp.headerByteCount == (timestamps ? 60 : 56))
    subflow.send(.rst)
    _ = script.takeAll()
    // Either is good for data.
    for (port, cookie) in [(Port(4001), whole), (Port(4002), whole.prefix(6))] {
      let next = script.client(port: port)
      next.send(.syn, [.capable(MPCapable())], payload: octets(20), plain: [.fastOpen(cookie)])
      #expect(next.acknowledged(by: try #require(next.take(where: \.isSynAck))) == 21)
    }
  }

  /// The listener of figure 19; `answered` is what its application says before the third ACK.
  private func taken(
    _ script: Script, flags: MPCapableFlags = .hmac, answering answer: [UInt8] = []
  ) throws -> (ScriptedSubflow, ConnectionID, Key) {
    try script.listenFast()
    let cookie = try #require(script.cookie())
    let subflow = script.client()
    subflow.send(
      .syn, [.capable(MPCapable(flags: flags))], payload: octets(20),
      plain: [.maximumSegmentSize(1460), .fastOpen(cookie.prefix(6))])
    let synAck = try #require(subflow.take())
    #expect(synAck.isSynAck && subflow.acknowledged(by: synAck) == 21)
    #expect(script.connectionEvents == [.established(isMultipath: true), .readable])
    let id = try #require(script.events.last?.connection)
    #expect(try script.endpoint.read(from: id, upTo: 1000, at: script.now)?.array == octets(20))
    if !answer.isEmpty { _ = try script.endpoint.write(ByteSlice(answer), to: id, at: script.now) }
    return (subflow, id, try #require(synAck.capable?.senderKey))
  }

  private func third(_ engineKey: Key, length: UInt16? = nil, flags: MPCapableFlags = .hmac, sum: UInt16? = nil)
    -> MultipathOption
  {
    .capable(
      MPCapable(flags: flags, senderKey: key, receiverKey: engineKey, dataLength: length, checksum: sum))
  }

  /// It knows no number of the peer's to acknowledge with a DSS but in the segment behind, and that gets lost.
  @Test func theKeysOnTheAcknowledgmentOfItsAnswerShowThatThePeerHasNotFallenBack() throws {
    let script = Script()
    let (subflow, id, engineKey) = try taken(script, answering: octets(100))
    let data = try #require(subflow.take())
    #expect(data.payload == octets(100))
    subflow.send(.ack, ack: 1, [third(engineKey)])
    subflow.send(.ack, [third(engineKey)])
    _ = script.takeAll()
    script.pass(.seconds(5))
    #expect(script.fallback == nil && script.endpoint.description(of: id)?.isMultipath == true)
    let again = script.takeAll().filter { !$0.payload.isEmpty }
    #expect(!again.isEmpty && again.allSatisfy { $0.dss?.mapping != nil && $0.payload == octets(100) })
  }

  // Requirement 8684-B.2-01, 8684-B.3-01
  @Test(arguments: [false, true])
  func theListenersAnswerIsMappedBeforeTheThirdAck(checksum: Bool) throws {
    let script = Script()
    let flags: MPCapableFlags = checksum ? [.hmac, .checksumRequired] : .hmac
    let (subflow, id, engineKey) = try taken(script, flags: flags, answering: octets(100))
    let data = try #require(subflow.take())
    #expect(subflow.offset(of: data) == 1 && data.payload == octets(100))
    let map = try #require(data.dss?.mapping)
    #expect(map.dsn == .eight(number(1, engineKey)) && map.subflowSequenceNumber == 1 && map.length == 100)
    #expect(data.dss?.dataAck == nil)
    #expect((map.checksum != nil) == checksum)
    #expect(script.takeAll().isEmpty)
    // The third ACK has the key: now there is a DATA_ACK, of the octet of the SYN alone.
    subflow.send(.ack, [third(engineKey, flags: flags)])
    let acknowledgment = try #require(subflow.take())
    #expect(
      acknowledgment.isPureAck && acknowledgment.dss?.dataAck == .four(UInt32(truncatingIfNeeded: number(1, key))))
    #expect(script.endpoint.description(of: id)?.remoteToken == key.token())
    // And 20 more of the initiator: number 21 on the subflow, 1 in the mapping.
    let more = octets(20, from: 20)
    subflow.send(
      [.ack, .psh], [mapping(at: 1, ssn: 1, more, checksum: checksum, ack: number(101, engineKey))], payload: more)
    #expect(try script.endpoint.read(from: id, upTo: 1000, at: script.now)?.array == more)
    #expect(try #require(subflow.take()).dss?.dataAck == .eight(number(21, key)))
    let description = try #require(script.endpoint.description(of: id))
    #expect(description.acknowledgedByteCount == 100 && description.receivedByteCount == 40)
    #expect(description.fallback == nil)
    #expect(script.endpoint.statistics.badDataChecksums == 0)
  }

  /// MP_CAPABLE with data in place of the third ACK maps from the first octet behind the SYN's data.
  // Requirement 8684-B.3-01, 8684-3.1-28
  @Test(arguments: [false, true])
  func theFirstMappedDataMayBringTheKeys(isAnswered: Bool) throws {
    let script = Script()
    let (subflow, id, engineKey) = try taken(script, answering: isAnswered ? octets(100) : [])
    _ = script.takeAll()
    if isAnswered { subflow.expected = 101 }
    let more = octets(30, from: 20)
    subflow.send([.ack, .psh], [third(engineKey, length: 30)], payload: more)
    #expect(try script.endpoint.read(from: id, upTo: 1000, at: script.now)?.array == more)
    #expect(try #require(subflow.take()).dss?.dataAck != nil)
    #expect(script.endpoint.description(of: id)?.isMultipath == true)
    // Joins are possible, and count their numbers from their own SYN.
    let joining = ScriptedSubflow(
      script, path: 1, local: TransportAddress(Pair.address(1, 1, .v4), 4001),
      remote: TransportAddress(Pair.address(1, 0, .v4), 80))
    joining.send(
      .syn, [.join(.syn(backup: false, addressID: AddressID(2), token: engineKey.token(), nonce: 7))],
      payload: octets(9))
    let synAck = try #require(joining.take(where: \.isSynAck))
    #expect(joining.acknowledged(by: synAck) == 1)
    guard case .synAck(_, _, _, let nonce)? = synAck.join else {
      Issue.record("no MP_JOIN")
      return
    }
    let hmac = JoinAuthentication.joinHMAC(
      version: .v1, senderKey: key, receiverKey: engineKey, senderNonce: 7, receiverNonce: nonce)
    joining.sent = 1
    joining.send(.ack, [.join(.ack(hmac: hmac.left160))])
    joining.send([.ack, .psh], [mapping(at: 31, ssn: 1, octets(5, from: 50))], payload: octets(5, from: 50))
    #expect(try script.endpoint.read(from: id, upTo: 1000, at: script.now)?.array == octets(5, from: 50))
  }

  /// The SYN/ACK came without MP_CAPABLE, or the third ACK: what was mapped goes on as TCP.
  @Test(arguments: [false, true])
  func withoutMPCapableOnTheThirdAckItIsTCP(isAnswered: Bool) throws {
    let script = Script()
    let (subflow, id, _) = try taken(script, answering: isAnswered ? octets(100) : [])
    _ = script.takeAll()
    subflow.send([.ack, .psh], payload: octets(30, from: 20))
    #expect(script.fallback == .optionMissingOnThirdAck)
    #expect(try script.endpoint.read(from: id, upTo: 1000, at: script.now)?.array == octets(30, from: 20))
    if isAnswered {
      script.pass(.seconds(3))
      let again = try #require(subflow.take { !$0.payload.isEmpty })
      #expect(again.payload == octets(100) && subflow.offset(of: again) == 1 && again.multipath.isEmpty)
      subflow.send(.ack, ack: 101)
      _ = script.takeAll()
    }
    _ = try script.endpoint.write(ByteSlice(octets(7)), to: id, at: script.now)
    let next = try #require(subflow.take { !$0.payload.isEmpty })
    #expect(next.multipath.isEmpty && next.payload == octets(7))
    #expect(subflow.offset(of: next) == (isAnswered ? 101 : 1))
    #expect(script.endpoint.violation() == nil && script.endpoint.wholeViolation() == nil)
  }

  /// After the handshake: an infinite mapping, and a failed checksum, count from where mappings do (RFC 8684 §3.7).
  // Requirement 8684-B.3-01
  @Test func fallbackCountsFromTheFirstMappedOctet() throws {
    let script = Script()
    let flags: MPCapableFlags = [.hmac, .checksumRequired]
    let (subflow, id, engineKey) = try taken(script, flags: flags)
    subflow.send(.ack, [third(engineKey, flags: flags)])
    subflow.send(
      [.ack, .psh], [mapping(at: 1, ssn: 1, octets(10, from: 20), checksum: true, ack: number(1, engineKey))],
      payload: octets(10, from: 20))
    _ = script.takeAll()
    // Another octet than the one under the checksum.
    subflow.send(
      [.ack, .psh], [mapping(at: 11, ssn: 11, octets(10, from: 31), checksum: true)], payload: octets(10, from: 30))
    let fail = try #require(subflow.take { $0.fail != nil })
    #expect(fail.fail?.dsn == number(11, key))
    #expect(script.fallback == .checksumFailed)
    #expect(try script.endpoint.read(from: id, upTo: 1000, at: script.now)?.array == octets(20, from: 20))
    _ = try script.endpoint.write(ByteSlice(octets(5)), to: id, at: script.now)
    let data = try #require(subflow.take { !$0.payload.isEmpty })
    #expect(data.dss?.mapping?.length == 0 && data.dss?.mapping?.subflowSequenceNumber == 1)
    #expect(data.dss?.mapping?.dsn == .eight(number(1, engineKey)))
    // The initiator's own infinite mapping.
    subflow.send(
      [.ack, .psh], ack: 6,
      [
        .dss(
          DSS(
            dataFin: false, dataAck: nil,
            mapping: DSSMapping(
              dsn: .eight(number(21, key)), subflowSequenceNumber: 21, length: 0, checksum: 0)))
      ], payload: octets(5, from: 40))
    #expect(try script.endpoint.read(from: id, upTo: 1000, at: script.now)?.array == octets(5, from: 40))
  }
}
