import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Mappings that cover more than the segment that declares them (RFC 8684 §3.3.1).
@Suite struct ReservationTests {
  /// What side 0 sent of data, by whether a mapping was with it.
  private final class Tally {
    var mapped = 0
    var bare = 0
    var largestBare = 0
    /// Of each flow the segments of data before the first without a mapping.
    var before: [String: Int] = [:]
    let auditor = WireAuditor()

    func look(at packet: WirePacket, from side: Int) {
      auditor.look(at: packet, from: side, isPlain: false)
      guard side == 0, !packet.payload.isEmpty else { return }
      let flow = "\(packet.source) \(packet.tcp.sourcePort) \(packet.destination)"
      if packet.dss?.mapping != nil || packet.capable != nil {
        mapped += 1
        if bare == 0 { before[flow, default: 0] += 1 }
      } else {
        bare += 1
        largestBare = max(largestBare, packet.payload.count)
      }
    }
  }

  private func tally(_ pair: Pair) -> Tally {
    let tally = Tally()
    pair.middlebox { side, packet in
      tally.look(at: packet, from: side)
      return true
    }
    return tally
  }

  @Test(arguments: [1, 2]) func oneMappingStandsForManySegmentsAndTheOthersAreFull(paths: Int) throws {
    // A queue that ends before the window does: a window that opens by two segments at a time has as many mappings.
    var link = quick
    link.queueByteCount = 100_000
    let pair = Pair(Array(repeating: link, count: paths), offload: false)
    let tally = tally(pair)
    try Exchange(pair, clientSends: 3_000_000, serverSends: 0).expectWhole(isMultipath: true)
    #expect(tally.auditor.violations == [])
    #expect(tally.bare > tally.mapped * (paths == 1 ? 8 : 2), "\(tally.bare) beside \(tally.mapped)")
    // 1500 octets less the headers of IP and TCP and the timestamps.
    #expect(tally.largestBare == 1448)
    // A peer that sees none at first takes it that something removes options (RFC 8684 §3.7).
    #expect(tally.before.values.allSatisfy { $0 >= 16 }, "\(tally.before)")
  }

  /// Until the old size is tried again, which may be ten minutes later, segments are smaller, and as bare.
  @Test func aPathThatCarriesLessStillHasOneMappingForManySegments() throws {
    var link = quick
    link.queueByteCount = 100_000
    link.schedule = [LinkEvent(after: .milliseconds(200), .maximumTransmissionUnit(1_300))]
    let pair = Pair([link], offload: false)
    let tally = tally(pair)
    let exchange = try Exchange(pair, clientSends: 4_000_000, serverSends: 0)
    let connection = try #require(pair.endpoints[0].connectionSlots.compactMap { $0 }.first)
    #expect(pair.run(for: .seconds(10)) { connection.subflows.first?.mtuProbe != nil })
    let before = (mapped: tally.mapped, bare: tally.bare)
    exchange.expectWhole(isMultipath: true)
    #expect(tally.auditor.violations == [])
    #expect(tally.bare - before.bare > 8 * (tally.mapped - before.mapped), "\(before) \(tally.bare) \(tally.mapped)")
  }

  @Test func withChecksumsEachSegmentHasItsOwnMapping() throws {
    let pair = Pair([quick, quick], offload: false)
    let tally = tally(pair)
    var options = ConnectionOptions()
    options.checksum = true
    try Exchange(pair, clientSends: 2_000_000, serverSends: 0, options: options).expectWhole(isMultipath: true)
    #expect(tally.bare == 0)
  }

  /// An answer that the peer waits for carries a DATA_ACK, even where that is no news: the last may have got lost.
  @Test func anAnswerThatIsDueCarriesADataAck() throws {
    let pair = Pair([quick, quick], offload: false)
    let exchange = try Exchange(pair, clientSends: 6_000_000, serverSends: 0)
    exchange.runUntilJoined(4)
    let connection = try #require(pair.endpoints[0].connectionSlots.compactMap { $0 }.first)
    var seen = 0
    pair.run(for: .seconds(1)) {
      for subflow in connection.subflows where subflow.reservedByteCount > 0 && !subflow.mustAcknowledge {
        let mapping = subflow.sentMappings.last
        guard subflow.payloadByteCount(at: subflow.sendNext, of: mapping) == subflow.barePayloadByteCount else {
          continue
        }
        subflow.mustAcknowledge = true
        #expect(subflow.payloadByteCount(at: subflow.sendNext, of: mapping) == subflow.fullPayloadByteCount)
        subflow.mustAcknowledge = false
        seen += 1
      }
      return seen > 100
    }
    #expect(seen > 100)
  }

