import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Whole connections of version 0, and the two versions meeting each other (RFC 8684 §3.1, RFC 6824).
@Suite struct Version0TransferTests {
  private static func options(_ mode: MultipathMode, _ base: ConnectionOptions = ConnectionOptions())
    -> ConnectionOptions
  {
    var options = base
    options.multipath = mode
    return options
  }

  struct Meeting: Sendable, CustomTestStringConvertible {
    var client: MultipathMode
    var server: MultipathVersions
    var expected: MPTCPVersion?
    var testDescription: String { "\(client) meets \(server.rawValue)" }
  }

  static let meetings: [Meeting] = [
    Meeting(client: .enabled, server: [.v0, .v1], expected: .v1),
    Meeting(client: .enabled, server: .v1, expected: .v1),
    Meeting(client: .enabled, server: .v0, expected: nil),
    Meeting(client: .enabled, server: [], expected: nil),
    Meeting(client: .version0, server: [.v0, .v1], expected: .v0),
    Meeting(client: .version0, server: .v0, expected: .v0),
    Meeting(client: .version0, server: .v1, expected: nil),
    Meeting(client: .version1Then0, server: [.v0, .v1], expected: .v1),
    Meeting(client: .version1Then0, server: .v1, expected: .v1),
    Meeting(client: .version1Then0, server: .v0, expected: .v0),
    Meeting(client: .version1Then0, server: [], expected: nil),
    Meeting(client: .disabled, server: [.v0, .v1], expected: nil),
  ]

  // Requirement 8684-3.1-04, 8684-3.1-05, 8684-3.1-07, 6824-3.1-13
  @Test(arguments: meetings)
  func theVersionIsWhatBothSpeakAndTheApplicationSeesOneConnection(meeting: Meeting) throws {
    let pair = Pair([quick, slow])
    let exchange = try Exchange(
      pair, clientSends: 200_000, serverSends: 200_000, options: Self.options(meeting.client),
      serverOptions: ConnectionOptions(), serverVersions: meeting.server)
    var resets = 0
    var versions: [MPTCPVersion?] = [nil, nil]
    var wasJoined = false
    pair.middlebox { _, packet in
      if packet.isReset { resets += 1 }
      return true
    }
    let step = pair.onStep
    pair.onStep = {
      step()
      for side in 0..<2 {
        if let description = exchange.description(side), description.isMultipath {
          versions[side] = description.version
          if description.subflows.count > 1 { wasJoined = true }
        }
      }
    }
    exchange.expectWhole(isMultipath: meeting.expected != nil)
    #expect(versions == [meeting.expected, meeting.expected])
    #expect(wasJoined == (meeting.expected != nil))
    let triesAgain = meeting.client == .version1Then0 && !meeting.server.contains(.v1)
    #expect(resets == (triesAgain ? 1 : 0))
    for side in 0..<2 {
      #expect(
        pair.events[side].filter { if case .established = $0.event { true } else { false } }.count == 1)
    }
    // The initial subflow is number 0, and no subflow ended before its connection.
    let opened = pair.events[0].compactMap { event -> SubflowID? in
      if case .subflowEstablished(let subflow) = event.event { subflow.id } else { nil }
    }
    #expect(opened.first == SubflowID(0))
    exchange.closeBoth()
    for endpoint in pair.endpoints { #expect(endpoint.leak() == nil) }
  }

  // Requirement 8684-3.1-06
  @Test(arguments: [MultipathVersions.v0, []])
  func whatWasLearntSparesTheNextConnectionTheDetour(server: MultipathVersions) throws {
    let pair = Pair([quick])
    let exchange = try Exchange(
      pair, clientSends: 1000, serverSends: 1000, options: Self.options(.version1Then0, lonely),
      serverOptions: lonely, serverVersions: server)
    exchange.expectWhole()
    let known = try #require(pair.endpoints[0].peerMemory.destinations.first)
    #expect(known.address == Pair.address(0, 1, .v4))
    #expect(known.answer == (server == .v0 ? .version0 : .onlyTCP))
    var syns: [UInt8?] = []
    pair.middlebox { _, packet in
      if packet.isSyn { syns.append(packet.capable?.version) }
      return true
    }
    _ = try pair.endpoints[0].connect(
      to: TransportAddress(Pair.address(0, 1, .v4), 80), options: Self.options(.version1Then0, lonely), at: pair.now)
    pair.run(for: .milliseconds(500))
    #expect(syns == [server == .v0 ? 0 : 1])
  }

