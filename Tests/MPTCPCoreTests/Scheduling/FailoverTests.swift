import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// From the moment one path goes silent to the next octet in order: at most two round trips of the path that is left, and
/// the time that a tail loss probe (RFC 8985 §7.2) waits on the one that is gone, however much loss it is repairing.
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
}
