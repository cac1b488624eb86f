extension NeighborMessage {
  /// The largest packet that ``write(from:to:into:)`` makes: an advertisement of a router with all its options.
  public static let maximumByteCount = 40 + 16 + 8 + 8 + 32

  /// Writes a whole IPv6 packet with hop limit 255 and checksum, and returns its size.
  ///
  /// - Throws: `WireError` when an address is not IPv6 or the buffer is too small.
  public func write(
    from source: IPAddress, to destination: IPAddress, into buffer: UnsafeMutableRawBufferPointer
  ) throws(WireError) -> Int {
    guard source.family == .v6, destination.family == .v6 else { throw WireError(.ipVersion, .badValue, at: 0) }
    let total = 40 + messageByteCount
    guard let base = buffer.baseAddress, buffer.count >= total else {
      throw WireError(.outputBuffer, .bufferTooSmall, at: 0)
    }
    let ip = IPHeader(
      source: source, destination: destination, protocolNumber: IPProtocol.icmpv6, payloadByteCount: messageByteCount,
      hopLimit: 255)
    _ = try ip.write(into: buffer)
    var writer = OctetWriter(base, at: 40)
    writeMessage(&writer)
    try Segmentation.fillChecksums(in: UnsafeMutableRawBufferPointer(rebasing: buffer[..<total]))
    return total
  }

  private var messageByteCount: Int {
    switch self {
    case .routerSolicitation(let address): 8 + (address == nil ? 0 : 8)
    case .routerAdvertisement(let router):
      16 + (router.sourceLinkLayer == nil ? 0 : 8) + (router.mtu == nil ? 0 : 8)
        + (router.onLinkPrefix == nil ? 0 : 32)
    case .neighborSolicitation(_, let address): 24 + (address == nil ? 0 : 8)
    case .neighborAdvertisement(_, _, _, _, let address): 24 + (address == nil ? 0 : 8)
    }
  }

  private func writeMessage(_ writer: inout OctetWriter) {
    switch self {
    case .routerSolicitation(let address):
      writer.put32(133 << 24)
      writer.put32(0)
      writer.putLinkLayer(1, address)
    case .routerAdvertisement(let router):
      writer.put32(134 << 24)
      writer.put8(router.hopLimit)
      writer.put8((router.isManaged ? 0x80 : 0) | (router.hasOtherConfiguration ? 0x40 : 0))
      writer.put16(router.lifetimeSeconds)
      writer.put32(router.reachableMilliseconds)
      writer.put32(router.retransmissionMilliseconds)
      writer.putLinkLayer(1, router.sourceLinkLayer)
      if let mtu = router.mtu {
        writer.put32(0x0501_0000)
        writer.put32(mtu)
      }
      if let prefix = router.onLinkPrefix {
        // On link, valid without end.
        writer.put32(0x0304_0080 | UInt32(prefix.length) << 8)
        writer.put64(.max)
        writer.put32(0)
        writer.put64(prefix.address.high)
        writer.put64(prefix.address.low)
      }
    case .neighborSolicitation(let target, let address):
      writer.put32(135 << 24)
      writer.put32(0)
      writer.put(target)
      writer.putLinkLayer(1, address)
    case .neighborAdvertisement(let target, let isRouter, let isSolicited, let isOverride, let address):
      writer.put32(136 << 24)
      writer.put32((isRouter ? 1 << 31 : 0) | (isSolicited ? 1 << 30 : 0) | (isOverride ? 1 << 29 : 0))
      writer.put(target)
      writer.putLinkLayer(2, address)
    }
  }
}

extension OctetWriter {
  /// Writes a link-layer address option (RFC 4861 §4.6.1).
  fileprivate mutating func putLinkLayer(_ type: UInt8, _ address: MACAddress?) {
    guard let address else { return }
    put16(UInt16(type) << 8 | 1)
    put(address)
  }
}
