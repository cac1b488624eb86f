import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// TCP Fast Open as its client (RFC 7413 §4.1.3, §4.2), with plain TCP.
@Suite struct FastOpenInitiatorTests {
  // Requirement 7413-4-01
  @Test func withoutACookieTheSynAsksForOneAndTheDataWaits() throws {
    let script = Script()
    let (_, syn, subflow) = try script.connect(sending: octets(100), options: eagerTCP)
    #expect(syn.fastOpen == FastOpenCookie())
    #expect(syn.payload.isEmpty)
    subflow.send([.syn, .ack], plain: [.maximumSegmentSize(1460), .fastOpen(cookie8)])
    #expect(try #require(subflow.take()).payload == octets(100))
    #expect(script.endpoint.fastOpenMemory.cookies.map(\.cookie) == [cookie8])
  }

  // Requirement 7413-4-01, 7413-4.1.3-01
  @Test func withACookieTheDataLeavesOnTheSyn() throws {
    let script = Script()
    try script.give(options: eagerTCP)
    let (id, syn, subflow) = try script.connect(sending: octets(100), options: eagerTCP)
    #expect(syn.fastOpen == cookie8)
    #expect(syn.payload == octets(100))
    subflow.sent = 0
    subflow.send([.syn, .ack], ack: 101)
    let third = try #require(subflow.take())
    #expect(third.isPureAck)
    #expect(subflow.offset(of: third) == 101)
    #expect(script.endpoint.description(of: id)?.acknowledgedByteCount == 100)
    _ = try script.endpoint.write(ByteSlice(octets(10, from: 100)), to: id, at: script.now)
    let next = try #require(subflow.take { !$0.payload.isEmpty })
    #expect(subflow.offset(of: next) == 101 && next.payload == octets(10, from: 100))
    #expect(script.endpoint.statistics.fastOpens == 1)
  }

  // Requirement 7413-4-03, 7413-4.2.2-04
  @Test(arguments: [0, 1, 40, 99])
  func whatIsNotAcknowledgedIsSentAgainAfterTheHandshake(taken: Int) throws {
    let script = Script()
    try script.give(options: eagerTCP)
    let (id, _, subflow) = try script.connect(sending: octets(100), options: eagerTCP)
    subflow.send([.syn, .ack], ack: 1 + taken)
    let rest = try #require(subflow.take())
    #expect(subflow.offset(of: rest) == 1 + taken)
    #expect(rest.payload == octets(100 - taken, from: taken))
    subflow.send(.ack, ack: 101)
    #expect(script.endpoint.description(of: id)?.acknowledgedByteCount == 100)
    #expect(script.endpoint.description(of: id)?.subflows.first?.sentByteCount == 100)
  }

  /// An acknowledgement of more than was sent is answered by RST (RFC 9293 §3.10.7.3), and the SYN/ACK may still come.
  @Test func anAnswerBeyondTheDataIsRefused() throws {
    let script = Script()
    try script.give(options: eagerTCP)
    let (_, _, subflow) = try script.connect(sending: octets(100), options: eagerTCP)
    subflow.send([.syn, .ack], at: 0, ack: 102)
    #expect(try #require(subflow.take()).isReset)
    subflow.send([.syn, .ack], at: 0, ack: 0)
    #expect(try #require(subflow.take()).isReset)
    subflow.send([.syn, .ack], ack: 101)
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
  }

  /// A closed port answers a SYN with data by a RST that acknowledges the data too (RFC 9293 §3.5.2).
  @Test func aResetThatAcknowledgesTheDataRefuses() throws {
    let script = Script()
    try script.give(options: eagerTCP)
    let (_, _, subflow) = try script.connect(sending: octets(100), options: eagerTCP)
    subflow.send([.rst, .ack], ack: 101)
    #expect(script.closeReason == .refused)
  }

