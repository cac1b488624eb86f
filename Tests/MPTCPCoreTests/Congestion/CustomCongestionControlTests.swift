import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import Synchronization
import TestSupport
import Testing

@testable import MPTCPCore

/// Adds a segment for each acknowledgement, but never exceeds what all windows together are worth; halves to a third.
private struct Frugal: CustomCongestionControl {
  var name: String { "frugal" }
  var acknowledgmentCount = 0
  let limit: Int

  mutating func congestionWindow(
    after acknowledgment: CongestionAcknowledgment, of index: Int, windows: Span<CongestionWindow>
  ) -> Int {
    acknowledgmentCount += 1
    var total = 0
    for slot in windows.indices where windows[slot].isInUse { total += windows[slot].effectiveByteCount }
    let window = windows[index].congestionWindowByteCount
    return total < limit ? window + windows[index].maximumSegmentByteCount : window
  }

  mutating func slowStartThreshold(
    afterCongestionOf index: Int, inFlight: Int, windows: Span<CongestionWindow>, at: Instant
  ) -> Int { inFlight / 3 }
}

/// Grows each window up to a bound of its own, and notes what it is told.
private struct Recorder: CustomCongestionControl {
  struct Loss: Equatable {
    var index: Int
    var inFlight: Int
    var windows: [Int]
    var at: Instant
  }

  final class Notes: Sendable {
    let losses = Mutex<[Loss]>([])
  }

  static let bounds = [60_000, 30_000]
  var name: String { "recorder" }
  let notes: Notes

  mutating func congestionWindow(
    after acknowledgment: CongestionAcknowledgment, of index: Int, windows: Span<CongestionWindow>
  ) -> Int { min(windows[index].congestionWindowByteCount + acknowledgment.byteCount, Self.bounds[index]) }

  mutating func slowStartThreshold(
    afterCongestionOf index: Int, inFlight: Int, windows: Span<CongestionWindow>, at: Instant
  ) -> Int {
    let all = windows.indices.map { windows[$0].congestionWindowByteCount }
    notes.losses.withLock { $0.append(Loss(index: index, inFlight: inFlight, windows: all, at: at)) }
    return inFlight / 4
  }
}

@Suite struct CustomCongestionControlTests {
  @Test func `an algorithm of the application's sees all windows and sets its own`() {
    let controller = CongestionAlgorithm.custom(Frugal(limit: 25_000)).makeController()
    #expect(controller.name == "frugal")
    for _ in 0..<2 { _ = controller.addWindow(maximumSegmentByteCount: 1_000, at: .zero) }
    for _ in 0..<20 {
      controller.acknowledged(
        0, byteCount: 1_000, priorInFlight: 10_000, rtt: nil, smoothedRTT: .milliseconds(10),
        isCongestionWindowLimited: true, at: .zero)
    }
    // The other window is worth 10,000: this one stops at 15,000.
    #expect(controller.windows[0].congestionWindowByteCount == 15_000)
    controller.congestionEvent(0, inFlight: 15_000, at: .zero)
    #expect(controller.windows[0].slowStartThresholdByteCount == 5_000)
    controller.recoveryEnded(0, at: .zero)
    #expect(controller.windows[0].congestionWindowByteCount == 5_000)
    // A window that is gone no longer counts.
    controller.removeWindow(1)
    for _ in 0..<40 {
      controller.acknowledged(
        0, byteCount: 1_000, priorInFlight: 30_000, rtt: nil, smoothedRTT: .milliseconds(10),
        isCongestionWindowLimited: true, at: .zero)
    }
    #expect(controller.windows[0].congestionWindowByteCount == 25_000)
  }

  @Test func `what an algorithm answers is kept within what a window may be`() {
    struct Wild: CustomCongestionControl {
      var name: String { "wild" }
      let answer: Int
      mutating func congestionWindow(
        after acknowledgment: CongestionAcknowledgment, of index: Int, windows: Span<CongestionWindow>
      ) -> Int { answer }
      mutating func slowStartThreshold(
        afterCongestionOf index: Int, inFlight: Int, windows: Span<CongestionWindow>, at: Instant
      ) -> Int { answer }
    }
    for (answer, expected) in [(Int.max, CongestionWindow.largestByteCount), (Int.min, 1_000), (0, 1_000)] {
      let controller = CongestionAlgorithm.custom(Wild(answer: answer)).makeController()
      let slot = controller.addWindow(maximumSegmentByteCount: 1_000, at: .zero)
      controller.acknowledged(
        slot, byteCount: 1_000, priorInFlight: 10_000, rtt: nil, smoothedRTT: nil, isCongestionWindowLimited: true,
        at: .zero)
      #expect(controller.windows[slot].congestionWindowByteCount == expected)
      controller.congestionEvent(slot, inFlight: 10_000, at: .zero)
      #expect(controller.windows[slot].slowStartThresholdByteCount == max(expected, 2_000))
    }
  }

