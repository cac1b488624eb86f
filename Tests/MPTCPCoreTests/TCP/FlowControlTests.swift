import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Windows and small segments: RFC 9293 §3.8.6 and §3.7.4.
@Suite struct FlowControlTests {
  private func opened(options: ConnectionOptions = Puppet.plain, _ change: (Puppet) -> Void = { _ in }) throws -> Puppet
  {
    let puppet = try Puppet(options: options)
    change(puppet)
    #expect(puppet.open())
    _ = puppet.take()
    return puppet
  }

  // Requirement 9293-3.8.6.1-01, 9293-3.8.6.1-02, 9293-3.8.6.1-04
  @Test func aZeroWindowIsProbedUntilItOpens() throws {
    let puppet = try opened { $0.window = 0 }
    puppet.write(5000)
    #expect(puppet.takeData().isEmpty)
    var probes = 0
    for _ in 0..<300 {
      puppet.wait(.milliseconds(100))
      for segment in puppet.take() {
        probes += 1
        #expect(segment.payload.count <= 1)
        puppet.send(window: 0)
      }
    }
    // 30 seconds with back-off from 200 ms or so.
    #expect((4...20).contains(probes), "\(probes)")
    #expect(puppet.closed == nil)
    puppet.send(window: 65_535)
    #expect(puppet.takeData().reduce(0) { $0 + $1.payload.count } == 5000)
  }

  // Requirement 9293-3.8.6.1-01, 9293-3.8.6.1-05
  @Test func aLostWindowUpdateIsMadeUpFor() throws {
    // Data for an application that reads late; the update that follows is lost.
    var options = ConnectionOptions()
    options.receiveBufferByteCount = 20_000
    for multipath in [MultipathMode.disabled, .enabled] {
      options.multipath = multipath
      let pair = Pair([LinkConfiguration(delay: .milliseconds(10))])
      let exchange = try Exchange(pair, clientSends: 100_000, serverSends: 0, options: options)
      exchange.readLimit = 0
      pair.run(for: .seconds(2))
      #expect(exchange.sent[0] > 20_000)
      exchange.readLimit = 30_000
      var lost = 0
      pair.onPacket = { side, _, bytes in
        if side == 1, lost < 3 {
          lost += 1
          return nil
        }
        return bytes
      }
      pair.drain()
      #expect(pair.run(for: .seconds(120)) { exchange.isDone })
      #expect(exchange.mismatch == nil)
      #expect(exchange.received[1] == 100_000)
    }
  }

  // Requirement 9293-3.8.6.2-02
  @Test func aWindowIsNotOpenedByCrumbs() throws {
    var options = Puppet.plain
    options.receiveBufferByteCount = 16_000
    let puppet = try opened(options: options)
    let id = try #require(puppet.id)
    var sent = 0
    for _ in 0..<11 {
      puppet.sendNext([UInt8](repeating: 1, count: 1460))
      sent += 1460
    }
    let edge = try #require(puppet.take().last)
    let before = edge.tcp.acknowledgmentNumber + Int(edge.tcp.window)
    // Ten bytes read are no reason to write.
    _ = try puppet.endpoint.read(from: id, upTo: 10, at: puppet.now)
    puppet.drain()
    #expect(puppet.take().isEmpty)
    _ = puppet.read()
    let update = try #require(puppet.take().last)
    #expect(update.tcp.acknowledgmentNumber + Int(update.tcp.window) - before >= 2 * 1460)
  }

  // Requirement 7323-2-06
  @Test func whatAnEarlierWindowHeldIsTakenThoughRoundingHasMovedTheEdgeBack() throws {
    var options = Puppet.plain
    options.receiveBufferByteCount = 1 << 20
    let puppet = try opened(options: options) { $0.windowScale = 4 }
    /// From what is acknowledged to the right edge; the shift is that of a 1 MiB buffer.
    func window() throws -> Int {
      puppet.wait(.milliseconds(100))
      let last = try #require(puppet.take().last)
      #expect(last.tcp.acknowledgmentNumber == puppet.sequence)
      return Int(last.tcp.window) << 5
    }
    puppet.sendNext([UInt8](repeating: 1, count: 32))
    var left = try window()
    let edge = puppet.sequence + left
    // Up to twenty octets before the edge: they are less than the field can say.
    while left > 20 {
      puppet.sendNext([UInt8](repeating: 1, count: min(left - 20, 1024)))
      left -= min(left - 20, 1024)
    }
    #expect(try window() == 0)
    puppet.sendNext([UInt8](repeating: 2, count: 20))
    #expect(try window() == 0)
    #expect(puppet.sequence == edge)
    // And no octet more.
    puppet.send(payload: [3])
    #expect(try window() == 0)
    let read = puppet.read()
    #expect(read.count > 200_000 && read.last == 2)
  }

