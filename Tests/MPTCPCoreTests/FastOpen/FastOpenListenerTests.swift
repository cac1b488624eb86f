import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// TCP Fast Open as its listener (RFC 7413 §4.1.2, §4.2, §5.1), with plain TCP.
@Suite struct FastOpenListenerTests {
  private func events(_ script: Script) -> [ConnectionEvent] { script.connectionEvents }

  private func read(_ script: Script) throws -> [UInt8]? {
    let id = try #require(script.events.last?.connection)
    return try script.endpoint.read(from: id, upTo: 1 << 16, at: script.now)?.array
  }

  // Requirement 7413-4-02
  @Test func dataWithACookieIsReadAndAnsweredBeforeTheHandshakeIsDone() throws {
    let script = Script()
    try script.listenFast()
    let cookie = try #require(script.cookie())
    #expect(cookie.count == 8)
    let subflow = script.client()
    subflow.send(.syn, payload: octets(100), plain: [.maximumSegmentSize(1460), .fastOpen(cookie)])
    let answer = try #require(subflow.take())
    #expect(answer.isSynAck && subflow.acknowledged(by: answer) == 101 && answer.fastOpen == nil)
    #expect(events(script).last == .readable)
    #expect(events(script).contains(.established(isMultipath: false)))
    #expect(try read(script) == octets(100))
    let id = try #require(script.events.last?.connection)
    _ = try script.endpoint.write(ByteSlice(octets(3000)), to: id, at: script.now)
    script.endpoint.finish(id, at: script.now)
    let first = try #require(subflow.take())
    #expect(subflow.offset(of: first) == 1 && first.payload.count == 1460 && first.tcp.flags.contains(.ack))
    _ = subflow.take()
    // The FIN comes with the third ACK.
    let last = try #require(subflow.take())
    #expect(!last.isFin && subflow.expected == 3001)
    subflow.send(.ack)
    #expect(try #require(subflow.take()).isFin)
    #expect(script.endpoint.halfOpenCount == 0)
    #expect(script.endpoint.listeners[0].fastOpenCount == 0)
  }

  // Requirement 7413-4-02
  @Test func dataWithoutACookieOrWithAWrongOneIsNotTaken() throws {
    let script = Script()
    try script.listenFast()
    let cookie = try #require(script.cookie())
    let wrong = FastOpenCookie(0x1122_3344_5566_7788)
    let stolen = script.client(port: 4003, host: 9)
    let cases: [(ScriptedSubflow, [TCPOption], Bool)] = [
      (script.client(port: 4000), [], false), (script.client(port: 4001), [.fastOpen(wrong)], true),
      (script.client(port: 4002), [.fastOpen(cookie.prefix(4))], true), (stolen, [.fastOpen(cookie)], true),
      (script.client(port: 4004), [.fastOpen(FastOpenCookie())], true),
    ]
    for (subflow, options, getsCookie) in cases {
      subflow.send(.syn, payload: octets(100), plain: options)
      let answer = try #require(subflow.take())
      #expect(answer.isSynAck && subflow.acknowledged(by: answer) == 1)
      #expect((answer.fastOpen != nil) == getsCookie)
      #expect(answer.fastOpen == nil || (answer.fastOpen == cookie) == (subflow !== stolen))
    }
    #expect(script.endpoint.statistics.badFastOpenCookies == 3)
    #expect(events(script).isEmpty)
    // It comes again after the handshake.
    let subflow = cases[1].0
    subflow.send([.ack, .psh], at: 1, payload: octets(100))
    #expect(try read(script) == octets(100))
  }

  // Requirement 7413-4.2-01, 7413-4.2-02
  @Test func aListenerThatIsNotToldToTakesNothing() throws {
    #expect(ListenerOptions().fastOpenBacklog == 0)
    let script = Script()
    try script.listenFast(backlog: 0)
    #expect(script.cookie() == nil)
    let subflow = script.client()
    subflow.send(.syn, payload: octets(100), plain: [.fastOpen(cookie8)])
    let answer = try #require(subflow.take())
    #expect(subflow.acknowledged(by: answer) == 1 && answer.fastOpen == nil)
  }

