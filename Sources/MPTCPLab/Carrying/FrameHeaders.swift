import MPTCPWire

/// The link-layer headers that one end of an Ethernet pair uses, by destination address: the model carries IP packets,
/// and what comes out of it needs a header again.
struct FrameHeaders {
  /// A host has few neighbours on a path; who invents more gets the latest header.
  private static let limit = 64

  private var entries: [(destination: IPAddress, header: [UInt8])] = []
  private var latest: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0]

  /// Notes the header of a frame with an IP packet.
  mutating func note(_ frame: RawSpan, byteCount: Int) {
    guard let destination = Self.destination(frame.extracting(droppingFirst: byteCount)) else { return }
    let index = entries.firstIndex { $0.destination == destination }
    let isKnown = index.map { index in
      (0..<byteCount).allSatisfy { entries[index].header[$0] == frame.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
    }
    if isKnown == true { return }
    let header = (0..<byteCount).map { frame.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
    latest = header
    if let index {
      entries[index].header = header
    } else if entries.count < Self.limit {
      entries.append((destination, header))
    }
  }

  /// The header for an IP packet.
  func header(for packet: RawSpan) -> [UInt8] {
    let destination = Self.destination(packet)
    var header = entries.first { $0.destination == destination }?.header ?? latest
    if let family = destination?.family {
      header.replaceSubrange(12..., with: family == .v4 ? [0x08, 0x00] : [0x86, 0xdd])
    }
    return header
  }

  private static func destination(_ packet: RawSpan) -> IPAddress? {
    guard packet.byteCount >= 20 else { return nil }
    func word(_ offset: Int) -> UInt32 {
      UInt32(bigEndian: packet.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    switch packet.unsafeLoad(fromByteOffset: 0, as: UInt8.self) >> 4 {
    case 4: return IPAddress(v4: word(16))
    case 6 where packet.byteCount >= 40:
      return IPAddress(
        v6High: UInt64(word(24)) << 32 | UInt64(word(28)), low: UInt64(word(32)) << 32 | UInt64(word(36)))
    case _: return nil
    }
  }
}