  @Test func whoOwesADataAckSaysSo() throws {
    let pair = Pair([quick, quick], offload: false)
    let tally = tally(pair)
    try Exchange(pair, clientSends: 3_000_000, serverSends: 3_000_000).expectWhole(isMultipath: true)
    #expect(tally.auditor.violations == [])
    #expect(tally.mapped > 0)
  }

  /// The segment that declares the mapping is lost, and what follows has to wait for it.
  @Test(arguments: [1, 2], [false, true]) func aLostDeclarationIsRepeated(paths: Int, offload: Bool) throws {
    let pair = Pair(Array(repeating: quick, count: paths), offload: offload)
    let tally = tally(pair)
    let inner = pair.onPacket
    var count = 0
    pair.onPacket = { side, path, bytes in
      guard let bytes = inner(side, path, bytes) else { return nil }
      guard side == 0, let packet = WirePacket(bytes), let mapping = packet.dss?.mapping, tally.bare > 0,
        Int(mapping.length) > packet.payload.count + 1
      else { return bytes }
      count += 1
      return count % 5 == 0 ? nil : bytes
    }
    try Exchange(pair, clientSends: 2_000_000, serverSends: 0).expectWhole(isMultipath: true)
    #expect(tally.auditor.violations == [])
    #expect(count > 5)
  }

  /// The mapping never arrives: its subflow goes, and another one brings the data.
  @Test func aStrippedDeclarationIsSurvived() throws {
    let pair = Pair([quick, quick], offload: false)
    let tally = tally(pair)
    let inner = pair.onPacket
    var left = 3
    pair.onPacket = { side, path, bytes in
      guard let bytes = inner(side, path, bytes) else { return nil }
      guard side == 0, path == 1, left > 0, var packet = WirePacket(bytes), let mapping = packet.dss?.mapping,
        Int(mapping.length) > packet.payload.count + 1, tally.bare > 100
      else { return bytes }
      left -= 1
      packet.strip()
      return packet.bytes
    }
    try Exchange(pair, clientSends: 4_000_000, serverSends: 0).expectWhole(isMultipath: true)
    #expect(left == 0)
  }

  @Test(arguments: 1...3) func lossAndAPathThatDiesLeaveNoByteBehind(seed: UInt64) throws {
    var (one, two) = (quick, slow)
    one.lossRate = .percent(1)
    two.lossRate = .percent(1)
    let pair = Pair([one, two], seed: seed, offload: seed % 2 == 0)
    let tally = tally(pair)
    let exchange = try Exchange(pair, clientSends: 5_000_000, serverSends: 50_000)
    pair.run(for: .milliseconds(700 + Int64(seed) * 20))
    for side in 0..<2 { pair.links[0][side].set(isUp: false, at: pair.now) }
    pair.run(for: .milliseconds(900))
    for side in 0..<2 { pair.links[0][side].set(isUp: true, at: pair.now) }
    exchange.expectWhole(isMultipath: true)
    #expect(tally.auditor.violations == [])
    #expect(tally.bare > 0)
  }

  /// A subflow that is closed keeps to what it has declared, and others bring what it had not sent yet.
  @Test(arguments: 1...2) func aSubflowClosedInMidMappingLeavesNoByteBehind(seed: UInt64) throws {
    var lossy = quick
    lossy.lossRate = .percent(1)
    let pair = Pair([lossy, quick], seed: seed, offload: false)
    let tally = tally(pair)
    let exchange = try Exchange(pair, clientSends: 5_000_000, serverSends: 0)
    exchange.runUntilJoined(2)
    pair.run(for: .seconds(10)) { tally.bare > 200 + Int(seed) }
    let id = try #require(exchange.ids[0])
    let first = try #require(exchange.description(0)?.subflows.first { $0.path == PathID(0) })
    try pair.endpoints[0].closeSubflow(id, first.id, at: pair.now)
    exchange.expectWhole(isMultipath: true)
    #expect(tally.auditor.violations == [])
  }

  /// What has been promised waits for the window like all else, and goes when it opens.
  @Test func aClosedWindowHoldsBackWhatWasPromised() throws {
    let pair = Pair([quick, slow], offload: false)
    let tally = tally(pair)
    var options = ConnectionOptions()
    options.receiveBufferByteCount = 300_000
    let exchange = try Exchange(pair, clientSends: 3_000_000, serverSends: 0, options: options)
    exchange.readLimit = 0
    pair.run(for: .seconds(3))
    exchange.readLimit = 7_000
    pair.run(for: .seconds(2))
    exchange.readLimit = .max
    exchange.expectWhole(isMultipath: true)
    #expect(tally.auditor.violations == [])
    #expect(tally.bare > 0)
  }
}
