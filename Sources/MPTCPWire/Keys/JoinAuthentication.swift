import Crypto

/// The HMAC of a join, with the two cuts that MP_JOIN carries (RFC 8684 §3.2).
/// Requirement 8684-3.2-12, 8684-3.2-14, 6824-3.2-01
public struct JoinHMAC: Hashable, Sendable {
  /// The left 160 bits: the third packet's.
  public var left160: HMAC160
  /// The left 64 bits: the SYN/ACK's.
  public var left64: UInt64 { left160.high }
}

/// The message authentication codes that guard joins and announced addresses.
public enum JoinAuthentication {
  /// The HMAC with key `senderKey`‖`receiverKey` over `senderNonce`‖`receiverNonce`, of SHA-1 in version 0 and SHA-256
  /// in version 1.
  ///
  /// "Sender" is whoever sends the HMAC: the responder on the SYN/ACK, the initiator of the subflow on the third ACK.
  public static func joinHMAC(
    version: MPTCPVersion, senderKey: Key, receiverKey: Key, senderNonce: UInt32, receiverNonce: UInt32
  ) -> JoinHMAC {
    var message = (senderNonce.bigEndian, receiverNonce.bigEndian)
    let hmac: HMAC160 = withUnsafeBytes(of: &message) { message in
      switch version {
      case .v0:
        authenticationCode(Insecure.SHA1(), Insecure.SHA1(), senderKey, receiverKey, message) { octets in
          HMAC160(high: octets.be64(0), middle: octets.be64(8), low: octets.be32(16))
        }
      case .v1:
        authenticationCode(SHA256(), SHA256(), senderKey, receiverKey, message) { octets in
          HMAC160(high: octets.be64(0), middle: octets.be64(8), low: octets.be32(16))
        }
      }
    }
    return JoinHMAC(left160: hmac)
  }

  /// The right 64 bits of the HMAC with key `senderKey`‖`receiverKey` over ID, address and port (0 where there is
  /// none), as a version 1 ADD_ADDR carries it (RFC 8684 §3.4.1): HMAC-SHA256, and for the ADD_ADDR2 of version 0 the
  /// hash of that version, SHA-1. "Sender" is whoever announces the address.
  /// Requirement 8684-3.4.1-11, 8684-3.4.1-12
  public static func addAddressHMAC(
    version: MPTCPVersion = .v1, senderKey: Key, receiverKey: Key, addressID: AddressID, address: IPAddress, port: Port?
  ) -> UInt64 {
    withUnsafeTemporaryAllocation(byteCount: 19, alignment: 8) { buffer in
      guard let base = buffer.baseAddress else { return 0 }
      var writer = OctetWriter(base)
      writer.put8(addressID.rawValue)
      writer.put(address)
      writer.put16(port?.rawValue ?? 0)
      let message = UnsafeRawBufferPointer(rebasing: buffer[..<writer.offset])
      func right64(_ octets: RawSpan) -> UInt64 { octets.be64(octets.byteCount - 8) }
      return switch version {
      case .v0: authenticationCode(Insecure.SHA1(), Insecure.SHA1(), senderKey, receiverKey, message, right64)
      case .v1: authenticationCode(SHA256(), SHA256(), senderKey, receiverKey, message, right64)
      }
    }
  }

  /// RFC 2104 for a key of 16 octets, which is shorter than a block of either hash.
  private static func authenticationCode<H: HashFunction, R>(
    _ innerHash: H, _ outerHash: H, _ firstKey: Key, _ secondKey: Key, _ message: UnsafeRawBufferPointer,
    _ cut: (RawSpan) -> R
  ) -> R {
    withUnsafeTemporaryAllocation(byteCount: H.blockByteCount, alignment: 8) { block in
      func fill(_ pad: UInt8) {
        block.initializeMemory(as: UInt8.self, repeating: pad)
        let repeated = UInt64(pad) &* 0x0101_0101_0101_0101
        guard let base = block.baseAddress else { return }
        var writer = OctetWriter(base)
        writer.put64(firstKey.rawValue ^ repeated)
        writer.put64(secondKey.rawValue ^ repeated)
      }
      var inner = innerHash
      fill(0x36)
      inner.update(bufferPointer: UnsafeRawBufferPointer(block))
      inner.update(bufferPointer: message)
      var outer = outerHash
      fill(0x5c)
      outer.update(bufferPointer: UnsafeRawBufferPointer(block))
      inner.finalize().withUnsafeBytes { outer.update(bufferPointer: $0) }
      return outer.finalize().withUnsafeBytes { cut(RawSpan(_unsafeBytes: $0)) }
    }
  }
}
