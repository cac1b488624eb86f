import Testing

@testable import MPTCPWire

@Suite struct IPv6ExtensionHeaderTests {
  /// A packet whose extension headers have the given kinds and sizes, in front of `payload`.
  func packet(_ chain: [(kind: UInt8, bytes: [UInt8])], next: UInt8, payload: [UInt8]) throws -> [UInt8] {
    let kinds = chain.map(\.kind) + [next]
    let extensions = chain.enumerated().flatMap { index, header in [kinds[index + 1]] + header.bytes.dropFirst() }
    let address = IPAddress(v6High: 1, low: 2)
    let ip = IPHeader(
      source: address, destination: address, protocolNumber: kinds[0],
      payloadByteCount: extensions.count + payload.count)
    return try written { buffer throws(WireError) in try ip.write(into: buffer) } + extensions + payload
  }

  func parse(_ bytes: [UInt8]) throws(WireError) -> IPHeader { try IPHeader(parsing: bytes.span.bytes) }

  /// A header of `units` times 8 octets more than the first 8.
  func header(_ units: UInt8) -> [UInt8] { [0, units] + [UInt8](repeating: 0, count: 6 + 8 * Int(units)) }

  @Test func everyKindOfHeaderIsSkipped() throws {
    let chain: [(kind: UInt8, bytes: [UInt8])] = [
      (0, header(0)), (60, header(1)), (43, header(2)), (135, header(0)), (139, header(0)), (140, header(0)),
      // The authentication header counts words less 2 (RFC 4302 §2.2).
      (51, [0, 4] + [UInt8](repeating: 0, count: 22)),
    ]
    let parsed = try parse(packet(chain, next: 6, payload: [1, 2, 3]))
    #expect(parsed.protocolNumber == 6)
    #expect(parsed.headerByteCount == 40 + 8 + 16 + 24 + 8 + 8 + 8 + 24)
    #expect(parsed.payloadByteCount == 3)
    #expect(parsed.fragment == nil)
  }

  @Test func aFragmentHeaderEndsTheHeadersThatBelongToTheFragment() throws {
    // Offset 1,448, more fragments; behind it lies part of a destination options header.
    let fragment: [UInt8] = [0, 0, 0x05, 0xa9, 0xde, 0xad, 0xbe, 0xef]
    let parsed = try parse(packet([(0, header(0)), (44, fragment)], next: 60, payload: [6, 9]))
    #expect(parsed.protocolNumber == 60)
    #expect(parsed.fragment == IPFragment(offset: 1448, hasMore: true, identification: 0xdead_beef))
    #expect(parsed.headerByteCount == 56)
    #expect(parsed.payloadByteCount == 2)
  }

  @Test func anAtomicFragmentIsAWholePacket() throws {
    let fragment: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 7]
    let parsed = try parse(packet([(44, fragment), (60, header(0))], next: 6, payload: [1]))
    #expect(parsed.fragment == nil)
    #expect(parsed.identification == 7)
    #expect(parsed.protocolNumber == 6)
    #expect(parsed.payloadByteCount == 1)
  }

  @Test func aHeaderThatLeavesThePacketIsRefused() throws {
    for kind: UInt8 in [0, 43, 51, 60, 135, 139, 140] {
      var bytes = try packet([(kind, header(0))], next: 6, payload: [])
      bytes[41] = 7
      #expect(throws: WireError(.ipv6ExtensionHeader, .truncated, at: 40)) { try parse(bytes) }
    }
    let short = try packet([(44, [0, 0, 0, 0, 0, 0, 0])], next: 6, payload: [])
    #expect(throws: WireError(.ipv6ExtensionHeader, .truncated, at: 40)) { try parse(short) }
  }

  @Test func headersDoNotReachBehindThePayloadLength() throws {
    // The octets are there, but they are link-layer padding.
    var bytes = try packet([(0, header(1))], next: 6, payload: [1, 2, 3, 4])
    bytes[5] = 8
    #expect(throws: WireError(.ipv6ExtensionHeader, .truncated, at: 40)) { try parse(bytes) }
  }

  @Test func optionsThatMayBeSkippedAre() throws {
    // Router alert, padding of both kinds, an unknown option of the kind to skip.
    for options: [UInt8] in [[5, 2, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0], [1, 4, 0, 0, 0, 0], [0x1e, 3, 9, 9, 9, 0]] {
      for kind: UInt8 in [0, 60] {
        #expect(try parse(packet([(kind, [0, 0] + options)], next: 6, payload: [1])).protocolNumber == 6)
      }
    }
  }

  @Test func optionsThatLeaveTheirHeaderAreRefused() throws {
    for (kind, options) in [(0, [5, 5, 0, 0, 0, 0]), (60, [1, 3, 0, 0, 0, 1])] as [(UInt8, [UInt8])] {
      let bytes = try packet([(kind, [0, 0] + options)], next: 6, payload: [1, 2, 3])
      #expect(throws: WireError.self) { try parse(bytes) }
    }
  }

  /// A host discards it; who looks on takes it apart like any other.
  @Test func whatAHostMustDiscardIsMarkedAndParsed() throws {
    // An option whose type says so (RFC 8200 §4.2), segments left in a routing header of any type (§4.4), hop-by-hop
    // options behind another header (§4.1), an authentication header (RFC 4302).
    let chains: [[(kind: UInt8, bytes: [UInt8])]] = [
      [(60, [0, 0, 0x9e, 0, 1, 2, 0, 0])], [(0, [0, 0, 0x5e, 4, 0, 0, 0, 0])], [(60, [0, 0, 0xde, 4, 0, 0, 0, 0])],
      [(43, [0, 0, 0, 1, 0, 0, 0, 0])], [(43, [0, 0, 253, 1, 0, 0, 0, 0])], [(60, header(0)), (0, header(0))],
      [(51, [0, 4] + [UInt8](repeating: 0, count: 22))],
    ]
    for chain in chains {
      let parsed = try parse(packet(chain, next: 6, payload: [1, 2, 3]))
      #expect(parsed.mustBeDiscardedByHost, "\(chain)")
      #expect(parsed.protocolNumber == 6 && parsed.payloadByteCount == 3, "\(chain)")
    }
    let clean = try parse(packet([(0, header(0)), (43, header(2))], next: 6, payload: [1]))
    #expect(!clean.mustBeDiscardedByHost)
  }

  @Test func aPacketWithoutNextHeaderHasNoProtocol() throws {
    #expect(try parse(packet([(60, header(0))], next: 59, payload: [])).protocolNumber == IPProtocol.noNextHeader)
  }
}
