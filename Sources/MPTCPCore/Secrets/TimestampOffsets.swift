import MPTCPWire

/// Where the timestamp clock of each tuple begins: a keyed hash of the tuple, so that its values tell nothing of the
/// host or of its other connections, and one incarnation of a tuple goes on where the last one was (RFC 7323 §5.4,
/// §7.1).
/// Requirement 7323-5-04
struct TimestampOffsets {
  private let secret: (UInt64, UInt64)

  /// Makes the offsets of a host. `secret` is drawn once when the host starts, and never leaves it.
  init(secret: (UInt64, UInt64)) { self.secret = secret }

  /// What is added to the clock.
  func offset(for tuple: FourTuple) -> UInt32 {
    UInt32(truncatingIfNeeded: tuple.keyedHash(under: secret, purpose: .timestampOffset))
  }
}
