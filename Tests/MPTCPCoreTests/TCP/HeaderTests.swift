import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// What stands in the headers of TCP and IP, ours and the peer's: RFC 9293 §3.1, §3.9.1 and §3.9.2.
@Suite struct HeaderTests {
  /// A segment of the peer's that has the next number, as it is before anything is changed in it.
  private func next(
    _ puppet: Puppet, _ flags: TCPFlags = [.ack], payload: [UInt8] = []
  ) -> [UInt8] {
    madeSegment(
      from: puppet.theirs, to: puppet.ours, sequence: puppet.sequence, acknowledgment: puppet.expected, flags: flags,
      payload: payload)
  }

  /// An endpoint that lets what it keeps of its one subflow be seen.
  private func subflow(_ puppet: Puppet) throws -> Subflow {
    try #require(puppet.endpoint.subflowSlots.compactMap { $0 }.first)
  }

  /// Acknowledges until the peer's window, and not the congestion window, is what holds the sender back.
  private func fill(_ puppet: Puppet, window: UInt16) -> Int {
    puppet.window = window
    for _ in 0..<40 {
      puppet.write(200_000)
      _ = puppet.takeData()
      puppet.wait(.milliseconds(10))
      puppet.send()
    }
    puppet.wait(.milliseconds(10))
    return puppet.endpoint.subflowSlots.compactMap { $0 }.first?.inFlightByteCount ?? 0
  }

