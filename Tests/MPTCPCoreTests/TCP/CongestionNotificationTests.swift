import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// What the two ends say to each other of congestion marks: RFC 3168 §6.1.
@Suite struct CongestionNotificationTests {
  private static let isCapable: UInt8 = 2
  private static let isMarked: UInt8 = 3

  private static var options: ConnectionOptions {
    var options = Puppet.plain
    options.explicitCongestionNotification = true
    return options
  }

  /// A connection that the peer opened with `flags`, and a round trip of 20 ms.
  private func opened(_ flags: TCPFlags = [.syn, .ece, .cwr], usesSACK: Bool = true) throws -> Puppet {
    let puppet = try Puppet(options: Self.options)
    puppet.usesSACK = usesSACK
    puppet.send(flags, options: puppet.synOptions)
    puppet.wait(.milliseconds(20))
    puppet.expected = try #require(puppet.take().last).tcp.sequenceNumber + 1
    puppet.sequence = puppet.sequence + 1
    puppet.send()
    return puppet
  }

  // Requirement 3168-6.1-01, 3168-6.1.1-06
  @Test(
    arguments: [
      ([.syn, .ack, .ece], true, true), ([.syn, .ack, .ece, .cwr], true, false), ([.syn, .ack], true, false),
      ([.syn, .ack, .cwr], true, false), ([.syn, .ack, .ece], false, false),
    ] as [(TCPFlags, Bool, Bool)])
  func onlyEchoAloneOnTheAnswerAgrees(answer: TCPFlags, isOffered: Bool, isAgreed: Bool) throws {
    let puppet = try Puppet()
    puppet.id = try puppet.endpoint.connect(
      to: puppet.theirs, options: isOffered ? Self.options : Puppet.plain, at: puppet.now)
    puppet.drain()
    let syn = try #require(puppet.take().last)
    puppet.ours.port = syn.tcp.sourcePort
    puppet.expected = syn.tcp.sequenceNumber + 1
    puppet.send(answer, options: puppet.synOptions)
    puppet.sequence = puppet.sequence + 1
    puppet.write(100)
    #expect(puppet.takeData().map { $0.ip.trafficClass & 3 } == [isAgreed ? Self.isCapable : 0])
    puppet.send(payload: [1], trafficClass: Self.isMarked)
    #expect(puppet.take().map { $0.flags.contains(.ece) } == [isAgreed])
  }

  // Requirement 3168-6.1-01, 3168-6.1.1-01, 3168-6.1.1-06
  @Test(
    arguments: [
      ([.syn, .ece, .cwr], true), ([.syn, .ece], false), ([.syn, .cwr], false), ([.syn], false),
    ] as [(TCPFlags, Bool)])
  func onlyASynWithBothFlagsAsks(flags: TCPFlags, isAgreed: Bool) throws {
    let puppet = try Puppet(options: Self.options)
    puppet.send(flags, options: puppet.synOptions)
    let answer = try #require(puppet.take().last)
    #expect(answer.flags == (isAgreed ? [.syn, .ack, .ece] : [.syn, .ack]))
    puppet.expected = answer.tcp.sequenceNumber + 1
    puppet.sequence = puppet.sequence + 1
    puppet.send()
    puppet.write(100)
    #expect(puppet.takeData().map { $0.ip.trafficClass & 3 } == [isAgreed ? Self.isCapable : 0])
  }

  /// A SYN that comes again may be plain, as something on the way may drop the other kind: then neither end may say that
  /// its data is capable, whichever of the SYNs and of the answers have arrived.
  // Requirement 3168-6.1.1-02, 3168-6.1.1-03
  @Test(arguments: [false, true])
  func behindAPlainSynNoDataIsCapable(isPassive: Bool) throws {
    let puppet = try Puppet(options: Self.options)
    if isPassive {
      puppet.send([.syn, .ece, .cwr], options: puppet.synOptions)
      puppet.send([.syn], options: puppet.synOptions)
      let answers = puppet.take()
      #expect(answers.map(\.flags) == [[.syn, .ack, .ece], [.syn, .ack]])
      puppet.expected = try #require(answers.last).tcp.sequenceNumber + 1
      puppet.sequence = puppet.sequence + 1
      puppet.send()
    } else {
      puppet.id = try puppet.endpoint.connect(to: puppet.theirs, options: Self.options, at: puppet.now)
      puppet.wait(.milliseconds(1100))
      let syns = puppet.take()
      #expect(syns.map(\.flags) == [[.syn, .ece, .cwr], [.syn]])
      puppet.ours.port = syns[0].tcp.sourcePort
      puppet.expected = syns[0].tcp.sequenceNumber + 1
      puppet.send([.syn, .ack, .ece], options: puppet.synOptions)
      puppet.sequence = puppet.sequence + 1
    }
    puppet.write(3000)
    let data = puppet.takeData()
    #expect(data.count == 3 && data.allSatisfy { $0.ip.trafficClass & 3 == 0 })
  }

