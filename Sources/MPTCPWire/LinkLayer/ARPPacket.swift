/// An ARP packet for IPv4 over Ethernet, 28 octets (RFC 826).
@frozen
public struct ARPPacket: Hashable, Sendable {
  /// What the packet asks or says.
  @frozen
  public enum Operation: UInt16, Hashable, Sendable {
    /// Who has the target address? The target's link-layer address is not known.
    case request = 1
    /// The sender answers.
    case reply = 2
  }

  /// The size of the packet.
  public static let byteCount = 28

  /// What the packet asks or says.
  public var operation: Operation
  /// The sender's link-layer address.
  public var senderHardware: MACAddress
  /// The sender's IPv4 address; 0.0.0.0 in a probe for duplicates (RFC 5227 §2.1.1).
  public var senderAddress: IPAddress
  /// The target's link-layer address; zero in a request.
  public var targetHardware: MACAddress
  /// The target's IPv4 address.
  public var targetAddress: IPAddress

  /// Makes a packet.
  @inlinable
  public init(
    operation: Operation, senderHardware: MACAddress, senderAddress: IPAddress, targetHardware: MACAddress = .zero,
    targetAddress: IPAddress
  ) {
    self.operation = operation
    self.senderHardware = senderHardware
    self.senderAddress = senderAddress
    self.targetHardware = targetHardware
    self.targetAddress = targetAddress
  }

  /// Reads the content of an Ethernet frame of type ARP; padding behind it is ignored.
  ///
  /// - Throws: `WireError` for anything but a request or reply for IPv4 over Ethernet.
  public init(parsing bytes: RawSpan) throws(WireError) {
    guard bytes.byteCount >= Self.byteCount else { throw WireError(.arpPacket, .truncated, at: 0) }
    // Hardware type 1, protocol type IPv4, address lengths 6 and 4.
    guard bytes.be16(0) == 1, bytes.be16(2) == EtherType.ipv4.rawValue, bytes.be16(4) == 0x0604 else {
      throw WireError(.arpAddressType, .badValue, at: 0)
    }
    guard let operation = Operation(rawValue: bytes.be16(6)) else {
      throw WireError(.arpOperation, .badValue, at: 6)
    }
    self.init(
      operation: operation, senderHardware: bytes.mac(8), senderAddress: IPAddress(v4: bytes.be32(14)),
      targetHardware: bytes.mac(18), targetAddress: IPAddress(v4: bytes.be32(24)))
  }

  /// Writes 28 octets and returns that number.
  ///
  /// - Throws: `WireError` when the buffer is too small or an address is not IPv4.
  public func write(into buffer: UnsafeMutableRawBufferPointer) throws(WireError) -> Int {
    guard let base = buffer.baseAddress, buffer.count >= Self.byteCount else {
      throw WireError(.outputBuffer, .bufferTooSmall, at: 0)
    }
    guard senderAddress.family == .v4, targetAddress.family == .v4 else {
      throw WireError(.arpAddressType, .badValue, at: 0)
    }
    var writer = OctetWriter(base)
    writer.put16(1)
    writer.put16(EtherType.ipv4.rawValue)
    writer.put16(0x0604)
    writer.put16(operation.rawValue)
    writer.put(senderHardware)
    writer.put(senderAddress)
    writer.put(targetHardware)
    writer.put(targetAddress)
    return Self.byteCount
  }
}
