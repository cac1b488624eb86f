import MPTCPWire
import Testing

@testable import MPTCPLink

@Suite struct LinkFaultTests {
  /// What comes out when `count` packets of 40 bytes go in, one every microsecond.
  private func run(_ configuration: LinkConfiguration, count: Int = 100_000) -> (Link, [LinkPacket]) {
    var link = Link(configuration, at: .zero)
    var packets: [LinkPacket] = []
    for number in 0..<count {
      let time = Instant(nanoseconds: Int64(number) * 1000)
      link.send(numbered(number, byteCount: 40), at: time)
      packets += link.receiveAll(at: time)
    }
    packets += link.drain()
    return (link, packets)
  }

  // A count of n draws with probability p strays from n·p by more than five standard deviations once in two million.
  private func isLikely(_ count: Int, _ share: Double, of total: Int = 100_000) -> Bool {
    abs(Double(count) - share * Double(total)) < 5 * (share * (1 - share) * Double(total)).squareRoot()
  }

  @Test(arguments: [0.0001, 0.01, 0.05, 0.5]) func theShareOfLostPacketsIsAsConfigured(share: Double) {
    let (link, packets) = run(LinkConfiguration(lossRate: Probability(share), seed: 11))
    #expect(isLikely(link.counters.dropped(.randomLoss).packetCount, share))
    #expect(packets.count + link.counters.dropped(.randomLoss).packetCount == 100_000)
  }

  @Test func lossesAreIndependentOfEachOther() {
    let (_, packets) = run(LinkConfiguration(lossRate: .percent(10), seed: 12))
    let lost = Set(0..<100_000).subtracting(packets.map(\.number))
    #expect(isLikely(lost.filter { lost.contains($0 + 1) }.count, 0.01))
  }

  @Test func neverIsNeverAndAlwaysIsAlways() {
    #expect(run(LinkConfiguration(lossRate: .never)).1.count == 100_000)
    #expect(run(LinkConfiguration(lossRate: .always)).1.isEmpty)
    #expect(run(LinkConfiguration(duplicationRate: .always)).1.count == 200_000)
  }

  @Test func aLostPacketTakesItsTimeOnTheLine() {
    var link = Link(LinkConfiguration(bitsPerSecond: 12_000_000, queuePacketCount: 1, lossRate: .always), at: .zero)
    for number in 0..<3 { link.send(numbered(number), at: .zero) }
    #expect(link.counters.dropped(.queueFull).packetCount == 1)
    #expect(link.drain().isEmpty)
    #expect(link.counters.dropped(.randomLoss).packetCount == 2)
    #expect(link.nextDeadline == nil)
  }

  @Test func theShareOfDoubledPacketsIsAsConfigured() {
    let (link, packets) = run(LinkConfiguration(duplicationRate: .percent(2), seed: 13))
    #expect(isLikely(link.counters.duplicated.packetCount, 0.02))
    #expect(packets.count == 100_000 + link.counters.duplicated.packetCount)
    #expect(zip(packets, packets.dropFirst()).allSatisfy { $0.number <= $1.number })
  }

  @Test func heldBackPacketsComeLaterByTheirTimeAndOthersStayInOrder() {
    let configuration = LinkConfiguration(
      delay: .microseconds(100), reorderRate: .percent(1), reorderDelay: .microseconds(50), seed: 14)
    let (link, packets) = run(configuration)
    let held = packets.filter { $0.arrival - $0.sent == .microseconds(150) }
    let others = packets.filter { $0.arrival - $0.sent == .microseconds(100) }
    #expect(isLikely(held.count, 0.01))
    #expect(held.count == link.counters.heldBack.packetCount)
    #expect(held.count + others.count == 100_000)
    #expect(zip(others, others.dropFirst()).allSatisfy { $0.number < $1.number })
    let places = packets.enumerated().filter { $0.element.arrival - $0.element.sent == .microseconds(150) }
    #expect(places.allSatisfy { $0.offset > $0.element.number })
  }

