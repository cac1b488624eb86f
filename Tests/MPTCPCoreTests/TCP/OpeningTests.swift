import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// RFC 9293 §3.5.
@Suite struct OpeningTests {
  static let link = LinkConfiguration(delay: .milliseconds(10))

  // Requirement 9293-3.9.1-02
  @Test(arguments: [
    "127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0", "10.0.0.2", "10.0.0.255", "::1", "ff02::1", "::",
  ])
  func onlyAnotherHostIsConnectedTo(address: String) throws {
    let puppet = try Puppet()
    let remote = TransportAddress(try #require(IPAddress(address)), 80)
    #expect(throws: EndpointError.notAnotherHost) { try puppet.endpoint.connect(to: remote, at: puppet.now) }
  }

  // Requirement 7323-2-07, 2018-2-02, 9293-3.7.1-01, 9293-3.7.1-03, 9293-3.7.1-07
  @Test func aPassiveOpenAnswersWithTheOptionsThatWereOffered() throws {
    let puppet = try Puppet()
    puppet.send([.syn], options: [.maximumSegmentSize(1000)])
    let answer = try #require(puppet.take().last)
    #expect(answer.flags == [.syn, .ack])
    #expect(answer.tcp.acknowledgmentNumber == puppet.sequence + 1)
    #expect(answer.options.maximumSegmentSize == 1460)
    #expect(answer.options.windowScale == nil)
    #expect(!answer.options.sackPermitted)
    #expect(answer.options.timestamps == nil)
    puppet.theirs.port = 6000
    puppet.send([.syn], options: [.maximumSegmentSize(1000), .windowScale(0)])
    #expect(try #require(puppet.take().last).options.windowScale != nil)
  }

  /// Only one of both SYNs has the option: neither window is shifted, whichever end opens.
  // Requirement 7323-2-02
  @Test(arguments: [nil, 4] as [UInt8?], [false, true])
  func windowsAreShiftedOnlyIfBothSynsSaySo(scale: UInt8?, isPassive: Bool) throws {
    var options = Puppet.plain
    options.receiveBufferByteCount = 1 << 20
    let puppet = try Puppet(options: options)
    puppet.windowScale = scale
    puppet.window = 2920
    #expect(isPassive ? puppet.open() : try puppet.accept(options: options))
    _ = puppet.take()
    let subflow = try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first)
    #expect((subflow.receiveWindowShift > 0) == (scale != nil))
    // Theirs: 2,920 octets as they stand there, or sixteen times as many, which is more than the first flight.
    puppet.send()
    puppet.write(20_000)
    #expect(puppet.takeData().reduce(0) { $0 + $1.payload.count } == (scale == nil ? 2920 : 14_600))
    // Ours: what the field says, shifted by what our SYN said, is what is taken.
    puppet.window = 60_000
    puppet.sendNext([1])
    puppet.wait(.seconds(1))
    let field = Int(try #require(puppet.take().last).tcp.window)
    #expect(scale == nil ? field > 60_000 : field << subflow.receiveWindowShift > 65_535)
  }

  // Requirement 9293-3.7.1-04
  @Test(arguments: [(IPAddress.Family.v4, 536), (.v6, 1220)], [false, true])
  func withoutAMaximumSegmentSizeTheOneOfTheFamilyHolds(expected: (IPAddress.Family, Int), isCookie: Bool) throws {
    var configuration = EndpointConfiguration()
    if isCookie { configuration.maximumHalfOpenCount = 0 }
    let puppet = try Puppet(family: expected.0, configuration: configuration)
    puppet.send([.syn])
    #expect(puppet.endpoint.statistics.cookiesSent == (isCookie ? 1 : 0))
    puppet.expected = try #require(puppet.take().last).tcp.sequenceNumber + 1
    puppet.sequence = puppet.sequence + 1
    puppet.send()
    puppet.write(5000)
    #expect(puppet.takeData().map(\.payload.count).max() == expected.1)
  }

  // Requirement 9293-3.7.1-05
  @Test(arguments: [(1460, 1000, 960), (700, 1000, 700), (700, 1500, 700), (40, 1500, 88)], [false, true])
  func segmentsAreNoLargerThanThePeerOrThePathTakesWithTheirOptions(
    sizes: (peer: Int, path: Int, most: Int), timestamps: Bool
  ) throws {
    let puppet = try Puppet(mtu: sizes.path)
    puppet.maximumSegmentSize = UInt16(sizes.peer)
    puppet.usesTimestamps = timestamps
    #expect(puppet.open(roundTrip: .milliseconds(10)))
    _ = puppet.take()
    puppet.write(2000)
    #expect(puppet.takeData().map(\.payload.count).max() == sizes.most - (timestamps ? 12 : 0))
  }

  // Requirement 9293-3.7.1-05
  @Test(arguments: [false, true])
  func aMappingTakesItsRoomFromTheSegment(timestamps: Bool) throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, timestamps: timestamps))
    connection.send([1, 2, 3], at: 1)
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice([UInt8](repeating: 1, count: 8000)), to: connection.id, at: script.now)
    let data = script.takeAll().filter { !$0.payload.isEmpty }
    #expect(data.count > 4 && data.allSatisfy { $0.dss?.mapping != nil && $0.hasTimestamps == timestamps })
    // Full to the last octet, options and all.
    #expect(data.map { $0.tcp.headerByteCount - 20 + $0.payload.count }.max() == 1460)
    #expect(data.dropLast().allSatisfy { $0.tcp.headerByteCount - 20 + $0.payload.count == 1460 })
  }

  // Requirement 7323-2-04
  @Test(arguments: [14, 15, 200, 255] as [UInt8], [false, true])
  func aWindowScaleAbove14IsTakenFor14(scale: UInt8, isPassive: Bool) throws {
    let puppet = try Puppet()
    puppet.windowScale = scale
    #expect(isPassive ? puppet.open() : try puppet.accept())
    _ = puppet.take()
    puppet.write(200_000)
    puppet.wait(.milliseconds(5))
    #expect(puppet.takeData().count == 10)
    // The congestion window takes twenty segments now, 2¹⁴ octets eleven.
    puppet.send(window: 1)
    puppet.wait(.milliseconds(5))
    let sent = puppet.takeData().reduce(0) { $0 + $1.payload.count }
    #expect((11 * 1460...1 << 14).contains(sent), "\(sent)")
  }

  // Requirement 5681-3.1-01, 9293-3.9.1-05
  @Test(arguments: [(1000, 10), (536, 10), (1460, 10), (8960, 2)])
  func theInitialWindowCountsThePeersSegments(size: Int, count: Int) throws {
    let puppet = try Puppet(mtu: size > 1460 ? 9000 : 1500)
    puppet.maximumSegmentSize = UInt16(size)
    #expect(puppet.open(roundTrip: .milliseconds(100)))
    _ = puppet.take()
    puppet.write(200_000)
    // All at once: nothing is paced before the first acknowledgement.
    #expect(puppet.takeData().map(\.payload.count) == [Int](repeating: size, count: count))
  }

  @Test func aPassiveOpenOfPlainTCPEndsWithTheThirdAcknowledgement() throws {
    for buffer in [60_000, 4 << 20] {
      var options = Puppet.plain
      options.receiveBufferByteCount = buffer
      let puppet = try Puppet(options: options)
      #expect(puppet.open())
      #expect(puppet.take().isEmpty)
      // A larger window than a SYN can tell is told with the first acknowledgement.
      puppet.sendNext([1])
      let answer = try #require(puppet.take().last)
      #expect(answer.tcp.window > 0)
    }
  }

  @Test(arguments: [0, 1])
  func aLostSynIsSentAgain(which: Int) throws {
    // 0: the SYN; 1: the SYN/ACK.
    let pair = Pair([Self.link])
    var left = 2
    pair.onPacket = { side, _, bytes in
      guard side == which, left > 0 else { return bytes }
      left -= 1
      return nil
    }
    let exchange = try Exchange(pair, clientSends: 1000, serverSends: 1000)
    #expect(pair.run(for: .seconds(20)) { exchange.isDone })
    #expect(exchange.closed == [.finished, .finished])
    #expect(exchange.isMultipath == [true, true])
  }

  @Test func aLostThirdAcknowledgementIsMadeUpFor() throws {
    let pair = Pair([Self.link])
    var count = 0
    pair.onPacket = { side, _, bytes in
      if side == 0 { count += 1 }
      return side == 0 && count == 2 ? nil : bytes
    }
    let exchange = try Exchange(pair, clientSends: 0, serverSends: 10_000)
    #expect(pair.run(for: .seconds(20)) { exchange.isDone })
    #expect(exchange.closed == [.finished, .finished])
  }

  /// RFC 9293 §3.5, figure 8.
  /// Requirement 9293-3.5-01
  @Test func bothEndsMayOpenAtTheSameTime() throws {
    let pair = Pair([Self.link])
    var options = ConnectionOptions()
    options.localPort = 1000
    let one = try pair.endpoints[0].connect(
      to: TransportAddress(Pair.address(0, 1, .v4), 2000), options: options, at: pair.now)
    options.localPort = 2000
    let two = try pair.endpoints[1].connect(
      to: TransportAddress(Pair.address(0, 0, .v4), 1000), options: options, at: pair.now)
    pair.run(for: .seconds(5))
    for (side, id) in [one, two].enumerated() {
      #expect(pair.endpoints[side].description(of: id)?.subflows.first?.state == .established)
      #expect(pair.events[side].contains { if case .established = $0.event { true } else { false } })
    }
    _ = try pair.endpoints[0].write(ByteSlice([1, 2, 3]), to: one, at: pair.now)
    pair.run(for: .seconds(1))
    #expect(try pair.endpoints[1].read(from: two, upTo: 10, at: pair.now)?.array == [1, 2, 3])
    _ = try pair.endpoints[1].write(ByteSlice([4, 5]), to: two, at: pair.now)
    pair.run(for: .seconds(1))
    #expect(try pair.endpoints[0].read(from: one, upTo: 10, at: pair.now)?.array == [4, 5])
    pair.endpoints[0].close(one, at: pair.now)
    pair.endpoints[1].close(two, at: pair.now)
    pair.run(for: .seconds(70))
    #expect(pair.endpoints.map(\.connectionCount) == [0, 0])
  }

  // Requirement 9293-3.5-02
  @Test func aResetInSynReceivedIsToldOnlyToWhoeverOpened() throws {
    // From LISTEN: the attempt is forgotten without a word, and the next one is answered.
    let passive = try Puppet()
    passive.send([.syn], options: passive.synOptions)
    _ = passive.take()
    passive.send([.rst], offset: 1)
    #expect(passive.events.isEmpty && passive.endpoint.connectionCount == 0)
    #expect(passive.open())
    // From SYN-SENT: the peer's SYN crossed ours, and the application hears that its attempt was refused.
    let active = try Puppet()
    active.id = try active.endpoint.connect(to: active.theirs, options: Puppet.plain, at: active.now)
    active.drain()
    let syn = try #require(active.take().last)
    active.ours.port = syn.tcp.sourcePort
    active.expected = syn.tcp.sequenceNumber + 1
    active.send([.syn], options: active.synOptions)
    #expect(active.state == .synReceived)
    active.send([.rst], offset: 1)
    #expect(active.closed == .refused)
  }

  // Requirement 9293-3.5.2-01
  @Test func aClosedPortRefuses() throws {
    let pair = Pair([Self.link])
    _ = try pair.endpoints[0].connect(to: TransportAddress(Pair.address(0, 1, .v4), 9), at: pair.now)
    pair.run(for: .seconds(1))
    #expect(pair.events[0].contains { $0.event == .closed(.refused) })
    #expect(pair.endpoints[1].statistics.sentResets == 1)
  }

  // Requirement 9293-3.8.3-04
  @Test func nobodyAnsweringTimesOut() throws {
    let pair = Pair([Self.link])
    var options = ConnectionOptions()
    options.connectTimeout = .seconds(10)
    var syns = 0
    pair.onPacket = { _, _, _ in
      syns += 1
      return nil
    }
    let start = pair.now
    _ = try pair.endpoints[0].connect(
      to: TransportAddress(Pair.address(0, 1, .v4), 80), options: options, at: pair.now)
    pair.run(for: .seconds(100)) { pair.events[0].contains { $0.event == .closed(.connectTimedOut) } }
    #expect(pair.events[0].contains { $0.event == .closed(.connectTimedOut) })
    #expect((pair.now - start).seconds <= 10.1)
    // 1, 2, 4, … seconds apart (RFC 6298 §5.5).
    #expect((3...5).contains(syns))
  }

  // Requirement 9293-3.8.3-05
  @Test func anApplicationMayWaitThreeMinutesForAnAnswer() throws {
    let puppet = try Puppet()
    var options = Puppet.plain
    options.connectTimeout = .seconds(200)
    puppet.id = try puppet.endpoint.connect(to: puppet.theirs, options: options, at: puppet.now)
    puppet.wait(.seconds(199))
    #expect(puppet.closed == nil)
    // 1, 2, 4, … seconds apart, and never more than a minute.
    #expect((7...9).contains(puppet.take().count))
    puppet.wait(.seconds(2))
    #expect(puppet.closed == .connectTimedOut)
  }

  // Requirement 9293-3.8.3-05
  @Test func unlessItSaysOtherwiseAnApplicationWaitsThreeMinutes() throws {
    let puppet = try Puppet()
    puppet.id = try puppet.endpoint.connect(to: puppet.theirs, at: puppet.now)
    puppet.wait(.seconds(179))
    #expect(puppet.closed == nil)
    puppet.wait(.seconds(2))
    #expect(puppet.closed == .connectTimedOut)
  }

  // Requirement 5681-3.1-07, 6298-5-04
  @Test(arguments: [false, true])
  func afterLostSynsOneSegmentLeavesAndItsTimerIsLong(timestamps: Bool) throws {
    let puppet = try Puppet()
    puppet.usesTimestamps = timestamps
    puppet.send([.syn], options: puppet.synOptions)
    puppet.wait(.milliseconds(3020))
    let answers = puppet.take()
    #expect(answers.count == 3)
    let last = try #require(answers.last)
    puppet.expected = last.tcp.sequenceNumber + 1
    puppet.echo = last.options.timestamps?.value ?? 0
    puppet.sequence = puppet.sequence + 1
    puppet.send()
    puppet.write(20_000)
    #expect(puppet.take().filter { !$0.payload.isEmpty }.count == 1)
    // Only a timestamp says which SYN/ACK was answered, and so what a round trip is (RFC 6298 §5.7).
    puppet.wait(.milliseconds(2900))
    #expect((puppet.endpoint.statistics.retransmittedSegments > 0) == timestamps)
    puppet.wait(.milliseconds(200))
    #expect(puppet.endpoint.statistics.retransmittedSegments > 0)
  }

  // Requirement 9293-3.5-03, 9293-3.5.2-03, 9293-3.5.3-02, 9293-3.10.7-02
  @Test func aSynAcknowledgementOfAnotherNumberIsReset() throws {
    let puppet = try Puppet()
    _ = try puppet.endpoint.connect(to: puppet.theirs, options: Puppet.plain, at: puppet.now)
    puppet.drain()
    let syn = try #require(puppet.take().last)
    puppet.ours.port = syn.tcp.sourcePort
    puppet.expected = syn.tcp.sequenceNumber + 77
    puppet.send([.syn, .ack])
    let answer = try #require(puppet.take().last)
    #expect(answer.flags == [.rst])
    #expect(answer.tcp.sequenceNumber == puppet.expected)
    #expect(puppet.closed == nil)
    // A reset of another number is no refusal either (RFC 9293 §3.10.7.3).
    puppet.send([.rst, .ack])
    #expect(puppet.closed == nil)
    puppet.expected = syn.tcp.sequenceNumber + 1
    puppet.send([.rst, .ack])
    #expect(puppet.closed == .refused)
  }

  // Requirement 9293-3.5.2-03
  @Test(arguments: [-1, 1, 77, 1_000_000])
  func anAcknowledgementOfAnotherNumberDoesNotOpenAndIsReset(distance: Int) throws {
    let puppet = try Puppet()
    puppet.send([.syn], options: puppet.synOptions)
    let answer = try #require(puppet.take().last)
    puppet.sequence = puppet.sequence + 1
    puppet.expected = answer.tcp.sequenceNumber + 1
    puppet.send(acknowledging: distance)
    let reset = try #require(puppet.take().last)
    #expect(reset.flags == [.rst])
    #expect(reset.tcp.sequenceNumber == puppet.expected + distance)
    #expect(puppet.events.isEmpty)
    // Whoever sent it, the half-open connection stays.
    puppet.send()
    #expect(puppet.state == .established)
  }

  // Requirement 9293-3.9.1-01
  @Test func aPortMayBeListenedOnWhileAConnectionLeavesFromIt() throws {
    let puppet = try Puppet()
    var options = Puppet.plain
    options.localPort = 90
    puppet.id = try puppet.endpoint.connect(to: puppet.theirs, options: options, at: puppet.now)
    puppet.drain()
    let syn = try #require(puppet.take().last)
    _ = try puppet.endpoint.listen(on: TransportAddress(puppet.ours.address, 90), at: puppet.now)
    puppet.ours.port = 90
    puppet.theirs.port = 6000
    #expect(puppet.open())
    // The attempt goes on beside it, and ends as any other.
    puppet.theirs.port = 5000
    puppet.sequence = SequenceNumber(77)
    puppet.expected = syn.tcp.sequenceNumber + 1
    puppet.events.removeAll()
    puppet.send([.syn, .ack], options: puppet.synOptions)
    #expect(puppet.events.contains { if case .established = $0 { true } else { false } })
  }

  // Requirement 9293-3.9.1-10
  @Test func aSecondListenerOnAPortIsAnErrorAndHarmsNothing() throws {
    let puppet = try Puppet()
    puppet.send([.syn], options: puppet.synOptions)
    let answer = try #require(puppet.take().last)
    for address in [puppet.ours.address, .anyV4] {
      #expect(throws: EndpointError.portInUse) {
        try puppet.endpoint.listen(on: TransportAddress(address, 80), at: puppet.now)
      }
    }
    puppet.expected = answer.tcp.sequenceNumber + 1
    puppet.sequence = puppet.sequence + 1
    puppet.send()
    #expect(puppet.events.contains { if case .established = $0 { true } else { false } })
    puppet.theirs.port = 6000
    puppet.events.removeAll()
    #expect(puppet.open())
  }

  // Requirement 9293-3.9.1-01
  @Test func theBacklogBoundsWhatTheApplicationHasNotTaken() throws {
    let puppet = try Puppet(backlog: 2)
    for port in 0..<4 {
      puppet.theirs.port = Port(6000 + UInt16(port))
      puppet.events.removeAll()
      #expect(puppet.open() == (port < 2))
      _ = puppet.take()
    }
    #expect(puppet.endpoint.connectionCount == 2)
    let id = try #require(puppet.id)
    // To read is to have accepted.
    _ = try puppet.endpoint.read(from: id, upTo: 1, at: puppet.now)
    puppet.theirs.port = 7000
    #expect(puppet.open())
  }

  // Requirement 4987-3.6-02
  @Test(arguments: [1, 2, 3])
  func behindACookieTheFirstPacketsMayBeLost(count: Int) throws {
    var configuration = EndpointConfiguration()
    configuration.maximumHalfOpenCount = 0
    let pair = Pair([LinkConfiguration(delay: .milliseconds(5))], endpoint: configuration)
    var lost = 0
    pair.onPacket = { side, _, bytes in
      guard side == 0, let segment = SeenSegment(bytes), !segment.flags.contains(.syn), lost < count else {
        return bytes
      }
      lost += 1
      return nil
    }
    let exchange = try Exchange(pair, clientSends: 50_000, serverSends: 1000)
    #expect(pair.run(for: .seconds(30)) { exchange.isDone })
    #expect(exchange.closed == [.finished, .finished])
    #expect(exchange.mismatch == nil)
    #expect(pair.endpoints[1].statistics.cookiesAccepted == 1)
  }

  // Requirement 4987-3.6-01, 4987-3.6-02, 4987-3.6-03
  @Test func beyondTheSynQueueCookiesAnswer() throws {
    var configuration = EndpointConfiguration()
    configuration.maximumHalfOpenCount = 3
    let puppet = try Puppet(configuration: configuration)
    for port in 0..<50 {
      puppet.theirs.port = Port(6000 + UInt16(port))
      puppet.send([.syn], options: puppet.synOptions)
    }
    #expect(puppet.take().filter { $0.flags == [.syn, .ack] }.count == 50)
    #expect(puppet.endpoint.connectionCount == 3)
    #expect(puppet.endpoint.statistics.cookiesSent == 47)
    puppet.theirs.port = 9000
    #expect(puppet.open())
    #expect(puppet.endpoint.statistics.cookiesAccepted == 1)
    puppet.sendNext([1, 2, 3])
    #expect(puppet.read() == [1, 2, 3])
    puppet.write(4000)
    #expect(puppet.takeData().reduce(0) { $0 + $1.payload.count } == 4000)
    // A guessed cookie makes no connection.
    puppet.theirs.port = 9001
    puppet.expected = SequenceNumber(12345)
    puppet.send()
    #expect(puppet.take().last?.flags == [.rst])
  }

  // Requirement 4987-3.6-02, 4987-3.6-03
  @Test(arguments: [(120, true), (130, false)] as [(Int64, Bool)])
  func cookiesAreBelievedForTwoMinutesAfterTheLastThatWasSent(seconds: Int64, isBelieved: Bool) throws {
    var configuration = EndpointConfiguration()
    configuration.maximumHalfOpenCount = 0
    let puppet = try Puppet(configuration: configuration)
    puppet.send([.syn], options: puppet.synOptions)
    #expect(puppet.endpoint.statistics.cookiesSent == 1)
    _ = puppet.take()
    puppet.wait(.seconds(seconds))
    // A guess that is right, of a cookie that was never sent.
    let guess = puppet.endpoint.cookies.encode(
      SYNCookies.Parameters(
        maximumSegmentByteCount: 1460, windowScale: nil, isSACKPermitted: false, supportsECN: false),
      tuple: FourTuple(local: puppet.ours, remote: puppet.theirs), clientISN: puppet.sequence, timestampClock: nil,
      at: puppet.now)
    puppet.sequence = puppet.sequence + 1
    puppet.expected = guess.sequenceNumber + 1
    puppet.send()
    #expect(puppet.endpoint.statistics.cookiesAccepted == (isBelieved ? 1 : 0))
    #expect(puppet.take().map(\.flags) == [isBelieved ? [.ack] : [.rst]])
  }

  // Requirement 4987-3.6-02
  @Test(arguments: [true, false])
  func aCookieHandshakeKeepsMultipath(timestamps: Bool) throws {
    var configuration = EndpointConfiguration()
    configuration.maximumHalfOpenCount = 0
    let pair = Pair([Self.link, Self.link], endpoint: configuration)
    if !timestamps { pair.onPacket = { _, _, bytes in withoutOptions(bytes, kinds: [8]) } }
    let exchange = try Exchange(pair, clientSends: 100_000, serverSends: 100_000)
    #expect(pair.run(for: .seconds(20)) { exchange.isDone || exchange.mismatch != nil })
    #expect(exchange.mismatch == nil)
    #expect(exchange.isMultipath == [true, true])
    #expect(exchange.closed == [.finished, .finished])
    #expect(pair.endpoints[1].statistics.cookiesAccepted == 1)
    #expect(pair.endpoints[1].statistics.joins > 0)
  }

  @Test func aFullPortRangeIsAnError() throws {
    var configuration = EndpointConfiguration()
    configuration.ephemeralPorts = 40_000...40_009
    let puppet = try Puppet(configuration: configuration)
    for _ in 0..<10 { _ = try puppet.endpoint.connect(to: puppet.theirs, at: puppet.now) }
    #expect(throws: EndpointError.noFreePort) { try puppet.endpoint.connect(to: puppet.theirs, at: puppet.now) }
    // Another destination has ports of its own.
    let other = TransportAddress(puppet.theirs.address, 5001)
    _ = try puppet.endpoint.connect(to: other, at: puppet.now)
    puppet.drain()
    #expect(Set(puppet.take().map { $0.tcp.sourcePort }).count <= 10)
  }

  /// RFC 6056 §3.3.4: some destinations share a counter, most do not.
  /// Requirement 6056-3.3.4-01
  @Test func ourPortsTellADestinationLittleOfConnectionsToOthers() throws {
    let puppet = try Puppet()
    func port(towards remote: TransportAddress) throws -> Int {
      let id = try puppet.endpoint.connect(to: remote, options: Puppet.plain, at: puppet.now)
      return Int(try #require(puppet.endpoint.description(of: id)?.subflows.first).tuple.local.port.rawValue)
    }
    var silent = 0
    for number in 0..<40 as Range<UInt16> {
      let watcher = TransportAddress(puppet.theirs.address, Port(1000 + number))
      let before = try port(towards: watcher)
      _ = try port(towards: TransportAddress(puppet.theirs.address, Port(2000 + number)))
      silent += try port(towards: watcher) - before == 1 ? 1 : 0
    }
    #expect(silent >= 35)
  }
}

/// A middlebox that takes options of some kinds away.
func withoutOptions(_ bytes: [UInt8], kinds: Set<UInt8>) -> [UInt8] {
  guard let segment = SeenSegment(bytes) else { return bytes }
  var kept: [UInt8] = []
  var offset = 0
  let options = segment.optionBytes
  while offset < options.count {
    let kind = options[offset]
    let length = kind <= 1 ? 1 : offset + 1 < options.count ? max(Int(options[offset + 1]), 1) : 1
    if !kinds.contains(kind), offset + length <= options.count { kept += options[offset..<offset + length] }
    offset += length
  }
  return segment.bytes(options: kept)
}
