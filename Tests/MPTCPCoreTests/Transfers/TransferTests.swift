import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@Suite struct TransferTests {
  static let fast = LinkConfiguration(bitsPerSecond: 40_000_000, delay: .milliseconds(10), queueByteCount: 200_000)
  static let slow = LinkConfiguration(bitsPerSecond: 20_000_000, delay: .milliseconds(30), queueByteCount: 200_000)

  @Test(arguments: [IPAddress.Family.v4, .v6])
  func bytesCrossOnePathAsPlainTCP(family: IPAddress.Family) throws {
    let pair = Pair([Self.fast], family: family)
    var options = ConnectionOptions()
    options.multipath = .disabled
    let exchange = try Exchange(pair, clientSends: 2_000_000, serverSends: 1_000_000, options: options, family: family)
    #expect(pair.run(for: .seconds(60)) { exchange.isDone })
    #expect(exchange.mismatch == nil)
    #expect(exchange.received == [1_000_000, 2_000_000])
    #expect(exchange.isMultipath == [false, false])
    #expect(exchange.closed == [.finished, .finished])
  }

  @Test(arguments: [(IPAddress.Family.v4, false), (.v6, true)])
  func bytesCrossTwoPathsAtOnce(family: IPAddress.Family, checksum: Bool) throws {
    let pair = Pair([Self.fast, Self.slow], family: family)
    var options = ConnectionOptions()
    options.checksum = checksum
    let exchange = try Exchange(pair, clientSends: 10_000_000, serverSends: 500_000, options: options, family: family)
    let start = pair.now
    #expect(pair.run(for: .seconds(60)) { exchange.received[1] == 10_000_000 || exchange.mismatch != nil })
    let seconds = (pair.now - start).seconds
    #expect(exchange.mismatch == nil)
    #expect(exchange.isMultipath == [true, true])
    let description = try #require(pair.endpoints[0].description(of: exchange.ids[0]!))
    // Two addresses on each side: a full mesh has four subflows, two on each path.
    #expect(description.subflows.count == 4)
    for path in 0..<2 {
      let bytes = description.subflows.filter { $0.path == PathID(Int32(path)) }.map(\.acknowledgedByteCount)
      #expect(bytes.reduce(0, +) > 2_000_000)
    }
    // 60 Mbit/s together; 40 alone would take more than 2 s.
    #expect(seconds < 1.85, "\(seconds) s")
    #expect(pair.run(for: .seconds(60)) { exchange.isDone })
    #expect(exchange.closed == [.finished, .finished])
    exchange.closeBoth()
  }

  @Test(arguments: [1, 2, 3])
  func nothingIsLostOverLossyPaths(seed: Int) throws {
    var one = Self.fast
    var two = Self.slow
    one.lossRate = .percent(1)
    two.lossRate = .percent(5)
    one.reorderRate = .percent(2)
    one.reorderDelay = .milliseconds(5)
    two.duplicationRate = .percent(2)
    let pair = Pair([one, two], seed: UInt64(seed))
    let exchange = try Exchange(pair, clientSends: 1_500_000, serverSends: 1_500_000)
    let done = pair.run(for: .seconds(240)) { exchange.isDone || exchange.mismatch != nil }
    #expect(done, "received \(exchange.received), steps \(pair.steps)")
    #expect(exchange.mismatch == nil)
    #expect(exchange.closed == [.finished, .finished])
  }

  @Test func aPathThatDiesAndComesBackIsUsedAgain() throws {
    var one = Self.fast
    one.schedule = [LinkEvent(after: .seconds(2), .down), LinkEvent(after: .seconds(5), .up)]
    let pair = Pair([one, Self.slow])
    let exchange = try Exchange(pair, clientSends: 30_000_000, serverSends: 0)
    #expect(pair.run(for: .seconds(4)) { false } == false)
    let during = exchange.received[1]
    #expect(during > 10_000_000)
    #expect(exchange.longestGap < .milliseconds(400), "\(exchange.longestGap.milliseconds) ms")
    #expect(pair.run(for: .seconds(60)) { exchange.isDone || exchange.mismatch != nil })
    #expect(exchange.mismatch == nil)
    #expect(exchange.closed == [.finished, .finished])
    #expect((pair.now - Instant(nanoseconds: 1_000_000_000)).seconds < 9.5)
  }

  @Test func aPeerThatIsAwayForAMomentIsNoDeadPath() throws {
    // Large queues: nothing is lost, so whatever is sent twice was sent twice for nothing.
    let link = LinkConfiguration(bitsPerSecond: 100_000_000, delay: .milliseconds(1), queueByteCount: 8_000_000)
    let pair = Pair([link, link])
    let exchange = try Exchange(pair, clientSends: 20_000_000, serverSends: 0)
    for _ in 0..<10 {
      pair.run(for: .milliseconds(60)) { false }
      pair.awayUntil[1] = pair.now + .milliseconds(30)
    }
    #expect(pair.run(for: .seconds(60)) { exchange.isDone || exchange.mismatch != nil })
    #expect(exchange.mismatch == nil)
    #expect(pair.endpoints[0].statistics.reinjectedByteCount == 0)
    #expect(!pair.events[0].contains { if case .pathStalled = $0.event { true } else { false } })
  }
}
