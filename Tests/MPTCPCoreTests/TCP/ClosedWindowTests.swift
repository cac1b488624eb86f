import MPTCPCore
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Windows that close, shrink and open again: RFC 9293 §3.8.6 and §3.10.7.4.
@Suite struct ClosedWindowTests {
  private func opened(_ options: ConnectionOptions = Puppet.plain, window: UInt16 = 65_535) throws -> Puppet {
    let puppet = try Puppet(options: options)
    puppet.window = window
    #expect(puppet.open())
    _ = puppet.take()
    return puppet
  }

  /// Lets `seconds` pass; the peer answers whatever comes with a closed window.
  private func answerClosed(_ puppet: Puppet, for seconds: Int, at position: SequenceNumber) -> Int {
    var probes = 0
    for _ in 0..<(seconds * 2) {
      puppet.wait(.milliseconds(500))
      for _ in puppet.take() {
        probes += 1
        let next = puppet.expected
        puppet.expected = position
        puppet.send(window: 0)
        puppet.expected = next
      }
    }
    return probes
  }

  // Requirement 9293-3.8.6-02, 9293-3.8.6-03, 9293-3.8.6-05, 9293-3.8.6.1-02
  @Test func aWindowThatShrinksIsObeyedAndProbed() throws {
    let puppet = try opened(window: 10_000)
    let start = puppet.expected
    puppet.write(4000)
    let sent = puppet.takeData()
    #expect(sent.reduce(0) { $0 + $1.payload.count } == 4000)
    puppet.expected = start
    puppet.send(window: 0)
    // No new data (SHLD-15).
    puppet.write(3000)
    #expect(puppet.take().map(\.payload.count).isEmpty)
    let probes = answerClosed(puppet, for: 400, at: start)
    #expect((8...40).contains(probes), "\(probes)")
    #expect(puppet.closed == nil)
    puppet.send(window: 20_000)
    var end = start
    for _ in 0..<20 where end - start < 7000 {
      puppet.wait(.milliseconds(100))
      for segment in puppet.take() where segment.tcp.sequenceNumber == end {
        end = end + segment.payload.count
        puppet.expected = end
        puppet.send(window: 20_000)
      }
    }
    #expect(end - start == 7000)
  }

