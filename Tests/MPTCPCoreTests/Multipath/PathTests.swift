import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Paths that stall, die and come back (RFC 8684 §3.3.6, §3.8).
@Suite struct PathTests {
  /// Slow, so that a transfer lasts without being large.
  private static let thin = LinkConfiguration(
    bitsPerSecond: 4_000_000, delay: .milliseconds(10), queueByteCount: 30_000)
  private static let thinner = LinkConfiguration(
    bitsPerSecond: 2_000_000, delay: .milliseconds(40), queueByteCount: 30_000)

  enum Death: CaseIterable, Sendable {
    case silence
    case pathDown
    case pathRemoved
    case resetInjected
    /// Every segment is answered with RST, SYNs as well: a firewall's reject rule.
    case rejected
  }

  // Requirement 8684-3.3.6-01, 8684-3.3.6-06
  @Test(arguments: Death.allCases, [0, 1])
  func aPathThatDiesAndComesBackIsUsedAgain(death: Death, sender: Int) throws {
    let pair = Pair([Self.thin, Self.thin])
    let exchange = try Exchange(
      pair, clientSends: sender == 0 ? 20_000_000 : 0, serverSends: sender == 1 ? 20_000_000 : 0)
    exchange.runUntilJoined(4)
    pair.run(for: .milliseconds(300))
    exchange.longestGap = .zero
    var isDead = true
    let path = PathID(0)
    switch death {
    case .silence: pair.middlebox { _, packet in packet.path != 0 || !isDead }
    case .pathDown:
      pair.endpoints[0].setPath(path, isUp: false, at: pair.now)
      pair.middlebox { _, packet in packet.path != 0 || !isDead }
    case .pathRemoved:
      pair.endpoints[0].removePath(path, at: pair.now)
      isDead = false
    case .resetInjected:
      pair.middlebox { side, packet in
        if packet.path == 0, isDead, side == 0, packet.isPureAck || !packet.payload.isEmpty {
          packet.tcp.flags = [.rst, .ack]
          packet.payload = []
          packet.options = []
        }
        return packet.path != 0 || !isDead || packet.isReset || packet.isSyn || packet.isSynAck
      }
    case .rejected:
      pair.middlebox { [unowned pair] side, packet in
        guard packet.path == 0, isDead else { return true }
        if side == 0, !packet.isReset {
          pair.links[0][1].send(superSegment: Self.rejection(of: packet).span.bytes, segmentByteCount: 0, at: pair.now)
        }
        return false
      }
    }
    pair.run(for: .seconds(1))
    #expect(exchange.mismatch == nil)
    #expect(exchange.longestGap < .milliseconds(450), "\(exchange.longestGap.milliseconds) ms")
    let received = exchange.received[1 - sender]
    isDead = false
    var revived = path
    switch death {
    case .silence, .resetInjected, .rejected: break
    case .pathDown: pair.endpoints[0].setPath(path, isUp: true, at: pair.now)
    case .pathRemoved:
      // The same device again, under a new number, on the links of the old.
      revived = pair.endpoints[0].addPath(
        PathConfiguration(
          name: "again", addresses: [IPPrefix(Pair.address(0, 0, .v4), length: 24)],
          offersChecksumOffload: true, offersSegmentationOffload: true), at: pair.now)
      pair.aliases[revived] = 0
    }
    func carried() -> Int {
      let side = sender
      let on = side == 0 ? revived : path
      return exchange.description(side)?.subflows.filter { $0.path == on && !$0.isStalled }.map(\.acknowledgedByteCount)
        .reduce(0, +) ?? 0
    }
    let before = carried()
    let isUsed = pair.run(for: .seconds(3)) { carried() > before + 50_000 || exchange.isDone }
    #expect(isUsed, "\(carried()) after \(before), received \(exchange.received) before \(received)")
    #expect(exchange.mismatch == nil)
  }

  /// What a firewall answers in the name of the destination (RFC 9293 §3.5.2).
  private static func rejection(of packet: WirePacket) -> [UInt8] {
    var tcp = TCPHeader(
      sourcePort: packet.tcp.destinationPort, destinationPort: packet.tcp.sourcePort,
      sequenceNumber: packet.tcp.acknowledgmentNumber, acknowledgmentNumber: SequenceNumber(0), flags: .rst, window: 0)
    if packet.isSyn {
      tcp.flags = [.rst, .ack]
      tcp.acknowledgmentNumber = packet.tcp.sequenceNumber + 1
    }
    return WirePacket(source: packet.destination, destination: packet.source, tcp: tcp).bytes
  }

  /// A deep queue: what was under way when the path died is much, and all of it has to go again on its subflow.
  @Test(arguments: [0, 1])
  func aPathThatComesBackWithADeepQueueHoldsNothingUp(sender: Int) throws {
    let deep = LinkConfiguration(bitsPerSecond: 20_000_000, delay: .milliseconds(5), queueByteCount: 500_000)
    let pair = Pair([deep, deep])
    let exchange = try Exchange(
      pair, clientSends: sender == 0 ? 18_000_000 : 0, serverSends: sender == 1 ? 18_000_000 : 0)
    exchange.runUntilJoined(4)
    pair.run(for: .seconds(1))
    exchange.longestGap = .zero
    // The device is down: nothing moves, nor does what waited in the queues.
    for side in 0..<2 { pair.links[1][side].set(isUp: false, at: pair.now) }
    pair.run(for: .milliseconds(1500))
    // Two round trips of 200 ms through the queue to notice, another to repair.
    #expect(exchange.longestGap < .milliseconds(650), "\(exchange.longestGap.milliseconds) ms")
    exchange.longestGap = .zero
    for side in 0..<2 { pair.links[1][side].set(isUp: true, at: pair.now) }
    let before = exchange.received[1 - sender]
    let start = pair.now
    pair.run(for: .seconds(2)) { exchange.isDone }
    // A loss in the deep queue takes up to two round trips of 200 ms through it.
    #expect(exchange.longestGap < .milliseconds(450), "\(exchange.longestGap.milliseconds) ms")
    let rate = Double(exchange.received[1 - sender] - before) * 8 / (pair.now - start).milliseconds / 1000
    #expect(rate > 30, "\(rate) Mbit/s of 40")
    exchange.expectWhole(within: .seconds(60), isMultipath: true)
    let sent = exchange.description(sender)?.subflows.map(\.maximumSegmentByteCount) ?? []
    #expect(sent.allSatisfy { $0 == 1460 }, "\(sent)")
  }

