import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

@Suite struct CustomSchedulerTests {
  private static let path = LinkConfiguration(
    bitsPerSecond: 10_000_000, delay: .milliseconds(10), queueByteCount: 60_000)

  /// Prefers the slowest subflow with room.
  private struct Contrary: CustomScheduler {
    var name: String { "contrary" }
    mutating func choose(_ subflows: Span<SubflowSnapshot>, for waiting: WaitingData) -> SubflowID? {
      var best: SubflowSnapshot?
      for index in subflows.indices where subflows[index].roomByteCount > 0 {
        let candidate = subflows[index]
        if let known = best, known.smoothedRoundTripTime ?? .zero >= candidate.smoothedRoundTripTime ?? .zero {
          continue
        }
        best = candidate
      }
      return best?.id
    }
  }

  /// Never finds anything good enough, or something that does not exist.
  private struct Useless: CustomScheduler {
    var name: String { "useless" }
    let answer: SubflowID?
    mutating func choose(_ subflows: Span<SubflowSnapshot>, for waiting: WaitingData) -> SubflowID? { answer }
  }

  @Test func itDecidesWhereDataGoes() throws {
    var slow = Self.path
    slow.delay = .milliseconds(40)
    let pair = Pair([Self.path, slow])
    var options = ConnectionOptions()
    options.scheduler = .custom(Contrary())
    let exchange = try Exchange(pair, clientSends: 60_000, serverSends: 0, options: options)
    exchange.toSend[0] = 0
    exchange.runUntilJoined(4)
    let before = (exchange.description(0)?.subflows ?? []).map(\.sentByteCount)
    #expect(before.allSatisfy { $0 == 0 })
    exchange.toSend[0] = 10_000
    exchange.step()
    pair.run(for: .milliseconds(20))
    let subflows = try #require(exchange.description(0)).subflows
    #expect(subflows.filter { $0.path == PathID(0) }.allSatisfy { $0.sentByteCount == 0 })
    #expect(subflows.filter { $0.path == PathID(1) }.contains { $0.sentByteCount > 0 })
  }

  @Test(arguments: [nil, SubflowID(99)]) func oneThatNeverAnswersDoesNotStopTheConnection(answer: SubflowID?) throws {
    let pair = Pair([Self.path, Self.path])
    var options = ConnectionOptions()
    options.scheduler = .custom(Useless(answer: answer))
    try Exchange(pair, clientSends: 300_000, serverSends: 0, options: options)
      .expectWhole(within: .seconds(60), isMultipath: true)
  }

  @Test func itIsShownWhatThereIs() {
    struct Watcher: CustomScheduler {
      var name: String { "watcher" }
      var seen = 0
      mutating func choose(_ subflows: Span<SubflowSnapshot>, for waiting: WaitingData) -> SubflowID? {
        seen += 1
        return waiting.byteCount == 7 && subflows.count == seen + 1 ? subflows[seen].id : nil
      }
    }
    var state = SchedulerState(.custom(Watcher()))
    let waiting = WaitingData(byteCount: 7, windowByteCount: 7, outstandingByteCount: 0, at: .zero)
    let first = state.askCustom(waiting) {
      $0 = [snapshot(3, milliseconds: 1, window: 1), snapshot(5, milliseconds: 1, window: 1, room: 10)]
    }
    #expect(first == SubflowID(5))
    // Its state lasts: two asked for, so the third of three.
    let second = state.askCustom(waiting) {
      for id in 0..<3 { $0.append(snapshot(Int32(id), milliseconds: 1, window: 1, room: 1)) }
    }
    #expect(second == SubflowID(2))
    // With no room anywhere there is nothing to ask.
    let third = state.askCustom(waiting) { $0.append(snapshot(0, milliseconds: 1, window: 1)) }
    #expect(third == nil)
  }
}
