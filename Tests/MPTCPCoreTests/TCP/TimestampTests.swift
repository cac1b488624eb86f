import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// When timestamps count, and for what: RFC 7323 §3 to §5.
@Suite struct TimestampTests {
  private func opened(timestamps: Bool = true) throws -> (Puppet, Subflow) {
    let puppet = try Puppet()
    puppet.usesTimestamps = timestamps
    #expect(puppet.open(roundTrip: .milliseconds(100)))
    _ = puppet.take()
    return (puppet, try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first))
  }

  private func timestamps(_ value: UInt32, echo: UInt32) -> TCPOption {
    .timestamps(TCPTimestamps(value: value, echo: echo))
  }

  // Requirement 7323-3-02, 7323-3-05
  @Test func aSegmentWithoutTheTimestampsThatWereAgreedUponIsTakenAllTheSame() throws {
    let (puppet, subflow) = try opened()
    puppet.write(100)
    #expect(puppet.takeData().map { $0.options.timestamps != nil } == [true])
    puppet.usesTimestamps = false
    puppet.sendNext([1, 2, 3])
    #expect(puppet.read() == [1, 2, 3])
    #expect(subflow.inFlightByteCount == 0 && subflow.state == .established)
  }

  /// Neither as old ones, which would drop the segment, nor as echoes, which would be a sample.
  // Requirement 7323-3-06
  @Test func timestampsThatWereNotAgreedUponSayNothing() throws {
    let (puppet, subflow) = try opened(timestamps: false)
    puppet.send(options: [timestamps(5000, echo: 0)])
    puppet.write(100)
    puppet.wait(.milliseconds(100))
    _ = puppet.takeData()
    puppet.send(
      [.ack, .psh], options: [timestamps(0xf000_0000, echo: subflow.timestamp(puppet.now) &- 5000)], payload: [1, 2, 3])
    puppet.sequence = puppet.sequence + 3
    #expect(puppet.read() == [1, 2, 3])
    #expect(subflow.inFlightByteCount == 0)
    #expect(try #require(subflow.roundTrip.smoothed) == .milliseconds(100))
    // Nor are they answered by any.
    puppet.write(100)
    puppet.wait(.seconds(1))
    #expect(puppet.take().allSatisfy { $0.options.timestamps == nil })
  }

  // Requirement 7323-3-07
  @Test(arguments: [false, true])
  func anAnswerHasTimestampsOnlyWhereTheSynHadThem(isOffered: Bool) throws {
    let puppet = try Puppet()
    puppet.usesTimestamps = isOffered
    puppet.send([.syn], options: puppet.synOptions, timestamp: 777)
    let answer = try #require(puppet.take().last)
    #expect(answer.options.timestamps?.echo == (isOffered ? 777 : nil))
  }

  // Requirement 7323-3-04
  @Test func aResetOfAConnectionHasItsTimestamps() throws {
    for isAgreed in [false, true] {
      let (puppet, subflow) = try opened(timestamps: isAgreed)
      puppet.endpoint.abort(try #require(puppet.id), at: puppet.now)
      puppet.drain()
      let reset = try #require(puppet.take().last)
      #expect(reset.flags.contains(.rst))
      #expect(reset.options.timestamps?.value == (isAgreed ? subflow.timestamp(puppet.now) : nil))
      #expect(reset.options.timestamps?.echo == (isAgreed ? puppet.clock : nil))
    }
  }

  // Requirement 7323-5-09
  @Test func aResetThatAnswersASegmentEchoesItsTimestamp() throws {
    let puppet = try Puppet()
    puppet.ours.port = 81
    puppet.send([.syn], options: puppet.synOptions)
    #expect(puppet.take().map { $0.options.timestamps == nil } == [true])
    puppet.usesTimestamps = true
    for flags in [.syn, .ack] as [TCPFlags] {
      puppet.send(flags, timestamp: 4711)
      let reset = try #require(puppet.take().last)
      #expect(reset.flags.contains(.rst))
      #expect(reset.options.timestamps?.value == 0 && reset.options.timestamps?.echo == 4711)
    }
  }

  /// A repetition's acknowledgment is taken, but not that of a segment whose timestamp is old.
  // Requirement 7323-5-06
  @Test(arguments: [false, true])
  func anOldTimestampCountsBeforeThePlaceInTheWindow(isOld: Bool) throws {
    let (puppet, subflow) = try opened()
    puppet.clock = 5000
    puppet.sendNext([1, 2, 3])
    puppet.write(100)
    _ = puppet.takeData()
    puppet.send(offset: -3, payload: [1, 2, 3], timestamp: isOld ? 4000 : 5000)
    #expect(subflow.inFlightByteCount == (isOld ? 100 : 0))
  }

  /// What was queued is not looked at again when the hole is filled by a segment that left later.
  // Requirement 7323-5-07
  @Test func theTimestampOfWhatIsQueuedIsLookedAtOnce() throws {
    let (puppet, _) = try opened()
    puppet.clock = 5000
    puppet.send(offset: 1, payload: [2], timestamp: 5000)
    puppet.send(offset: 2, payload: [3], timestamp: 5001)
    puppet.send(payload: [1], timestamp: 9000)
    #expect(puppet.read() == [1, 2, 3])
  }

  // Requirement 7323-5-08
  @Test func theTimestampOfAResetIsNotKept() throws {
    let (puppet, subflow) = try opened()
    puppet.clock = 5000
    puppet.sendNext([1])
    // At the window's edge, but not its first octet: it is challenged.
    puppet.send([.rst], offset: 1, timestamp: 1_000_000)
    puppet.sendNext([2])
    #expect(puppet.read() == [1, 2])
    #expect(subflow.state == .established && subflow.recentTimestamp == 5000)
  }
}
