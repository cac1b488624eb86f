import Crypto

extension Key {
  /// The token of a connection whose local key this is: the left 32 bits of the key's hash (RFC 8684 §3.2).
  /// Requirement 8684-3.1-41, 8684-3.1-43, 6824-3.1-09
  public func token(_ version: MPTCPVersion = .v1) -> Token { derived(version).token }

  /// The number before the first octet of data: the right 64 bits of the key's hash (RFC 8684 §3.1). The first octet
  /// has the next number.
  /// Requirement 8684-3.1-42, 8684-3.1-43, 8684-3.1-56, 6824-3.1-10
  public func initialDataSequenceNumber(_ version: MPTCPVersion = .v1) -> DataSequenceNumber {
    derived(version).initialDataSequenceNumber
  }

  /// Token and initial data sequence number from one hash.
  public func derived(
    _ version: MPTCPVersion = .v1
  ) -> (token: Token, initialDataSequenceNumber: DataSequenceNumber) {
    var octets = rawValue.bigEndian
    return withUnsafeBytes(of: &octets) { key in
      switch version {
      case .v0:
        var hash = Insecure.SHA1()
        hash.update(bufferPointer: key)
        return Self.cut(hash.finalize())
      case .v1:
        var hash = SHA256()
        hash.update(bufferPointer: key)
        return Self.cut(hash.finalize())
      }
    }
  }

  private static func cut(
    _ digest: some Digest
  ) -> (token: Token, initialDataSequenceNumber: DataSequenceNumber) {
    digest.withUnsafeBytes { bytes in
      let octets = RawSpan(_unsafeBytes: bytes)
      return (Token(octets.be32(0)), DataSequenceNumber(octets.be64(octets.byteCount - 8)))
    }
  }
}
