import MPTCPCore
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// What a SYN alone says, what every segment says, and segments that are no use: RFC 9293 §3.1, §3.5, §3.7.1 and
/// §3.10.7, RFC 7323, RFC 2018 §2, RFC 3168 §6.1.
@Suite struct SegmentFormTests {
  /// Data both ways with a hole, and both ends: every segment that our side sends.
  private func everything(_ puppet: Puppet) throws -> [SeenSegment] {
    #expect(puppet.open())
    var all = puppet.take()
    puppet.write(20_000)
    all += puppet.takeData()
    puppet.send()
    puppet.sendNext([1, 2, 3])
    puppet.send(offset: 10, payload: [9])
    all += puppet.take()
    puppet.sendNext([UInt8](repeating: 4, count: 11), [.ack, .psh])
    puppet.endpoint.finish(try #require(puppet.id), at: puppet.now)
    puppet.wait(.seconds(1))
    all += puppet.takeData()
    puppet.sendNext([], [.fin, .ack])
    puppet.wait(.milliseconds(100))
    return all + puppet.take()
  }

  // Requirement 9293-3.7.1-06, 7323-2-01, 7323-3-01, 2018-2-01
  @Test func onlyTheSynNegotiatesAndTimestampsAreOnEverySegment() throws {
    let puppet = try Puppet()
    puppet.usesTimestamps = true
    puppet.windowScale = 7
    let segments = try everything(puppet)
    #expect(segments.count > 10 && segments.contains { $0.flags.contains(.fin) })
    for segment in segments {
      #expect(!segment.flags.contains(.syn))
      #expect(segment.options.maximumSegmentSize == nil && segment.options.windowScale == nil)
      #expect(!segment.options.sackPermitted)
      #expect(segment.options.timestamps != nil)
    }
  }

  // Requirement 7323-2-01
  @Test func whatOnlyASynMaySayCountsNowhereElse() throws {
    let puppet = try Puppet()
    puppet.window = 3000
    #expect(puppet.open())
    _ = puppet.take()
    puppet.send(options: [.maximumSegmentSize(100), .windowScale(10)])
    puppet.write(20_000)
    #expect(puppet.takeData().map(\.payload.count).first == 1460)
    // 3,000 octets still, not 3,000 times 1,024.
    puppet.send(options: [.windowScale(10)])
    #expect(puppet.takeData().reduce(0) { $0 + $1.payload.count } <= 3000)
  }

  // Requirement 7323-2-03
  @Test func theWindowOfASynIsNeverScaled() throws {
    var options = Puppet.plain
    options.receiveBufferByteCount = 1 << 20
    let passive = try Puppet(options: options)
    passive.windowScale = 7
    passive.send([.syn], options: passive.synOptions)
    #expect(passive.take().last?.tcp.window == 65_535)
    let active = try Puppet()
    active.windowScale = 7
    active.window = 1000
    #expect(try active.accept(options: options))
    active.write(20_000)
    #expect(active.takeData().reduce(0) { $0 + $1.payload.count } == 1000)
  }

  // Requirement 7323-4-02
  @Test func whatIsEchoedIsTheTimestampOfTheSegmentAtTheWindowsEdge() throws {
    let puppet = try Puppet()
    puppet.usesTimestamps = true
    #expect(puppet.open())
    puppet.clock = 2000
    puppet.sendNext([1])
    puppet.wait(.seconds(1))
    #expect(puppet.take().last?.options.timestamps?.echo == 2000)
    puppet.send(offset: 1, payload: [3], timestamp: 4000)
    #expect(puppet.take().last?.options.timestamps?.echo == 2000)
    puppet.send(payload: [2], timestamp: 5000)
    #expect(puppet.take().last?.options.timestamps?.echo == 5000)
  }

  // Requirement 9293-3.10.7-09
  @Test func aSegmentWithoutAcknowledgementIsDropped() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    puppet.send([.psh], payload: [1, 2])
    puppet.send([.fin])
    #expect(puppet.read().isEmpty)
    #expect(puppet.state == .established)
    #expect(puppet.take().isEmpty)
  }

  // Requirement 9293-3.5-04
  @Test func aSynAcknowledgementThatComesAgainIsAcknowledgedAgain() throws {
    let puppet = try Puppet()
    #expect(try puppet.accept())
    _ = puppet.take()
    puppet.wait(.seconds(1))
    puppet.send([.syn, .ack], offset: -1, options: puppet.synOptions)
    let answer = try #require(puppet.take().last)
    #expect(answer.flags == [.ack])
    #expect(answer.tcp.acknowledgmentNumber == puppet.sequence)
    #expect(puppet.state == .established)
  }

  // Requirement 9293-3.5.3-01, 7323-5-02
  @Test func aResetCountsWithDataAndWithAnOldTimestamp() throws {
    let puppet = try Puppet()
    puppet.usesTimestamps = true
    #expect(puppet.open())
    puppet.clock = 5000
    puppet.sendNext([1])
    puppet.send([.rst], payload: [1, 2, 3], timestamp: 4000)
    #expect(puppet.closed == .resetByPeer)
  }

