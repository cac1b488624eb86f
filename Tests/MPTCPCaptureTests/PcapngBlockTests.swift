import MPTCPWire
import PacketFactory
import Testing

@testable import MPTCPCapture

@Suite struct PcapngBlockTests {
  @Test func aCaptureIsTheseBytes() {
    let buffer = CaptureBuffer()
    var writer = PcapngWriter(epoch: .seconds(0x1_0000_0000), application: "test") { buffer.append($0) }
    let path = writer.addInterface(name: "p0")
    let bytes: [UInt8] = [0x45, 1, 2, 3, 4]
    writer.write(bytes.span.bytes, on: path, direction: .outbound, at: Instant(nanoseconds: 5))
    let section: [UInt8] = [
      0x0a, 0x0d, 0x0d, 0x0a, 40, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 4, 0, 4, 0, 0x74, 0x65, 0x73, 0x74, 0, 0, 0, 0, 40, 0, 0, 0,
    ]
    let interface: [UInt8] = [
      1, 0, 0, 0, 40, 0, 0, 0, 101, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 0x70, 0x30, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0,
      0, 40, 0, 0, 0,
    ]
    // 2³² seconds and 5 ns are 3B9ACA00_00000005 (hexadecimal) nanoseconds.
    let packet: [UInt8] = [
      6, 0, 0, 0, 52, 0, 0, 0, 0, 0, 0, 0, 0x00, 0xca, 0x9a, 0x3b, 5, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 0x45, 1, 2, 3, 4,
      0, 0, 0, 2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 52, 0, 0, 0,
    ]
    #expect(buffer.bytes == section + interface + packet)
    #expect(buffer.callByteCounts == [section.count, interface.count, packet.count])
  }

  @Test func whatTheSinkThrowsComesOut() throws {
    struct DiskFull: Error {}
    #expect(throws: DiskFull.self) {
      _ = try PcapngWriter(epoch: .zero) { (_: RawSpan) throws(DiskFull) in throw DiskFull() }
    }
    let buffer = CaptureBuffer()
    var writer = try PcapngWriter(epoch: .zero) { (block: RawSpan) throws(DiskFull) in
      if buffer.callByteCounts.count == 4 { throw DiskFull() }
      buffer.append(block)
    }
    let path = try writer.addInterface(name: "p")
    let segment = SegmentTemplate(payloadByteCount: 5000).partialPacket()
    #expect(throws: DiskFull.self) {
      try writer.write(segment.span.bytes, on: path, segmentByteCount: 1000, isChecksumPartial: true, at: .zero)
    }
    #expect(buffer.callByteCounts.count == 4)
  }

  @Test func textThatIsTooLongIsCutAtACharacter() {
    let buffer = CaptureBuffer()
    var writer = buffer.writer()
    let path = writer.addInterface(name: "p")
    let bytes: [UInt8] = [0x45]
    let text = "x" + String(repeating: "é", count: 40_000)
    writer.write(bytes.span.bytes, on: path, comment: text, at: Instant(nanoseconds: -7))
    let comment = 4 + 65_536
    let endOfOptions = 4
    #expect(buffer.callByteCounts.last == 32 + 4 + comment + endOfOptions)
  }
}