  @Test func cookiesAreTheSameForAllPortsAndOthersForEachAddress() throws {
    let script = Script()
    try script.listenFast()
    let first = try #require(script.cookie(port: 5000))
    #expect(script.cookie(port: 5001) == first)
    #expect(script.cookie(host: 3) != first)
  }

  // Requirement 7413-4.2.2-02
  @Test func aRepeatedAnswerHasNeitherDataNorCookie() throws {
    let script = Script()
    try script.listenFast()
    let subflow = script.client()
    subflow.send(.syn, plain: [.fastOpen(FastOpenCookie())])
    #expect(try #require(subflow.take()).fastOpen != nil)
    script.pass(.milliseconds(1100))
    let again = try #require(subflow.take())
    #expect(again.isSynAck && again.fastOpen == nil && again.payload.isEmpty)
  }

  /// Ten segments, as any connection (RFC 6928).
  // Requirement 7413-4.2.2-03
  @Test func beforeTheThirdAckAnInitialWindowLeaves() throws {
    let script = Script()
    try script.listenFast()
    let cookie = try #require(script.cookie())
    let subflow = script.client()
    subflow.send(.syn, payload: octets(100), plain: [.maximumSegmentSize(1460), .fastOpen(cookie)])
    let id = try #require(script.events.last?.connection)
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice([UInt8](repeating: 1, count: 50_000)), to: id, at: script.now)
    #expect(script.takeAll().reduce(0) { $0 + $1.payload.count } == 14_600)
  }

  /// RFC 7413 §4.1.2: the key changes; who comes with a cookie of the last one gets a new one.
  @Test func aCookieOutlivesOneChangeOfTheKey() throws {
    let script = Script()
    try script.listenFast()
    let cookie = try #require(script.cookie())
    script.pass(.seconds(3601))
    func attempt(_ port: Port) throws -> WirePacket {
      let subflow = script.client(port: port)
      subflow.send(.syn, payload: octets(10), plain: [.fastOpen(cookie)])
      let answer = try #require(subflow.take(where: \.isSynAck))
      #expect(subflow.acknowledged(by: answer) == (port == 4000 ? 11 : 1))
      subflow.send(.ack)
      return answer
    }
    let other = try #require(try attempt(4000).fastOpen)
    #expect(other != cookie)
    script.pass(.seconds(3601))
    #expect(try attempt(4001).fastOpen != nil)
    #expect(script.endpoint.statistics.badFastOpenCookies == 1)
  }

  /// Of a SYN/ACK that was lost, and a SYN that comes again, plain or as it was (RFC 7413 §4.2.2).
  @Test(arguments: [true, false])
  func whatWasTakenStaysTaken(isPlain: Bool) throws {
    let script = Script()
    try script.listenFast()
    let cookie = try #require(script.cookie())
    let subflow = script.client()
    subflow.send(.syn, payload: octets(100), plain: [.fastOpen(cookie)])
    _ = try #require(subflow.take(where: \.isSynAck))
    subflow.send(
      .syn, at: 0, payload: isPlain ? [] : octets(100), plain: isPlain ? [] : [.fastOpen(cookie)])
    let again = try #require(subflow.take())
    #expect(again.isSynAck && subflow.acknowledged(by: again) == 101 && again.fastOpen == nil && again.payload.isEmpty)
    script.pass(.milliseconds(1100))
    let third = try #require(subflow.take())
    #expect(third.isSynAck && subflow.acknowledged(by: third) == 101 && third.fastOpen == nil)
    #expect(try read(script) == octets(100))
    #expect(script.endpoint.statistics.fastOpens == 1)
    subflow.send([.ack, .psh], payload: octets(10, from: 100))
    #expect(try read(script) == octets(10, from: 100))
  }

  /// A plain SYN overtakes the one with data: it is what was answered.
  @Test func aSynWithDataBehindAPlainOneBringsNothing() throws {
    let script = Script()
    try script.listenFast()
    let cookie = try #require(script.cookie())
    let subflow = script.client()
    subflow.send(.syn)
    subflow.send(.syn, at: 0, payload: octets(100), plain: [.fastOpen(cookie)])
    for _ in 0..<2 { #expect(subflow.acknowledged(by: try #require(subflow.take(where: \.isSynAck))) == 1) }
    subflow.send([.ack, .psh], at: 1, payload: octets(100))
    #expect(try read(script) == octets(100))
  }

  @Test func moreThanTheWindowIsTakenInPart() throws {
    let script = Script()
    var options = Puppet.plain
    options.receiveBufferByteCount = 4096
    try script.listenFast(options)
    let cookie = try #require(script.cookie())
    let subflow = script.client()
    subflow.send(.syn, payload: octets(6000), plain: [.fastOpen(cookie)])
    #expect(subflow.acknowledged(by: try #require(subflow.take(where: \.isSynAck))) == 4097)
    #expect(try read(script) == octets(4096))
    // RFC 7413: the rest comes as ordinary data.
    subflow.send(.ack, at: 4097)
    subflow.send([.ack, .psh], at: 4097, payload: octets(1904, from: 4096))
    #expect(try read(script) == octets(1904, from: 4096))
  }

  // MARK: Bounds

  /// RFC 7413 §5.1: a thief of cookies, or one who shares an address with many, fills so many places and no more.
  // Requirement 7413-4.2-03
  @Test func aFloodWithRightCookiesFillsItsPlacesAndNothingElse() throws {
    let script = Script()
    try script.listenFast(backlog: 8)
    let cookie = try #require(script.cookie())
    func attempt(_ port: UInt16) -> Bool {
      let subflow = script.client(port: Port(port))
      subflow.send(.syn, payload: octets(1000), plain: [.fastOpen(cookie)])
      let answer = subflow.take(where: \.isSynAck)
      return answer.map { subflow.acknowledged(by: $0) == 1001 } ?? false
    }
    #expect((10_000..<10_500).map(attempt).count { $0 } == 8)
    #expect(script.endpoint.statistics.refusedFastOpens == 492)
    #expect(script.endpoint.listeners[0].pendingFastOpenCount == 8)
    // Others open as ever.
    let subflow = script.client(port: 9000, host: 7)
    subflow.send(.syn)
    subflow.send(.ack)
    #expect(events(script).contains(.established(isMultipath: false)))
    // Handshakes that are never finished end, and their places are free again.
    script.pass(.seconds(200))
    #expect(script.endpoint.listeners[0].fastOpenCount == 0)
    #expect(events(script).count { $0 == .closed(.timedOut) } == 8)
    #expect(attempt(11_000))
  }

  /// RFC 7413 §5.1: those whose addresses were used answer with RSTs, which must not make room at once.
  @Test func aPlaceThatAResetLeftStaysTakenForAWhile() throws {
    let script = Script()
    try script.listenFast(backlog: 2)
    let cookie = try #require(script.cookie())
    func attempt(_ port: UInt16) -> Bool {
      let subflow = script.client(port: Port(port))
      subflow.send(.syn, payload: octets(10), plain: [.fastOpen(cookie)])
      let isTaken = subflow.take(where: \.isSynAck).map { subflow.acknowledged(by: $0) == 11 } ?? false
      subflow.send(.rst, at: isTaken ? 11 : 1)
      return isTaken
    }
    #expect((10_000..<10_010).map(attempt).count { $0 } == 2)
    #expect(events(script).count { $0 == .closed(.resetByPeer) } == 2)
    #expect(script.endpoint.halfOpenCount == 0)
    script.pass(.seconds(59))
    #expect(!attempt(11_000))
    script.pass(.seconds(2))
    #expect(attempt(11_001))
    #expect(script.endpoint.listeners[0].fastOpenCount == 1)
  }

  /// While SYN cookies answer there is no state for the data.
  @Test func underSynCookiesNoDataIsTaken() throws {
    var configuration = EndpointConfiguration()
    configuration.maximumHalfOpenCount = 4
    let script = Script(configuration: configuration)
    try script.listenFast()
    let cookie = try #require(script.cookie())
    for port in 5000..<5004 as Range<UInt16> { script.client(port: Port(port)).send(.syn) }
    _ = script.takeAll()
    let subflow = script.client()
    subflow.send(.syn, payload: octets(100), plain: [.fastOpen(cookie)])
    let answer = try #require(subflow.take())
    #expect(subflow.acknowledged(by: answer) == 1 && answer.fastOpen == nil)
    #expect(script.endpoint.statistics.cookiesSent == 1)
    subflow.send([.ack, .psh], at: 1, payload: octets(100))
    #expect(try read(script) == octets(100))
  }

  /// They count against the backlog as soon as the application could take them.
  @Test func connectionsThatNobodyTakesCountAgainstTheBacklog() throws {
    let script = Script()
    var listen = ListenerOptions()
    listen.connection = Puppet.plain
    listen.backlog = 3
    listen.fastOpenBacklog = 100
    _ = try script.endpoint.listen(on: TransportAddress(.anyV4, 80), options: listen, at: script.now)
    let cookie = try #require(script.cookie())
    for port in 5000..<5010 as Range<UInt16> {
      script.client(port: Port(port)).send(.syn, payload: octets(10), plain: [.fastOpen(cookie)])
    }
    #expect(script.takeAll().count(where: \.isSynAck) == 3)
    #expect(script.endpoint.connectionCount == 3)
  }

  @Test func whatTheApplicationAbortsBeforeTheThirdAckIsReset() throws {
    let script = Script()
    try script.listenFast()
    let cookie = try #require(script.cookie())
    let subflow = script.client()
    subflow.send(.syn, [.capable(MPCapable())], payload: octets(100), plain: [.fastOpen(cookie.prefix(6))])
    let id = try #require(script.events.last?.connection)
    _ = subflow.take(where: \.isSynAck)
    script.endpoint.abort(id, at: script.now)
    let reset = try #require(subflow.take())
    // Without the peer's key there is no MP_FASTCLOSE.
    #expect(reset.isReset && reset.multipath.isEmpty)
    #expect(script.endpoint.leak() == nil)
  }

  /// An answer that was lost with the SYN/ACK goes out again.
  @Test func anEarlyAnswerThatIsLostIsRepeated() throws {
    let script = Script()
    try script.listenFast()
    let cookie = try #require(script.cookie())
    let subflow = script.client()
    subflow.send(.syn, payload: octets(100), plain: [.fastOpen(cookie)])
    let id = try #require(script.events.last?.connection)
    _ = try script.endpoint.write(ByteSlice(octets(50)), to: id, at: script.now)
    #expect(subflow.take(where: \.isSynAck) != nil)
    #expect(subflow.take { !$0.payload.isEmpty } != nil)
    script.pass(.milliseconds(1500))
    #expect(script.takeAll().map(\.isSynAck) == [true])
    subflow.send(.ack, ack: 1)
    // The SYN/ACK was repeated, so the first time-out is three seconds (RFC 6298 §5.7).
    script.pass(.seconds(4))
    let data = try #require(subflow.take { !$0.payload.isEmpty })
    #expect(subflow.offset(of: data) == 1 && data.payload == octets(50))
    subflow.send(.ack, ack: 51)
    #expect(script.endpoint.description(of: id)?.acknowledgedByteCount == 50)
  }
}
