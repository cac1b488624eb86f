import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// What an established connection makes of segments that do not fit: RFC 9293 §3.10.7.4, RFC 5961, RFC 7323 §5.
@Suite struct SegmentCheckTests {
  private func opened(_ change: (Puppet) -> Void = { _ in }) throws -> Puppet {
    let puppet = try Puppet()
    change(puppet)
    #expect(puppet.open())
    _ = puppet.take()
    return puppet
  }

  // Requirement 5961-3-01, 5961-3-02, 5961-3-03, 9293-3.5.3-03
  @Test func onlyAResetWithTheExactNumberEndsTheConnection() throws {
    let puppet = try opened()
    // In the window: a challenge (RFC 5961 §3.2).
    puppet.send([.rst], offset: 1)
    let challenge = try #require(puppet.take().last)
    #expect(challenge.flags == [.ack])
    #expect(challenge.tcp.acknowledgmentNumber == puppet.sequence)
    #expect(puppet.closed == nil)
    // Outside: nothing at all.
    puppet.wait(.seconds(1))
    for offset in [-1, -5000, 20_000_000] { puppet.send([.rst], offset: offset) }
    #expect(puppet.take().isEmpty)
    #expect(puppet.closed == nil)
    puppet.send([.rst])
    #expect(puppet.closed == .resetByPeer)
  }

  @Test func aWrongHeaderChecksumIsSeenThoughTheDeviceVouchesForTCPs() throws {
    let puppet = try opened()
    var bytes = madeSegment(
      from: puppet.theirs, to: puppet.ours, sequence: puppet.sequence, acknowledgment: puppet.expected, flags: [.ack],
      payload: [9])
    bytes[10] ^= 1
    for checksum in [ReceiveOffload.Checksum.valid, .unverified] {
      puppet.endpoint.receive(
        ByteSlice(bytes), on: PathID(0), offload: ReceiveOffload(checksum: checksum, segmentByteCount: 0),
        at: puppet.now)
    }
    #expect(puppet.endpoint.statistics.badChecksums == 2)
    #expect(puppet.read().isEmpty)
  }

  /// Destination options that may be skipped, those that may not, and segments left in a routing header.
  @Test(
    arguments: [
      (60, [0x1e, 4, 0, 0, 0, 0], true), (60, [0x9e, 4, 0, 0, 0, 0], false), (43, [0, 1, 0, 0, 0, 0], false),
    ] as [(UInt8, [UInt8], Bool)])
  func extensionHeadersThatForbidItAreHeeded(kind: UInt8, content: [UInt8], isTaken: Bool) throws {
    let script = Script(family: .v6)
    _ = try script.endpoint.listen(on: TransportAddress(.anyV6, 80), options: ListenerOptions(), at: script.now)
    var packet = WirePacket(
      source: Pair.address(0, 1, .v6), destination: Pair.address(0, 0, .v6),
      tcp: TCPHeader(
        sourcePort: 4000, destinationPort: 80, sequenceNumber: SequenceNumber(7),
        acknowledgmentNumber: SequenceNumber(0),
        flags: .syn, window: 1000))
    packet.options = [.maximumSegmentSize(1440)]
    var bytes = packet.bytes
    bytes.insert(contentsOf: [bytes[6], 0] + content, at: 40)
    bytes[6] = kind
    bytes[5] += 8
    script.endpoint.receive(ByteSlice(bytes), on: PathID(0), at: script.now)
    #expect((script.take(where: \.isSynAck) != nil) == isTaken)
    #expect(script.endpoint.statistics.strayPackets == (isTaken ? 0 : 1))
  }

  // Requirement 5961-4-01
  @Test func aSynInTheWindowIsChallenged() throws {
    let puppet = try opened()
    puppet.send([.syn], options: puppet.synOptions)
    #expect(puppet.take().map(\.flags) == [[.ack]])
    #expect(puppet.closed == nil)
    puppet.sendNext([9])
    #expect(puppet.read() == [9])
  }

