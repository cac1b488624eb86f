import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// From the moment one path goes silent to the next octet in order: at most two round trips of the path that is left,
/// and the time that a tail loss probe (RFC 8985 §7.2) waits on the one that is gone, however much loss it is
/// repairing.
@Suite struct FailoverTests {
  private static let near = LinkConfiguration(
    bitsPerSecond: 20_000_000, delay: .milliseconds(10), queueByteCount: 50_000, lossRate: .percent(2))
  private static let other = LinkConfiguration(
    bitsPerSecond: 10_000_000, delay: .milliseconds(20), queueByteCount: 50_000, lossRate: .percent(1))

  @Test(arguments: 1...6) func aSilentPathIsLeftAsFastAsAProbeWouldTell(seed: Int) throws {
    let pair = Pair(
      [Self.near, Self.other], backward: [.init(delay: .milliseconds(10)), .init(delay: .milliseconds(20))],
      seed: UInt64(seed))
    let exchange = try Exchange(pair, clientSends: 20_000_000, serverSends: 0)
    exchange.runUntilJoined(4)
    pair.run(for: .milliseconds(600 + Int64(seed) * 37))
    let dead = (exchange.description(0)?.subflows ?? []).filter { $0.path == PathID(0) }
    let smoothed = dead.compactMap(\.smoothedRoundTripTime).max() ?? .zero
    exchange.longestGap = .zero
    for side in 0..<2 { pair.links[0][side].set(isUp: false, at: pair.now) }
    pair.run(for: .milliseconds(600))
    // 40 ms, and 50,000 octets of queue at 10 Mbit/s take 40 more. The clock of the silence starts with the last
    // acknowledgement, which came up to a round trip after the path died: it was under way.
    let bound = (.milliseconds(80) * 2 + max(smoothed * 2, .milliseconds(10))) + smoothed
    #expect(exchange.longestGap <= bound, "\(exchange.longestGap.milliseconds) ms, bound \(bound.milliseconds) ms")
  }

  /// The window was closed, the near path died meanwhile and does not say that it is open again; nothing is in flight
  /// there that could show it. The far one, which the scheduler leaves idle beside the near one, says so and carries
  /// on.
  @Test func aPathThatDiedBehindAClosedWindowIsNotWaitedFor() throws {
    let far = LinkConfiguration(bitsPerSecond: 2_000_000, delay: .milliseconds(100), queueByteCount: 50_000)
    let pair = Pair([quick, far], areApart: true)
    var options = ConnectionOptions()
    options.receiveBufferByteCount = 150_000
    let exchange = try Exchange(pair, clientSends: 20_000_000, serverSends: 0, options: options)
    // The near path alone fills the window: its last acknowledgement closes it there, whatever comes later elsewhere.
    for side in 0..<2 { pair.links[1][side].set(isUp: false, at: pair.now) }
    exchange.readLimit = 0
    pair.run(for: .seconds(2))
    for side in 0..<2 { pair.links[1][side].set(isUp: true, at: pair.now) }
    exchange.runUntilJoined(2)
    pair.run(for: .seconds(4))
    for side in 0..<2 { pair.links[0][side].set(isUp: false, at: pair.now) }
    exchange.readLimit = .max
    pair.run(for: .seconds(3))
    // The receiver held 150,000 octets until now; what comes besides, the far path brings.
    #expect(exchange.received[1] > 350_000, "\(exchange.received[1])")
  }

  /// A setting of the grid of docs/schedulers.md in which a path's death was noticed too late: the other was idle then,
  /// behind a window full of what had died.
  @Test func anIdlePathTakesOverInTwoRoundTripsAndAProbe() throws {
    let paths: [(rate: Int, roundTrip: Int64, queue: Int)] = [(64_930_000, 6780, 6030), (64_180_000, 1520, 46_560)]
    let links = paths.map {
      LinkConfiguration(
        bitsPerSecond: $0.rate, delay: .microseconds($0.roundTrip / 2),
        queueByteCount: $0.rate / 8 * $0.queue / 1_000_000)
    }
    let pair = Pair(
      links, backward: paths.map { .init(bitsPerSecond: $0.rate, delay: .microseconds($0.roundTrip / 2)) })
    var options = ConnectionOptions()
    options.receiveBufferByteCount = 3 << 20
    options.sendBufferByteCount = 6 << 20
    let exchange = try Exchange(pair, clientSends: 400_000_000, serverSends: 0, options: options)
    exchange.runUntilJoined(4)
    pair.run(for: .seconds(3))
    let subflows = exchange.description(0)?.subflows ?? []
    let smoothed = try #require(subflows.first { $0.path == PathID(1) }?.smoothedRoundTripTime)
    exchange.longestGap = .zero
    for side in 0..<2 { pair.links[1][side].set(isUp: false, at: pair.now) }
    pair.run(for: .milliseconds(500))
    let roundTrip = Nanoseconds.microseconds(paths[0].roundTrip + Int64(paths[0].queue))
    let bound = roundTrip * 2 + max(smoothed * 2, .milliseconds(10))
    #expect(exchange.longestGap <= bound, "\(exchange.longestGap.milliseconds) ms, bound \(bound.milliseconds) ms")
  }
}