  // Requirement 9293-3.9.2.3-01, 9293-3.9.2.3-02
  @Test func synsOfNobodyAndToEverybodyAreDropped() throws {
    let puppet = try Puppet()
    for text in ["224.0.0.1", "255.255.255.255", "0.0.0.0", "127.0.0.1", "10.0.0.255"] {
      let address = TransportAddress(try #require(IPAddress(text)), 80)
      for (source, destination) in [(address, puppet.ours), (puppet.theirs, address)] {
        puppet.deliver(
          madeSegment(
            from: source, to: destination, sequence: puppet.sequence, acknowledgment: SequenceNumber(0), flags: .syn,
            options: puppet.synOptions))
        #expect(puppet.take().isEmpty && puppet.others.isEmpty, "from \(source) to \(destination)")
      }
    }
    #expect(puppet.endpoint.connectionCount == 0)
  }

  // Requirement 9293-3.9.1-03
  @Test func theLastSegmentOfWhatIsBufferedIsPushed() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    puppet.write(5000)
    #expect(puppet.takeData().map { $0.flags.contains(.psh) }.last == true)
  }

  // Requirement 9293-3.1-03
  @Test(arguments: [IPAddress.Family.v4, .v6])
  func ourChecksumsAreRight(family: IPAddress.Family) throws {
    let puppet = try Puppet(family: family)
    #expect(puppet.open())
    _ = try puppet.endpoint.write(ByteSlice([UInt8](1...255)), to: try #require(puppet.id), at: puppet.now)
    let bytes = try #require(puppet.endpoint.nextPacket()).copyBytes()
    let ip = try IPHeader(parsing: bytes.span.bytes)
    var sum = InternetChecksum()
    sum.add(
      pseudoHeader: ip.source, destination: ip.destination, protocol: IPProtocol.tcp, length: ip.payloadByteCount)
    sum.add(bytes.span.bytes.extracting(ip.headerByteCount..<bytes.count))
    #expect(ip.payloadByteCount > 255 && sum.value == 0)
  }

  // Requirement 9293-3.8.4-02
  @Test func anIdleConnectionIsSilentUnlessKeepAlivesWereAskedFor() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    puppet.wait(.seconds(24 * 3600))
    #expect(puppet.take().isEmpty)
    #expect(puppet.closed == nil)
  }

  // Requirement 3168-6.1-01, 3168-6.1.1-04
  @Test(arguments: [false, true])
  func congestionNotificationIsAgreedUponInTheSyns(isOffered: Bool) throws {
    let puppet = try Puppet()
    puppet.send(isOffered ? [.syn, .ece, .cwr] : [.syn], options: puppet.synOptions)
    #expect(puppet.take().last?.flags == (isOffered ? [.syn, .ack, .ece] : [.syn, .ack]))
    var options = Puppet.plain
    options.explicitCongestionNotification = isOffered
    _ = try puppet.endpoint.connect(to: TransportAddress(puppet.theirs.address, 7), options: options, at: puppet.now)
    puppet.drain()
    #expect(puppet.take().last?.flags == (isOffered ? [.syn, .ece, .cwr] : [.syn]))
  }

  // Requirement 3168-6.1-05, 3168-6.1.1-05, 3168-6.1.2-01
  @Test func onlyNewDataIsCapableOfCongestionNotification() throws {
    var options = Puppet.plain
    options.explicitCongestionNotification = true
    let puppet = try Puppet(options: options)
    puppet.send([.syn, .ece, .cwr], options: puppet.synOptions)
    let answer = try #require(puppet.take().last)
    puppet.expected = answer.tcp.sequenceNumber + 1
    puppet.sequence = puppet.sequence + 1
    puppet.send()
    puppet.write(2000)
    let data = puppet.takeData()
    #expect(data.count == 2 && data.allSatisfy { $0.ip.trafficClass & 3 == 2 })
    puppet.wait(.seconds(3))
    let again = puppet.take()
    #expect(!again.isEmpty && again.allSatisfy { $0.ip.trafficClass & 3 == 0 })
    puppet.sendNext([1])
    puppet.wait(.seconds(1))
    let acknowledgements = puppet.take().filter(\.payload.isEmpty)
    #expect(!acknowledgements.isEmpty && acknowledgements.allSatisfy { $0.ip.trafficClass & 3 == 0 })
    // Nor are the SYNs, ours and the answer to the peer's.
    #expect(answer.ip.trafficClass & 3 == 0)
    _ = try puppet.endpoint.connect(to: TransportAddress(puppet.theirs.address, 7), options: options, at: puppet.now)
    puppet.drain()
    let syn = try #require(puppet.take().last)
    #expect(syn.flags == [.syn, .ece, .cwr] && syn.ip.trafficClass & 3 == 0)
  }
}
