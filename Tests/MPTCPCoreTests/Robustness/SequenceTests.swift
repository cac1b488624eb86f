import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Many connections, one after the other, on endpoints that live through all of them.
@Suite struct SequenceTests {
  /// Everything that an endpoint has a table for. TIME-WAIT is not part of it: it fills until its time has passed.
  private func tables(_ endpoint: Endpoint) -> [Int] {
    [
      endpoint.connectionSlots.count, endpoint.subflowSlots.count, endpoint.tuples.count - endpoint.timeWaits.count,
      endpoint.tokens.count, endpoint.dirty.count, endpoint.outbox.count, endpoint.events.count,
      endpoint.peerMemory.destinations.count, endpoint.halfOpenCount, endpoint.connectionCount,
    ]
  }

  /// Twelve hundred of two subflows each, a tenth of a second apart: TIME-WAIT is full after half of them, and nothing
  /// grows from the first to the last.
  @Test func connectionsInSequenceMakeNoTableGrow() throws {
    let path = LinkConfiguration(delay: .milliseconds(1))
    let pair = Pair([path, path])
    let endpoints = pair.endpoints
    let message = ByteSlice(octets(1000))
    var options = ConnectionOptions()
    options.policy = .fullMesh(FullMesh(maximumSubflowCount: 2))
    var listener = ListenerOptions()
    listener.connection = options
    _ = try endpoints[1].listen(on: TransportAddress(.anyV4, 80), options: listener, at: pair.now)
    var first: [[Int]] = []
    var longestWait = [0, 0]
    for round in 0..<1200 {
      let started = pair.now
      let id = try endpoints[0].connect(
        to: TransportAddress(Pair.address(0, 1, .v4), 80), options: options, at: pair.now)
      _ = try endpoints[0].write(message, to: id, at: pair.now)
      var server: ConnectionID?
      let isDone = pair.run(for: .milliseconds(99)) {
        for event in pair.events[1] { if case .established = event.event { server = event.connection } }
        return (endpoints[0].description(of: id)?.subflows.filter { $0.state == .established }.count ?? 0) == 2
          && server.map { endpoints[1].readableByteCount($0) == 1000 } ?? false
      }
      try #require(isDone, "round \(round)")
      let accepted = try #require(server)
      while let slice = try endpoints[1].read(from: accepted, upTo: 10_000, at: pair.now), !slice.isEmpty {}
      endpoints[0].finish(id, at: pair.now)
      endpoints[1].finish(accepted, at: pair.now)
      pair.run(for: started + .milliseconds(100) - pair.now)
      endpoints[0].close(id, at: pair.now)
      endpoints[1].close(accepted, at: pair.now)
      pair.drain()
      pair.events = [[], []]
      let now = endpoints.map(tables)
      if first.isEmpty { first = now }
      #expect(now == first, "round \(round)")
      for side in 0..<2 { longestWait[side] = max(longestWait[side], endpoints[side].timeWaits.count) }
    }
    // Two subflows in a tenth of a second, for a minute, wherever they closed first.
    #expect(longestWait.allSatisfy { $0 <= 1202 } && longestWait.contains { $0 > 600 }, "\(longestWait)")
    pair.run(for: .seconds(61))
    #expect(endpoints.allSatisfy { $0.nextDeadline == nil && $0.timeWaits.count == 0 && $0.tuples.count == 0 })
  }
}