  /// A signed reading would take 65,535 for −1.
  // Requirement 9293-3.1-01
  @Test(arguments: [32_767, 32_768, 65_535] as [UInt16])
  func theWindowIsUnsigned(window: UInt16) throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    let inFlight = fill(puppet, window: window)
    #expect(inFlight <= Int(window))
    #expect(inFlight > Int(window) - 2 * 1460)
  }

  // Requirement 9293-3.1-02
  @Test func aWindowMayHaveThirtyBits() throws {
    let puppet = try Puppet()
    puppet.windowScale = 14
    #expect(puppet.open())
    puppet.send(window: 65_535)
    let subflow = try subflow(puppet)
    #expect(subflow.sendWindowEdge - subflow.sendUnacknowledged == 65_535 << 14)
    #expect(subflow.largestSendWindow == 65_535 << 14)
  }

  /// Timestamps, padding and an option that nobody knows, on data, on a FIN, and on a RST.
  // Requirement 9293-3.1-06
  @Test func optionsMayComeInAnySegment() throws {
    for ending in [TCPFlags.fin, .rst] {
      let puppet = try Puppet()
      puppet.usesTimestamps = true
      #expect(puppet.open())
      // Nothing, timestamps, kind 77 of which nobody knows anything, nothing.
      let value = puppet.clock
      let options: [UInt8] =
        [1, 8, 10] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
        + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: puppet.echo >> $0) } + [77, 6, 1, 2, 3, 4, 1]
      let data = try #require(SeenSegment(next(puppet, [.ack, .psh], payload: [1, 2, 3])))
      puppet.deliver(data.bytes(options: options))
      puppet.sequence = puppet.sequence + 3
      #expect(puppet.read() == [1, 2, 3])
      let last = try #require(SeenSegment(next(puppet, ending == .fin ? [.ack, .fin] : .rst)))
      puppet.deliver(last.bytes(options: options))
      #expect(ending == .fin ? puppet.state == .closeWait : puppet.closed == .resetByPeer)
    }
  }

  // Requirement 9293-3.1-12
  @Test func reservedBitsAreSentAsZeroAndNotLookedAt() throws {
    let puppet = try Puppet()
    func withReservedBits(_ bytes: [UInt8]) -> [UInt8] {
      var bytes = bytes
      // Octet 12 of the TCP header: four bits of length, four that are reserved.
      bytes[20 + 12] |= 0x0f
      return withChecksums(bytes)
    }
    puppet.deliver(
      withReservedBits(
        madeSegment(
          from: puppet.theirs, to: puppet.ours, sequence: puppet.sequence, flags: .syn, options: puppet.synOptions)))
    let answer = try #require(puppet.take().last)
    #expect(answer.flags == [.syn, .ack])
    puppet.sequence = puppet.sequence + 1
    puppet.expected = answer.tcp.sequenceNumber + 1
    puppet.deliver(withReservedBits(next(puppet)))
    #expect(puppet.state == .established)
    puppet.deliver(withReservedBits(next(puppet, [.ack, .psh], payload: [7])))
    puppet.sequence = puppet.sequence + 1
    #expect(puppet.read() == [7])
    puppet.write(5000)
    puppet.endpoint.finish(try #require(puppet.id), at: puppet.now)
    while let packet = puppet.endpoint.nextPacket() { #expect(packet.copyBytes()[20 + 12] & 0x0f == 0) }
  }

  // Requirement 9293-3.9.1-07, 9293-3.9.2-01
  @Test(arguments: [IPAddress.Family.v4, .v6])
  func theApplicationChoosesServiceClassAndHopLimit(family: IPAddress.Family) throws {
    var options = Puppet.plain
    options.explicitCongestionNotification = true
    options.differentiatedServicesCodePoint = 46
    options.hopLimit = 3
    for isPassive in [true, false] {
      let puppet = try Puppet(family: family, options: options)
      #expect(try isPassive ? puppet.open() : puppet.accept(options: options))
      puppet.write(5000)
      puppet.wait(.seconds(2))
      puppet.endpoint.finish(try #require(puppet.id), at: puppet.now)
      puppet.drain()
      let segments = puppet.take()
      #expect(segments.count > 4)
      #expect(segments.allSatisfy { $0.ip.trafficClass >> 2 == 46 && $0.ip.hopLimit == 3 })
    }
    let usual = try Puppet(family: family)
    usual.send([.syn], options: usual.synOptions)
    let answer = try #require(usual.take().last)
    #expect(answer.ip.trafficClass == 0 && answer.ip.hopLimit == 64)
    // A limit of nothing would reach nobody.
    options.hopLimit = 0
    let none = try Puppet(family: family, options: options)
    none.send([.syn], options: none.synOptions)
    #expect(none.take().last?.ip.hopLimit == 1)
  }

  /// A route that the peer's SYN took is not kept, and an application can give none: nothing that leaves names one.
  // Requirement 9293-3.9.2-03, 9293-3.9.2-05
  @Test func noSegmentNamesARoute() throws {
    let puppet = try Puppet()
    var syn = madeSegment(
      from: puppet.theirs, to: puppet.ours, sequence: puppet.sequence, flags: .syn, options: puppet.synOptions)
    // Loose source route, completed: it came by way of 10.0.0.9.
    syn.insert(contentsOf: [131, 7, 8, 10, 0, 0, 9, 1], at: 20)
    syn[0] = 0x47
    syn[3] += 8
    puppet.deliver(withChecksums(syn))
    let answer = try #require(puppet.take().last)
    #expect(answer.flags == [.syn, .ack] && answer.ip.headerByteCount == 20)
    #expect(answer.ip.destination == puppet.theirs.address)
    puppet.expected = answer.tcp.sequenceNumber + 1
    puppet.sequence = puppet.sequence + 1
    puppet.send()
    puppet.write(5000)
    let data = puppet.takeData()
    #expect(data.count == 4 && data.allSatisfy { $0.ip.headerByteCount == 20 })
    let active = try Puppet()
    #expect(try active.accept())
    active.write(100)
    #expect(active.takeData().map(\.ip.headerByteCount) == [20])
  }

  /// A record route and padding in an IPv4 header, padding in IPv6's hop-by-hop options: nothing to TCP.
  // Requirement 9293-3.9.2-02
  @Test(arguments: [IPAddress.Family.v4, .v6])
  func optionsOfIPAreSkipped(family: IPAddress.Family) throws {
    let puppet = try Puppet(family: family)
    #expect(puppet.open())
    var bytes = next(puppet, [.ack, .psh], payload: [1, 2, 3])
    if family == .v4 {
      // Record route, empty and of one address; then the end of the list.
      bytes.insert(contentsOf: [7, 7, 4, 0, 0, 0, 0, 0], at: 20)
      bytes[0] = 0x47
      bytes[3] += 8
    } else {
      // Next header TCP, no more than eight octets, PadN of four.
      bytes.insert(contentsOf: [bytes[6], 0, 1, 4, 0, 0, 0, 0], at: 40)
      bytes[6] = 0
      bytes[5] += 8
    }
    puppet.deliver(withChecksums(bytes))
    #expect(puppet.read() == [1, 2, 3])
  }
}
