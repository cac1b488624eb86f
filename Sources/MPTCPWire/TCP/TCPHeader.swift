/// The control bits of a TCP header (RFC 9293 §3.1, RFC 3168 §6.1, RFC 9768).
@frozen
public struct TCPFlags: OptionSet, Hashable, Sendable {
  /// The nine low bits of the header's 16-bit word of data offset and flags.
  public var rawValue: UInt16
  /// Makes a set from header bits.
  @inlinable
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// No more data from the sender.
  public static let fin = TCPFlags(rawValue: 0x001)
  /// Synchronise sequence numbers.
  public static let syn = TCPFlags(rawValue: 0x002)
  /// Reset the connection.
  public static let rst = TCPFlags(rawValue: 0x004)
  /// Push function.
  public static let psh = TCPFlags(rawValue: 0x008)
  /// The acknowledgment number counts.
  public static let ack = TCPFlags(rawValue: 0x010)
  /// The urgent pointer counts.
  public static let urg = TCPFlags(rawValue: 0x020)
  /// ECN echo.
  public static let ece = TCPFlags(rawValue: 0x040)
  /// Congestion window reduced.
  public static let cwr = TCPFlags(rawValue: 0x080)
  /// Accurate ECN.
  public static let ae = TCPFlags(rawValue: 0x100)
}

/// A TCP header without its options (RFC 9293 §3.1).
public struct TCPHeader: Hashable, Sendable {
  /// The sender's port.
  public var sourcePort: Port
  /// The receiver's port.
  public var destinationPort: Port
  /// The number of the first octet of data, or of the SYN.
  public var sequenceNumber: SequenceNumber
  /// The next number that the sender expects, with ``TCPFlags/ack``.
  public var acknowledgmentNumber: SequenceNumber
  /// The control bits.
  public var flags: TCPFlags
  /// The window as in the header, not scaled.
  /// Requirement 9293-3.1-01
  public var window: UInt16
  /// The urgent pointer, with ``TCPFlags/urg``.
  public var urgentPointer: UInt16
  /// The checksum as in the header.
  public var checksum: UInt16
  /// The size of the header with its options, 20 to 60. Writing derives it from the options.
  public var headerByteCount: Int

  /// Makes a header.
  @inlinable
  public init(
    sourcePort: Port, destinationPort: Port, sequenceNumber: SequenceNumber,
    acknowledgmentNumber: SequenceNumber = SequenceNumber(0), flags: TCPFlags, window: UInt16,
    urgentPointer: UInt16 = 0, checksum: UInt16 = 0
  ) {
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
    self.sequenceNumber = sequenceNumber
    self.acknowledgmentNumber = acknowledgmentNumber
    self.flags = flags
    self.window = window
    self.urgentPointer = urgentPointer
    self.checksum = checksum
    self.headerByteCount = 20
  }

  /// Reads the header of a segment; the checksum is not verified.
  ///
  /// - Throws: `WireError` when the segment is shorter than the header or than its data offset says.
  @inlinable
  public init(parsing segment: RawSpan) throws(WireError) {
    guard segment.byteCount >= 20 else { throw WireError(.tcpHeader, .truncated, at: 0) }
    let offsetAndFlags = segment.be16(12)
    let byteCount = Int(offsetAndFlags >> 12) * 4
    guard byteCount >= 20 else { throw WireError(.tcpDataOffset, .badValue, at: 12) }
    guard byteCount <= segment.byteCount else { throw WireError(.tcpDataOffset, .truncated, at: 12) }
    sourcePort = Port(segment.be16(0))
    destinationPort = Port(segment.be16(2))
    sequenceNumber = SequenceNumber(segment.be32(4))
    acknowledgmentNumber = SequenceNumber(segment.be32(8))
    // Requirement 9293-3.1-12
    flags = TCPFlags(rawValue: offsetAndFlags & 0x1ff)
    window = segment.be16(14)
    checksum = segment.be16(16)
    urgentPointer = segment.be16(18)
    headerByteCount = byteCount
  }

  /// The octets of the options in `segment`, the bytes that this header was parsed from.
  @inlinable
  @_lifetime(copy segment)
  public func optionBytes(in segment: RawSpan) -> RawSpan { segment.clamped(from: 20, upTo: headerByteCount) }

  /// The octets behind the header in `segment`, the bytes that this header was parsed from.
  @inlinable
  @_lifetime(copy segment)
  public func payload(in segment: RawSpan) -> RawSpan {
    segment.clamped(from: headerByteCount, upTo: segment.byteCount)
  }

  /// Writes header and options and returns their size; the checksum field is written as ``checksum`` has it.
  ///
  /// - Throws: `WireError` when the buffer is too small.
  @inlinable
  public func write(
    options: TCPOptionBlock = TCPOptionBlock(), into buffer: UnsafeMutableRawBufferPointer
  ) throws(WireError) -> Int {
    let byteCount = 20 + options.byteCount
    guard let base = buffer.baseAddress, buffer.count >= byteCount else {
      throw WireError(.outputBuffer, .bufferTooSmall, at: 0)
    }
    var writer = OctetWriter(base)
    writer.put16(sourcePort.rawValue)
    writer.put16(destinationPort.rawValue)
    writer.put32(sequenceNumber.rawValue)
    writer.put32(acknowledgmentNumber.rawValue)
    writer.put16(UInt16(truncatingIfNeeded: byteCount / 4) << 12 | flags.rawValue & 0x1ff)
    writer.put16(window)
    writer.put16(checksum)
    writer.put16(urgentPointer)
    options.withBytes { source in
      if let address = source.baseAddress { (base + 20).copyMemory(from: address, byteCount: source.count) }
    }
    return byteCount
  }
}
