import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// 40 Mbit/s, 10 ms a way.
let quick = LinkConfiguration(bitsPerSecond: 40_000_000, delay: .milliseconds(10), queueByteCount: 200_000)
/// 20 Mbit/s, 30 ms a way.
let slow = LinkConfiguration(bitsPerSecond: 20_000_000, delay: .milliseconds(30), queueByteCount: 200_000)

extension Exchange {
  /// Runs to the end and checks that every byte arrived, each once and in order, and that both sides closed in peace.
  func expectWhole(
    within limit: Nanoseconds = .seconds(60), isMultipath expected: Bool? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let isDone = pair.run(for: limit) { self.isDone || self.mismatch != nil }
    #expect(isDone, "received \(received) of \(toSend), closed \(closed)", sourceLocation: sourceLocation)
    #expect(mismatch == nil, sourceLocation: sourceLocation)
    #expect(received == [toSend[1], toSend[0]], sourceLocation: sourceLocation)
    #expect(closed == [.finished, .finished], sourceLocation: sourceLocation)
    if let expected { #expect(isMultipath[0] == expected, sourceLocation: sourceLocation) }
  }

  func fallback(_ side: Int) -> FallbackReason? {
    ids[side].flatMap { pair.endpoints[side].description(of: $0)?.fallback }
  }

  func description(_ side: Int) -> ConnectionDescription? {
    ids[side].flatMap { pair.endpoints[side].description(of: $0) }
  }

  /// Runs until both sides speak Multipath TCP over `count` subflows.
  func runUntilJoined(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) {
    let isThere = pair.run(for: .seconds(10)) {
      (0..<2).allSatisfy {
        (self.description($0)?.subflows.filter { $0.state == .established && $0.smoothedRoundTripTime != nil }.count
          ?? 0) >= count
      }
    }
    #expect(isThere, sourceLocation: sourceLocation)
  }
}

extension Pair {
  func happened(_ side: Int, _ fits: (ConnectionEvent) -> Bool) -> Bool { events[side].contains { fits($0.event) } }
}

/// Options of a connection that opens no subflow of its own.
var lonely: ConnectionOptions {
  var options = ConnectionOptions()
  options.policy = .passive
  return options
}

/// `count` bytes that say where they stand.
func octets(_ count: Int, from start: Int = 0) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 + start) } }
