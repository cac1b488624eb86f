/// What an Ethernet frame carries. Types that this module has no name for keep their number.
@frozen
public struct EtherType: Hashable, Sendable {
  /// The number.
  public var rawValue: UInt16
  /// Makes a type from its number.
  @inlinable
  public init(_ rawValue: UInt16) { self.rawValue = rawValue }

  /// IPv4.
  public static let ipv4 = EtherType(0x0800)
  /// ARP.
  public static let arp = EtherType(0x0806)
  /// IPv6.
  public static let ipv6 = EtherType(0x86dd)
}

/// The header of an Ethernet II frame without VLAN tag, 14 octets (RFC 894, RFC 2464).
@frozen
public struct EthernetHeader: Hashable, Sendable {
  /// The size of the header.
  public static let byteCount = 14

  /// The receiver.
  public var destination: MACAddress
  /// The sender.
  public var source: MACAddress
  /// What follows.
  public var type: EtherType

  /// Makes a header.
  @inlinable
  public init(destination: MACAddress, source: MACAddress, type: EtherType) {
    self.destination = destination
    self.source = source
    self.type = type
  }

  /// Reads the header of a frame.
  ///
  /// - Throws: `WireError` when the frame is shorter than a header.
  public init(parsing frame: RawSpan) throws(WireError) {
    guard frame.byteCount >= Self.byteCount else { throw WireError(.ethernetHeader, .truncated, at: 0) }
    destination = frame.mac(0)
    source = frame.mac(6)
    type = EtherType(frame.be16(12))
  }

  /// Writes 14 octets and returns that number.
  ///
  /// - Throws: `WireError` when the buffer is too small.
  public func write(into buffer: UnsafeMutableRawBufferPointer) throws(WireError) -> Int {
    guard let base = buffer.baseAddress, buffer.count >= Self.byteCount else {
      throw WireError(.outputBuffer, .bufferTooSmall, at: 0)
    }
    var writer = OctetWriter(base)
    writer.put(destination)
    writer.put(source)
    writer.put16(type.rawValue)
    return Self.byteCount
  }
}
