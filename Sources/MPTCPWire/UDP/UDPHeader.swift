/// A UDP header, 8 octets (RFC 768).
@frozen
public struct UDPHeader: Hashable, Sendable {
  /// The size of the header.
  public static let byteCount = 8

  /// The sender's port; 0 where it wants no answer.
  public var sourcePort: Port
  /// The receiver's port.
  public var destinationPort: Port
  /// Octets behind the header.
  public var payloadByteCount: Int
  /// The checksum as in the header; 0: none (IPv4 only).
  public var checksum: UInt16

  /// Makes a header.
  @inlinable
  public init(sourcePort: Port, destinationPort: Port, payloadByteCount: Int, checksum: UInt16 = 0) {
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
    self.payloadByteCount = payloadByteCount
    self.checksum = checksum
  }

  /// Reads the header of a datagram; the checksum is not verified.
  ///
  /// - Throws: `WireError` when the datagram is shorter than its header or its length says.
  public init(parsing datagram: RawSpan) throws(WireError) {
    guard datagram.byteCount >= Self.byteCount else { throw WireError(.udpHeader, .truncated, at: 0) }
    let length = Int(datagram.be16(4))
    guard length >= Self.byteCount else { throw WireError(.udpLength, .badValue, at: 4) }
    guard length <= datagram.byteCount else { throw WireError(.udpLength, .truncated, at: 4) }
    self.init(
      sourcePort: Port(datagram.be16(0)), destinationPort: Port(datagram.be16(2)),
      payloadByteCount: length - Self.byteCount, checksum: datagram.be16(6))
  }

  /// Writes 8 octets and returns that number; the checksum field is written as ``checksum`` has it.
  ///
  /// - Throws: `WireError` when the buffer is too small or the datagram exceeds 65,535 octets.
  public func write(into buffer: UnsafeMutableRawBufferPointer) throws(WireError) -> Int {
    guard let base = buffer.baseAddress, buffer.count >= Self.byteCount else {
      throw WireError(.outputBuffer, .bufferTooSmall, at: 0)
    }
    guard payloadByteCount >= 0, payloadByteCount <= 65_535 - Self.byteCount else {
      throw WireError(.udpLength, .tooLarge, at: 4)
    }
    var writer = OctetWriter(base)
    writer.put16(sourcePort.rawValue)
    writer.put16(destinationPort.rawValue)
    writer.put16(UInt16(truncatingIfNeeded: payloadByteCount + Self.byteCount))
    writer.put16(checksum)
    return Self.byteCount
  }
}