  // Requirement 5961-7-01
  @Test func challengesAreRationed() throws {
    var configuration = EndpointConfiguration()
    configuration.challengeAcknowledgmentsPerSecond = 5
    let puppet = try Puppet(configuration: configuration)
    for port in 0..<20 {
      puppet.theirs.port = Port(6000 + UInt16(port))
      #expect(puppet.open())
      puppet.sequence = puppet.sequence + 1
    }
    _ = puppet.take()
    puppet.wait(.seconds(2))
    for port in 0..<20 {
      puppet.theirs.port = Port(6000 + UInt16(port))
      // The numbers differ by connection; a SYN anywhere near gets a challenge.
      puppet.send([.syn], offset: -10)
    }
    // How many exactly nobody can foretell.
    #expect((2...6).contains(puppet.take().count))
    // On one connection at most two a second.
    puppet.wait(.seconds(2))
    for _ in 0..<20 { puppet.send([.syn]) }
    #expect(puppet.take().count == 1)
  }

  @Test func aFloodOfStrayPacketsSilencesNoChallenge() throws {
    var configuration = EndpointConfiguration()
    configuration.challengeAcknowledgmentsPerSecond = 10
    let puppet = try Puppet(configuration: configuration)
    #expect(puppet.open())
    _ = puppet.take()
    var resets: Set<Int> = []
    for _ in 0..<8 {
      puppet.ours.port = 9
      for _ in 0..<40 { puppet.send([.ack]) }
      resets.insert(puppet.take().count)
      puppet.ours.port = 80
      puppet.send([.syn])
      #expect(puppet.take().map(\.flags) == [[.ack]])
      puppet.wait(.seconds(1))
    }
    #expect(resets.count > 1)
    #expect(resets.allSatisfy { (5...14).contains($0) })
  }

  // Requirement 5961-5-01
  @Test func anAcknowledgementOfDataNeverSentIsChallengedAndItsDataIgnored() throws {
    let puppet = try opened()
    puppet.send([.ack], acknowledging: 1, payload: [1, 2, 3])
    #expect(puppet.take().map(\.flags) == [[.ack]])
    #expect(puppet.read().isEmpty)
    // Older than any window: blind injection (RFC 5961 §5.2).
    puppet.wait(.seconds(1))
    puppet.send([.ack], acknowledging: -70_000, payload: [1, 2, 3])
    #expect(puppet.take().map(\.flags) == [[.ack]])
    #expect(puppet.read().isEmpty)
    puppet.sendNext([4])
    #expect(puppet.read() == [4])
  }

  /// Or whoever guesses where the window is could make all that the peer says look old (RFC 5961 §5).
  // Requirement 5961-5-01, 7323-4-02
  @Test(arguments: [1, -70_000])
  func theTimestampOfASegmentWhoseAcknowledgementCannotBeIsNotKept(acknowledging: Int) throws {
    let puppet = try opened {
      $0.usesTimestamps = true
      $0.clock = 5
    }
    puppet.send([.ack, .fin], acknowledging: acknowledging, timestamp: 200_000)
    #expect(puppet.take().last?.options.timestamps?.echo == 5)
    puppet.clock = 6
    puppet.sendNext([1, 2, 3])
    #expect(puppet.read() == [1, 2, 3])
  }

  // Requirement 7323-5-01, 7323-5-03
  @Test func segmentsWithAnOldTimestampAreDropped() throws {
    let puppet = try opened {
      $0.usesTimestamps = true
      $0.clock = 5
    }
    puppet.clock = 100
    puppet.sendNext([1])
    puppet.send(payload: [2], timestamp: 99)
    #expect(puppet.read() == [1])
    #expect(puppet.take().last?.flags == [.ack])
    // The clock wraps: what is newer by less than half its range is newer.
    puppet.send(payload: [3], timestamp: 101)
    puppet.sequence = puppet.sequence + 1
    #expect(puppet.read() == [3])
    // After 24 days of silence an old value is no proof any more (RFC 7323 §5.5).
    puppet.wait(.seconds(25 * 24 * 3600))
    puppet.send(payload: [4], timestamp: 7)
    #expect(puppet.read() == [4])
    puppet.sequence = puppet.sequence + 1
    // And the value that took its place is what later ones are measured by.
    puppet.send(payload: [5], timestamp: 6)
    #expect(puppet.read().isEmpty)
    puppet.send(payload: [5], timestamp: 8)
    #expect(puppet.read() == [5])
  }

