import MPTCPCore
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Trouble that may pass is told to the application, and ends nothing: RFC 9293 §3.8.3, §3.9.1 and §3.9.2.2.
@Suite struct SoftErrorTests {
  private func softErrors(_ puppet: Puppet) -> [SoftError] {
    puppet.events.compactMap { if case .softError(SubflowID(0), let error) = $0 { error } else { nil } }
  }

  /// An ICMP error about `segment`.
  private func message(_ puppet: Puppet, _ type: UInt8, _ code: UInt8, about segment: SeenSegment) -> [UInt8] {
    let isV4 = puppet.ours.address.family == .v4
    let body: [UInt8] = [type, code, 0, 0, 0, 0, 0, 0] + segment.bytes().prefix(isV4 ? 28 : 60)
    let header = IPHeader(
      source: puppet.theirs.address, destination: puppet.ours.address,
      protocolNumber: isV4 ? IPProtocol.icmp : IPProtocol.icmpv6, payloadByteCount: body.count)
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = bytes.withUnsafeMutableBytes { (try? header.write(into: $0)) ?? 0 }
    return withChecksums(Array(bytes.prefix(count)) + body)
  }

  /// Each kind once, however often routers say it, until the peer has acknowledged again.
  // Requirement 9293-3.9.1-06, 9293-3.9.2.2-03, 9293-3.9.2.2-04
  @Test(arguments: [IPAddress.Family.v4, .v6])
  func whatRoutersSayIsToldOnceUntilThereIsProgress(family: IPAddress.Family) throws {
    let kinds: [(UInt8, UInt8, SoftError)] =
      family == .v4
      ? [
        (3, 1, .unreachable(code: 1)), (11, 0, .timeExceeded(code: 0)), (12, 2, .parameterProblem(code: 2)),
      ]
      : [(1, 3, .unreachable(code: 3)), (3, 1, .timeExceeded(code: 1)), (4, 0, .parameterProblem(code: 0))]
    let puppet = try Puppet(family: family)
    #expect(puppet.open())
    _ = puppet.take()
    for round in 1...2 {
      puppet.write(100)
      let segment = try #require(puppet.takeData().last)
      for _ in 0..<20 { for (type, code, _) in kinds { puppet.deliver(message(puppet, type, code, about: segment)) } }
      #expect(softErrors(puppet).count == 3 * round)
      puppet.wait(.milliseconds(10))
      puppet.send()
      // What is no longer in flight is nobody's trouble.
      for (type, code, _) in kinds {
        var old = segment
        old.tcp.sequenceNumber = segment.tcp.sequenceNumber + -1000
        puppet.deliver(message(puppet, type, code, about: old))
      }
      #expect(softErrors(puppet).count == 3 * round)
    }
    #expect(softErrors(puppet).prefix(3) == kinds.map(\.2)[...])
    #expect(puppet.closed == nil)
    puppet.sendNext([1])
    #expect(puppet.read() == [1])
  }

  // Requirement 9293-3.8.3-06, 9293-3.8.3-07, 9293-3.9.1-06
  @Test func theThirdRetransmissionInARowIsTold() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    for _ in 0..<2 {
      puppet.events.removeAll()
      puppet.write(100)
      while puppet.endpoint.statistics.retransmissionTimeouts % 6 < 2 { puppet.wait(.milliseconds(50)) }
      #expect(softErrors(puppet).isEmpty)
      while puppet.endpoint.statistics.retransmissionTimeouts % 6 < 3 { puppet.wait(.milliseconds(50)) }
      #expect(softErrors(puppet) == [.retransmissions])
      while puppet.endpoint.statistics.retransmissionTimeouts % 6 != 0 { puppet.wait(.milliseconds(50)) }
      #expect(softErrors(puppet) == [.retransmissions])
      _ = puppet.takeData()
      puppet.send()
    }
    #expect(puppet.closed == nil)
  }

  // Requirement 9293-3.8.3-06
  @Test func soIsTheThirdSynThatNobodyAnswers() throws {
    let puppet = try Puppet()
    puppet.id = try puppet.endpoint.connect(to: puppet.theirs, options: Puppet.plain, at: puppet.now)
    puppet.wait(.milliseconds(6900))
    #expect(softErrors(puppet).isEmpty)
    puppet.wait(.milliseconds(200))
    #expect(softErrors(puppet) == [.retransmissions])
    puppet.wait(.seconds(50))
    #expect(softErrors(puppet) == [.retransmissions])
    #expect(puppet.closed == nil)
  }
}
