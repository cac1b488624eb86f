import CLinux
import MPTCPCore

/// The ten octets that stand before each packet on a TUN device or packet socket, and say what is left to be done for
/// it.
enum VirtioNetHeader {
  static let byteCount = MemoryLayout<clinux_vnet_header>.size

  /// What the header in front of a received packet says.
  static func offload(_ header: clinux_vnet_header) -> ReceiveOffload {
    // NEEDS_CSUM is a packet that never crossed a wire: its sender left the checksum to hardware.
    let isValid = header.flags & UInt8(CLINUX_VNET_NEEDS_CHECKSUM | CLINUX_VNET_DATA_VALID) != 0
    let isMerged = header.gso_type != UInt8(CLINUX_VNET_GSO_NONE)
    return ReceiveOffload(
      checksum: isValid ? .valid : .unverified, segmentByteCount: isMerged ? Int(header.gso_size) : 0)
  }

  /// The header for a packet that goes behind `linkHeaderByteCount` octets of link-layer header.
  static func header(for packet: borrowing OutgoingPacket, linkHeaderByteCount: Int) -> clinux_vnet_header {
    var header = clinux_vnet_header()
    guard packet.isChecksumPartial else { return header }
    header.flags = UInt8(CLINUX_VNET_NEEDS_CHECKSUM)
    header.checksum_start = UInt16(truncatingIfNeeded: packet.checksumStart + linkHeaderByteCount)
    header.checksum_offset = UInt16(truncatingIfNeeded: packet.checksumOffset)
    guard packet.segmentByteCount > 0 else { return header }
    header.gso_size = UInt16(truncatingIfNeeded: packet.segmentByteCount)
    header.header_length = UInt16(truncatingIfNeeded: packet.headerByteCount + linkHeaderByteCount)
    header.gso_type = packet.withHeader { segmentationType($0, transport: packet.checksumStart) }
    return header
  }

  /// The header for a packet in one piece that goes behind `linkHeaderByteCount` octets of link-layer header.
  static func header(
    for packet: UnsafeRawBufferPointer, _ offload: SendOffload, linkHeaderByteCount: Int
  ) -> clinux_vnet_header {
    var header = clinux_vnet_header()
    guard offload.segmentByteCount > 0 else { return header }
    header.flags = UInt8(CLINUX_VNET_NEEDS_CHECKSUM)
    header.checksum_start = UInt16(truncatingIfNeeded: offload.checksumStart + linkHeaderByteCount)
    header.checksum_offset = 16
    header.gso_size = UInt16(truncatingIfNeeded: offload.segmentByteCount)
    header.header_length = UInt16(truncatingIfNeeded: offload.headerByteCount + linkHeaderByteCount)
    header.gso_type = segmentationType(packet, transport: offload.checksumStart)
    return header
  }

  private static func segmentationType(_ bytes: UnsafeRawBufferPointer, transport: Int) -> UInt8 {
    let isVersion4 = bytes.first.map { $0 >> 4 == 4 } ?? true
    let type = UInt8(isVersion4 ? CLINUX_VNET_GSO_TCPV4 : CLINUX_VNET_GSO_TCPV6)
    // CWR belongs on the first wire packet only (RFC 3168 §6.1.2); the kernel clears it on the rest if so told.
    let flags = transport + 13
    guard bytes.indices.contains(flags), bytes[flags] & 0x80 != 0 else { return type }
    return type | UInt8(CLINUX_VNET_GSO_ECN)
  }
}

extension OutgoingPacket {
  /// Writes the packet to `descriptor` as one piece, behind `prefix`; gives the number of bytes or the negative error.
  borrowing func write(to descriptor: Int32, behind prefix: UnsafeRawBufferPointer) -> Int {
    withHeader { header in
      let first = payload, second = secondPayload
      return clinux_write_pieces(
        descriptor, prefix.baseAddress, prefix.count, header.baseAddress, header.count,
        first.map { UnsafeRawPointer($0.chunk.base + $0.offset) }, first?.count ?? 0,
        second.map { UnsafeRawPointer($0.chunk.base + $0.offset) }, second?.count ?? 0)
    }
  }
}
