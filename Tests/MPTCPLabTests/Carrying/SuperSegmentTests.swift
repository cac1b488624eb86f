import CLinux
import MPTCPCore
import MPTCPWire
import Testing

@testable import MPTCPLab

@Suite("Pieces of super-segments")
struct SuperSegmentTests {
  /// A TCP packet with `payload` octets, its checksum left open, behind `linkHeader` octets.
  private func frame(v6: Bool, payload: Int, segment: Int, flags: UInt8, linkHeader: Int) -> DevicePort.Frame {
    let tcpHeader = 32, ipHeader = v6 ? 40 : 20
    var bytes = [UInt8](repeating: 0xEE, count: linkHeader)
    if v6 {
      bytes += [0x60, 0, 0, 0] + big(tcpHeader + payload) + [6, 64]
      bytes += [0xfd] + [UInt8](repeating: 0, count: 14) + [1] + [0xfd] + [UInt8](repeating: 0, count: 14) + [2]
    } else {
      bytes += [0x45, 0] + big(ipHeader + tcpHeader + payload) + [0x12, 0x34, 0x40, 0, 64, 6, 0, 0]
      bytes += [10, 0, 1, 1, 10, 0, 1, 2]
    }
    bytes += [0x13, 0x88, 0x13, 0x89, 0xff, 0xff, 0xff, 0x00, 0, 0, 0, 9, 0x80, flags, 0x10, 0, 0, 0, 0, 0]
    bytes += [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]
    bytes += (0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    var header = clinux_vnet_header()
    header.flags = UInt8(CLINUX_VNET_NEEDS_CHECKSUM)
    header.gso_type = UInt8(v6 ? CLINUX_VNET_GSO_TCPV6 : CLINUX_VNET_GSO_TCPV4)
    if flags & 0x80 != 0 { header.gso_type |= UInt8(CLINUX_VNET_GSO_ECN) }
    header.gso_size = UInt16(segment)
    header.checksum_start = UInt16(linkHeader + ipHeader)
    header.checksum_offset = 16
    return DevicePort.Frame(header: header, bytes: ByteSlice(bytes))
  }

  private func big(_ value: Int) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }

  private func wirePackets(_ packet: [UInt8], segment: Int) -> [[UInt8]] {
    var packets: [[UInt8]] = []
    try? Segmentation.forEachSegment(of: packet.span.bytes, segmentByteCount: segment) { packets.append(Array($0)) }
    return packets
  }

  @Test(
    "The wire packets of the pieces are those of the whole, byte for byte", arguments: [false, true], [0, 14])
  func wirePackets(v6: Bool, linkHeader: Int) throws {
    for (payload, segment, flags) in [(10_000, 1448, 0x98), (2896, 1448, 0x19), (5001, 1000, 0x10), (70, 7, 0xD8)] {
      let frame = frame(v6: v6, payload: payload, segment: segment, flags: UInt8(flags), linkHeader: linkHeader)
      let whole = try #require(SuperSegment(frame, linkHeaderByteCount: linkHeader))
      let expected = wirePackets(Array(frame.bytes.array[linkHeader...]), segment: segment)
      #expect(whole.segmentCount == expected.count)
      for step in 1...expected.count {
        var found: [[UInt8]] = []
        for first in stride(from: 0, to: expected.count, by: step) {
          let range = first..<min(first + step, expected.count)
          let piece = whole.piece(range)
          let bytes = piece.head + piece.rest.array
          #expect(Array(bytes[..<linkHeader]) == [UInt8](repeating: 0xEE, count: linkHeader))
          #expect(piece.header.gso_size == (range.count > 1 ? UInt16(segment) : 0))
          #expect((piece.header.gso_type == 0) == (range.count == 1))
          #expect(piece.header.checksum_start == frame.header.checksum_start)
          found += wirePackets(Array(bytes[linkHeader...]), segment: Int(piece.header.gso_size))
        }
        #expect(found == expected)
      }
    }
  }

  @Test("What is no TCP super-segment is left whole")
  func others() {
    var frame = frame(v6: false, payload: 100, segment: 50, flags: 0x10, linkHeader: 0)
    frame.header.gso_type = 0
    #expect(SuperSegment(frame, linkHeaderByteCount: 0) == nil)
    frame.header.gso_type = 1
    frame.bytes = frame.bytes.prefix(60)
    #expect(SuperSegment(frame, linkHeaderByteCount: 0) == nil)
    frame.bytes = frame.bytes.prefix(10)
    #expect(SuperSegment(frame, linkHeaderByteCount: 0) == nil)
  }
}
