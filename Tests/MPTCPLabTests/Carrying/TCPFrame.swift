import CLinux
import MPTCPCore
import MPTCPWire

@testable import MPTCPLab

extension DevicePort.Frame {
  /// A TCP packet with `payload` octets, its checksum left open, behind `linkHeader` octets.
  static func tcp(
    v6: Bool = false, payload: Int, segment: Int, flags: UInt8 = 0x10, linkHeader: Int = 0
  ) -> DevicePort.Frame {
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

  private static func big(_ value: Int) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }
}