  private let everything = LinkConfiguration(
    bitsPerSecond: 300_000_000, delay: .microseconds(700), jitter: .microseconds(90), queueByteCount: 3000,
    lossRate: .percent(3), duplicationRate: .percent(2), reorderRate: .percent(1), reorderDelay: .milliseconds(1),
    schedule: [
      LinkEvent(after: .milliseconds(20), .down), LinkEvent(after: .milliseconds(30), .up),
    ], seed: 99)

  @Test func theSameSeedGivesTheSameTrace() {
    let first = run(everything)
    let second = run(everything)
    #expect(first.1 == second.1)
    #expect(first.0.counters == second.0.counters)
    var other = everything
    other.seed = 100
    #expect(run(other).1 != first.1)
  }

  @Test func oneFaultsDrawsDoNotMoveAnothers() {
    var configuration = LinkConfiguration(lossRate: .percent(5), seed: 5)
    let plain = Set(run(configuration).1.map(\.number))
    configuration.duplicationRate = .percent(10)
    configuration.reorderRate = .percent(10)
    configuration.reorderDelay = .microseconds(7)
    configuration.jitter = .microseconds(3)
    #expect(Set(run(configuration).1.map(\.number)) == plain)
  }

  @Test func theTraceDoesNotDependOnWhenTheHostAsks() {
    let (eager, eagerPackets) = run(everything)
    var link = Link(everything, at: .zero)
    for number in 0..<100_000 {
      link.send(numbered(number, byteCount: 40), at: Instant(nanoseconds: Int64(number) * 1000))
    }
    #expect(link.drain() == eagerPackets)
    #expect(link.counters == eager.counters)
  }

  @Test(arguments: [false, true]) func everyPacketComesOutAtADeadlineOfTheLink(jitterReorders: Bool) {
    var configuration = everything
    configuration.jitterReorders = jitterReorders
    var link = Link(configuration, at: .zero)
    var next = 0
    var packetCount = 0
    // A host that sends every microsecond and otherwise sleeps until the deadline.
    while true {
      let sending = next < 50_000 ? Instant(nanoseconds: Int64(next) * 1000) : Instant.distantFuture
      guard let time = link.nextDeadline.map({ min($0, sending) }) ?? (next < 50_000 ? sending : nil) else { break }
      for packet in link.receiveAll(at: time) {
        packetCount += 1
        if packet.arrival != time {
          Issue.record("packet \(packet.number) arrived at \(packet.arrival), the host learned it at \(time)")
          return
        }
      }
      if let deadline = link.nextDeadline, deadline <= time {
        Issue.record("at \(time) the deadline \(deadline) has passed")
        return
      }
      if time == sending {
        link.send(numbered(next, byteCount: 40), at: time)
        next += 1
      }
    }
    #expect(packetCount == link.counters.delivered.packetCount)
    #expect(packetCount > 30_000)
  }

  @Test func everyPacketIsAccountedFor() {
    for seed in 0..<50 {
      var generator = SeededGenerator(seed: UInt64(seed))
      var configuration = everything
      configuration.seed = UInt64(seed)
      configuration.jitterReorders = seed % 2 == 0
      configuration.schedule = (0..<seed % 7).map { _ in
        LinkEvent(
          after: .microseconds(Int64.random(in: 0...2000, using: &generator)),
          Bool.random(using: &generator) ? .down : .up)
      }
      var link = Link(configuration, at: .zero)
      var time: Int64 = 0
      var isExact = true
      for number in 0..<2000 {
        time += Int64.random(in: 0...2000, using: &generator)
        link.send(
          numbered(number, byteCount: .random(in: 40...1500, using: &generator)), at: Instant(nanoseconds: time))
        if Bool.random(using: &generator) { _ = link.receive(at: Instant(nanoseconds: time)) }
        let counters = link.counters
        let known = counters.delivered.packetCount + counters.dropped.packetCount + link.packetCount
        isExact = isExact && counters.sent.packetCount + counters.duplicated.packetCount == known
      }
      _ = link.drain()
      let counters = link.counters
      #expect(isExact)
      #expect(link.packetCount == 0)
      #expect(
        counters.sent.byteCount + counters.duplicated.byteCount == counters.delivered.byteCount
          + counters.dropped.byteCount)
    }
  }
}