  @Test func aDestinationThatLearntVersion1IsOfferedItAgain() throws {
    let pair = Pair([quick])
    let address = Pair.address(0, 1, .v4)
    pair.endpoints[0].peerMemory = PeerMemory(
      destinations: [.init(address: address, path: PathID(0), answer: .version0, learntAt: pair.now)], paths: [])
    for expected in [nil, MPTCPVersion.v1] {
      let exchange = try Exchange(
        pair, clientSends: 100, serverSends: 100, options: Self.options(.version1Then0, lonely),
        serverOptions: lonely, serverVersions: .v1)
      pair.run(for: .seconds(1)) { exchange.isMultipath[0] != nil && exchange.received[0] > 0 }
      #expect(exchange.description(0)?.version == expected)
      exchange.closeBoth()
      pair.endpoints[1].stopListening(ListenerID(expected == nil ? 1 : 2), at: pair.now)
    }
    #expect(pair.endpoints[0].peerMemory.destinations.isEmpty)
  }

  @Test func aFixedPortIsUsedForTheSecondAttemptToo() throws {
    let pair = Pair([quick])
    var options = Self.options(.version1Then0, lonely)
    options.localPort = 5000
    let exchange = try Exchange(
      pair, clientSends: 1000, serverSends: 1000, options: options, serverOptions: lonely, serverVersions: .v0)
    pair.run(for: .seconds(1)) { exchange.isMultipath[0] != nil }
    #expect(exchange.description(0)?.version == .v0)
    #expect(exchange.description(0)?.subflows.first?.tuple.local.port == 5000)
    exchange.expectWhole(isMultipath: true)
  }