  // Requirement 9293-3.8.6-01
  // Requirement 7323-2-05
  @Test func theWindowNeverMovesBack() throws {
    var options = Puppet.plain
    options.receiveBufferByteCount = 1 << 20
    let puppet = try opened(options: options) { $0.windowScale = 4 }
    var edge: SequenceNumber?
    var random = SeededGenerator(seed: 4)
    var most = 0
    for _ in 0..<600 {
      let count = random.pick(1...900)
      puppet.sendNext([UInt8](repeating: 1, count: count))
      most += count
      for segment in puppet.take() {
        // The shift is that of a 1 MiB buffer.
        let next = segment.tcp.acknowledgmentNumber + Int(segment.tcp.window) << 5
        if let edge { #expect(next - edge > -32) }
        edge = max(edge ?? next, next)
      }
    }
    // Nobody reads, so no more than the first window ever fits: rounding does not let it creep.
    #expect(try #require(edge) - puppet.sequence + most <= 262_144 + 1024)
  }

  // Requirement 9293-3.7.4-01
  @Test func aSmallSegmentWaitsForTheAcknowledgementOfTheOneBeforeIt() throws {
    var options = Puppet.plain
    options.noDelay = false
    let puppet = try opened(options: options)
    puppet.write(10)
    puppet.write(10)
    puppet.write(10)
    #expect(puppet.takeData().map(\.payload.count) == [10])
    puppet.send()
    #expect(puppet.takeData().map(\.payload.count) == [20])
    // A full segment never waits.
    puppet.write(1460)
    #expect(puppet.takeData().map(\.payload.count) == [1460])
  }

  // Requirement 9293-3.7.4-02
  @Test func withNoDelaySmallSegmentsLeaveAtOnce() throws {
    let puppet = try opened()
    puppet.write(10)
    puppet.write(10)
    #expect(puppet.takeData().map(\.payload.count) == [10, 10])
  }

  // Requirement 9293-3.8.6.3-01, 9293-3.8.6.3-02, 9293-3.8.6.3-03, 9293-3.10.7-08
  @Test func everySecondFullSegmentIsAcknowledgedAndASingleOneAfterADelay() throws {
    let puppet = try opened()
    let full = [UInt8](repeating: 1, count: 1460)
    // The first ones are acknowledged at once, to open the peer's window.
    for _ in 0..<20 { puppet.sendNext(full, [.ack]) }
    puppet.wait(.seconds(1))
    _ = puppet.read()
    _ = puppet.take()
    puppet.sendNext(full, [.ack])
    #expect(puppet.take().isEmpty)
    puppet.sendNext(full, [.ack])
    #expect(puppet.take().count == 1)
    puppet.sendNext(full, [.ack])
    puppet.wait(.milliseconds(39))
    #expect(puppet.take().isEmpty)
    puppet.wait(.milliseconds(2))
    #expect(puppet.take().map(\.tcp.acknowledgmentNumber) == [puppet.sequence])
  }

  // Requirement 9293-3.8.6.3-02
  @Test func noAcknowledgementIsDelayedByMoreThanHalfASecond() throws {
    var configuration = EndpointConfiguration()
    configuration.acknowledgmentDelay = .seconds(5)
    let puppet = try Puppet(configuration: configuration, options: Puppet.plain)
    #expect(puppet.open())
    for _ in 0..<20 { puppet.sendNext([1], [.ack]) }
    puppet.wait(.seconds(10))
    _ = puppet.read()
    _ = puppet.take()
    puppet.sendNext([1], [.ack])
    puppet.wait(.milliseconds(499))
    #expect(puppet.take().isEmpty)
    puppet.wait(.milliseconds(2))
    #expect(puppet.take().count == 1)
  }

  /// With and without a hole, repeated, and with what the application reads or writes in between.
  // Requirement 5681-4.2-05
  @Test func aSegmentIsAcknowledgedOnceAtMost() throws {
    let puppet = try opened()
    var count = 0
    func arrive(_ offset: Int, _ flags: TCPFlags = .ack) {
      puppet.send(flags, offset: offset, payload: [UInt8](repeating: 1, count: 1000))
      puppet.wait(.seconds(1))
      count += 1
      let answers = puppet.take()
      #expect(answers.count == 1, "\(answers.map(\.flags))")
    }
    for offset in [0, 1000, 3000, 3000, 5000, 2000, 4000, 0] { arrive(offset) }
    arrive(6000, [.ack, .psh])
    arrive(8000, [.ack, .fin])
    #expect(count == 10)
  }

  /// A full segment with a mapping holds less than one without, and is as full.
  // Requirement 9293-3.8.6.3-01, 5681-4.2-01
  @Test func everySecondSegmentIsAcknowledgedWhereSomeHoldLessForTheirOptions() throws {
    let puppet = try opened()
    let full = [UInt8](repeating: 1, count: 1460)
    let mapped = [UInt8](repeating: 1, count: 1460 - 28)
    for _ in 0..<20 { puppet.sendNext(full, [.ack]) }
    puppet.wait(.seconds(1))
    _ = puppet.read()
    _ = puppet.take()
    for (first, second) in [(mapped, full), (full, mapped), (mapped, mapped)] {
      puppet.sendNext(first, [.ack])
      #expect(puppet.take().isEmpty)
      puppet.sendNext(second, [.ack])
      #expect(puppet.take().map(\.tcp.acknowledgmentNumber) == [puppet.sequence])
    }
  }

  @Test func aDatagramPutTogetherFromFragmentsDoesNotMakeAcknowledgmentsRare() throws {
    let puppet = try opened()
    let full = [UInt8](repeating: 1, count: 1460)
    for _ in 0..<20 { puppet.sendNext(full, [.ack]) }
    puppet.sendNext([UInt8](repeating: 1, count: 20_000), [.ack])
    puppet.wait(.seconds(1))
    _ = puppet.read()
    _ = puppet.take()
    for _ in 0..<4 { puppet.sendNext(full, [.ack]) }
    #expect(puppet.take().count == 2)
  }

  // Requirement 9293-3.8.6.2-01
  @Test func aSenderWaitsForAWorthwhileWindow() throws {
    let puppet = try opened { $0.window = 4000 }
    puppet.write(20_000)
    let first = puppet.takeData().reduce(0) { $0 + $1.payload.count }
    #expect(first <= 4000)
    // 100 bytes more room: not worth a segment while something is in flight (RFC 9293 §3.8.6.2.1).
    puppet.send(acknowledging: -1000, window: 1100)
    #expect(puppet.takeData().isEmpty)
    puppet.send(window: 4000)
    #expect(puppet.takeData().contains { $0.payload.count == 1460 })
  }

  /// Without PSH, with Nagle's algorithm, with a window of crumbs: it leaves at the latest when nothing is in flight,
  /// and what came is there to be read.
  // Requirement 9293-3.9.1-04
  @Test func nothingIsKeptBackForGood() throws {
    var options = Puppet.plain
    options.noDelay = false
    let puppet = try Puppet(options: options)
    #expect(puppet.open())
    _ = puppet.take()
    puppet.write(1000)
    puppet.write(10)
    #expect(puppet.takeData().map(\.payload.count) == [1000])
    puppet.send()
    #expect(puppet.takeData().map(\.payload.count) == [10])
    puppet.send(window: 5)
    puppet.write(20)
    let start = puppet.expected
    for _ in 0..<40 where puppet.expected - start < 20 {
      puppet.wait(.milliseconds(500))
      _ = puppet.takeData()
      puppet.send(window: 5)
    }
    #expect(puppet.expected - start == 20)
    puppet.sendNext([1, 2, 3], [.ack])
    #expect(puppet.read() == [1, 2, 3])
  }
}
