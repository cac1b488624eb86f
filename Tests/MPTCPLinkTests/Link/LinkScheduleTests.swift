import MPTCPWire
import Testing

@testable import MPTCPLink

@Suite struct LinkScheduleTests {
  @Test func nothingPassesWhileTheLinkIsDown() {
    let schedule = [LinkEvent(after: .milliseconds(20), .up), LinkEvent(after: .milliseconds(10), .down)]
    var link = Link(LinkConfiguration(schedule: schedule), at: milliseconds(100))
    for number in 0..<30 { link.send(numbered(number), at: milliseconds(100 + Int64(number))) }
    #expect(link.drain().map(\.number) == Array(0..<10) + Array(20..<30))
    #expect(link.counters.dropped(.linkDown).packetCount == 10)
  }

  @Test func aScheduleCanBeginLaterThanItsLink() {
    let schedule = [
      LinkEvent(after: .milliseconds(10), .delay(.milliseconds(5))), LinkEvent(after: .milliseconds(20), .down),
    ]
    var link = Link(LinkConfiguration(schedule: schedule), at: .zero, isScheduled: false)
    link.send(numbered(0), at: milliseconds(500))
    link.beginSchedule(at: milliseconds(1000))
    for number in 1...3 { link.send(numbered(number), at: milliseconds(995 + 10 * Int64(number))) }
    let expected: [[Int64]] = [[0, 500], [1, 1005], [2, 1020]]
    #expect(link.drain().map { [Int64($0.number), $0.arrival.nanoseconds / 1_000_000] } == expected)
    #expect(link.counters.dropped(.linkDown).packetCount == 1)
  }

  @Test func goingDownLosesWhatHasNotArrived() {
    var link = Link(LinkConfiguration(bitsPerSecond: 12_000_000, delay: .milliseconds(2)), at: .zero)
    for number in 0..<8 { link.send(numbered(number), at: .zero) }
    // At 4 ms packets 0 and 1 have arrived, 2 and 3 are in the air, 4 is on the line and 5 to 7 wait.
    link.set(isUp: false, at: milliseconds(4))
    #expect(!link.isUp)
    #expect(link.packetCount == 2)
    #expect(link.counters.dropped(.linkDown).packetCount == 6)
    #expect(link.receiveAll(at: milliseconds(9)).map(\.number) == [0, 1])
  }

  @Test func theLineIsIdleWhenItComesBack() {
    var link = Link(LinkConfiguration(bitsPerSecond: 12_000_000), at: .zero)
    for number in 0..<100 { link.send(numbered(number), at: .zero) }
    link.set(isUp: false, at: milliseconds(1))
    link.set(isUp: true, at: milliseconds(2))
    link.send(numbered(200), at: milliseconds(2))
    #expect(link.drain().map { [Int64($0.number), $0.arrival.nanoseconds] } == [[0, 1_000_000], [200, 3_000_000]])
  }

  @Test func whatWasLostHoldsNothingBack() {
    var arrivals: [Instant] = []
    for seed in 0..<20 {
      var link = Link(LinkConfiguration(jitter: .milliseconds(100), seed: UInt64(seed)), at: .zero)
      // The last of these would arrive near 100 ms, but the cut takes them.
      for number in 0..<50 { link.send(numbered(number), at: .zero) }
      link.set(isUp: false, at: .zero)
      link.set(isUp: true, at: milliseconds(1))
      link.send(numbered(50), at: milliseconds(1))
      arrivals += link.drain().filter { $0.number == 50 }.map(\.arrival)
    }
    #expect(arrivals.count == 20)
    #expect(arrivals.filter { $0 < milliseconds(50) }.count > 3)
  }

  @Test func aHostThatAsksLateGetsWhatArrivedBeforeTheLinkWentDown() {
    let schedule = [LinkEvent(after: .milliseconds(3), .down)]
    let configuration = LinkConfiguration(
      bitsPerSecond: 12_000_000, reorderRate: .percent(50), reorderDelay: .microseconds(1), schedule: schedule, seed: 1)
    var link = Link(configuration, at: .zero)
    for number in 0..<8 { link.send(numbered(number), at: .zero) }
    let packets = link.receiveAll(at: milliseconds(50))
    #expect(packets.allSatisfy { $0.arrival <= milliseconds(3) })
    #expect((2...3).contains(packets.count))
    #expect(packets.count + link.counters.dropped(.linkDown).packetCount == 8)
  }

  @Test func eventsAtTheSameTimeHappenInTheOrderGiven() {
    let span = Nanoseconds.milliseconds(1)
    var link = Link(
      LinkConfiguration(schedule: [LinkEvent(after: span, .down), LinkEvent(after: span, .up)]), at: .zero)
    _ = link.receive(at: milliseconds(1))
    #expect(link.isUp)
    link = Link(LinkConfiguration(schedule: [LinkEvent(after: span, .up), LinkEvent(after: span, .down)]), at: .zero)
    _ = link.receive(at: milliseconds(1))
    #expect(!link.isUp)
  }

  @Test func aPacketTakesNoLessThanItWaitsAndTravels() {
    for text in ["reorder=50%:1ms", "jitter=3ms", "jitter=3ms:reorder,reorder=10%:20ms", "reorder=20%:9ms,jitter=1ms"] {
      let configuration = LinkConfiguration(
        "10mbit,50ms,change=10ms delay 5ms,down=20ms,up=21ms,change=30ms delay 20ms,change=60ms delay 0,\(text)")
      guard let configuration else {
        Issue.record("\(text)")
        continue
      }
      var link = Link(configuration, at: .zero)
      var packets: [LinkPacket] = []
      for number in 0..<100 {
        packets += link.receiveAll(at: milliseconds(Int64(number)))
        link.send(numbered(number, byteCount: 1000), at: milliseconds(Int64(number)))
      }
      packets += link.drain()
      // 1,000 bytes are 0.8 ms on the line, which is idle when each comes.
      for packet in packets {
        let rest = packet.arrival - packet.sent - packet.travelTime
        #expect(rest >= .microseconds(800) && rest <= .milliseconds(24), "\(text): \(rest)")
      }
    }
  }

  @Test func aPacketBehindALongerWayOfOthersTravelsForLonger() throws {
    var link = Link(try #require(LinkConfiguration("50ms,change=10ms delay 5ms,change=30ms delay 20ms")), at: .zero)
    for time: Int64 in [0, 9, 10, 20, 54, 60] { link.send(numbered(Int(time)), at: milliseconds(time)) }
    let packets = link.drain()
    #expect(packets.map(\.arrival) == [50, 59, 59, 59, 74, 80].map { milliseconds($0) })
    for packet in packets { #expect(packet.arrival - packet.sent == packet.travelTime) }
  }
}
