import MPTCPPolicy
import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct IPReassemblerTests {
  private struct Fragment {
    var header: IPHeader
    var packet: ByteSlice
  }

  private static let v4 = (IPAddress(v4: 0x0A00_0001), IPAddress(v4: 0x0A00_0002))
  private static let v6 = (
    IPAddress(v6High: 0xFD00 << 48, low: 1), IPAddress(v6High: 0xFD00 << 48, low: 2)
  )
  private let path = PathID(0)

  /// A fragment as it would arrive. The header that the parser would give is made by hand where the fragment is IPv6,
  /// since the wire module writes no extension headers; the parser is tested on its own.
  private func fragment(
    of payload: [UInt8], _ range: Range<Int>, more: Bool, id: UInt32 = 7, isV6: Bool = false, ecn: UInt8 = 0,
    protocolNumber: UInt8 = IPProtocol.tcp
  ) -> Fragment {
    let ends = isV6 ? Self.v6 : Self.v4
    var header = IPHeader(
      source: ends.0, destination: ends.1, protocolNumber: protocolNumber, payloadByteCount: range.count,
      trafficClass: ecn, hopLimit: 61, dontFragment: false, identification: id)
    header.fragment = IPFragment(offset: range.lowerBound, hasMore: more, identification: id)
    if isV6 { header.headerByteCount = 48 }
    let front = [UInt8](repeating: 0xEE, count: header.headerByteCount)
    return Fragment(header: header, packet: ByteSlice(front + payload[range]))
  }

  private func octets(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }

  private func insert(
    _ fragment: Fragment, into reassembler: inout IPReassembler, at: Instant = .zero
  ) -> ByteSlice? {
    reassembler.insert(header: fragment.header, packet: fragment.packet, on: path, at: at)
  }

  @Test(arguments: [false, true])
  func `fragments in any order make the whole packet, with a plain header`(isV6: Bool) throws {
    let payload = octets(3_001)
    let fragments = [
      fragment(of: payload, 0..<1_480, more: true, isV6: isV6),
      fragment(of: payload, 1_480..<2_960, more: true, isV6: isV6),
      fragment(of: payload, 2_960..<3_001, more: false, isV6: isV6),
    ]
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
      var reassembler = IPReassembler()
      #expect(insert(fragments[order[0]], into: &reassembler) == nil)
      #expect(insert(fragments[order[1]], into: &reassembler) == nil)
      let whole = try #require(insert(fragments[order[2]], into: &reassembler))
      let header = try IPHeader(parsing: whole.bytes)
      #expect(header.fragment == nil)
      #expect(header.headerByteCount == (isV6 ? 40 : 20))
      #expect(header.protocolNumber == IPProtocol.tcp)
      #expect(header.hopLimit == 61)
      #expect(header.source == fragments[0].header.source)
      #expect(header.destination == fragments[0].header.destination)
      let isChecksumValid = IPHeader.hasValidChecksum(whole.bytes)
      #expect(isChecksumValid)
      #expect(whole.dropFirst(header.headerByteCount).array == payload)
      #expect(reassembler.count == 0)
      #expect(reassembler.memoryByteCount == 0)
    }
  }

  @Test(arguments: 1...30 as ClosedRange<UInt64>)
  func `random cuts, orders and duplicates change nothing`(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let payload = octets(Int.random(in: 9...20_000, using: &generator))
    let isV6 = Bool.random(using: &generator)
    var fragments: [Fragment] = []
    var start = 0
    while start < payload.count {
      let end = min(start + 8 * Int.random(in: 1...200, using: &generator), payload.count)
      guard start > 0 || end < payload.count else { continue }
      fragments.append(fragment(of: payload, start..<end, more: end < payload.count, isV6: isV6))
      start = end
    }
    fragments += fragments.filter { _ in Bool.random(using: &generator) }
    fragments.shuffle(using: &generator)
    var reassembler = IPReassembler()
    var results: [ByteSlice] = []
    for fragment in fragments {
      if let whole = insert(fragment, into: &reassembler) { results.append(whole) }
    }
    let whole = try #require(results.first)
    #expect(whole.dropFirst(isV6 ? 40 : 20).array == payload)
  }

  @Test(arguments: [false, true])
  func `an overlap spoils the datagram, and what arrives of it later is dropped`(isV6: Bool) {
    // RFC 5722 §4
    let payload = octets(64)
    var reassembler = IPReassembler()
    _ = insert(fragment(of: payload, 0..<32, more: true, isV6: isV6), into: &reassembler)
    _ = insert(fragment(of: payload, 24..<48, more: true, isV6: isV6), into: &reassembler)
    #expect(reassembler.memoryByteCount == 0)
    #expect(insert(fragment(of: payload, 32..<64, more: false, isV6: isV6), into: &reassembler) == nil)
    #expect(insert(fragment(of: payload, 0..<32, more: true, isV6: isV6), into: &reassembler) == nil)
    #expect(reassembler.droppedCount == 3)
    // Another datagram is not affected.
    _ = insert(fragment(of: payload, 0..<32, more: true, id: 8, isV6: isV6), into: &reassembler)
    #expect(insert(fragment(of: payload, 32..<64, more: false, id: 8, isV6: isV6), into: &reassembler) != nil)
    // When its time is over, the number may be used again.
    reassembler.expire(at: .zero + IPReassembler.lifetime)
    #expect(reassembler.count == 0)
  }

  @Test func `a duplicate with other content spoils the datagram`() {
    var reassembler = IPReassembler()
    _ = insert(fragment(of: octets(64), 0..<32, more: true), into: &reassembler)
    _ = insert(fragment(of: [UInt8](repeating: 1, count: 64), 0..<32, more: true), into: &reassembler)
    #expect(insert(fragment(of: octets(64), 32..<64, more: false), into: &reassembler) == nil)
  }

  @Test func `two ends, or octets beyond the end, spoil the datagram`() {
    let payload = octets(128)
    for second in [(48..<56, false), (64..<72, false), (64..<72, true)] {
      var reassembler = IPReassembler()
      _ = insert(fragment(of: payload, 48..<64, more: false), into: &reassembler)
      _ = insert(fragment(of: payload, second.0, more: second.1), into: &reassembler)
      #expect(reassembler.droppedCount == 1)
    }
    var reassembler = IPReassembler()
    _ = insert(fragment(of: payload, 64..<72, more: true), into: &reassembler)
    _ = insert(fragment(of: payload, 48..<56, more: false), into: &reassembler)
    #expect(reassembler.droppedCount == 1)
  }

  @Test func `fragments that cannot be right are refused`() {
    var reassembler = IPReassembler()
    let payload = octets(70_000)
    // Not a multiple of eight octets, though more follow.
    _ = insert(fragment(of: payload, 0..<31, more: true), into: &reassembler)
    // Nothing in it.
    _ = insert(fragment(of: payload, 8..<8, more: true), into: &reassembler)
    #expect(reassembler.count == 0)
    // More than a packet holds.
    _ = insert(fragment(of: payload, 65_528..<65_536, more: false), into: &reassembler)
    _ = insert(fragment(of: payload, 65_512..<65_520, more: false, id: 8), into: &reassembler)
    #expect(reassembler.droppedCount == 4)
    // A packet that is shorter than its header says.
    var cut = fragment(of: payload, 0..<64, more: true)
    cut.packet = cut.packet.prefix(60)
    _ = insert(cut, into: &reassembler)
    // No fragment at all.
    var whole = fragment(of: payload, 0..<64, more: true)
    whole.header.fragment = nil
    _ = insert(whole, into: &reassembler)
    #expect(reassembler.droppedCount == 6)
    #expect(reassembler.memoryByteCount == 0)
  }

  @Test func `datagrams differ by path, ends, number and protocol`() {
    let payload = octets(64)
    var reassembler = IPReassembler()
    let first = fragment(of: payload, 0..<32, more: true)
    _ = insert(first, into: &reassembler)
    _ = reassembler.insert(header: first.header, packet: first.packet, on: PathID(1), at: .zero)
    _ = insert(fragment(of: payload, 0..<32, more: true, id: 8), into: &reassembler)
    _ = insert(fragment(of: payload, 0..<32, more: true, isV6: true), into: &reassembler)
    _ = insert(fragment(of: payload, 0..<32, more: true, protocolNumber: IPProtocol.udp), into: &reassembler)
    #expect(reassembler.count == 5)
  }

  // Requirement 3168-5-01
  @Test func `a congestion mark on one fragment is on the packet`() throws {
    // RFC 3168 §5.3
    let payload = octets(64)
    var reassembler = IPReassembler()
    _ = insert(fragment(of: payload, 0..<32, more: true, ecn: 2), into: &reassembler)
    let whole = try #require(insert(fragment(of: payload, 32..<64, more: false, ecn: 3), into: &reassembler))
    #expect(try IPHeader(parsing: whole.bytes).trafficClass & 3 == 3)
    _ = insert(fragment(of: payload, 0..<32, more: true, ecn: 0), into: &reassembler)
    #expect(insert(fragment(of: payload, 32..<64, more: false, ecn: 3), into: &reassembler) == nil)
  }

  @Test func `datagrams that are not complete in time are given up`() {
    var reassembler = IPReassembler()
    #expect(reassembler.nextDeadline == nil)
    _ = insert(fragment(of: octets(64), 0..<32, more: true), into: &reassembler)
    #expect(reassembler.nextDeadline == .zero + .seconds(30))
    reassembler.expire(at: .zero + Nanoseconds(29_999_999_999))
    #expect(reassembler.count == 1)
    reassembler.expire(at: .zero + .seconds(30))
    #expect(reassembler.count == 0)
    #expect(reassembler.memoryByteCount == 0)
    #expect(reassembler.droppedCount == 1)
  }

  @Test func `a flood of fragments stays within the bounds, and the latest datagram still completes`() {
    let payload = octets(65_000)
    var reassembler = IPReassembler()
    for id in 0..<500 as Range<UInt32> {
      // The place at the end makes each take as much memory as it can.
      _ = insert(fragment(of: payload, 64_000..<64_008, more: true, id: id), into: &reassembler)
      #expect(reassembler.count <= IPReassembler.largestCount)
      #expect(reassembler.memoryByteCount <= IPReassembler.largestMemoryByteCount)
    }
    _ = insert(fragment(of: payload, 0..<32, more: true, id: 1_000), into: &reassembler)
    #expect(insert(fragment(of: payload, 32..<64, more: false, id: 1_000), into: &reassembler) != nil)
  }
}