  /// RFC 7413 §4.2.2: a SYN that comes again is plain, for the network or the listener may drop the other kind.
  // Requirement 7413-4.2.2-01
  @Test(arguments: [true, false])
  func aRepeatedSynHasNeitherDataNorCookie(isFirstTaken: Bool) throws {
    let script = Script()
    try script.give(options: eagerTCP)
    let (_, _, subflow) = try script.connect(sending: octets(100), options: eagerTCP)
    script.pass(.milliseconds(1100))
    let again = try #require(subflow.take())
    #expect(again.isSyn && again.payload.isEmpty && again.fastOpen == nil)
    #expect(subflow.offset(of: again) == 0)
    // Both may be answered: the listener may have had the first, and lost its answer.
    subflow.send([.syn, .ack], ack: isFirstTaken ? 101 : 1)
    let next = try #require(subflow.take())
    #expect(next.payload == (isFirstTaken ? [] : octets(100)))
    #expect(script.endpoint.fastOpenMemory.failures.count == (isFirstTaken ? 0 : 1))
  }

  /// RFC 7413 §4.1.3.1.
  // Requirement 7413-4.1.3.1-01, 7413-4.1.3.1-02
  @Test func whereItFailedItIsLeftForATimeThatDoubles() throws {
    let script = Script()
    try script.give(options: eagerTCP)
    func attempt(_ answer: TCPOption? = nil) throws -> WirePacket {
      let (id, syn, subflow) = try script.connect(sending: octets(100), options: eagerTCP)
      subflow.send([.syn, .ack], ack: 1, plain: [.maximumSegmentSize(1460)] + (answer.map { [$0] } ?? []))
      script.endpoint.abort(id, at: script.now)
      _ = script.takeAll()
      return syn
    }
    #expect(try attempt().payload.count == 100)
    #expect(try attempt().fastOpen == nil)
    script.pass(.seconds(301))
    #expect(try attempt().payload.count == 100)
    script.pass(.seconds(301))
    #expect(try attempt().payload.isEmpty)
    script.pass(.seconds(300))
    // A cookie that is replaced is no failure; the next one counts.
    let other = FastOpenCookie(77)
    #expect(try attempt(.fastOpen(other)).fastOpen == cookie8)
    #expect(try attempt().fastOpen == other)
  }

  // Requirement 7413-4.1.3.1-01, 7413-4.1.3.1-02
  @Test func aSynWithDataThatNobodyAnswersIsAFailure() throws {
    let script = Script()
    try script.give(options: eagerTCP)
    var options = eagerTCP
    options.connectTimeout = .seconds(3)
    _ = try script.connect(sending: octets(100), options: options)
    script.pass(.seconds(4))
    #expect(script.closeReason == .connectTimedOut)
    #expect(script.endpoint.fastOpenMemory.failures.count == 1)
    _ = script.takeAll()
    #expect(try script.connect(sending: octets(10), options: eagerTCP).1.fastOpen == nil)
    // Another service of the host is another matter.
    let remote = TransportAddress(Pair.address(0, 1, .v4), 81)
    _ = try script.endpoint.connect(
      to: remote, sending: ByteSlice(octets(10)), options: eagerTCP, at: script.now)
    #expect(try #require(script.take(where: \.isSyn)).payload == octets(10))
  }

  /// As much as the listener's segments hold, options included (RFC 7413 §4.2.2), and the path.
  @Test(arguments: [(536, 1500), (1460, 1500), (1460, 900), (9000, 1500)] as [(UInt16, Int)])
  func theDataIsBoundedByTheSegment(mss: UInt16, mtu: Int) throws {
    let script = Script(paths: 0)
    _ = script.endpoint.addPath(
      PathConfiguration(
        name: "path", addresses: [IPPrefix(Pair.address(0, 0, .v4), length: 24)], maximumTransmissionUnit: mtu),
      at: script.now)
    try script.give(mss: mss, options: eagerTCP)
    let (id, syn, subflow) = try script.connect(sending: octets(5000), options: eagerTCP)
    // Segment size, SACK, timestamps and window scale are 20 octets, the cookie 10, padded 12.
    #expect(syn.payload.count == min(Int(mss), mtu - 40) - 32)
    subflow.send([.syn, .ack], ack: 1 + syn.payload.count, plain: [.maximumSegmentSize(mss)])
    let next = try #require(subflow.take { !$0.payload.isEmpty })
    #expect(subflow.offset(of: next) == 1 + syn.payload.count)
    #expect(script.endpoint.description(of: id)?.writtenByteCount == 5000)
  }

