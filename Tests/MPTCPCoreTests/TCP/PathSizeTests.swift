import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// How large segments may be, and how that is found out: RFC 4821, RFC 8201.
@Suite struct PathSizeTests {
  /// An ICMP message of a router whose next link carries `mtu` octets, about a segment of `puppet`'s endpoint.
  private func tooBig(_ puppet: Puppet, mtu: Int, about segment: SeenSegment) {
    let isV4 = puppet.ours.address.family == .v4
    var body: [UInt8] = [isV4 ? 3 : 2, isV4 ? 4 : 0, 0, 0, 0, 0, UInt8(mtu >> 8), UInt8(mtu & 255)]
    body += segment.bytes().prefix(isV4 ? 28 : 1232)
    let header = IPHeader(
      source: puppet.theirs.address, destination: puppet.ours.address,
      protocolNumber: isV4 ? IPProtocol.icmp : IPProtocol.icmpv6, payloadByteCount: body.count)
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = bytes.withUnsafeMutableBytes { (try? header.write(into: $0)) ?? 0 }
    puppet.deliver(withChecksums(Array(bytes.prefix(count)) + body))
  }

  private func opened(_ family: IPAddress.Family = .v4) throws -> (Puppet, Subflow) {
    let puppet = try Puppet(family: family)
    #expect(puppet.open(roundTrip: .milliseconds(20)))
    _ = puppet.take()
    return (puppet, try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first))
  }

  /// A path that a router has said to carry 1,300 octets, with everything acknowledged.
  private func narrowed(_ family: IPAddress.Family = .v4) throws -> (Puppet, Subflow) {
    let (puppet, subflow) = try opened(family)
    puppet.write(10_000)
    puppet.wait(.milliseconds(20))
    tooBig(puppet, mtu: 1300, about: try #require(puppet.takeData().first))
    puppet.wait(.milliseconds(20))
    _ = puppet.takeData()
    puppet.send()
    #expect(subflow.inFlightByteCount == 0)
    return (puppet, subflow)
  }

  private func flight(_ puppet: Puppet, _ count: Int) -> [SeenSegment] {
    puppet.write(count)
    puppet.wait(.milliseconds(19))
    return puppet.takeData()
  }

  // Requirement 8201-4-02, 8201-4-05
  @Test func aMessageThatNamesLessThanEveryLinkOfIPv6CarriesIsDropped() throws {
    let (puppet, subflow) = try opened(.v6)
    puppet.write(5000)
    let data = puppet.takeData()
    for mtu in [68, 1279] { tooBig(puppet, mtu: mtu, about: data[0]) }
    #expect(puppet.take().isEmpty && subflow.pathMTU == 1500)
    tooBig(puppet, mtu: 1280, about: data[0])
    #expect(subflow.pathMTU == 1280)
  }

  // Requirement 8201-4-06, 4821-7.3-01, 4821-7.1-01
  @Test(arguments: [IPAddress.Family.v4, .v6])
  func noLargerSizeIsTriedForTenMinutes(family: IPAddress.Family) throws {
    let (puppet, _) = try narrowed(family)
    for _ in 0..<9 {
      puppet.wait(.seconds(65))
      let sent = flight(puppet, 10_000)
      #expect(sent.count > 6 && sent.allSatisfy { $0.ip.totalByteCount <= 1300 })
      puppet.send()
    }
    puppet.wait(.seconds(20))
    #expect(flight(puppet, 10_000).contains { $0.ip.totalByteCount > 1300 })
  }

  // Requirement 8201-4-06
  @Test func theSizeThatAMessageAboutAProbeNamesIsTriedAtOnce() throws {
    let (puppet, _) = try narrowed()
    puppet.wait(.seconds(601))
    let probe = try #require(flight(puppet, 10_000).first { $0.ip.totalByteCount == 1500 })
    tooBig(puppet, mtu: 1400, about: probe)
    puppet.wait(.milliseconds(19))
    let next = puppet.take() + flight(puppet, 10_000)
    #expect(next.filter { $0.ip.totalByteCount > 1300 }.map(\.ip.totalByteCount) == [1400])
  }

  // Requirement 4821-7.1-02, 4821-7.6.1-01
  @Test func oneSegmentTriesTheLargerSizeAndTheOthersFollowWhenItHasArrived() throws {
    let (puppet, _) = try narrowed()
    puppet.wait(.seconds(601))
    let sent = flight(puppet, 10_000).map(\.ip.totalByteCount)
    #expect(sent.filter { $0 > 1300 } == [1500])
    puppet.send()
    #expect(flight(puppet, 10_000).contains { $0.ip.totalByteCount == 1500 })
    puppet.send()
    #expect(flight(puppet, 10_000).map(\.ip.totalByteCount).dropLast().allSatisfy { $0 == 1500 })
  }

  // Requirement 4821-7.4-02
  @Test func aLargerSizeIsTriedOnlyWithEnoughDataAndRoom() throws {
    let (puppet, subflow) = try narrowed()
    puppet.wait(.seconds(601))
    // Not as much data as the larger segment holds, although more than the usual one does.
    #expect(flight(puppet, 1459).map(\.ip.totalByteCount) == [1300, 1459 - 1260 + 40])
    puppet.send()
    // Nor as large a window.
    puppet.window = 1400
    puppet.send()
    #expect(flight(puppet, 10_000).allSatisfy { $0.ip.totalByteCount <= 1300 })
    #expect(subflow.mtuProbe?.range == nil)
  }

  /// Alone it was lost: that says something of its size and nothing of congestion, and it is not tried again soon.
  // Requirement 4821-7.6.2-02, 4821-7.3-02
  @Test func whatWasTriedInVainIsNotTriedAgainForTenMinutes() throws {
    let (puppet, subflow) = try narrowed()
    puppet.wait(.seconds(601))
    loseProbe(puppet, flight(puppet, 10_000))
    #expect(subflow.pathMTU == 1300)
    puppet.wait(.seconds(590))
    #expect(flight(puppet, 5_000).allSatisfy { $0.ip.totalByteCount <= 1300 })
    puppet.send()
    puppet.wait(.seconds(20))
    #expect(flight(puppet, 10_000).contains { $0.ip.totalByteCount == 1500 })
  }

  // Requirement 4821-7.6.2-01
  @Test func aProbeThatWasLostCostsTheWindowAsAnyLossDoes() throws {
    let (puppet, subflow) = try narrowed()
    puppet.wait(.seconds(601))
    let threshold = subflow.connection.congestion.windows[0].slowStartThresholdByteCount
    loseProbe(puppet, flight(puppet, 10_000))
    #expect(subflow.connection.congestion.windows[0].slowStartThresholdByteCount < threshold)
  }

  // Requirement 4821-7.6.4-01
  @Test func aProbeThatWasLostBesideOthersIsGivenUpTheSame() throws {
    let (puppet, subflow) = try narrowed()
    puppet.wait(.seconds(601))
    let sent = flight(puppet, 10_000)
    #expect(subflow.mtuProbe?.range != nil)
    loseProbe(puppet, sent, with: 1)
    #expect(subflow.mtuProbe?.range == nil && subflow.pathMTU == 1300)
    #expect(try #require(subflow.mtuProbe).notBefore > puppet.now + .seconds(590))
  }

  /// After a silence the larger size is tried with what is repeated, when the first of it has come through: it may as
  /// well have been a path that was dead for a while, and then all of it goes out at full size.
  // Requirement 4821-7.4-01, 4821-7.1-02
  @Test func behindASilenceTheLargerSizeIsTriedWhileLossesAreRepaired() throws {
    let (puppet, subflow) = try opened()
    puppet.write(14_600)
    puppet.wait(.milliseconds(19))
    let first = try #require(puppet.takeData().first)
    #expect(first.ip.totalByteCount == 1500)
    puppet.wait(.seconds(3))
    let small = try #require(puppet.take().last)
    #expect(small.tcp.sequenceNumber == first.tcp.sequenceNumber && small.ip.totalByteCount == 1280)
    puppet.expected = small.tcp.sequenceNumber + small.payload.count
    puppet.send()
    puppet.wait(.milliseconds(1))
    #expect(puppet.take().contains { $0.ip.totalByteCount == 1500 })
    #expect(subflow.lostByteCount > 0)
  }

  /// Of a flight all but the segment that is too large arrives; what is repeated of it arrives too.
  private func loseProbe(_ puppet: Puppet, _ sent: [SeenSegment], with others: Int = 0) {
    guard let index = sent.firstIndex(where: { $0.ip.totalByteCount > 1300 }), index + others + 1 < sent.count else {
      return
    }
    let probe = sent[index]
    let end = puppet.expected
    puppet.expected = probe.tcp.sequenceNumber
    var blocks = SACKBlocks()
    _ = blocks.append(SACKBlock(left: sent[index + others + 1].tcp.sequenceNumber, right: end))
    puppet.send(options: [.sack(blocks)])
    puppet.wait(.milliseconds(100))
    let again = puppet.take().filter { $0.tcp.sequenceNumber - probe.tcp.sequenceNumber < probe.payload.count }
    #expect(!again.isEmpty && again.allSatisfy { $0.ip.totalByteCount <= 1300 })
    puppet.expected = end
    puppet.send()
  }
}
