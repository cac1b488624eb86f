import MPTCPWire

/// A listener's Fast Open cookies: a keyed hash of the client's address and of the one that it came to, so that nobody
/// has a cookie who does not receive there (RFC 7413 §4.1.2).
///
/// The key is drawn anew after ``lifetime``, and cookies of the last one are good for as long again: whoever comes with
/// one gets one of the new key. A cookie that was spied out is worth something for that long.
/// Requirement 7413-4-02
struct FastOpenCookies {
  /// What a cookie is worth.
  enum Verdict {
    /// It was made under the key in use.
    case current
    /// It was made under the key before that.
    case outdated
    /// It is none of ours.
    case wrong
  }

  /// Where options leave little room, beside MP_CAPABLE on a SYN/ACK, a cookie has so many octets (RFC 8684 appendix
  /// B.1).
  static let shortByteCount = 6
  private static let byteCount = 8

  private let lifetime: Nanoseconds
  private var key: (UInt64, UInt64)
  private var previousKey: (UInt64, UInt64)?
  private var drawnAt: Instant

  /// Makes the cookies of a host, with the first key.
  init(key: (UInt64, UInt64), lifetime: Nanoseconds, at now: Instant) {
    self.key = key
    self.lifetime = max(lifetime, .seconds(1))
    drawnAt = now
  }

  /// Draws another key where it is time.
  mutating func age(at now: Instant, _ draw: () -> UInt64) {
    let age = now - drawnAt
    guard age >= lifetime else { return }
    previousKey = age >= lifetime + lifetime ? nil : key
    key = (draw(), draw())
    drawnAt = now
  }

  /// The cookie for the sender of a SYN.
  func cookie(for tuple: FourTuple) -> FastOpenCookie { Self.cookie(for: tuple, under: key) }

  /// What the cookie on a SYN is worth.
  func verdict(on cookie: FastOpenCookie, from tuple: FourTuple) -> Verdict {
    guard cookie.count == Self.byteCount || cookie.count == Self.shortByteCount else { return .wrong }
    if Self.cookie(for: tuple, under: key).prefix(cookie.count) == cookie { return .current }
    guard let previousKey, Self.cookie(for: tuple, under: previousKey).prefix(cookie.count) == cookie else {
      return .wrong
    }
    return .outdated
  }

  /// Ports are no part of it: a client has one cookie for all services of a host.
  private static func cookie(for tuple: FourTuple, under key: (UInt64, UInt64)) -> FastOpenCookie {
    let addresses = FourTuple(
      local: TransportAddress(tuple.local.address, Port(0)), remote: TransportAddress(tuple.remote.address, Port(0)))
    return FastOpenCookie(addresses.keyedHash(under: key, purpose: .fastOpenCookie))
  }
}
