import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// ICMP and fragments: RFC 1191, RFC 8201, RFC 5927, RFC 792, RFC 4443, RFC 815.
@Suite struct NetworkMessageTests {
  /// An ICMP error about `segment` of the puppet's endpoint.
  private func error(_ puppet: Puppet, type: UInt8, code: UInt8, mtu: Int = 0, about segment: SeenSegment) -> [UInt8] {
    let isV4 = puppet.ours.address.family == .v4
    var body: [UInt8] = [type, code, 0, 0, 0, 0, UInt8(mtu >> 8), UInt8(mtu & 255)]
    body += segment.bytes().prefix(isV4 ? 28 : 1232)
    return packet(puppet, isV4 ? IPProtocol.icmp : IPProtocol.icmpv6, body)
  }

  private func packet(_ puppet: Puppet, _ number: UInt8, _ body: [UInt8]) -> [UInt8] {
    let header = IPHeader(
      source: puppet.theirs.address, destination: puppet.ours.address, protocolNumber: number,
      payloadByteCount: body.count)
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = bytes.withUnsafeMutableBytes { (try? header.write(into: $0)) ?? 0 }
    return withChecksums(Array(bytes.prefix(count)) + body)
  }

  private func tooBig(_ puppet: Puppet, mtu: Int, about segment: SeenSegment) -> [UInt8] {
    puppet.ours.address.family == .v4
      ? error(puppet, type: 3, code: 4, mtu: mtu, about: segment)
      : error(puppet, type: 2, code: 0, mtu: mtu, about: segment)
  }

  // Requirement 8201-4-01, 9293-3.9.2.2-01
  @Test(arguments: [IPAddress.Family.v4, .v6])
  func segmentsShrinkWhenARouterSaysSo(family: IPAddress.Family) throws {
    let puppet = try Puppet(family: family)
    #expect(puppet.open())
    _ = puppet.take()
    puppet.write(10_000)
    let data = puppet.takeData()
    let large = family == .v4 ? 1460 : 1440
    #expect(data.contains { $0.payload.count == large })
    puppet.deliver(tooBig(puppet, mtu: 1300, about: data[0]))
    let again = puppet.take().filter { !$0.payload.isEmpty }
    #expect(again.first?.tcp.sequenceNumber == data[0].tcp.sequenceNumber)
    #expect(again.allSatisfy { $0.ip.payloadByteCount + $0.ip.headerByteCount <= 1300 })
    puppet.wait(.seconds(1))
    #expect(puppet.take().allSatisfy { $0.ip.payloadByteCount + $0.ip.headerByteCount <= 1300 })
  }

