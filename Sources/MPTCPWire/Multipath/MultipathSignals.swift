/// MP_PRIO: the sender asks to keep this subflow as a backup, or to use it again (RFC 8684 §3.3.8).
/// Requirement 8684-3.3.8-03, 6824-3.3.8-01
@frozen
public struct MPPriority: Hashable, Sendable {
  /// B: use the subflow only when no other works.
  public var backup: Bool
  /// Version 0: all subflows that use this address of the sender; `nil`: the subflow that carries the option.
  public var addressID: AddressID?
  /// Makes an option.
  @inlinable
  public init(backup: Bool, addressID: AddressID? = nil) {
    self.backup = backup
    self.addressID = addressID
  }

  /// The octets that the option takes: 3 or 4.
  @inlinable
  public var encodedByteCount: Int { addressID == nil ? 3 : 4 }

  init(decoding option: RawSpan, at offset: Int, length: Int) throws(WireError) {
    guard length == 3 || length == 4 else { throw WireError(.multipathPriority, .badLength, at: offset) }
    backup = option.octet(offset + 2) & 1 != 0
    addressID = length == 4 ? AddressID(option.octet(offset + 3)) : nil
  }

  func write(_ writer: inout OctetWriter) {
    writer.putMultipath(.priority, nibble: backup ? 1 : 0, length: encodedByteCount)
    if let addressID { writer.put8(addressID.rawValue) }
  }
}

/// MP_FAIL: a checksum failed (RFC 8684 §3.7).
/// Requirement 8684-3.7-14
@frozen
public struct MPFail: Hashable, Sendable {
  /// The data sequence number at which the failed mapping starts.
  public var dsn: UInt64
  /// Makes an option.
  @inlinable
  public init(dsn: UInt64) { self.dsn = dsn }

  init(decoding option: RawSpan, at offset: Int, length: Int) throws(WireError) {
    guard length == 12 else { throw WireError(.multipathFail, .badLength, at: offset) }
    dsn = option.be64(offset + 4)
  }

  func write(_ writer: inout OctetWriter) {
    writer.putMultipath(.fail, nibble: 0, length: 12)
    writer.put8(0)
    writer.put64(dsn)
  }
}

/// MP_FASTCLOSE: the sender aborts the connection (RFC 8684 §3.5).
/// Requirement 8684-3.5-02
@frozen
public struct MPFastClose: Hashable, Sendable {
  /// The key of the option's receiver.
  public var receiverKey: Key
  /// Makes an option.
  @inlinable
  public init(receiverKey: Key) { self.receiverKey = receiverKey }

  init(decoding option: RawSpan, at offset: Int, length: Int) throws(WireError) {
    guard length == 12 else { throw WireError(.multipathFastClose, .badLength, at: offset) }
    receiverKey = Key(option.be64(offset + 4))
  }

  func write(_ writer: inout OctetWriter) {
    writer.putMultipath(.fastClose, nibble: 0, length: 12)
    writer.put8(0)
    writer.put64(receiverKey.rawValue)
  }
}

/// Why a subflow was reset (RFC 8684 §3.6). Codes that this module has no name for keep their number.
/// Requirement 8684-3.6-10, 8684-7.4-01
@frozen
public struct ResetReason: Hashable, Sendable {
  /// The code.
  public var rawValue: UInt8
  /// Makes a reason from its code.
  @inlinable
  public init(_ rawValue: UInt8) { self.rawValue = rawValue }

  /// Code 0: no reason given.
  public static let unspecified = ResetReason(0)
  /// Code 1: an error in Multipath TCP itself.
  public static let mptcpSpecific = ResetReason(1)
  /// Code 2: lack of resources.
  public static let lackOfResources = ResetReason(2)
  /// Code 3: prohibited by the administrator.
  public static let administrativelyProhibited = ResetReason(3)
  /// Code 4: too much data outstanding.
  public static let tooMuchOutstandingData = ResetReason(4)
  /// Code 5: the path performs too badly.
  public static let unacceptablePerformance = ResetReason(5)
  /// Code 6: a middlebox interferes.
  public static let middleboxInterference = ResetReason(6)
}

extension ResetReason: CustomStringConvertible {
  /// The reason in words.
  public var description: String {
    switch self {
    case .unspecified: "unspecified"
    case .mptcpSpecific: "Multipath TCP error"
    case .lackOfResources: "lack of resources"
    case .administrativelyProhibited: "administratively prohibited"
    case .tooMuchOutstandingData: "too much outstanding data"
    case .unacceptablePerformance: "unacceptable performance"
    case .middleboxInterference: "middlebox interference"
    default: "reason \(rawValue)"
    }
  }
}

/// MP_TCPRST: the reason that a RST carries (RFC 8684 §3.6; version 1 only).
/// Requirement 8684-3.6-03, 8684-3.6-04, 8684-3.6-08, 8684-3.6-09
@frozen
public struct MPTCPReset: Hashable, Sendable {
  /// T: the condition may pass; the peer may try again.
  public var transient: Bool
  /// The reason.
  public var reason: ResetReason
  /// Makes an option.
  @inlinable
  public init(transient: Bool, reason: ResetReason) {
    self.transient = transient
    self.reason = reason
  }

  init(decoding option: RawSpan, at offset: Int, length: Int) throws(WireError) {
    guard length == 4 else { throw WireError(.multipathReset, .badLength, at: offset) }
    transient = option.octet(offset + 2) & 1 != 0
    reason = ResetReason(option.octet(offset + 3))
  }

  func write(_ writer: inout OctetWriter) {
    writer.putMultipath(.reset, nibble: transient ? 1 : 0, length: 4)
    writer.put8(reason.rawValue)
  }
}
