import MPTCPWire
import Testing

@testable import MPTCPLink

@Suite struct LinkTimingTests {
  @Test func fifteenHundredBytesTakeOneMillisecondAtTwelveMegabits() {
    var link = Link(LinkConfiguration(bitsPerSecond: 12_000_000), at: .zero)
    link.send(numbered(1), at: .zero)
    #expect(link.receive(at: Instant(nanoseconds: 999_999)) == nil)
    #expect(link.nextDeadline == milliseconds(1))
    #expect(link.receive(at: milliseconds(1))?.number == 1)
    #expect(link.nextDeadline == nil)
  }

  @Test func waitingPacketsLeaveOneAfterTheOther() {
    var link = Link(LinkConfiguration(bitsPerSecond: 12_000_000, delay: .milliseconds(20)), at: .zero)
    for number in 0..<5 { link.send(numbered(number), at: milliseconds(3)) }
    #expect(link.drain().map(\.arrival) == (0..<5).map { milliseconds(3 + 1 + 20 + $0) })
  }

  @Test func anIdleLineStartsAtOnce() {
    var link = Link(LinkConfiguration(bitsPerSecond: 12_000_000), at: .zero)
    link.send(numbered(1), at: milliseconds(1))
    link.send(numbered(2, byteCount: 750), at: Instant(nanoseconds: 2_000_001))
    #expect(link.drain().map(\.arrival.nanoseconds) == [2_000_000, 2_500_001])
  }

  @Test func fractionsOfANanosecondAddUp() {
    // 1000 bytes at 7 Gbit/s take 1142 and 6/7 ns.
    var link = Link(LinkConfiguration(bitsPerSecond: 7_000_000_000), at: .zero)
    for number in 0..<7000 { link.send(numbered(number, byteCount: 1000), at: .zero) }
    let arrivals = link.drain().map(\.arrival.nanoseconds)
    #expect(arrivals.prefix(3) == [1143, 2286, 3429])
    #expect(arrivals.last == 8_000_000)
  }

  @Test func aPacketThatFindsTheLineIdleStartsAtAWholeNanosecond() {
    var link = Link(LinkConfiguration(bitsPerSecond: 7_000_000_000, queuePacketCount: 0), at: .zero)
    for number in 0..<20 {
      link.send(numbered(number, byteCount: 1000), at: Instant(nanoseconds: Int64(number) * 1143))
    }
    #expect(link.drain().map(\.arrival.nanoseconds) == (1...20).map { $0 * 1143 })
  }

  @Test func aLineWithoutARateAddsOnlyItsDelay() {
    var link = Link(LinkConfiguration(delay: .microseconds(250)), at: .zero)
    for number in 0..<3 { link.send(numbered(number), at: milliseconds(7)) }
    let packets = link.drain()
    #expect(packets.map(\.number) == [0, 1, 2])
    #expect(packets.allSatisfy { $0.sent == milliseconds(7) && $0.arrival == Instant(nanoseconds: 7_250_000) })
  }

  @Test func aPacketArrivesAtItsTimeHoweverLateTheHostAsks() {
    var link = Link(LinkConfiguration(bitsPerSecond: 12_000_000, delay: .milliseconds(5)), at: .zero)
    for number in 0..<4 { link.send(numbered(number), at: .zero) }
    let packets = link.receiveAll(at: milliseconds(1000))
    #expect(packets.map(\.arrival) == [6, 7, 8, 9].map(milliseconds))
  }

  @Test func timeThatGoesBackCountsAsTheLatestTime() {
    var link = Link(LinkConfiguration(delay: .milliseconds(1)), at: .zero)
    #expect(link.receive(at: milliseconds(10)) == nil)
    link.send(numbered(1), at: milliseconds(4))
    #expect(link.nextDeadline == milliseconds(11))
  }

  @Test func jitterStaysInItsBoundsAndKeepsTheOrder() {
    var link = Link(LinkConfiguration(delay: .milliseconds(10), jitter: .milliseconds(4), seed: 3), at: .zero)
    for number in 0..<10_000 {
      link.send(numbered(number, byteCount: 40), at: Instant(nanoseconds: Int64(number) * 100_000))
    }
    let packets = link.drain()
    #expect(packets.map(\.number) == Array(0..<10_000))
    let delays = packets.map { ($0.arrival - $0.sent).count }
    #expect(delays.allSatisfy { (10_000_000...14_000_000).contains($0) })
    #expect(Set(delays).count > 1000)
  }

  @Test func jitterReordersWhenAsked() {
    let configuration = LinkConfiguration(
      delay: .milliseconds(10), jitter: .milliseconds(4), jitterReorders: true, seed: 3)
    var link = Link(configuration, at: .zero)
    for number in 0..<10_000 {
      link.send(numbered(number, byteCount: 40), at: Instant(nanoseconds: Int64(number) * 100_000))
    }
    let packets = link.drain()
    #expect(packets.count == 10_000)
    #expect(packets.map(\.number) != Array(0..<10_000))
    #expect(zip(packets, packets.dropFirst()).allSatisfy { $0.arrival <= $1.arrival })
    let mean = packets.map { ($0.arrival - $0.sent).milliseconds }.reduce(0, +) / 10_000
    #expect(abs(mean - 12) < 0.05)
  }

  @Test func hugeNumbersSaturateInsteadOfTrapping() {
    var link = Link(LinkConfiguration(bitsPerSecond: 0, delay: .max, jitter: .max), at: .distantFuture)
    for number in 0..<3 { link.send(numbered(number, byteCount: 100_000), at: .distantFuture) }
    #expect(link.nextDeadline == .distantFuture)
    #expect(link.drain().count == 3)
  }
}