  @Test func whenAllPathsAreSilentForAWhileTheTransferGoesOnAfterwards() throws {
    let pair = Pair([Self.thin, Self.thin])
    let exchange = try Exchange(pair, clientSends: 600_000, serverSends: 0)
    pair.run(for: .milliseconds(300))
    var isDead = true
    pair.middlebox { _, _ in !isDead }
    pair.run(for: .seconds(5))
    isDead = false
    exchange.expectWhole(within: .seconds(30), isMultipath: true)
  }

  // Requirement 8684-3.5-01
  @Test func whenAllSubflowsAreResetTheyAreOpenedAgain() throws {
    let pair = Pair([Self.thin, Self.thin])
    let exchange = try Exchange(pair, clientSends: 600_000, serverSends: 100_000)
    pair.run(for: .milliseconds(300))
    var isHostile = true
    pair.middlebox { _, packet in
      if isHostile, !packet.isSyn, !packet.isSynAck {
        packet.tcp.flags = [.rst, .ack]
        packet.payload = []
        packet.options = []
      }
      return true
    }
    pair.run(for: .milliseconds(200))
    #expect(exchange.closed == [nil, nil])
    isHostile = false
    exchange.expectWhole(within: .seconds(60), isMultipath: true)
  }

  // Requirement 8684-3.3.6-01, 8684-3.3.6-04
  @Test func aProxyThatAcknowledgesAndDropsIsOvercomeByDataRetransmission() throws {
    // Path 1: a proxy acknowledges each data segment in the receiver's name and forgets it.
    let pair = Pair([quick, quick])
    let exchange = try Exchange(pair, clientSends: 500_000, serverSends: 0)
    exchange.runUntilJoined(2)
    var dropped = 0
    pair.middlebox { side, packet in
      guard side == 0, packet.path == 1, !packet.payload.isEmpty, dropped < 6 else { return true }
      dropped += 1
      var answer = WirePacket(
        source: packet.destination, destination: packet.source,
        tcp: TCPHeader(
          sourcePort: packet.tcp.destinationPort, destinationPort: packet.tcp.sourcePort,
          sequenceNumber: packet.tcp.acknowledgmentNumber,
          acknowledgmentNumber: packet.tcp.sequenceNumber + packet.payload.count, flags: .ack, window: 500))
      answer.options = []
      pair.endpoints[0].receive(ByteSlice(answer.bytes), on: PathID(1), at: pair.now)
      return false
    }
    exchange.expectWhole(within: .seconds(60), isMultipath: true)
    #expect(dropped > 0)
  }

  // Requirement 8684-3.3.3-01
  @Test func aSubflowThatIsClosedLeavesItsDataToTheOthers() throws {
    let pair = Pair([Self.thin, Self.thin])
    let exchange = try Exchange(pair, clientSends: 500_000, serverSends: 500_000, options: lonely)
    pair.run(for: .milliseconds(100))
    let id = exchange.ids[0]!
    _ = try pair.endpoints[0].openSubflow(id, on: PathID(1), at: pair.now)
    pair.run(for: .milliseconds(200))
    try pair.endpoints[0].closeSubflow(id, SubflowID(0), at: pair.now)
    #expect(
      pair.run(for: .seconds(5)) {
        exchange.description(0)?.subflows.count == 1 && exchange.description(1)?.subflows.count == 1
      })
    exchange.expectWhole(isMultipath: true)
  }

  // Requirement 8684-3.3-01
  @Test(arguments: [1, 2, 3])
  func pathsThatComeAndGoAtRandomLoseNoByte(seed: UInt64) throws {
    let pair = Pair([Self.thin, Self.thinner, Self.thin], seed: seed)
    let exchange = try Exchange(pair, clientSends: 700_000, serverSends: 700_000, seed: seed)
    var entropy = SeededEntropy(seed: seed)
    var down = [false, false, false]
    pair.middlebox { _, packet in !down[packet.path] }
    while pair.now < Instant(nanoseconds: 9_000_000_000), !exchange.isDone {
      pair.run(for: .milliseconds(Int64(entropy.next() % 400)))
      let path = Int(entropy.next() % 3)
      down[path].toggle()
      if entropy.next() % 2 == 0 {
        pair.endpoints[Int(entropy.next() % 2)].setPath(PathID(Int32(path)), isUp: !down[path], at: pair.now)
      }
      #expect(exchange.mismatch == nil)
    }
    down = [false, false, false]
    for side in 0..<2 {
      for path in 0..<3 { pair.endpoints[side].setPath(PathID(Int32(path)), isUp: true, at: pair.now) }
    }
    exchange.expectWhole(within: .seconds(60), isMultipath: true)
  }
}