  @Test func `connections work on copies of the algorithm`() {
    let algorithm = CongestionAlgorithm.custom(Frugal(limit: 11_000))
    for _ in 0..<2 {
      let controller = algorithm.makeController()
      let slot = controller.addWindow(maximumSegmentByteCount: 1_000, at: .zero)
      for _ in 0..<3 {
        controller.acknowledged(
          slot, byteCount: 1_000, priorInFlight: 10_000, rtt: nil, smoothedRTT: nil, isCongestionWindowLimited: true,
          at: .zero)
      }
      #expect(controller.windows[slot].congestionWindowByteCount == 11_000)
    }
  }

  /// Two paths that lose nothing by themselves, one of which loses three segments at a time that the test knows.
  // Requirement 8684-3.3.7-01, 8684-3.3.7-03
  @Test(arguments: [0, 1])
  func `a loss is told of its subflow when it is found and shrinks that one's window alone`(lossy: Int) throws {
    let line = LinkConfiguration(bitsPerSecond: 40_000_000, delay: .milliseconds(10), queueByteCount: 200_000)
    let pair = Pair([line, line])
    let notes = Recorder.Notes()
    var options = ConnectionOptions()
    options.policy = .passive
    options.congestionControl = .custom(Recorder(notes: notes))
    let exchange = try Exchange(pair, clientSends: 100_000_000, serverSends: 0, options: options)
    let id = try #require(exchange.ids[0])
    pair.run(for: .milliseconds(100))
    _ = try pair.endpoints[0].openSubflow(id, on: PathID(1), at: pair.now)
    pair.run(for: .milliseconds(500))
    func subflows() throws -> [SubflowDescription] { try #require(pair.endpoints[0].description(of: id)).subflows }
    // Each fills a window of its own, and none is told of a loss.
    var most = [0, 0]
    for _ in 0..<100 {
      pair.run(for: .milliseconds(1))
      for (index, subflow) in try subflows().enumerated() { most[index] = max(most[index], subflow.inFlightByteCount) }
    }
    #expect(try subflows().map(\.congestionWindowByteCount) == Recorder.bounds)
    for index in 0..<2 {
      #expect(most[index] <= Recorder.bounds[index] && most[index] > Recorder.bounds[index] * 3 / 4, "\(most)")
    }
    #expect(notes.losses.withLock { $0.isEmpty })
    var lostAt: Instant?
    var left = 3
    pair.middlebox { side, packet in
      guard side == 0, packet.path == lossy, !packet.payload.isEmpty, left > 0 else { return true }
      left -= 1
      lostAt = lostAt ?? pair.now
      return false
    }
    let isTold = pair.run(for: .seconds(1)) { notes.losses.withLock { !$0.isEmpty } }
    #expect(isTold && left == 0)
    let loss = try #require(notes.losses.withLock { $0.first })
    #expect(loss.index == lossy && loss.windows == Recorder.bounds && loss.at == pair.now)
    // Reported by what arrives behind it: a round trip later, the queue's time included.
    let span = loss.at - (try #require(lostAt))
    #expect(span >= .milliseconds(20) && span < .milliseconds(60), "\(span.milliseconds) ms")
    #expect(loss.inFlight > Recorder.bounds[lossy] / 2 && loss.inFlight <= Recorder.bounds[lossy])
    var least = Recorder.bounds
    for _ in 0..<100 {
      pair.run(for: .milliseconds(1))
      for (index, subflow) in try subflows().enumerated() {
        least[index] = min(least[index], subflow.congestionWindowByteCount)
      }
    }
    #expect(least[lossy] <= loss.inFlight / 4 + 1500)
    #expect(least[1 - lossy] == Recorder.bounds[1 - lossy])
    // One event, not one for each segment.
    #expect(notes.losses.withLock { $0.count } == 1)
    #expect(exchange.mismatch == nil)
  }
}