  @Test func aFinBehindAClosedWindowIsAProbe() throws {
    let puppet = try opened(window: 3000)
    puppet.write(3000)
    #expect(puppet.takeData().reduce(0) { $0 + $1.payload.count } == 3000)
    puppet.send(window: 0)
    puppet.endpoint.finish(try #require(puppet.id), at: puppet.now)
    puppet.drain()
    #expect(answerClosed(puppet, for: 400, at: puppet.expected) > 8)
    #expect(puppet.closed == nil)
    puppet.send(window: 3000)
    puppet.wait(.seconds(1))
    #expect(puppet.takeData().last?.flags.contains(.fin) == true)
    puppet.send(window: 3000)
    #expect(puppet.state == .finWait2)
  }

  // Requirement 9293-3.8.3-01
  @Test func aPeerThatSaysNothingBehindItsClosedWindowIsGivenUp() throws {
    let puppet = try opened(window: 10_000)
    puppet.write(4000)
    _ = puppet.take()
    puppet.send(window: 0)
    puppet.wait(.seconds(290))
    #expect(puppet.closed == nil)
    puppet.wait(.seconds(11))
    #expect(puppet.closed == .timedOut)
  }

  // Requirement 9293-3.10.7-04
  @Test func whileOurWindowIsClosedAcknowledgementsCount() throws {
    var options = Puppet.plain
    options.receiveBufferByteCount = 20_000
    let puppet = try opened(options)
    puppet.write(10_000)
    #expect(puppet.takeData().reduce(0) { $0 + $1.payload.count } == 10_000)
    // Fill our window; nobody reads.
    puppet.expected = puppet.expected + -10_000
    for _ in 0..<20 { puppet.sendNext([UInt8](repeating: 1, count: 1000), [.ack]) }
    #expect(puppet.take().last?.tcp.window == 0)
    let id = try #require(puppet.id)
    func inFlight() -> Int { puppet.endpoint.description(of: id)?.subflows.first?.inFlightByteCount ?? -1 }
    #expect(inFlight() == 10_000)
    // A probe of one octet acknowledges a part, what follows it the rest.
    puppet.send(acknowledging: 4000, window: 6000, payload: [1])
    #expect(inFlight() == 6000)
    puppet.send(offset: 1, acknowledging: 10_000, window: 2920)
    #expect(inFlight() == 0)
    puppet.expected = puppet.expected + 10_000
    puppet.write(5840)
    #expect(puppet.takeData().reduce(0) { $0 + $1.payload.count } == 2920)
    // The peer comes back to the octet that was not taken; its window still counts.
    puppet.send(window: 5000, payload: [1])
    #expect(puppet.takeData().reduce(0) { $0 + $1.payload.count } == 2920)
    _ = puppet.take()
    #expect(puppet.read() == [UInt8](repeating: 1, count: 20_000))
  }

  // Requirement 9293-3.10.7-04
  @Test(arguments: [[], [1, 2, 3]] as [[UInt8]])
  func whileOurWindowIsClosedAResetCountsWithOrWithoutData(payload: [UInt8]) throws {
    var options = Puppet.plain
    options.receiveBufferByteCount = 20_000
    let puppet = try opened(options)
    for _ in 0..<20 { puppet.sendNext([UInt8](repeating: 1, count: 1000), [.ack]) }
    #expect(puppet.take().last?.tcp.window == 0)
    // Only with the exact number, as ever (RFC 5961 §3.2).
    for offset in [-1, 1, 1000] { puppet.send([.rst], offset: offset, payload: payload) }
    #expect(puppet.closed == nil)
    puppet.send([.rst], payload: payload)
    #expect(puppet.closed == .resetByPeer)
  }

  /// What was sent before the window shrank is repeated as far as the window goes (SHLD-16).
  // Requirement 9293-3.8.6-04
  @Test func oldDataWithinAWindowThatShrankIsRepeated() throws {
    let puppet = try opened(window: 10_000)
    let start = puppet.expected
    puppet.write(6000)
    #expect(puppet.takeData().reduce(0) { $0 + $1.payload.count } == 6000)
    puppet.expected = start
    puppet.send(window: 3000)
    puppet.wait(.seconds(5))
    let again = puppet.take()
    #expect(again.contains { $0.tcp.sequenceNumber == start && !$0.payload.isEmpty })
    puppet.expected = start + 1460
    puppet.send(window: 3000)
    puppet.wait(.seconds(5))
    #expect(puppet.take().contains { $0.tcp.sequenceNumber == start + 1460 })
  }

  /// A segment from before does not open the window that a later one has closed, whatever order they arrive in.
  // Requirement 9293-3.8.6-06
  @Test func theWindowOfAnOlderSegmentDoesNotCount() throws {
    let puppet = try opened(window: 10_000)
    puppet.send(offset: 1, window: 2920, payload: [2])
    puppet.send(window: 60_000, payload: [1])
    _ = puppet.take()
    puppet.write(20_000)
    #expect(puppet.takeData().reduce(0) { $0 + $1.payload.count } == 2920)
    // Nor one with an older acknowledgement; a newer one does.
    puppet.sequence = puppet.sequence + 2
    puppet.send(window: 0)
    puppet.send(acknowledging: -1460, window: 60_000)
    #expect(puppet.takeData().isEmpty)
    puppet.send(window: 4380)
    #expect(puppet.takeData().reduce(0) { $0 + $1.payload.count } == 4380)
  }

  // Requirement 9293-3.8.6.1-03, 9293-3.8.6.1-04
  @Test func theFirstProbeComesAfterTheRetransmissionTimeout() throws {
    let puppet = try Puppet(options: Puppet.plain)
    #expect(puppet.open(roundTrip: .milliseconds(300)))
    _ = puppet.take()
    puppet.send(window: 0)
    puppet.write(1000)
    // One round trip of 300 ms: 300 + 4 × 150 (RFC 6298 §2.2).
    puppet.wait(.milliseconds(880))
    #expect(puppet.take().isEmpty)
    puppet.wait(.milliseconds(40))
    #expect(puppet.take().count == 1)
  }

  /// A probe may arrive at a host that has no room for it: nothing is to say that it met congestion (RFC 3168 §6.1.6).
  // Requirement 3168-6.1-06
  @Test func probesOfAWindowAreNotECNCapable() throws {
    for closing in [0, 1, 700] as [UInt16] {
      var options = Puppet.plain
      options.explicitCongestionNotification = true
      let puppet = try Puppet(options: options)
      puppet.window = closing
      puppet.send([.syn, .ece, .cwr], options: puppet.synOptions)
      puppet.expected = try #require(puppet.take().last).tcp.sequenceNumber + 1
      puppet.sequence = puppet.sequence + 1
      puppet.send()
      puppet.write(3000)
      let first = puppet.takeData()
      #expect(first.reduce(0) { $0 + $1.payload.count } <= Int(closing))
      // A reduction is still to be told, but not by a probe.
      puppet.send([.ack, .ece], window: 0)
      puppet.write(3000)
      var probes = 0
      for _ in 0..<20 {
        puppet.wait(.seconds(1))
        for probe in puppet.take() {
          probes += 1
          #expect(probe.ip.trafficClass & 3 == 0 && !probe.flags.contains(.cwr))
          puppet.send(window: 0)
        }
      }
      #expect(probes > 2)
    }
  }
}