  /// Anybody may have sent it.
  // Requirement 3168-6.1.5-01
  @Test(arguments: [-3, 1_000_000])
  func aMarkOnASegmentOutsideOfTheWindowIsNotEchoed(offset: Int) throws {
    let puppet = try opened()
    puppet.sendNext([1, 2, 3])
    _ = puppet.take()
    puppet.send(offset: offset, payload: [1, 2, 3], trafficClass: Self.isMarked)
    #expect(puppet.take().map { $0.flags.contains(.ece) } == [false])
    puppet.send(payload: [1, 2, 3], trafficClass: Self.isMarked)
    #expect(puppet.take().map { $0.flags.contains(.ece) } == [true])
  }

  /// It has the exact number, which nobody else knows.
  // Requirement 3168-6.1.6-01
  @Test func aMarkOnAProbeOfAClosedWindowIsEchoed() throws {
    var options = Self.options
    options.receiveBufferByteCount = 4000
    let puppet = try Puppet(options: options)
    puppet.send([.syn, .ece, .cwr], options: puppet.synOptions)
    puppet.expected = try #require(puppet.take().last).tcp.sequenceNumber + 1
    puppet.sequence = puppet.sequence + 1
    puppet.send()
    var window = 4000
    while window > 0 {
      puppet.sendNext([UInt8](repeating: 1, count: min(window, 1000)))
      puppet.wait(.seconds(1))
      window = Int(try #require(puppet.take().last).tcp.window)
    }
    puppet.send(payload: [1], trafficClass: Self.isCapable)
    #expect(try #require(puppet.take().last).flags == [.ack])
    puppet.send(payload: [1], trafficClass: Self.isMarked)
    #expect(try #require(puppet.take().last).flags == [.ack, .ece])
  }

  // Requirement 3168-6.1-02
  @Test func behindAMarkEverySegmentEchoesItUntilTheSenderHasSlowedDown() throws {
    let puppet = try opened()
    func echoes() -> [Bool] { puppet.take().map { $0.flags.contains(.ece) } }
    func receive(_ flags: TCPFlags, marked: Bool = false) {
      puppet.send(flags, payload: [1, 2, 3], trafficClass: marked ? Self.isMarked : Self.isCapable)
      puppet.sequence = puppet.sequence + 3
    }
    receive([.ack])
    #expect(echoes() == [false])
    receive([.ack], marked: true)
    #expect(echoes() == [true])
    receive([.ack])
    #expect(echoes() == [true])
    // On data, on its repetitions, and where a hole is reported.
    puppet.write(100)
    puppet.wait(.seconds(1))
    let data = puppet.take()
    #expect(data.count > 1 && data.allSatisfy { $0.payload.count == 100 && $0.flags.contains(.ece) })
    puppet.send(offset: 10, payload: [1])
    #expect(echoes() == [true])
    // A sender that has slowed down and meets the next mark: it goes on.
    receive([.ack, .cwr], marked: true)
    #expect(echoes() == [true])
    receive([.ack])
    #expect(echoes() == [true])
    receive([.ack, .cwr])
    #expect(echoes() == [false])
    receive([.ack])
    #expect(echoes() == [false])
  }

  /// What the peer tells of a flight of ten segments, and how often the window is reduced for it.
  enum Tale: CaseIterable, Sendable {
    case lossThenMark, markThenLoss, timeoutThenMark, markThenTimeout
  }

  /// Losses and marks of one window are one sign of congestion.
  // Requirement 3168-6.1-03
  @Test(arguments: Tale.allCases)
  func lossesAndMarksOfOneFlightReduceTheWindowOnce(tale: Tale) throws {
    let puppet = try opened(usesSACK: false)
    let subflow = try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first)
    func threshold() -> Int { subflow.connection.congestion.windows[0].slowStartThresholdByteCount }
    puppet.write(14_600)
    puppet.wait(.milliseconds(20))
    let sent = puppet.takeData()
    try #require(sent.count == 10)
    func acknowledge(_ count: Int, _ flags: TCPFlags = .ack) {
      puppet.expected = sent[count - 1].tcp.sequenceNumber + 1460
      puppet.send(flags)
    }
    let isMarkFirst = tale == .markThenLoss || tale == .markThenTimeout
    acknowledge(1, isMarkFirst ? [.ack, .ece] : .ack)
    switch tale {
    case .lossThenMark, .markThenLoss: for _ in 0..<3 { puppet.send() }
    case .timeoutThenMark, .markThenTimeout: puppet.wait(.seconds(1))
    }
    // The second segment again, and what it repairs brings everything.
    #expect(puppet.take().contains { $0.tcp.sequenceNumber == sent[1].tcp.sequenceNumber })
    let once = threshold()
    #expect(once < 11 * 1460 && once >= 9 * 1460 * 7 / 10)
    acknowledge(10, isMarkFirst ? .ack : [.ack, .ece])
    #expect(threshold() == once && subflow.congestionWindow >= once)
    #expect(subflow.recovery.phase == .open)
    // A mark of the next window is another one.
    puppet.write(5 * 1460)
    puppet.wait(.milliseconds(20))
    _ = puppet.takeData()
    puppet.send([.ack, .ece])
    #expect(threshold() < once)
  }

