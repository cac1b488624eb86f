/// The subtypes of the Multipath TCP option (RFC 8684 §7.2).
/// Requirement 8684-7.2-01
@frozen
public enum MultipathSubtype: UInt8, Hashable, Sendable, CaseIterable {
  /// MP_CAPABLE.
  case capable = 0x0
  /// MP_JOIN.
  case join = 0x1
  /// DSS.
  case dss = 0x2
  /// ADD_ADDR.
  case addAddress = 0x3
  /// REMOVE_ADDR.
  case removeAddress = 0x4
  /// MP_PRIO.
  case priority = 0x5
  /// MP_FAIL.
  case fail = 0x6
  /// MP_FASTCLOSE.
  case fastClose = 0x7
  /// MP_TCPRST.
  case reset = 0x8
  /// Private use and experiments.
  case experimental = 0xf
}

/// One Multipath TCP option as a value.
public enum MultipathOption: Hashable, Sendable {
  /// MP_CAPABLE.
  case capable(MPCapable)
  /// MP_JOIN.
  case join(MPJoin)
  /// DSS.
  case dss(DSS)
  /// ADD_ADDR.
  case addAddress(AddAddress)
  /// REMOVE_ADDR.
  case removeAddress(RemoveAddress)
  /// MP_PRIO.
  case priority(MPPriority)
  /// MP_FAIL.
  case fail(MPFail)
  /// MP_FASTCLOSE.
  case fastClose(MPFastClose)
  /// MP_TCPRST.
  case reset(MPTCPReset)
  /// A private option; `byteCount` includes kind and length.
  case experimental(byteCount: Int)
  /// An option of a subtype that no specification has; `byteCount` includes kind and length.
  /// Requirement 8684-7.2-02
  case unknown(subtype: UInt8, byteCount: Int)

  /// The octets that the option takes, without padding; 0 for what cannot be written: private and unknown options,
  /// whose content is not kept, and a REMOVE_ADDR without IDs.
  @inlinable
  public var encodedByteCount: Int {
    switch self {
    case .capable(let option): option.encodedByteCount
    case .join(let option): option.encodedByteCount
    case .dss(let option): option.encodedByteCount
    case .addAddress(let option): option.encodedByteCount
    case .removeAddress(let option): option.encodedByteCount
    case .priority(let option): option.encodedByteCount
    case .fail, .fastClose: 12
    case .reset: 4
    case .experimental, .unknown: 0
    }
  }

  /// Reads an option of kind 30 that lies wholly inside `options`.
  /// Requirement 8684-3-01
  init(decoding options: RawSpan, at offset: Int, length: Int) throws(WireError) {
    guard length >= 3 else { throw WireError(.multipathOption, .badLength, at: offset) }
    let number = options.octet(offset + 2) >> 4
    switch MultipathSubtype(rawValue: number) {
    case .capable: self = .capable(try MPCapable(decoding: options, at: offset, length: length))
    case .join: self = .join(try MPJoin(decoding: options, at: offset, length: length))
    case .dss: self = .dss(try DSS(decoding: options, at: offset, length: length))
    case .addAddress: self = .addAddress(try AddAddress(decoding: options, at: offset, length: length))
    case .removeAddress: self = .removeAddress(try RemoveAddress(decoding: options, at: offset, length: length))
    case .priority: self = .priority(try MPPriority(decoding: options, at: offset, length: length))
    case .fail: self = .fail(try MPFail(decoding: options, at: offset, length: length))
    case .fastClose: self = .fastClose(try MPFastClose(decoding: options, at: offset, length: length))
    case .reset: self = .reset(try MPTCPReset(decoding: options, at: offset, length: length))
    case .experimental: self = .experimental(byteCount: length)
    case nil: self = .unknown(subtype: number, byteCount: length)
    }
  }

  func write(_ writer: inout OctetWriter) {
    switch self {
    case .capable(let option): option.write(&writer)
    case .join(let option): option.write(&writer)
    case .dss(let option): option.write(&writer)
    case .addAddress(let option): option.write(&writer)
    case .removeAddress(let option): option.write(&writer)
    case .priority(let option): option.write(&writer)
    case .fail(let option): option.write(&writer)
    case .fastClose(let option): option.write(&writer)
    case .reset(let option): option.write(&writer)
    case .experimental, .unknown: return
    }
  }
}

extension OctetWriter {
  /// Writes the three octets that every Multipath TCP option starts with.
  /// Requirement 8684-3-01
  @inline(__always)
  mutating func putMultipath(_ subtype: MultipathSubtype, nibble: UInt8, length: Int) {
    put8(TCPOptionKind.multipath)
    put8(UInt8(truncatingIfNeeded: length))
    put8(subtype.rawValue << 4 | nibble & 0xf)
  }
}