  @Test func aRouterThatNamesNoSizeIsBelievedByPlateaus() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    puppet.write(10_000)
    var segment = puppet.takeData()[0]
    for largest in [1492, 1006, 552] {
      puppet.deliver(tooBig(puppet, mtu: 0, about: segment))
      let again = puppet.take().filter { !$0.payload.isEmpty }
      #expect(again.map(\.ip.totalByteCount).max() == largest)
      segment = try #require(again.first)
    }
  }

  @Test func whatAPathCarriesSaysNothingOfWhatWeTake() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    puppet.write(10_000)
    let data = puppet.takeData()
    puppet.deliver(tooBig(puppet, mtu: 1300, about: data[0]))
    _ = puppet.take()
    // Another connection on the same path sends small segments and announces the device's.
    puppet.theirs.port = 5001
    puppet.sequence = SequenceNumber(77)
    puppet.expected = SequenceNumber(0)
    puppet.send([.syn], options: puppet.synOptions)
    #expect(try #require(puppet.take().last).options.maximumSegmentSize == 1460)
  }

  @Test func aPathThatWasSilentForAWhileShrinksNoOtherConnection() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    puppet.write(10_000)
    puppet.wait(.seconds(20))
    #expect(puppet.take().contains { $0.ip.totalByteCount == 576 })
    puppet.theirs.port = 5001
    puppet.sequence = SequenceNumber(77)
    puppet.expected = SequenceNumber(0)
    #expect(puppet.open())
    _ = puppet.take()
    puppet.write(10_000)
    #expect(puppet.take().contains { $0.ip.totalByteCount == 1500 })
  }

  // Requirement 8201-4-04
  @Test func aMessageThatQuotesNothingInFlightIsIgnored() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    puppet.write(10_000)
    var data = puppet.takeData()
    data[0].tcp.sequenceNumber = data[0].tcp.sequenceNumber + 5_000_000
    puppet.deliver(tooBig(puppet, mtu: 600, about: data[0]))
    #expect(puppet.take().isEmpty)
    puppet.send()
    puppet.write(3000)
    #expect(puppet.takeData().contains { $0.payload.count == 1460 })
  }

  // Requirement 8201-4-03
  @Test func aMessageOfALargerPathRaisesNothing() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    puppet.write(10_000)
    puppet.deliver(tooBig(puppet, mtu: 1300, about: try #require(puppet.takeData().first)))
    let again = try #require(puppet.take().first { !$0.payload.isEmpty })
    puppet.deliver(tooBig(puppet, mtu: 1500, about: again))
    puppet.wait(.seconds(1))
    let later = puppet.take().filter { !$0.payload.isEmpty }
    #expect(!later.isEmpty && later.allSatisfy { $0.ip.totalByteCount <= 1300 })
  }

  /// Source quench, network, host and route unreachable, time exceeded, parameter problem.
  // Requirement 9293-3.9.2.2-02, 9293-3.9.2.2-03
  @Test(arguments: [(4, 0), (3, 0), (3, 1), (3, 5), (11, 0), (12, 0)] as [(UInt8, UInt8)])
  func messagesThatPassChangeNothing(type: UInt8, code: UInt8) throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    let id = try #require(puppet.id)
    func window() -> Int? { puppet.endpoint.description(of: id)?.subflows.first?.congestionWindowByteCount }
    puppet.write(10_000)
    let before = window()
    puppet.deliver(error(puppet, type: type, code: code, about: try #require(puppet.takeData().first)))
    #expect(puppet.closed == nil)
    #expect(puppet.take().map(\.payload.count).isEmpty)
    #expect(window() == before)
    puppet.sendNext([1])
    #expect(puppet.read() == [1])
  }

  /// What every link carries of IPv6, and of IPv4 what every host takes.
  @Test(arguments: [(IPAddress.Family.v4, 68, 552), (.v4, 551, 552), (.v6, 1280, 1280)])
  func noMessageMakesSegmentsAbsurdlySmall(sizes: (family: IPAddress.Family, told: Int, least: Int)) throws {
    let puppet = try Puppet(family: sizes.family)
    #expect(puppet.open())
    _ = puppet.take()
    puppet.write(5000)
    let data = puppet.takeData()
    puppet.deliver(tooBig(puppet, mtu: sizes.told, about: data[0]))
    let again = puppet.take().filter { !$0.payload.isEmpty }
    #expect(again.map(\.ip.totalByteCount).max() == sizes.least)
  }

  // Requirement 9293-3.9.2.2-05
  @Test(arguments: [IPAddress.Family.v4, .v6])
  func unreachableEndsAnAttemptButNoConnection(family: IPAddress.Family) throws {
    let puppet = try Puppet(family: family)
    let (type, code): (UInt8, UInt8) = family == .v4 ? (3, 3) : (1, 4)
    puppet.id = try puppet.endpoint.connect(to: puppet.theirs, options: Puppet.plain, at: puppet.now)
    puppet.drain()
    puppet.deliver(error(puppet, type: type, code: code, about: try #require(puppet.take().last)))
    #expect(puppet.closed == .refused || puppet.closed == .unreachable)
    let other = try Puppet(family: family)
    #expect(other.open())
    _ = other.take()
    other.write(100)
    other.deliver(error(other, type: type, code: code, about: try #require(other.takeData().last)))
    #expect(other.closed == nil)
    other.send()
    other.sendNext([1])
    #expect(other.read() == [1])
  }

  @Test(arguments: [IPAddress.Family.v4, .v6])
  func echoRequestsAreAnswered(family: IPAddress.Family) throws {
    let puppet = try Puppet(family: family)
    let isV4 = family == .v4
    let body: [UInt8] = [isV4 ? 8 : 128, 0, 0, 0, 0x12, 0x34, 0, 7] + Array(1...56)
    puppet.deliver(packet(puppet, isV4 ? IPProtocol.icmp : IPProtocol.icmpv6, body))
    let reply = try #require(puppet.others.last)
    let ip = try IPHeader(parsing: reply.span.bytes)
    #expect(ip.source == puppet.ours.address)
    #expect(ip.destination == puppet.theirs.address)
    let answer = Array(reply[ip.headerByteCount...])
    #expect(answer[0] == (isV4 ? 0 : 129))
    #expect(Array(answer[4...]) == Array(body[4...]))
    #expect(withChecksums(reply) == reply)
    // A spoiled one is not.
    puppet.others.removeAll()
    var spoiled = packet(puppet, isV4 ? IPProtocol.icmp : IPProtocol.icmpv6, body)
    spoiled[spoiled.count - 1] ^= 1
    puppet.deliver(spoiled)
    #expect(puppet.others.isEmpty)
  }

  @Test func fragmentsOfASegmentAreTakenTogether() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    _ = puppet.take()
    let payload = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
    let whole = madeSegment(
      from: puppet.theirs, to: puppet.ours, sequence: puppet.sequence, acknowledgment: puppet.expected, flags: [.ack],
      payload: payload)
    var ip = try IPHeader(parsing: whole.span.bytes)
    var pieces: [[UInt8]] = []
    let body = Array(whole[20...])
    for start in stride(from: 0, to: body.count, by: 400) {
      let part = Array(body[start..<min(start + 400, body.count)])
      ip.payloadByteCount = part.count
      ip.dontFragment = false
      ip.fragment = nil
      var bytes = [UInt8](repeating: 0, count: 20)
      _ = bytes.withUnsafeMutableBytes { try? ip.write(into: $0) }
      bytes[4] = 9
      bytes[6] = UInt8((start / 8) >> 8) | (start + 400 < body.count ? 0x20 : 0)
      bytes[7] = UInt8(truncatingIfNeeded: start / 8)
      pieces.append(withChecksums(bytes + part))
    }
    for piece in pieces.reversed() { puppet.deliver(piece) }
    #expect(puppet.read() == payload)
  }
}