  // Requirement 3168-6.1-03, 3168-6.1-07, 3168-6.1.2-03
  @Test func theEchoesOfOneFlightReduceTheWindowOnceAndByAsMuchAsALoss() throws {
    let puppet = try opened()
    let subflow = try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first)
    func threshold() -> Int { subflow.connection.congestion.windows[0].slowStartThresholdByteCount }
    /// A flight of segments, each acknowledged with an echo; what the window and its threshold are after each.
    func flight(_ count: Int, tellsReduction: Bool) throws -> [(window: Int, threshold: Int)] {
      puppet.write(count * 1460)
      puppet.wait(.milliseconds(20))
      let sent = puppet.takeData()
      try #require(sent.count == count)
      // Each reduction is told once (RFC 3168 §6.1.2).
      #expect(sent.map { $0.flags.contains(.cwr) } == (0..<count).map { $0 == 0 && tellsReduction })
      var seen: [(window: Int, threshold: Int)] = []
      for segment in sent {
        puppet.expected = segment.tcp.sequenceNumber + segment.payload.count
        puppet.send([.ack, .ece])
        seen.append((subflow.congestionWindow, threshold()))
      }
      #expect(puppet.take().isEmpty)
      return seen
    }
    let first = try flight(10, tellsReduction: false)
    // CUBIC: seven tenths (RFC 9438 §4.6), of ten segments; no acknowledgement that tells of congestion brings more.
    #expect(first[0].threshold == 10 * 1460 * 7 / 10)
    #expect(first.allSatisfy { $0.threshold == first[0].threshold && $0.window == first[0].threshold })
    // What left before the window was reduced is acknowledged: the next echo speaks of what left after it.
    let before = subflow.congestionWindow
    let second = try flight(7, tellsReduction: true)
    #expect(second[0].threshold < first[0].threshold)
    #expect((before * 7 / 10 - 1...before * 7 / 10 + 1461).contains(second[0].threshold))
    #expect(second.allSatisfy { $0.threshold == second[0].threshold })
    _ = try flight(3, tellsReduction: true)
  }

  /// However many marks there are, two segments remain, and the second of them needs no timer.
  // Requirement 3168-6.1-08
  @Test func marksLeaveAWindowOfTwoSegmentsThatLeaveAtOnce() throws {
    let puppet = try opened()
    var flights: [Int] = []
    for _ in 0..<12 {
      puppet.write(20 * 1460)
      puppet.wait(.milliseconds(20))
      flights.append(puppet.takeData().count)
      puppet.send([.ack, .ece])
    }
    #expect(flights.first == 10)
    #expect(flights.suffix(4) == [2, 2, 2, 2])
    #expect(puppet.endpoint.statistics.retransmittedSegments == 0)
  }
}
