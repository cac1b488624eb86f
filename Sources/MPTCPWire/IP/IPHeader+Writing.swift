extension IPHeader {
  /// Writes the fixed header, 20 octets for IPv4 (checksum filled in) and 40 for IPv6, and returns its size.
  ///
  /// Lengths follow from ``payloadByteCount``; IPv4 options and IPv6 extension headers are not written, so
  /// ``headerByteCount`` plays no part.
  ///
  /// - Throws: `WireError` when the buffer is too small or the packet would exceed 65,535 octets (IPv6: payload).
  public func write(into buffer: UnsafeMutableRawBufferPointer) throws(WireError) -> Int {
    let header = source.family == .v4 ? 20 : 40
    guard let base = buffer.baseAddress, buffer.count >= header else {
      throw WireError(.outputBuffer, .bufferTooSmall, at: 0)
    }
    let limit = source.family == .v4 ? 65_535 - 20 : 65_535
    guard payloadByteCount >= 0, payloadByteCount <= limit else { throw WireError(.ipTotalLength, .tooLarge, at: 0) }
    var writer = OctetWriter(base)
    switch source.family {
    case .v4: writeV4(&writer)
    case .v6: writeV6(&writer)
    }
    return header
  }

  private func writeV4(_ writer: inout OctetWriter) {
    var flagsAndOffset: UInt16 = dontFragment ? 0x4000 : 0
    if let fragment {
      flagsAndOffset |= (fragment.hasMore ? 0x2000 : 0) | UInt16(truncatingIfNeeded: fragment.offset >> 3) & 0x1fff
    }
    let checksumOffset = writer.offset + 10
    let start = writer.offset
    writer.put16(0x4500 | UInt16(trafficClass))
    writer.put16(UInt16(truncatingIfNeeded: payloadByteCount + 20))
    writer.put16(UInt16(truncatingIfNeeded: fragment?.identification ?? identification))
    writer.put16(flagsAndOffset)
    writer.put16(UInt16(hopLimit) << 8 | UInt16(protocolNumber))
    writer.put16(0)
    writer.put32(source.v4)
    writer.put32(destination.v4)

    var checksum = InternetChecksum()
    checksum.add(UnsafeRawBufferPointer(start: writer.base + start, count: 20))
    var field = OctetWriter(writer.base, at: checksumOffset)
    field.put16(checksum.value)
  }

  private func writeV6(_ writer: inout OctetWriter) {
    writer.put32(0x6000_0000 | UInt32(trafficClass) << 20 | flowLabel & 0xfffff)
    writer.put16(UInt16(truncatingIfNeeded: payloadByteCount))
    writer.put16(UInt16(protocolNumber) << 8 | UInt16(hopLimit))
    writer.put(source)
    writer.put(destination)
  }
}