  @Test(arguments: [.ack, .syn, [.syn, .ack]] as [TCPFlags])
  func whatHasAnOldTimestampAndNoDataIsAnsweredWithinTheRateOfChallenges(flags: TCPFlags) throws {
    let puppet = try opened { $0.usesTimestamps = true }
    puppet.clock += 100
    puppet.sendNext([1])
    puppet.write(10)
    _ = puppet.takeData()
    // Dropped: what it acknowledges is not believed (RFC 7323 §5.3, R1).
    for _ in 0..<20 {
      puppet.send(flags, timestamp: puppet.clock - 50)
      puppet.wait(.milliseconds(1))
    }
    let answers = puppet.take()
    #expect(answers.map(\.flags) == [[.ack]])
    #expect(answers.last?.tcp.acknowledgmentNumber == puppet.sequence)
    #expect(puppet.endpoint.statistics.challengeAcknowledgments == 1)
    let id = try #require(puppet.id)
    #expect(puppet.endpoint.description(of: id)?.subflows.first?.acknowledgedByteCount == 0)
    // Where the other end finds our answers old too, each is its next reason for one: two a second, no more.
    var count = 0
    for _ in 0..<40 {
      puppet.wait(.milliseconds(100))
      puppet.send(flags, timestamp: puppet.clock &- 5000)
      count += puppet.take().filter(\.payload.isEmpty).count
    }
    #expect((6...9).contains(count))
  }

  @Test(arguments: [Int.min, 0, 1, .max])
  func anyBudgetOfAnswersMayBeConfigured(count: Int) throws {
    var configuration = EndpointConfiguration()
    configuration.challengeAcknowledgmentsPerSecond = count
    let puppet = try Puppet(configuration: configuration)
    puppet.ours.port = 81
    for _ in 0..<10 {
      puppet.send([.syn], options: puppet.synOptions)
      puppet.wait(.seconds(1))
    }
    let resets = puppet.take().filter { $0.flags.contains(.rst) }
    #expect(count == .max ? resets.count == 10 : resets.count <= 10)
  }

  // Requirement 9293-3.10.7-03
  @Test(arguments: [30_000_000, -2, -30_000_000])
  func aSegmentWithoutDataOutsideOfTheWindowIsAnsweredAndNotBelieved(offset: Int) throws {
    let puppet = try opened()
    puppet.write(100)
    let data = puppet.takeData()
    #expect(data.count == 1)
    let id = try #require(puppet.id)
    func inFlight() -> Int? { puppet.endpoint.description(of: id)?.subflows.first?.inFlightByteCount }
    puppet.send(offset: offset, window: 0)
    let answer = try #require(puppet.take().last)
    #expect(answer.flags == [.ack])
    #expect(answer.tcp.acknowledgmentNumber == puppet.sequence && answer.tcp.sequenceNumber == puppet.expected)
    #expect(inFlight() == 100)
    // Neither its acknowledgement nor its window.
    puppet.write(200)
    #expect(puppet.takeData().map(\.payload.count) == [200])
    puppet.send()
    #expect(inFlight() == 0)
  }

  // Requirement 9293-3.4-02, 9293-3.10.7-03
  @Test func dataBeyondTheWindowIsNotTaken() throws {
    let puppet = try opened()
    puppet.send(offset: 30_000_000, payload: [1])
    #expect(puppet.take().map(\.flags) == [[.ack]])
    puppet.sendNext([7])
    #expect(puppet.read() == [7])
  }

