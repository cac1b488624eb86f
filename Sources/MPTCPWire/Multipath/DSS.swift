/// The DATA_ACK of a DSS option, in 4 or 8 octets (RFC 8684 §3.3.2).
@frozen
public enum DataAck: Hashable, Sendable {
  /// The low 32 bits.
  case four(UInt32)
  /// The whole number.
  case eight(UInt64)
}

/// The mapping of a DSS option (RFC 8684 §3.3.1).
/// Requirement 8684-3.3.1-01
@frozen
public struct DSSMapping: Hashable, Sendable {
  /// A data sequence number in 4 or 8 octets.
  @frozen
  public enum Number: Hashable, Sendable {
    /// The low 32 bits.
    case four(UInt32)
    /// The whole number.
    case eight(UInt64)
  }

  /// The data sequence number of the mapping's first octet.
  public var dsn: Number
  /// The subflow sequence number of the mapping's first octet, relative to the SYN, which is 0.
  public var subflowSequenceNumber: UInt32
  /// The length as on the wire: a DATA_FIN counts 1, and 0 means an infinite mapping.
  public var length: UInt16
  /// The checksum, where it is there.
  public var checksum: UInt16?

  /// Makes a mapping.
  @inlinable
  public init(dsn: Number, subflowSequenceNumber: UInt32, length: UInt16, checksum: UInt16? = nil) {
    self.dsn = dsn
    self.subflowSequenceNumber = subflowSequenceNumber
    self.length = length
    self.checksum = checksum
  }
}

/// DSS: data acknowledgment, mapping and DATA_FIN (RFC 8684 §3.3).
/// Requirement 8684-3.3-02, 8684-3.3-04, 8684-3.3-06
@frozen
public struct DSS: Hashable, Sendable {
  /// F: the mapping's last octet is the DATA_FIN. Means nothing without a mapping.
  public var dataFin: Bool
  /// The data acknowledgment.
  public var dataAck: DataAck?
  /// The mapping.
  public var mapping: DSSMapping?

  /// Makes an option.
  @inlinable
  public init(dataFin: Bool = false, dataAck: DataAck? = nil, mapping: DSSMapping? = nil) {
    self.dataFin = dataFin
    self.dataAck = dataAck
    self.mapping = mapping
  }

  /// The octets that the option takes: 4 to 28.
  @inlinable
  public var encodedByteCount: Int {
    var byteCount = 4
    switch dataAck {
    case nil: break
    case .four: byteCount += 4
    case .eight: byteCount += 8
    }
    if let mapping {
      switch mapping.dsn {
      case .four: byteCount += 10
      case .eight: byteCount += 14
      }
      if mapping.checksum != nil { byteCount += 2 }
    }
    return byteCount
  }

  @inline(__always)
  init(decoding option: RawSpan, at offset: Int, length: Int) throws(WireError) {
    guard length >= 4 else { throw WireError(.dataSequenceSignal, .badLength, at: offset) }
    let flags = option.octet(offset &+ 3)
    // The size bits mean nothing without the bits that say that the field is there (RFC 8684 §3.3).
    // Requirement 8684-3.3-03
    let ackByteCount = flags & 0x01 == 0 ? 0 : flags & 0x02 == 0 ? 4 : 8
    let mappingByteCount = flags & 0x04 == 0 ? 0 : flags & 0x08 == 0 ? 10 : 14
    let bare = 4 &+ ackByteCount &+ mappingByteCount
    // Only the length shows whether there is a checksum.
    guard length == bare || (length == bare &+ 2 && mappingByteCount != 0) else {
      throw WireError(.dataSequenceSignal, .badLength, at: offset)
    }
    dataFin = flags & 0x10 != 0
    var position = offset &+ 4
    switch ackByteCount {
    case 0: dataAck = nil
    case 4: dataAck = .four(option.be32(position))
    default: dataAck = .eight(option.be64(position))
    }
    position &+= ackByteCount
    guard mappingByteCount != 0 else {
      mapping = nil
      return
    }
    let dsn: DSSMapping.Number = mappingByteCount == 10 ? .four(option.be32(position)) : .eight(option.be64(position))
    position &+= mappingByteCount &- 6
    mapping = DSSMapping(
      dsn: dsn, subflowSequenceNumber: option.be32(position), length: option.be16(position &+ 4),
      checksum: length == bare ? nil : option.be16(position &+ 6))
  }

  func write(_ writer: inout OctetWriter) {
    var flags: UInt8 = dataFin ? 0x10 : 0
    switch dataAck {
    case nil: break
    case .four: flags |= 0x01
    case .eight: flags |= 0x03
    }
    switch mapping?.dsn {
    case nil: break
    case .four: flags |= 0x04
    case .eight: flags |= 0x0c
    }
    writer.putMultipath(.dss, nibble: 0, length: encodedByteCount)
    writer.put8(flags)
    switch dataAck {
    case nil: break
    case .four(let number): writer.put32(number)
    case .eight(let number): writer.put64(number)
    }
    guard let mapping else { return }
    switch mapping.dsn {
    case .four(let number): writer.put32(number)
    case .eight(let number): writer.put64(number)
    }
    writer.put32(mapping.subflowSequenceNumber)
    writer.put16(mapping.length)
    if let checksum = mapping.checksum { writer.put16(checksum) }
  }
}
