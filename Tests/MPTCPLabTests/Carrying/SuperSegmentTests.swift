import CLinux
import MPTCPCore
import MPTCPWire
import Testing

@testable import MPTCPLab

@Suite("Pieces of super-segments")
struct SuperSegmentTests {
  private func wirePackets(_ packet: [UInt8], segment: Int) -> [[UInt8]] {
    var packets: [[UInt8]] = []
    try? Segmentation.forEachSegment(of: packet.span.bytes, segmentByteCount: segment) { packets.append(Array($0)) }
    return packets
  }

  @Test(
    "The wire packets of the pieces are those of the whole, byte for byte", arguments: [false, true], [0, 14])
  func wirePackets(v6: Bool, linkHeader: Int) throws {
    for (payload, segment, flags) in [(10_000, 1448, 0x98), (2896, 1448, 0x19), (5001, 1000, 0x10), (70, 7, 0xD8)] {
      let frame = DevicePort.Frame.tcp(
        v6: v6, payload: payload, segment: segment, flags: UInt8(flags), linkHeader: linkHeader)
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
    var frame = DevicePort.Frame.tcp(v6: false, payload: 100, segment: 50, flags: 0x10, linkHeader: 0)
    frame.header.gso_type = 0
    #expect(SuperSegment(frame, linkHeaderByteCount: 0) == nil)
    frame.header.gso_type = 1
    frame.bytes = frame.bytes.prefix(60)
    #expect(SuperSegment(frame, linkHeaderByteCount: 0) == nil)
    frame.bytes = frame.bytes.prefix(10)
    #expect(SuperSegment(frame, linkHeaderByteCount: 0) == nil)
  }
}
