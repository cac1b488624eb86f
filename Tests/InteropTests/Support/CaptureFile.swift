import Foundation

/// As much of a pcapng file as tests ask for: which interfaces SYNs crossed. (tshark follows every connection to find
/// out, which takes minutes for a long one.)
struct CaptureFile {
  /// The names of the interfaces, in their order.
  private(set) var interfaces: [String] = []
  /// The names of those that a SYN crossed.
  private(set) var interfacesWithSyn: Set<String> = []
  /// Whether the file ends with a whole block.
  private(set) var isWhole = false

  init(_ path: String) throws {
    let data = try Data(contentsOf: URL(filePath: path), options: .alwaysMapped)
    data.withUnsafeBytes { bytes in
      func number(_ offset: Int) -> Int { Int(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
      var offset = 0
      while offset + 12 <= bytes.count {
        let length = number(offset + 4)
        guard length >= 12, length % 4 == 0, offset + length <= bytes.count else { return }
        let block = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length])
        switch number(offset) {
        case 1: interfaces.append(Self.name(in: block))
        case 6 where length >= 32:
          let interface = number(offset + 8)
          let packet = block[28..<min(28 + number(offset + 20), length - 4)]
          if interfaces.indices.contains(interface), Self.isSyn(UnsafeRawBufferPointer(rebasing: packet)) {
            interfacesWithSyn.insert(interfaces[interface])
          }
        default: break
        }
        offset += length
      }
      isWhole = offset == bytes.count
    }
  }

  /// The if_name option of an interface description.
  private static func name(in block: UnsafeRawBufferPointer) -> String {
    var offset = 16
    while offset + 4 <= block.count - 4 {
      let code = block.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
      let length = Int(block.loadUnaligned(fromByteOffset: offset + 2, as: UInt16.self))
      guard code != 0, offset + 4 + length <= block.count - 4 else { break }
      if code == 2 { return String(decoding: block[offset + 4..<offset + 4 + length], as: UTF8.self) }
      offset += 4 + (length + 3) / 4 * 4
    }
    return ""
  }

  /// Whether a packet that begins with an IPv4 header is a TCP SYN without ACK.
  private static func isSyn(_ packet: UnsafeRawBufferPointer) -> Bool {
    guard packet.count >= 40, packet[0] >> 4 == 4, packet[9] == 6 else { return false }
    let flags = Int(packet[0] & 15) * 4 + 13
    return flags < packet.count && packet[flags] & 0x12 == 0x02
  }
}