  @Test(arguments: [0.0, 2.0])
  func twoPathsCarryOneConnection(loss: Double) throws {
    var first = quick
    first.lossRate = .percent(loss)
    let pair = Pair([first, slow])
    let exchange = try Exchange(
      pair, clientSends: 2_000_000, serverSends: 2_000_000, options: Self.options(.version0))
    exchange.runUntilJoined(2)
    for side in 0..<2 { #expect(exchange.description(side)?.version == .v0) }
    var byteCounts: [Int] = []
    let step = pair.onStep
    pair.onStep = {
      step()
      if let counts = exchange.description(0)?.subflows.map(\.sentByteCount), counts.count > 1 { byteCounts = counts }
    }
    exchange.expectWhole(within: .seconds(120), isMultipath: true)
    #expect(byteCounts.allSatisfy { $0 > 100_000 }, "\(byteCounts)")
    exchange.closeBoth()
    for endpoint in pair.endpoints { #expect(endpoint.leak() == nil) }
  }

  @Test(arguments: FallbackTests.Place.allCases, [(60_000, 0), (0, 60_000), (60_000, 60_000), (10, 10), (0, 0)])
  func wherePacketsLoseTheirOptionsTheDataIsWhole(place: FallbackTests.Place, sizes: (Int, Int)) throws {
    let pair = Pair([quick])
    let exchange = try Exchange(
      pair, clientSends: sizes.0, serverSends: sizes.1, options: Self.options(.version0, lonely))
    pair.middlebox { side, packet in
      if FallbackTests.isStripped(place, side: side, packet) { packet.strip() }
      return true
    }
    exchange.expectWhole()
    #expect((pair.now - Instant(nanoseconds: 1_000_000_000)).seconds < 8)
  }

  @Test(arguments: [0, 1])
  func changedDataOnTheOnlySubflowMakesItTCPAndNothingIsLost(side: Int) throws {
    let pair = Pair([quick])
    var options = Self.options(.version0, lonely)
    options.checksum = true
    let exchange = try Exchange(pair, clientSends: 300_000, serverSends: 300_000, options: options)
    var changes = 0
    pair.middlebox { from, packet in
      guard from == side, packet.payload.count > 1000, changes == 0, exchange.received[1 - side] > 50_000 else {
        return true
      }
      changes += 1
      packet.payload[500] ^= 0xff
      return true
    }
    _ = pair.run(for: .seconds(30)) { exchange.isDone }
    #expect(changes == 1)
    // What the box made of the byte is what TCP delivers.
    #expect(exchange.mismatch != nil)
    #expect(exchange.received == [300_000, 300_000])
    #expect(exchange.closed == [.finished, .finished])
    #expect(exchange.fallback(1 - side) == .checksumFailed)
    #expect(exchange.fallback(side) == .peerSignalledFailure)
  }

  @Test func changedDataBesideAnotherSubflowCostsTheSubflowAndNoByte() throws {
    let pair = Pair([quick, slow])
    var options = Self.options(.version0)
    options.checksum = true
    let exchange = try Exchange(pair, clientSends: 1_000_000, serverSends: 0, options: options)
    exchange.runUntilJoined(2)
    var changes = 0
    pair.middlebox { from, packet in
      guard from == 0, packet.path == 1, packet.payload.count > 1000, changes == 0 else { return true }
      changes += 1
      packet.payload[500] ^= 0xff
      return true
    }
    exchange.expectWhole(isMultipath: true)
    #expect(changes == 1)
    #expect(pair.endpoints[1].statistics.badDataChecksums == 1)
    #expect(exchange.fallback(0) == nil && exchange.fallback(1) == nil)
  }

  @Test(arguments: [false, true])
  func anAbortEndsBothSidesSoonAlsoWhereItCrosses(isCrossing: Bool) throws {
    let pair = Pair([quick, slow])
    let exchange = try Exchange(
      pair, clientSends: 5_000_000, serverSends: 5_000_000, options: Self.options(.version0))
    exchange.runUntilJoined(2)
    pair.run(for: .milliseconds(300))
    let ids = try (0..<2).map { try #require(exchange.ids[$0]) }
    pair.onStep = {}
    pair.endpoints[0].abort(ids[0], at: pair.now)
    if isCrossing { pair.endpoints[1].abort(ids[1], at: pair.now) }
    pair.run(for: .seconds(1))
    #expect(pair.endpoints[0].connectionCount == 0)
    if !isCrossing {
      #expect(pair.happened(1) { $0 == .closed(.resetByPeer) })
      pair.endpoints[1].close(ids[1], at: pair.now)
    }
    pair.run(for: .seconds(130))
    for endpoint in pair.endpoints { #expect(endpoint.leak() == nil) }
  }

  @Test func anAbortThatNobodyHearsEnds() throws {
    let pair = Pair([quick, slow])
    let exchange = try Exchange(pair, clientSends: 5_000_000, serverSends: 0, options: Self.options(.version0))
    exchange.runUntilJoined(2)
    let id = try #require(exchange.ids[0])
    pair.onStep = {}
    pair.onPacket = { side, _, bytes in side == 0 ? nil : bytes }
    pair.endpoints[0].abort(id, at: pair.now)
    pair.run(for: .seconds(20))
    #expect(pair.endpoints[0].connectionCount == 0)
  }

  @Test func aLostThirdAckIsRepeated() throws {
    for (clientSends, serverSends) in [(0, 3000), (3000, 0), (0, 0), (50_000, 50_000)] {
      let pair = Pair([quick])
      let exchange = try Exchange(
        pair, clientSends: clientSends, serverSends: serverSends, options: Self.options(.version0, lonely))
      var lost = 0
      pair.middlebox { side, packet in
        guard side == 0, packet.capable?.receiverKey != nil, lost < 2 else { return true }
        lost += 1
        return false
      }
      exchange.expectWhole(isMultipath: true)
      #expect(exchange.fallback(0) == nil && exchange.fallback(1) == nil)
    }
  }
}
