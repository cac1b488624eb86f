import MPTCPWire

/// A TCP segment of a bulk transfer, made into a whole IP packet as often as a test likes.
package struct SegmentTemplate {
  package var source = TransportAddress(IPAddress(v4: 0x0a00_0001), 40_000)
  package var destination = TransportAddress(IPAddress(v4: 0x0a00_0002), 443)
  package var sequenceNumber = SequenceNumber(1000)
  package var acknowledgmentNumber = SequenceNumber(5000)
  package var flags: TCPFlags = .ack
  package var window: UInt16 = 512
  package var trafficClass: UInt8 = 0
  package var hopLimit: UInt8 = 64
  package var dontFragment = true
  package var identification: UInt32 = 100
  package var options: [TCPOption] = [.timestamps(TCPTimestamps(value: 77, echo: 66))]
  package var payload: [UInt8] = []

  package init(payloadByteCount: Int = 0, isIPv6: Bool = false) {
    payload = (0..<payloadByteCount).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    if isIPv6 {
      source.address = IPAddress(v6High: 0x2001_0db8_0000_0000, low: 1)
      destination.address = IPAddress(v6High: 0x2001_0db8_0000_0000, low: 2)
      identification = 0
    }
  }

  /// The DSS option of a mapping, with an acknowledgment, as a sender puts it on every segment of a super-segment.
  package static func mapping(dsn: UInt64, subflowSequenceNumber: UInt32, length: Int) -> TCPOption {
    .multipath(
      .dss(
        DSS(
          dataAck: .eight(9000),
          mapping: DSSMapping(
            dsn: .eight(dsn), subflowSequenceNumber: subflowSequenceNumber, length: UInt16(clamping: length)))))
  }

  /// The packet with all its checksums.
  package func packet() -> [UInt8] { packet(fillsChecksums: true) }

  /// The packet as a host hands it to a device with checksum offload: the transport checksum is not there yet.
  package func partialPacket() -> [UInt8] { packet(fillsChecksums: false) }

  private func packet(fillsChecksums: Bool) -> [UInt8] {
    var block = TCPOptionBlock()
    for option in options where !block.append(option) { fatalError("the test's options do not fit") }
    let ip = IPHeader(
      source: source.address, destination: destination.address, protocolNumber: IPProtocol.tcp,
      payloadByteCount: 20 + block.byteCount + payload.count, trafficClass: trafficClass, hopLimit: hopLimit,
      dontFragment: dontFragment, identification: identification)
    let tcp = TCPHeader(
      sourcePort: source.port, destinationPort: destination.port, sequenceNumber: sequenceNumber,
      acknowledgmentNumber: acknowledgmentNumber, flags: flags, window: window)
    var packet = [UInt8](repeating: 0, count: ip.totalByteCount)
    packet.withUnsafeMutableBytes { buffer in
      do {
        let ipByteCount = try ip.write(into: buffer)
        let tcpByteCount = try tcp.write(
          options: block, into: UnsafeMutableRawBufferPointer(rebasing: buffer[ipByteCount...]))
        buffer[(ipByteCount + tcpByteCount)...].copyBytes(from: payload)
        if fillsChecksums { try Segmentation.fillChecksums(in: buffer) }
      } catch {
        fatalError("the test's packet cannot be written: \(error)")
      }
    }
    return packet
  }
}

/// The wire packets of a super-segment.
package func cut(_ packet: [UInt8], segmentByteCount: Int) throws -> [[UInt8]] {
  var packets: [[UInt8]] = []
  try Segmentation.forEachSegment(of: packet.span.bytes, segmentByteCount: segmentByteCount) {
    packets.append(Array($0))
  }
  return packets
}
