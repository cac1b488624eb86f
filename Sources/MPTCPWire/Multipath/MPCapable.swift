/// The flags octet of MP_CAPABLE (RFC 8684 §3.1).
/// Requirement 8684-7.3-01
@frozen
public struct MPCapableFlags: OptionSet, Hashable, Sendable {
  /// The octet.
  public var rawValue: UInt8
  /// Makes a set from the octet.
  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// A: the sender wants DSS checksums.
  public static let checksumRequired = MPCapableFlags(rawValue: 0x80)
  /// B: extensibility; whoever receives it ignores the option.
  public static let extensibility = MPCapableFlags(rawValue: 0x40)
  /// C (version 1): open no more subflows to this address and port.
  public static let noMoreSubflows = MPCapableFlags(rawValue: 0x20)
  /// H: HMAC-SHA256 in version 1, HMAC-SHA1 in version 0.
  public static let hmac = MPCapableFlags(rawValue: 0x01)
}

/// MP_CAPABLE: a connection's first subflow offers, accepts and confirms Multipath TCP (RFC 8684 §3.1, RFC 6824 §3.1).
///
/// Which keys are there tells the layout: none on a version 1 SYN; the sender's on a SYN/ACK and on a version 0 SYN;
/// both on the third ACK, with a data length (and a checksum) where that ACK carries data.
/// Requirement 8684-3.1-08, 8684-3.1-09, 8684-3.1-10, 8684-3.1-11, 8684-3.1-12, 8684-3.1-33, 6824-3.1-01, 6824-3.1-02
/// Requirement 6824-3.1-03, 6824-3.1-05
public struct MPCapable: Hashable, Sendable {
  /// The version that is offered or chosen, 0 to 15.
  public var version: UInt8
  /// The flags.
  public var flags: MPCapableFlags
  /// The key of the option's sender.
  public var senderKey: Key?
  /// The key of the option's receiver; only together with ``senderKey``.
  public var receiverKey: Key?
  /// The length of the mapping that the option implies: DSN IDSN+1, subflow sequence number 1. Only together with both
  /// keys, in version 1.
  public var dataLength: UInt16?
  /// The checksum of that mapping; only together with ``dataLength``.
  public var checksum: UInt16?

  /// Makes an option.
  @inlinable
  public init(
    version: UInt8 = 1, flags: MPCapableFlags = .hmac, senderKey: Key? = nil, receiverKey: Key? = nil,
    dataLength: UInt16? = nil, checksum: UInt16? = nil
  ) {
    self.version = version
    self.flags = flags
    self.senderKey = senderKey
    self.receiverKey = receiverKey
    self.dataLength = dataLength
    self.checksum = checksum
  }

  /// The octets that the option takes: 4, 12, 20, 22 or 24.
  @inlinable
  public var encodedByteCount: Int {
    guard senderKey != nil else { return 4 }
    guard receiverKey != nil else { return 12 }
    guard dataLength != nil else { return 20 }
    return checksum == nil ? 22 : 24
  }

  init(decoding option: RawSpan, at offset: Int, length: Int) throws(WireError) {
    let version = option.octet(offset + 2) & 0xf
    switch (version, length) {
    case (0, 12), (0, 20), (1, 4), (1, 12), (1, 20), (1, 22), (1, 24): break
    // A later version may have any layout: its number alone is of use, to answer with our own.
    case (2..., 4...): break
    default: throw WireError(.multipathCapable, .badLength, at: offset)
    }
    self.init(version: version, flags: MPCapableFlags(rawValue: option.octet(offset + 3)))
    guard version < 2, length >= 12 else { return }
    senderKey = Key(option.be64(offset + 4))
    guard length >= 20 else { return }
    receiverKey = Key(option.be64(offset + 12))
    guard length >= 22 else { return }
    dataLength = option.be16(offset + 20)
    if length == 24 { checksum = option.be16(offset + 22) }
  }

  func write(_ writer: inout OctetWriter) {
    writer.putMultipath(.capable, nibble: version, length: encodedByteCount)
    writer.put8(flags.rawValue)
    guard let senderKey else { return }
    writer.put64(senderKey.rawValue)
    guard let receiverKey else { return }
    writer.put64(receiverKey.rawValue)
    guard let dataLength else { return }
    writer.put16(dataLength)
    if let checksum { writer.put16(checksum) }
  }
}