  // Requirement 9293-3.4-02
  @Test func dataIsTakenUpToTheEdgeOfTheWindowAndNotAnOctetMore() throws {
    var options = Puppet.plain
    options.receiveBufferByteCount = 20_000
    let puppet = try Puppet(options: options)
    #expect(puppet.open())
    _ = puppet.take()
    for _ in 0..<19 { puppet.sendNext([UInt8](repeating: 1, count: 1000)) }
    puppet.send(payload: [UInt8](repeating: 1, count: 1460))
    #expect(puppet.read().count == 20_000)
  }

  // Requirement 9293-3.10.7-11
  @Test func aSegmentThatCrossesTheEdgeOfTheWindowIsTakenUpToItAndItsFinIsNot() throws {
    var options = Puppet.plain
    options.receiveBufferByteCount = 20_000
    let puppet = try Puppet(options: options)
    #expect(puppet.open())
    for _ in 0..<19 { puppet.sendNext([UInt8](repeating: 1, count: 1000), [.ack]) }
    _ = puppet.take()
    puppet.send([.ack, .fin], payload: [UInt8](repeating: 1, count: 1000) + [UInt8](repeating: 2, count: 460))
    puppet.sequence = puppet.sequence + 1000
    let answer = try #require(puppet.take().last)
    #expect(answer.tcp.acknowledgmentNumber == puppet.sequence)
    #expect(answer.tcp.window == 0)
    // Nor is it kept for later.
    #expect(answer.options.sack == nil)
    #expect(puppet.state == .established)
    #expect(puppet.read() == [UInt8](repeating: 1, count: 20_000))
    _ = puppet.take()
    puppet.sendNext([UInt8](repeating: 2, count: 460), [.ack])
    #expect(puppet.state == .established)
    puppet.sendNext([], [.ack, .fin])
    #expect(puppet.take().last?.tcp.acknowledgmentNumber == puppet.sequence)
    #expect(puppet.state == .closeWait)
    #expect(puppet.read() == [UInt8](repeating: 2, count: 460))
  }

  // Requirement 9293-3.10.7-07
  @Test func segmentsThatCameTogetherAreAcknowledgedTogether() throws {
    let puppet = try opened()
    for offset in [0, 3, 6] {
      let bytes = madeSegment(
        from: puppet.theirs, to: puppet.ours, sequence: puppet.sequence + offset, acknowledgment: puppet.expected,
        flags: [.ack, .psh], payload: [1, 2, 3])
      puppet.endpoint.receive(ByteSlice(bytes), on: PathID(0), at: puppet.now)
    }
    puppet.drain()
    #expect(puppet.take().map(\.tcp.acknowledgmentNumber) == [puppet.sequence + 9])
  }

  // Requirement 9293-3.10.7-05, 9293-3.10.7-11
  @Test func overlappingAndRepeatedSegmentsGiveEachByteOnce() throws {
    let puppet = try opened()
    puppet.send(offset: 4, payload: [4, 5, 6])
    puppet.send(offset: 2, payload: [2, 3, 4, 5])
    puppet.send(offset: 0, payload: [0, 1, 2])
    puppet.send(offset: 0, payload: [0, 1, 2, 3, 4, 5, 6, 7])
    #expect(puppet.read() == [0, 1, 2, 3, 4, 5, 6, 7])
    #expect(puppet.take().last?.tcp.acknowledgmentNumber == puppet.sequence + 8)
  }

  // Requirement 2018-3-02, 2018-4-01, 2018-4-02, 2883-4-01
  @Test func holesAreReportedByTheMostRecentBlockFirst() throws {
    let puppet = try opened()
    puppet.send(offset: 10, payload: [1, 1])
    puppet.send(offset: 20, payload: [2, 2])
    let blocks = try #require(puppet.take().last?.options.sack)
    #expect(blocks.count == 2)
    #expect(blocks[0].left == puppet.sequence + 20)
    #expect(blocks[1].right == puppet.sequence + 12)
    // A duplicate is reported first of all (RFC 2883 §4).
    puppet.send(offset: -1, payload: [0])
    let duplicate = try #require(puppet.take().last?.options.sack)
    #expect(duplicate[0].left == puppet.sequence + -1)
    #expect(duplicate[0].right == puppet.sequence)
  }

