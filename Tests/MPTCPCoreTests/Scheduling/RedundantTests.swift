import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Every segment on every subflow (RFC 8684 §3.3.1: the same data sequence numbers may be mapped on several).
@Suite struct RedundantTests {
  private static let wide = LinkConfiguration(
    bitsPerSecond: 20_000_000, delay: .milliseconds(5), queueByteCount: 60_000)
  private static let narrow = LinkConfiguration(
    bitsPerSecond: 1_000_000, delay: .milliseconds(100), queueByteCount: 60_000)

  private var options: ConnectionOptions {
    var options = ConnectionOptions()
    options.scheduler = .redundant
    // One on each path: two on the same one would carry everything twice over it.
    options.policy = .fullMesh(FullMesh(maximumSubflowCount: 2))
    return options
  }

  @Test(arguments: [false, true]) func equalPathsBothCarryEverything(checksum: Bool) throws {
    var options = options
    options.checksum = checksum
    let pair = Pair([Self.wide, Self.wide])
    let exchange = try Exchange(pair, clientSends: 2_000_000, serverSends: 0, options: options)
    exchange.runUntilJoined(2)
    #expect(pair.run(for: .seconds(20)) { exchange.received[1] == 2_000_000 })
    let statistics = pair.endpoints[0].statistics
    #expect(statistics.redundantByteCount > 1_500_000)
    #expect(pair.endpoints[1].statistics.duplicateByteCount > 1_500_000)
    let description = try #require(exchange.description(0))
    #expect(description.subflows.reduce(0) { $0 + $1.redundantByteCount } == statistics.redundantByteCount)
    // Every octet once, and the copies on top.
    let sent = description.subflows.reduce(0) { $0 + $1.sentByteCount }
    #expect(sent == 2_000_000 + statistics.redundantByteCount)
    exchange.expectWhole(isMultipath: true)
  }

  @Test func aSlowSubflowHoldsTheFastOneNotBackAndPassesOverWhatIsThere() throws {
    let pair = Pair([Self.wide, Self.narrow])
    let exchange = try Exchange(pair, clientSends: 10_000_000, serverSends: 0, options: options)
    let start = pair.now
    #expect(pair.run(for: .seconds(60)) { exchange.received[1] == 10_000_000 })
    // 20 Mbit/s alone take 4.2 s.
    #expect((pair.now - start).seconds < 5)
    let slow = (exchange.description(0)?.subflows ?? []).filter { $0.path == PathID(1) }
    #expect(slow.reduce(0) { $0 + $1.sentByteCount } < 1_500_000)
    #expect(slow.allSatisfy { $0.sentByteCount > 0 })
    exchange.expectWhole(isMultipath: true)
  }

  @Test func aPathThatDiesIsNotFelt() throws {
    let pair = Pair([Self.wide, Self.wide])
    let exchange = try Exchange(pair, clientSends: 6_000_000, serverSends: 0, options: options)
    exchange.runUntilJoined(2)
    pair.run(for: .milliseconds(500))
    exchange.longestGap = .zero
    pair.links[1][0].set(isUp: false, at: pair.now)
    pair.links[1][1].set(isUp: false, at: pair.now)
    pair.run(for: .milliseconds(800))
    #expect(exchange.longestGap < .milliseconds(60), "\(exchange.longestGap.milliseconds) ms")
    exchange.expectWhole(isMultipath: true)
  }

  @Test func aSlowSubflowKeepsNoMoreThanTheSendBufferMay() throws {
    var options = options
    options.sendBufferByteCount = 50_000
    let pair = Pair([Self.wide, Self.narrow])
    let exchange = try Exchange(pair, clientSends: 3_000_000, serverSends: 0, options: options)
    exchange.runUntilJoined(2)
    pair.links[1][1].set(isUp: false, at: pair.now)
    let connection = try #require(pair.endpoints[0].connectionSlots.compactMap { $0 }.first)
    var most = 0
    pair.run(for: .seconds(30)) {
      for subflow in connection.subflows { most = max(most, subflow.flightByteCount) }
      return exchange.received[1] == 3_000_000
    }
    #expect(exchange.received[1] == 3_000_000)
    #expect(most > 0)
    #expect(most < 50_000 + 1500)
  }

  @Test func onOneSubflowNothingIsRedundantAndPlainTCPCouldGoOn() throws {
    let pair = Pair([Self.wide])
    let exchange = try Exchange(pair, clientSends: 500_000, serverSends: 0, options: options)
    exchange.runUntilJoined(1)
    pair.run(for: .seconds(10)) { exchange.received[1] == 500_000 }
    #expect(pair.endpoints[0].statistics.redundantByteCount == 0)
    let connections = pair.endpoints.compactMap { $0.connectionSlots.compactMap { $0 }.first }
    #expect(connections.map(\.isLinear) == [true, true])
    exchange.expectWhole(isMultipath: true)
  }
}
