import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Every scheduler end to end, over paths that are not alike.
@Suite struct SchedulerTransferTests {
  private static let near = LinkConfiguration(
    bitsPerSecond: 20_000_000, delay: .milliseconds(5), queueByteCount: 60_000)
  private static let far = LinkConfiguration(bitsPerSecond: 5_000_000, delay: .milliseconds(60), queueByteCount: 60_000)

  @Test(arguments: Scheduler.allNames, [false, true])
  func everyByteArrivesOverUnlikePaths(name: String, checksum: Bool) throws {
    let pair = Pair([Self.near, Self.far])
    var options = ConnectionOptions()
    options.checksum = checksum
    options.scheduler = try #require(Scheduler(name: name))
    try Exchange(pair, clientSends: 1_500_000, serverSends: 150_000, options: options)
      .expectWhole(isMultipath: true)
  }

  @Test(arguments: Scheduler.allNames)
  func everyByteArrivesThroughSmallBuffersAndLoss(name: String) throws {
    var (one, two) = (Self.near, Self.far)
    one.lossRate = .percent(1)
    two.lossRate = .percent(2)
    let pair = Pair([one, two], seed: 5)
    var options = ConnectionOptions()
    options.receiveBufferByteCount = 40_000
    options.sendBufferByteCount = 60_000
    options.scheduler = try #require(Scheduler(name: name))
    try Exchange(pair, clientSends: 1_500_000, serverSends: 100_000, options: options)
      .expectWhole(within: .seconds(240), isMultipath: true)
  }

  @Test(arguments: Scheduler.allNames)
  func aPathThatFallsSilentIsSurvived(name: String) throws {
    let pair = Pair([Self.near, Self.far])
    var options = ConnectionOptions()
    options.scheduler = try #require(Scheduler(name: name))
    let exchange = try Exchange(pair, clientSends: 2_000_000, serverSends: 0, options: options)
    exchange.runUntilJoined(4)
    pair.run(for: .milliseconds(200))
    pair.links[0][0].set(isUp: false, at: pair.now)
    pair.links[0][1].set(isUp: false, at: pair.now)
    exchange.expectWhole(isMultipath: true)
  }

  @Test(arguments: Scheduler.allNames)
  func plainTCPUsesAnyScheduler(name: String) throws {
    let pair = Pair([Self.near])
    var options = ConnectionOptions()
    options.scheduler = try #require(Scheduler(name: name))
    var plain = options
    plain.multipath = .disabled
    // The listener falls back, and so does the client.
    let exchange = try Exchange(
      pair, clientSends: 500_000, serverSends: 500_000, options: options, serverOptions: plain)
    exchange.expectWhole(isMultipath: false)
    #expect(pair.endpoints[0].statistics.redundantByteCount == 0)
  }

  private func sent(_ exchange: Exchange, over path: Int32) -> Int {
    (exchange.description(0)?.subflows ?? []).filter { $0.path == PathID(path) }.reduce(0) { $0 + $1.sentByteCount }
  }

  @Test func strictTurnsSplitTheDataEvenlyAndFillingTurnsByWhatThePathsBear() throws {
    var shares: [Double] = []
    for isStrict in [true, false] {
      let pair = Pair([Self.near, Self.far])
      var options = ConnectionOptions()
      options.scheduler = .roundRobin(segments: 2, isStrict: isStrict)
      let exchange = try Exchange(pair, clientSends: 4_000_000, serverSends: 0, options: options)
      exchange.runUntilJoined(4)
      let before = (0..<2).map { sent(exchange, over: Int32($0)) }
      pair.run(for: .seconds(20)) { exchange.received[1] >= 3_500_000 }
      let after = (0..<2).map { sent(exchange, over: Int32($0)) }
      shares.append(Double(after[0] - before[0]) / Double(after[1] - before[1]))
      exchange.expectWhole(isMultipath: true)
    }
    // A subflow that repairs a loss is passed over.
    #expect(abs(shares[0] - 1) < 0.4, "\(shares)")
    #expect(shares[1] > 2, "\(shares)")
  }

  @Test func blestLeavesTheSlowPathAloneWhereTheWindowIsSmall() throws {
    var shares: [Int] = []
    for buffer in [50_000, 16 << 20] {
      let pair = Pair([Self.near, Self.far])
      var options = ConnectionOptions()
      options.receiveBufferByteCount = buffer
      options.scheduler = .blest
      let exchange = try Exchange(pair, clientSends: 4_000_000, serverSends: 0, options: options)
      exchange.runUntilJoined(4)
      pair.run(for: .seconds(1))
      shares.append(sent(exchange, over: 1))
      exchange.expectWhole(isMultipath: true)
    }
    // In that second the slow path bears 600,000 bytes.
    #expect(shares[0] < 60_000, "\(shares)")
    #expect(shares[1] > 200_000, "\(shares)")
  }

  @Test func predictiveKeepsTheFastPathGoingThroughASmallWindow() throws {
    var seconds: [Double] = []
    for scheduler in [Scheduler.lowestRoundTripTime(relief: .none), .predictive] {
      let pair = Pair([Self.near, Self.far])
      var options = ConnectionOptions()
      // More than the near path's own and its queue: of less it takes all under either.
      options.receiveBufferByteCount = 120_000
      options.scheduler = scheduler
      let exchange = try Exchange(pair, clientSends: 4_000_000, serverSends: 0, options: options)
      let start = pair.now
      exchange.expectWhole(isMultipath: true)
      seconds.append((pair.now - start).seconds)
    }
    // Alone the fast path takes 1.6 s.
    #expect(seconds[1] < 1.9, "\(seconds)")
    #expect(seconds[0] > seconds[1], "\(seconds)")
  }
}
