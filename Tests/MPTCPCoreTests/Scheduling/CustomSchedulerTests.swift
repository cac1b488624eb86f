import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

@Suite struct CustomSchedulerTests {
  private static let path = LinkConfiguration(
    bitsPerSecond: 10_000_000, delay: .milliseconds(10), queueByteCount: 60_000)

  /// Waits for the slowest subflow.
  private struct Contrary: CustomScheduler {
    var name: String { "contrary" }
    mutating func choose(_ subflows: Span<SubflowSnapshot>, for waiting: WaitingData) -> SubflowID? {
      var best: SubflowSnapshot?
      for index in subflows.indices {
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
    let exchange = try Exchange(pair, clientSends: 4_000_000, serverSends: 0, options: options)
    exchange.runUntilJoined(4)
    func sent(over path: Int32) -> Int {
      (exchange.description(0)?.subflows ?? []).filter { $0.path == PathID(path) }.reduce(0) { $0 + $1.sentByteCount }
    }
    let before = (sent(over: 0), sent(over: 1))
    pair.run(for: .milliseconds(500))
    #expect(sent(over: 1) - before.1 > 200_000)
    // Probes carry a segment each; the path would bear 600,000 octets.
    #expect(sent(over: 0) - before.0 < 100_000)
    exchange.expectWhole(isMultipath: true)
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
    let state = SchedulerState(.custom(Watcher()))
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
