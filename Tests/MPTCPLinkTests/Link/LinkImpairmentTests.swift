import MPTCPWire
import Testing

@testable import MPTCPLink

/// Loss in bursts, damage and changes at set times.
@Suite struct LinkImpairmentTests {
  @Test func burstsAreAsLongAndAsFrequentAsConfigured() {
    var link = Link(
      LinkConfiguration(seed: 21, burstLoss: BurstLoss(enters: .percent(1), leaves: .percent(25))), at: .zero)
    for number in 0..<200_000 { link.send(numbered(number, byteCount: 40), at: .zero) }
    let arrived = Set(link.drain().map(\.number))
    let lostCount = 200_000 - arrived.count
    let burstCount = (0..<200_000).filter { !arrived.contains($0) && arrived.contains($0 - 1) }.count
    // In a burst for 0.01 / 0.26 of all packets, 7,692, in bursts of 4, 1,923. Neighbours share
    // a state, so that five deviations are about 1,100, and 220.
    #expect(abs(lostCount - 7692) < 1100)
    #expect(abs(burstCount - 1923) < 220)
    #expect(link.counters.dropped(.burstLoss).packetCount == lostCount)
  }

  @Test func lossInsideAndOutsideOfBurstsIsDrawnForEachPacket() {
    let loss = BurstLoss(enters: .always, leaves: .never, lossInside: .percent(50), lossOutside: .never)
    var link = Link(LinkConfiguration(seed: 22, burstLoss: loss), at: .zero)
    for number in 0..<10_000 { link.send(numbered(number, byteCount: 40), at: .zero) }
    #expect(abs(link.drain().count - 5000) < 250)
  }

  @Test func aDamagedPacketDiffersInOneOctet() {
    var link = Link(LinkConfiguration(duplicationRate: .percent(5), seed: 23, corruptionRate: .percent(3)), at: .zero)
    let packet = numbered(7, byteCount: 400)
    for _ in 0..<20_000 { link.send(packet, at: .zero) }
    let packets = link.drain()
    let damaged = packets.filter { $0.bytes != packet }
    // 600 of 20,000, five deviations are 121; a copy has the damage of what it is a copy of.
    #expect(abs(link.counters.corrupted.packetCount - 600) < 121)
    #expect(damaged.count >= link.counters.corrupted.packetCount)
    #expect(damaged.allSatisfy { zip($0.bytes, packet).filter { $0 != $1 }.count == 1 && $0.bytes.count == 400 })
  }

  @Test func anEmptyPacketHasNothingToDamage() {
    var link = Link(LinkConfiguration(corruptionRate: .always), at: .zero)
    link.send([], at: .zero)
    #expect(link.drain().map(\.bytes) == [[]])
  }

  @Test func theRateChangesForWhatComesAfterThePacketOnTheLine() {
    // 1 ms a packet, 2 ms from 2.5 ms on, no time at all from 6 ms on.
    var link = Link(
      LinkConfiguration(
        bitsPerSecond: 12_000_000,
        schedule: [
          LinkEvent(after: .microseconds(2500), .rate(6_000_000)), LinkEvent(after: .milliseconds(6), .rate(nil)),
        ]), at: .zero)
    for number in 0..<7 { link.send(numbered(number), at: .zero) }
    let expected: [Int64] = [1, 2, 3, 5, 7, 7, 7]
    #expect(link.drain().map(\.arrival) == expected.map { milliseconds($0) })
  }

  @Test func aShorterDelayLetsNoPacketOvertake() {
    var link = Link(
      LinkConfiguration(
        delay: .milliseconds(20),
        schedule: [
          LinkEvent(after: .milliseconds(5), .delay(.milliseconds(1))),
          LinkEvent(after: .milliseconds(30), .delay(.milliseconds(8))),
        ]), at: .zero)
    for (number, time) in [0, 10, 25, 40].enumerated() { link.send(numbered(number), at: milliseconds(Int64(time))) }
    let packets = link.drain()
    #expect(packets.map(\.number) == [0, 1, 2, 3])
    #expect(packets.map(\.arrival) == [20, 20, 26, 48].map { milliseconds($0) })
  }

  @Test func lossBeginsAndEndsAtItsTimes() {
    var link = Link(
      LinkConfiguration(
        schedule: [
          LinkEvent(after: .milliseconds(10), .loss(.always)), LinkEvent(after: .milliseconds(20), .loss(.never)),
        ]), at: .zero)
    for time in 0..<30 { link.send(numbered(time), at: milliseconds(Int64(time))) }
    #expect(link.drain().map(\.number) == Array(0..<10) + Array(20..<30))
    #expect(link.counters.dropped(.randomLoss).packetCount == 10)
  }

  @Test func longPacketsAreDroppedWhileTheLineCarriesNone() {
    var link = Link(
      LinkConfiguration(
        maximumTransmissionUnit: 1400,
        schedule: [
          LinkEvent(after: .milliseconds(10), .maximumTransmissionUnit(1000)),
          LinkEvent(after: .milliseconds(20), .maximumTransmissionUnit(nil)),
        ]), at: .zero)
    for time in [5, 15, 25] as [Int64] {
      for byteCount in [1000, 1001, 1400, 1401] {
        link.send([UInt8](repeating: 0, count: byteCount), at: milliseconds(time))
      }
    }
    #expect(link.drain().map(\.bytes.count) == [1000, 1001, 1400, 1000, 1000, 1001, 1400, 1401])
    #expect(link.counters.dropped(.tooLarge).packetCount == 4)
  }

  @Test func aSuperSegmentIsCutWhereItsPacketsMayMeetWithDifferentThings() {
    let configurations = [
      LinkConfiguration(burstLoss: BurstLoss(enters: .percent(1), leaves: .percent(50))),
      LinkConfiguration(corruptionRate: .percent(1)),
      LinkConfiguration(schedule: [LinkEvent(after: .seconds(1), .loss(.percent(1)))]),
      LinkConfiguration(schedule: [LinkEvent(after: .seconds(1), .maximumTransmissionUnit(1280))]),
    ]
    for configuration in configurations {
      var link = Link(configuration, at: .zero)
      let isTaken = link.send(
        PacketRun(1, headerByteCount: 40, payloadByteCount: 3000, segmentByteCount: 1000), at: .zero)
      #expect(!isTaken)
    }
  }
}
