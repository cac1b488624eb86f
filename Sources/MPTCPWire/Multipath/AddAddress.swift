/// ADD_ADDR: the sender can also be reached at this address (RFC 8684 §3.4.1, RFC 6824 §3.4.1).
/// Requirement 8684-3.4.1-03, 8684-3.4.1-14, 8684-3.4.1-15, 6824-3.4.1-01, 6824-3.4.1-02
public struct AddAddress: Hashable, Sendable {
  /// Which layout: version 0 has an IPVer nibble and neither echo nor HMAC.
  public var version: MPTCPVersion
  /// E (version 1): this repeats an ADD_ADDR of the peer to confirm it.
  public var isEcho: Bool
  /// The ID of the address within the connection.
  public var addressID: AddressID
  /// The address.
  public var address: IPAddress
  /// The port, where it is not the subflow's.
  public var port: Port?
  /// The right 64 bits of the HMAC: in version 1, in every option but an echo. Version 0 has none in RFC 6824; with one
  /// it is ADD_ADDR2, as the drafts of RFC 8684 (draft-ietf-mptcp-rfc6824bis) brought it in before version 1 had its
  /// number: the layout of RFC 6824, IPVer included, and the HMAC behind it.
  public var hmac: UInt64?

  /// Makes an option. Version 1 carries an HMAC exactly where `isEcho` is false: one that is missing is written as 0,
  /// one that does not belong there is left out. Version 0 carries one where it is given.
  @inlinable
  public init(
    version: MPTCPVersion = .v1, isEcho: Bool = false, addressID: AddressID, address: IPAddress, port: Port? = nil,
    hmac: UInt64? = nil
  ) {
    self.version = version
    self.isEcho = isEcho
    self.addressID = addressID
    self.address = address
    self.port = port
    self.hmac = hmac
  }

  /// The octets that the option takes: 8, 10, 16, 18, 20, 22, 28 or 30.
  @inlinable
  public var encodedByteCount: Int {
    4 + (address.family == .v4 ? 4 : 16) + (port == nil ? 0 : 2) + (carriesHMAC ? 8 : 0)
  }

  @inlinable
  var carriesHMAC: Bool { version == .v1 ? !isEcho : hmac != nil }

  init(decoding option: RawSpan, at offset: Int, length: Int) throws(WireError) {
    let nibble = option.octet(offset + 2) & 0xf
    let hasHMAC: Bool
    let isV6: Bool
    switch length {
    case 8, 10: (isV6, hasHMAC) = (false, false)
    case 20, 22: (isV6, hasHMAC) = (true, false)
    case 16, 18: (isV6, hasHMAC) = (false, true)
    case 28, 30: (isV6, hasHMAC) = (true, true)
    default: throw WireError(.addAddress, .badLength, at: offset)
    }
    // The lengths without an HMAC are version 1's for echoes (E, the nibble's lowest bit, is set) and version 0's for
    // everything (the nibble is 4 or 6 and names the family). With one, ADD_ADDR2 differs from version 1 in bits alone
    // that version 1 reserves and ignores: only the connection's version tells them apart.
    version = hasHMAC || nibble & 1 != 0 ? .v1 : .v0
    isEcho = version == .v1 && nibble & 1 != 0
    guard isEcho != hasHMAC || version == .v0 else { throw WireError(.addAddress, .badLength, at: offset) }
    guard version == .v1 || nibble == (isV6 ? 6 : 4) else {
      throw WireError(.addAddressFamily, .badValue, at: offset + 2)
    }
    addressID = AddressID(option.octet(offset + 3))
    var position = offset + 4
    if isV6 {
      address = IPAddress(v6High: option.be64(position), low: option.be64(position + 8))
      position += 16
    } else {
      address = IPAddress(v4: option.be32(position))
      position += 4
    }
    port = nil
    if offset + length - position - (hasHMAC ? 8 : 0) == 2 {
      port = Port(option.be16(position))
      position += 2
    }
    hmac = hasHMAC ? option.be64(position) : nil
  }

  func write(_ writer: inout OctetWriter) {
    let nibble: UInt8 =
      switch version {
      case .v0: address.family.rawValue
      case .v1: isEcho ? 1 : 0
      }
    writer.putMultipath(.addAddress, nibble: nibble, length: encodedByteCount)
    writer.put8(addressID.rawValue)
    writer.put(address)
    if let port { writer.put16(port.rawValue) }
    if carriesHMAC { writer.put64(hmac ?? 0) }
  }
}