  /// The blocks of the last segment that was sent, as distances from what is expected.
  private func lastBlocks(_ puppet: Puppet) throws -> [ClosedRange<Int>] {
    let found = try #require(puppet.take().last?.options.sack)
    return (0..<found.count).map { (found[$0].left - puppet.sequence)...(found[$0].right - puppet.sequence) }
  }

  // Requirement 2018-4-03
  @Test func theOtherBlocksAreThoseThatWereToldLast() throws {
    let puppet = try opened()
    // No order that the places give: neither forwards nor backwards.
    for offset in [30, 10, 50, 20] { puppet.send(offset: offset, payload: [1]) }
    #expect(try lastBlocks(puppet) == [20...21, 50...51, 10...11, 30...31])
    // Of five the one that was told the longest ago goes.
    puppet.send(offset: 40, payload: [1])
    #expect(try lastBlocks(puppet) == [40...41, 20...21, 50...51, 10...11])
    // One that grows comes first again.
    puppet.send(offset: 51, payload: [1])
    #expect(try lastBlocks(puppet) == [50...52, 40...41, 20...21, 10...11])
    // Where what came belongs to none they stay as they were.
    puppet.sendNext([1])
    #expect(try lastBlocks(puppet) == [49...51, 39...40, 19...20, 9...10])
  }

  // Requirement 2018-4-02
  @Test func theBlockOfTheLastSegmentIsFirstAlsoBesideAFinAheadOfTheGap() throws {
    let puppet = try opened()
    puppet.send(offset: 30, payload: [3])
    puppet.send([.ack, .fin], offset: 50)
    #expect(try lastBlocks(puppet) == [50...51, 30...31])
    puppet.send(offset: 15, payload: [UInt8](repeating: 2, count: 5))
    #expect(try lastBlocks(puppet) == [15...20, 50...51, 30...31])
    puppet.send([.ack, .fin], offset: 50)
    #expect(try lastBlocks(puppet).first == 50...51)
  }

  // Requirement 2883-4-01, 2883-4-02
  @Test func aRepetitionBehindAHoleIsReportedOnceWithTheBlockAroundIt() throws {
    let puppet = try opened()
    func blocks() throws -> [ClosedRange<Int>] { try lastBlocks(puppet) }
    puppet.send(offset: 10, payload: [UInt8](repeating: 1, count: 5))
    puppet.send(offset: 30, payload: [3])
    puppet.send([.ack, .fin], offset: 50)
    puppet.send(offset: 15, payload: [UInt8](repeating: 2, count: 5))
    #expect(try blocks().contains(10...20))
    // RFC 2883 §4.1.3.
    puppet.send(offset: 15, payload: [UInt8](repeating: 2, count: 5))
    #expect(try blocks().prefix(2) == [15...20, 10...20])
    puppet.send(offset: 31, payload: [3])
    #expect(try !blocks().contains(15...20))
    // Of a segment that is new in part, what is not (§4.2), and of several parts the first (§4.2.2).
    puppet.send(offset: 18, payload: [2, 2, 2, 2])
    #expect(try blocks().prefix(2) == [18...20, 10...22])
    puppet.send(offset: 21, payload: [UInt8](repeating: 2, count: 11))
    #expect(try blocks().prefix(2) == [21...22, 10...32])
    // And in the same way where it fills the hole (§4.2.1).
    puppet.send(payload: [UInt8](repeating: 0, count: 14))
    #expect(try blocks().first == 10...14)
    #expect(puppet.read().count == 32)
  }

