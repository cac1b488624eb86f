/// An HMAC cut to its left 160 bits, as the third packet of a join carries it (RFC 8684 §3.2).
@frozen
public struct HMAC160: Hashable, Sendable {
  /// Bits 0 to 63, in network order.
  public var high: UInt64
  /// Bits 64 to 127.
  public var middle: UInt64
  /// Bits 128 to 159.
  public var low: UInt32
  /// Puts the parts together.
  @inlinable
  public init(high: UInt64, middle: UInt64, low: UInt32) {
    self.high = high
    self.middle = middle
    self.low = low
  }
}

/// MP_JOIN: a further subflow joins a connection (RFC 8684 §3.2). The length tells which of the handshake's packets
/// the option belongs to.
/// Requirement 8684-3.2-02, 8684-3.2-10, 8684-3.2-19
public enum MPJoin: Hashable, Sendable {
  /// On the SYN: the token of the receiver's connection, a nonce, whether the sender wants the subflow as a backup, and
  /// the ID of the address that it comes from.
  /// Requirement 8684-3.1-13
  case syn(backup: Bool, addressID: AddressID, token: Token, nonce: UInt32)
  /// On the SYN/ACK: the left 64 bits of the responder's HMAC, its nonce, its own wish and address ID.
  case synAck(backup: Bool, addressID: AddressID, hmac: UInt64, nonce: UInt32)
  /// On the third ACK: the left 160 bits of the initiator's HMAC.
  case ack(hmac: HMAC160)

  /// The octets that the option takes: 12, 16 or 24.
  @inlinable
  public var encodedByteCount: Int {
    switch self {
    case .syn: 12
    case .synAck: 16
    case .ack: 24
    }
  }

  init(decoding option: RawSpan, at offset: Int, length: Int) throws(WireError) {
    let backup = option.octet(offset + 2) & 1 != 0
    switch length {
    case 12:
      self = .syn(
        backup: backup, addressID: AddressID(option.octet(offset + 3)), token: Token(option.be32(offset + 4)),
        nonce: option.be32(offset + 8))
    case 16:
      self = .synAck(
        backup: backup, addressID: AddressID(option.octet(offset + 3)), hmac: option.be64(offset + 4),
        nonce: option.be32(offset + 12))
    case 24:
      self = .ack(
        hmac: HMAC160(
          high: option.be64(offset + 4), middle: option.be64(offset + 12), low: option.be32(offset + 20)))
    default:
      throw WireError(.multipathJoin, .badLength, at: offset)
    }
  }

  func write(_ writer: inout OctetWriter) {
    switch self {
    case .syn(let backup, let addressID, let token, let nonce):
      writer.putMultipath(.join, nibble: backup ? 1 : 0, length: 12)
      writer.put8(addressID.rawValue)
      writer.put32(token.rawValue)
      writer.put32(nonce)
    case .synAck(let backup, let addressID, let hmac, let nonce):
      writer.putMultipath(.join, nibble: backup ? 1 : 0, length: 16)
      writer.put8(addressID.rawValue)
      writer.put64(hmac)
      writer.put32(nonce)
    case .ack(let hmac):
      writer.putMultipath(.join, nibble: 0, length: 24)
      writer.put8(0)
      writer.put64(hmac.high)
      writer.put64(hmac.middle)
      writer.put32(hmac.low)
    }
  }
}