  @Test func whoDoesNotAskForItGetsNone() throws {
    let script = Script()
    try script.give(options: eagerTCP)
    let (_, syn, subflow) = try script.connect(sending: octets(100), options: Puppet.plain)
    #expect(syn.fastOpen == nil && syn.payload.isEmpty)
    subflow.send([.syn, .ack])
    #expect(try #require(subflow.take()).payload == octets(100))
  }

  // Requirement 7413-4.2.1-01, 7413-4.2.1-02
  @Test func aRequestThatIsNotAnsweredIsRepeatedWithoutTheOptionAndNotMadeAgainSoon() throws {
    let script = Script()
    let (id, syn, subflow) = try script.connect(sending: octets(10), options: eagerTCP)
    #expect(syn.fastOpen == FastOpenCookie())
    script.pass(.milliseconds(1100))
    let again = try #require(subflow.take())
    #expect(again.isSyn && again.fastOpen == nil && again.payload.isEmpty)
    subflow.send([.syn, .ack])
    script.endpoint.abort(id, at: script.now)
    _ = script.takeAll()
    #expect(try script.connect(sending: octets(10), options: eagerTCP).1.fastOpen == nil)
    script.pass(.seconds(301))
    _ = script.takeAll()
    #expect(try script.connect(sending: octets(10), options: eagerTCP).1.fastOpen == FastOpenCookie())
  }

  /// RFC 7413 §4.1.1: nowhere but on a SYN, and with no other length than 4 to 16 octets of cookie, or none.
  // Requirement 7413-4.1.1-01
  @Test func aCookieOfABadLengthOrOffTheSynIsNone() throws {
    for raw in [[34, 5, 1, 2, 3, 1, 1, 1], [34, 20] + [UInt8](repeating: 7, count: 18)] as [[UInt8]] {
      let script = Script()
      let (_, _, subflow) = try script.connect(sending: octets(10), options: eagerTCP)
      subflow.send([.syn, .ack], raw: raw)
      #expect(script.endpoint.fastOpenMemory.cookies.isEmpty, "\(raw)")
    }
    let script = Script()
    let (_, _, subflow) = try script.connect(sending: octets(10), options: eagerTCP)
    subflow.send([.syn, .ack])
    subflow.send(.ack, plain: [.fastOpen(cookie8)])
    #expect(script.endpoint.fastOpenMemory.cookies.isEmpty)
  }

  @Test func aCookieWithoutDataStaysAtHome() throws {
    let script = Script()
    try script.give(options: eagerTCP)
    #expect(try script.connect(sending: [], options: eagerTCP).1.fastOpen == nil)
  }

  /// Both ends connect to each other: data of a crossing SYN is not taken, but the peer may take ours.
  @Test(arguments: [0, 100])
  func aSimultaneousOpenMayAcknowledgeTheData(taken: Int) throws {
    let script = Script()
    try script.give(options: eagerTCP)
    let (_, _, subflow) = try script.connect(sending: octets(100), options: eagerTCP)
    subflow.send(.syn, at: 0, payload: octets(5))
    let answer = try #require(subflow.take())
    #expect(answer.isSynAck && subflow.acknowledged(by: answer) == 1 && answer.payload.isEmpty)
    subflow.sent = 1
    subflow.send([.syn, .ack], at: 0, ack: 1 + taken)
    #expect(script.connectionEvents.contains(.established(isMultipath: false)))
    let next = try #require(subflow.take())
    #expect(next.payload == octets(100 - taken, from: taken))
    #expect(subflow.offset(of: next) == 1 + taken)
  }

  // Requirement 7413-4.1.3.1-01
  @Test func aRouterThatRefusesTheSynIsAFailure() throws {
    let script = Script()
    try script.give(options: eagerTCP)
    let (_, _, subflow) = try script.connect(sending: octets(100), options: eagerTCP)
    let connection = try #require(script.endpoint.connectionSlots.compactMap { $0 }.last)
    let own = try #require(connection.subflows.first)
    connection.subflowFailed(own, reason: .refused, closing: .unreachable, now: script.now)
    #expect(script.endpoint.fastOpenMemory.failures.map(\.remote) == [subflow.local])
  }
}
