import MPTCPWire

/// Initial sequence numbers that a stranger cannot guess and that grow from one incarnation of a tuple to the next
/// (RFC 6528 §3): a clock that ticks every 4 µs, plus a keyed hash of the tuple.
/// Requirement 6528-3-01, 6528-3-02, 9293-3.4.1-01, 9293-3.4.1-02, 9293-3.4.1-03, 8684-3-06
struct InitialSequenceNumbers {
  private let secret: (UInt64, UInt64)

  /// Makes the generator of a host. `secret` is drawn once when the host starts, and never leaves it.
  init(secret: (UInt64, UInt64)) { self.secret = secret }

  /// The initial sequence number of a subflow that opens at `at`.
  func number(for tuple: FourTuple, at: Instant) -> SequenceNumber {
    let ticks = UInt32(truncatingIfNeeded: at.nanoseconds / 4_000)
    return SequenceNumber(ticks &+ UInt32(truncatingIfNeeded: tuple.keyedHash(under: secret, purpose: .sequenceNumber)))
  }
}
