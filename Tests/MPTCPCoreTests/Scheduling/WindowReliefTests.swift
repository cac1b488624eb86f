import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Opportunistic retransmission and penalisation (Raiciu et al., NSDI 2012, §4.2).
@Suite struct WindowReliefTests {
  private static let near = LinkConfiguration(
    bitsPerSecond: 20_000_000, delay: .milliseconds(5), queueByteCount: 60_000)
  private static let far = LinkConfiguration(
    bitsPerSecond: 2_000_000, delay: .milliseconds(150), queueByteCount: 60_000)

  @Test func penaltyHalvesTheWindowAndTheThresholdButNotInSlowStart() {
    let controller = NewReno()
    let slot = controller.addWindow(maximumSegmentByteCount: 1000, at: .zero)
    controller.setWindow(slot, byteCount: 16_000)
    controller.penalize(slot)
    #expect(controller.windows[slot].congestionWindowByteCount == 8000)
    #expect(controller.windows[slot].slowStartThresholdByteCount == .max)
    // A loss with 8,000 in flight: the threshold is 4,000, and the window after recovery.
    controller.congestionEvent(slot, inFlight: 8000, at: .zero)
    controller.recoveryEnded(slot, at: .zero)
    controller.penalize(slot)
    #expect(controller.windows[slot].congestionWindowByteCount == 2000)
    #expect(controller.windows[slot].slowStartThresholdByteCount == 2000)
    // Never below one segment, nor two for the threshold.
    for _ in 0..<3 { controller.penalize(slot) }
    #expect(controller.windows[slot].congestionWindowByteCount == 1000)
    #expect(controller.windows[slot].slowStartThresholdByteCount == 2000)
  }

  private func transfer(_ relief: WindowRelief) throws -> (seconds: Double, reinjected: Int) {
    let pair = Pair([Self.near, Self.far])
    var options = ConnectionOptions()
    // More than the near path's own and its queue: of less it takes all, and the far one has nothing to hold back.
    options.receiveBufferByteCount = 100_000
    options.scheduler = .lowestRoundTripTime(relief: relief)
    let exchange = try Exchange(pair, clientSends: 4_000_000, serverSends: 0, options: options)
    let start = pair.now
    exchange.expectWhole(isMultipath: true)
    return ((pair.now - start).seconds, pair.endpoints[0].statistics.reinjectedByteCount)
  }

  @Test func theHeadOfAFullWindowIsSentOnTheFasterSubflowToo() throws {
    let without = try transfer(.none)
    let with = try transfer(.retransmission)
    let both = try transfer(.retransmissionAndPenalty)
    #expect(without.reinjected == 0)
    #expect(with.reinjected > 0)
    #expect(both.reinjected > 0)
    #expect(with.seconds < without.seconds, "\(without) \(with) \(both)")
  }

  @Test func aSubflowIsPenalisedAtMostOnceInItsRoundTripTime() throws {
    let pair = Pair([Self.near, Self.far])
    var options = ConnectionOptions()
    options.receiveBufferByteCount = 120_000
    options.scheduler = .lowestRoundTripTime(relief: .retransmissionAndPenalty)
    let exchange = try Exchange(pair, clientSends: 4_000_000, serverSends: 0, options: options)
    exchange.runUntilJoined(4)
    let connection = try #require(pair.endpoints[0].connectionSlots.compactMap { $0 }.first)
    var held: [Int32: Instant] = [:]
    var count = 0
    pair.run(for: .seconds(5)) {
      for subflow in connection.subflows {
        let until = subflow.scheduling.penaltyHeldUntil
        guard until != held[subflow.id.rawValue] ?? .zero else { continue }
        #expect(pair.now >= held[subflow.id.rawValue] ?? .zero)
        held[subflow.id.rawValue] = until
        count += 1
      }
      return false
    }
    #expect(count > 0)
  }
}
