import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Middleboxes that cut segments, join them, or lose options now and then: no byte may be lost, repeated or changed
/// (RFC 8684 §3.3.1, §3.7).
@Suite struct ResegmentationTests {
  enum Copies: CaseIterable, Sendable {
    case both
    case first
    case last
  }

  // Requirement 8684-3.1-29, 8684-3.1-30, 8684-3.3.1-02
  @Test(arguments: Copies.allCases, [false, true])
  func segmentsMayBeCutInTwo(copies: Copies, checksum: Bool) throws {
    let pair = Pair([quick, quick], offload: false)
    var options = ConnectionOptions()
    options.checksum = checksum
    let exchange = try Exchange(pair, clientSends: 150_000, serverSends: 150_000, options: options)
    pair.middlebox { [unowned pair] side, packet in
      guard packet.payload.count > 300 else { return true }
      var rest = packet
      rest.payload = Array(packet.payload[200...])
      rest.tcp.sequenceNumber = rest.tcp.sequenceNumber + 200
      packet.payload = Array(packet.payload[..<200])
      switch copies {
      case .both: break
      case .first: rest.strip()
      case .last: packet.strip()
      }
      if packet.isFin { packet.tcp.flags.remove(.fin) }
      pair.send(packet, from: side)
      pair.send(rest, from: side)
      return false
    }
    exchange.expectWhole()
    if copies != .last { #expect(exchange.isMultipath == [true, true]) }
  }

  // Requirement 8684-3.3.1-26
  @Test(arguments: [1, 2], [1, 2, 3])
  func segmentsMayLoseTheirOptionsNowAndThen(paths: Int, seed: UInt64) throws {
    let pair = Pair(Array(repeating: quick, count: paths), seed: seed, offload: false)
    let exchange = try Exchange(pair, clientSends: 300_000, serverSends: 300_000)
    var entropy = SeededEntropy(seed: seed)
    pair.middlebox { _, packet in
      if packet.path == paths - 1, !packet.payload.isEmpty, packet.dss != nil, entropy.next() % 100 == 0 {
        packet.strip()
      }
      return true
    }
    exchange.expectWhole(within: .seconds(60))
  }

  /// Nine of ten acknowledgments lose their DATA_ACK once the connection is under way, and on one of two paths all do.
  // Requirement 8684-6-06
  @Test(arguments: [(1, 10), (2, 10), (2, 1)], [1, 2])
  func acknowledgmentsMayLoseTheirDataAcks(of place: (paths: Int, kept: UInt64), seed: UInt64) throws {
    let (paths, kept) = place
    let pair = Pair(Array(repeating: quick, count: paths), seed: seed, offload: false)
    let exchange = try Exchange(pair, clientSends: 300_000, serverSends: 0)
    var entropy = SeededEntropy(seed: seed)
    var seen = 0
    var stripped = 0
    pair.middlebox { side, packet in
      guard side == 1, packet.path == paths - 1, packet.isPureAck, packet.dss?.dataAck != nil, packet.capable == nil
      else { return true }
      seen += 1
      if seen > 16, kept > 1 ? entropy.next() % kept != 0 : true {
        packet.strip()
        stripped += 1
      }
      return true
    }
    exchange.expectWhole(within: .seconds(60), isMultipath: true)
    #expect(stripped > 10)
  }

  // Requirement 8684-3.3.1-02
  @Test(arguments: [1, 2], [1, 2, 3])
  func segmentsMayBeJoinedWithTheOptionsOfTheFirst(paths: Int, seed: UInt64) throws {
    let pair = Pair(Array(repeating: quick, count: paths), seed: seed, mtu: 1000, offload: false)
    let exchange = try Exchange(pair, clientSends: 200_000, serverSends: 0)
    var entropy = SeededEntropy(seed: seed)
    var held: WirePacket?
    pair.middlebox { [unowned pair] side, packet in
      guard side == 0, packet.path == paths - 1 else { return true }
      if let first = held {
        held = nil
        if packet.tcp.sourcePort == first.tcp.sourcePort, !packet.isReset,
          packet.tcp.sequenceNumber == first.tcp.sequenceNumber + first.payload.count
        {
          packet.payload = first.payload + packet.payload
          packet.tcp.sequenceNumber = first.tcp.sequenceNumber
          packet.options = first.options
          return true
        }
        pair.send(first, from: side)
        return true
      }
      if packet.payload.count > 500, packet.payload.count < 980, packet.dss != nil, !packet.isFin,
        entropy.next() % 20 == 0
      {
        held = packet
        return false
      }
      return true
    }
    exchange.expectWhole(within: .seconds(60))
  }
}