  /// In one segment, over many, and with pointers to nowhere: the application reads it in its place and hears of no more
  /// than that there is something to read.
  // Requirement 9293-3.8.5-01, 9293-3.8.5-03, 9293-3.8.5-04, 9293-3.8.5-05
  @Test func urgentDataIsOrdinaryData() throws {
    let puppet = try opened()
    puppet.send([.ack, .urg], payload: [1, 2, 3], urgentPointer: 2)
    puppet.send([.ack, .urg], offset: 3, payload: [4], urgentPointer: 60_000)
    #expect(puppet.read() == [1, 2, 3, 4])
    puppet.sequence = puppet.sequence + 4
    puppet.events.removeAll()
    var all: [UInt8] = []
    for index in 0..<100 {
      let bytes = [UInt8](repeating: UInt8(index), count: 1000)
      puppet.send([.ack, .urg], payload: bytes, urgentPointer: 65_535)
      puppet.sequence = puppet.sequence + bytes.count
      all += bytes
    }
    var read: [UInt8] = []
    while read.count < all.count, case let bytes = puppet.read(), !bytes.isEmpty { read += bytes }
    #expect(read == all)
    #expect(puppet.events.allSatisfy { $0 == .readable })
    // None of ours is.
    puppet.write(5000)
    #expect(puppet.takeData().allSatisfy { !$0.flags.contains(.urg) && $0.tcp.urgentPointer == 0 })
  }

  // Requirement 9293-3.5.2-01, 9293-3.5.2-02, 9293-3.10.7-01
  @Test func aStraySegmentGetsAResetThatItsSenderBelieves() throws {
    let puppet = try Puppet()
    puppet.send([.ack], payload: [1, 2])
    let answer = try #require(puppet.take().last)
    #expect(answer.flags == [.rst])
    #expect(answer.tcp.sequenceNumber == puppet.expected)
    // LISTEN drops what neither opens nor acknowledges; a closed port refuses it.
    puppet.send([.fin], payload: [1, 2])
    puppet.send([])
    puppet.send([.syn, .fin])
    #expect(puppet.take().map(\.flags).isEmpty)
    puppet.ours.port = 81
    puppet.send([.fin], payload: [1, 2])
    let other = try #require(puppet.take().last)
    #expect(other.flags == [.rst, .ack])
    #expect(other.tcp.acknowledgmentNumber == puppet.sequence + 3)
    // Never a reset for a reset.
    puppet.send([.rst])
    #expect(puppet.take().isEmpty)
  }

  // Requirement 9293-3.1-04
  @Test(arguments: [IPAddress.Family.v4, .v6])
  func badChecksumsAreCountedAndDropped(family: IPAddress.Family) throws {
    let puppet = try Puppet(family: family)
    #expect(puppet.open())
    _ = puppet.take()
    var bytes = madeSegment(
      from: puppet.theirs, to: puppet.ours, sequence: puppet.sequence, acknowledgment: puppet.expected, flags: [.ack],
      payload: [1, 2, 3])
    bytes[bytes.count - 1] ^= 1
    puppet.deliver(bytes)
    #expect(puppet.read().isEmpty)
    #expect(puppet.take().isEmpty)
    #expect(puppet.endpoint.statistics.badChecksums == 1)
  }

  @Test func aResetFromAnotherPortHarmsNothing() throws {
    let puppet = try opened()
    var stranger = puppet.theirs
    stranger.port = 5001
    puppet.send([.rst], from: stranger)
    #expect(puppet.closed == nil)
    #expect(puppet.take().isEmpty)
  }

  @Test func aKeepAliveOfThePeerIsAnswered() throws {
    let puppet = try opened()
    puppet.send([.ack], offset: -1)
    #expect(puppet.take().map(\.flags) == [[.ack]])
    puppet.send([.ack], offset: -1, payload: [0])
    #expect(puppet.take().map(\.flags) == [[.ack]])
    #expect(puppet.read().isEmpty)
  }
}
