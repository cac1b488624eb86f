import MPTCPWire
import PacketFactory
import Testing

@testable import MPTCPCapture

@Suite(.enabled(if: Tshark.path != nil, Comment(rawValue: Tshark.missing)), .timeLimit(.minutes(10)))
struct PcapngReadBackTests {
  private let epoch = Nanoseconds(1_700_000_000_123_456_789)

  @Test func tsharkReadsEveryFieldBackWithoutComplaint() throws {
    let buffer = CaptureBuffer()
    var writer = PcapngWriter(
      epoch: epoch, application: "test of the writer", operatingSystem: "any", comment: "two paths"
    ) { buffer.append($0) }
    let first = writer.addInterface(name: "path0", description: "40 Mbit/s, 20 ms", bitsPerSecond: 40_000_000)
    var segment = SegmentTemplate(payloadByteCount: 100)
    writer.write(segment.packet().span.bytes, on: first, direction: .outbound, at: .zero)
    let second = writer.addInterface(name: "pfad-ü", snapLength: 262_144)
    segment = SegmentTemplate(payloadByteCount: 33, isIPv6: true)
    writer.write(
      segment.packet().span.bytes, on: second, direction: .inbound, comment: "came back",
      at: Instant(nanoseconds: 1_000_000_001))
    writer.write(segment.packet().span.bytes, on: first, at: Instant(nanoseconds: 876_543_211))
    writer.finish(at: Instant(nanoseconds: 2_000_000_000))

    let output = try Tshark.read(
      buffer.bytes, "-T", "fields", "-e", "frame.interface_id", "-e", "frame.interface_name", "-e",
      "frame.interface_description", "-e", "frame.encap_type", "-e", "frame.time_epoch", "-e", "frame.len", "-e",
      "frame.packet_flags_direction", "-e", "frame.comment")
    #expect(output.complaints == [])
    #expect(output.status == 0)
    #expect(
      output.lines == [
        ["0", "path0", "40 Mbit/s, 20 ms", "7", "1700000000.123456789", "152", "0x00000002", ""],
        ["1", "pfad-ü", "", "7", "1700000001.123456790", "105", "0x00000001", "came back"],
        ["0", "path0", "40 Mbit/s, 20 ms", "7", "1700000001.000000000", "105", "", ""],
      ])
  }

  @Test func bytesAndTimesAreKept() throws {
    let buffer = CaptureBuffer()
    var writer = buffer.writer(epoch: epoch)
    let path = writer.addInterface(name: "path0")
    var expected: [Tshark.Packet] = []
    for byteCount in 0..<70 {
      let packet = SegmentTemplate(payloadByteCount: byteCount * 20 + byteCount, isIPv6: byteCount % 2 == 1).packet()
      let time = Instant(nanoseconds: Int64(byteCount) * 1_234_567)
      writer.write(packet.span.bytes, on: path, at: time)
      expected.append(
        Tshark.Packet(
          nanoseconds: epoch.count + time.nanoseconds, bytes: packet, originalByteCount: packet.count))
    }
    #expect(try Tshark.packets(buffer.bytes) == expected)
  }

  @Test(arguments: [false, true]) func checksumsLeftToTheDeviceAreFilledIn(isIPv6: Bool) throws {
    let buffer = CaptureBuffer()
    var writer = buffer.writer()
    let path = writer.addInterface(name: "path0")
    let segment = SegmentTemplate(payloadByteCount: 777, isIPv6: isIPv6)
    writer.write(segment.partialPacket().span.bytes, on: path, isChecksumPartial: true, at: .zero)
    #expect(try Tshark.packets(buffer.bytes).map(\.bytes) == [segment.packet()])
    #expect(try checksumStates(buffer.bytes, isIPv6: isIPv6) == ["1"])
    // The proof that tshark would have said so: as it is, the checksum is not good.
    writer.write(segment.partialPacket().span.bytes, on: path, at: .zero)
    #expect(try checksumStates(buffer.bytes, isIPv6: isIPv6) == ["1", "0"])
  }

  @Test(arguments: [false, true]) func superSegmentsAreShownAsTheWireSeesThem(isIPv6: Bool) throws {
    let buffer = CaptureBuffer()
    var writer = buffer.writer()
    let path = writer.addInterface(name: "path0")
    var segment = SegmentTemplate(payloadByteCount: 64_000, isIPv6: isIPv6)
    segment.options = [SegmentTemplate.mapping(dsn: 1 << 40, subflowSequenceNumber: 1, length: 64_000)]
    segment.flags = [.ack, .psh]
    let packet = segment.partialPacket()
    writer.write(
      packet.span.bytes, on: path, direction: .outbound, segmentByteCount: 1400, isChecksumPartial: true,
      comment: "cut", at: Instant(nanoseconds: 42))
    let wire = try cut(packet, segmentByteCount: 1400)
    #expect(wire.count == 46)
    #expect(try Tshark.packets(buffer.bytes).map(\.bytes) == wire)
    #expect(try checksumStates(buffer.bytes, isIPv6: isIPv6) == Array(repeating: "1", count: 46))
    let output = try Tshark.read(
      buffer.bytes, "-T", "fields", "-e", "frame.comment", "-e", "frame.packet_flags_direction", "-e",
      "frame.time_epoch", "-e", "tcp.options.mptcp.rawdataseqno", "-e", "_ws.malformed")
    let first = ["cut", "0x00000002", "0.000000042", "\(UInt64(1) << 40)", ""]
    #expect(output.lines == [first] + Array(repeating: [""] + first.dropFirst(), count: 45))
    #expect(output.complaints == [])
  }

  @Test(arguments: [false, true]) func aSuperSegmentCanStayWhole(isIPv6: Bool) throws {
    let buffer = CaptureBuffer()
    var writer = buffer.writer()
    writer.superSegmentForm = .onePacket
    let path = writer.addInterface(name: "path0")
    let segment = SegmentTemplate(payloadByteCount: 64_000, isIPv6: isIPv6)
    writer.write(
      segment.partialPacket().span.bytes, on: path, segmentByteCount: 1400, isChecksumPartial: true, at: .zero)
    #expect(try Tshark.packets(buffer.bytes).map(\.bytes) == [segment.packet()])
    #expect(try checksumStates(buffer.bytes, isIPv6: isIPv6) == ["1"])
  }

  @Test func theSnapLengthCutsWhatIsKeptButNotTheLength() throws {
    let buffer = CaptureBuffer()
    var writer = buffer.writer()
    let path = writer.addInterface(name: "path0", snapLength: 96)
    let packet = SegmentTemplate(payloadByteCount: 1000).packet()
    writer.write(packet.span.bytes, on: path, at: .zero)
    #expect(
      try Tshark.packets(buffer.bytes) == [
        Tshark.Packet(nanoseconds: 0, bytes: Array(packet.prefix(96)), originalByteCount: packet.count)
      ])
  }

  @Test func whatIsNoPacketIsWrittenAsItIs() throws {
    let buffer = CaptureBuffer()
    var writer = buffer.writer()
    let path = writer.addInterface(name: "path0")
    let whole = SegmentTemplate(payloadByteCount: 3000).packet()
    let strange: [[UInt8]] = [[], [0x45], [0x00, 1, 2], Array(whole.prefix(2000))]
    for packet in strange {
      writer.write(packet.span.bytes, on: path, segmentByteCount: 1000, isChecksumPartial: true, at: .zero)
    }
    #expect(try Tshark.packets(buffer.bytes).map(\.bytes) == strange)
  }

  /// For each packet "1" when tshark finds all checksums good.
  private func checksumStates(_ capture: [UInt8], isIPv6: Bool) throws -> [String] {
    let tcp = try Tshark.read(capture, "-T", "fields", "-e", "tcp.checksum.status").lines.map { $0[0] }
    guard !isIPv6 else { return tcp }
    let ip = try Tshark.read(capture, "-T", "fields", "-e", "ip.checksum.status").lines.map { $0[0] }
    return zip(tcp, ip).map { $0 == "1" && $1 == "1" ? "1" : "0" }
  }
}
