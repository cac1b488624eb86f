import MPTCPPolicy
import MPTCPWire

/// What an endpoint keeps for TCP Fast Open as a client (RFC 7413 §4.1.3): a plain value, which a host may read, keep
/// over a restart, and set again (``Endpoint/fastOpenMemory``).
///
/// - Of each pair of addresses the latest cookie, and the segment size that came with it.
/// - Each service, an address and port, that did not take the data of a SYN, or was not reached by a SYN with a cookie:
///   there Fast Open is left for a time that doubles with each failure in a row. Whatever works makes it forgotten.
///
/// Both are bounded, and the oldest goes first.
/// Requirement 7413-4-01, 7413-4.1.3-01, 7413-4.1.3.1-01, 7413-4.1.3.1-02, 7413-4.2.1-02
public struct FastOpenMemory: Sendable, Hashable {
  /// A listener's cookie.
  public struct Cookie: Sendable, Hashable {
    /// Our address, which the cookie is made for.
    public var local: IPAddress
    /// The listener's address.
    public var remote: IPAddress
    /// The cookie.
    public var cookie: FastOpenCookie
    /// The segment size that the listener announced, in bytes.
    public var maximumSegmentByteCount: Int
    /// When it came.
    public var learntAt: Instant

    /// Makes a record; see the properties.
    public init(
      local: IPAddress, remote: IPAddress, cookie: FastOpenCookie, maximumSegmentByteCount: Int, learntAt: Instant
    ) {
      self.local = local
      self.remote = remote
      self.cookie = cookie
      self.maximumSegmentByteCount = maximumSegmentByteCount
      self.learntAt = learntAt
    }
  }

  /// A service where Fast Open failed.
  public struct Failure: Sendable, Hashable {
    /// Our address.
    public var local: IPAddress
    /// The service.
    public var remote: TransportAddress
    /// How often in a row it failed.
    public var failureCount: Int
    /// Until when Fast Open is left there.
    public var withheldUntil: Instant

    /// Makes a record; see the properties.
    public init(local: IPAddress, remote: TransportAddress, failureCount: Int, withheldUntil: Instant) {
      self.local = local
      self.remote = remote
      self.failureCount = failureCount
      self.withheldUntil = withheldUntil
    }
  }

  /// The cookies, the latest last.
  public private(set) var cookies: [Cookie] = []
  /// The failures, the latest last.
  public private(set) var failures: [Failure] = []

  /// Knows nothing.
  public init() {}

  /// Knows what is given, in its order. Times are the endpoint's.
  public init(cookies: [Cookie], failures: [Failure]) {
    for record in cookies {
      self.cookies.removeAll { $0.local == record.local && $0.remote == record.remote }
      self.cookies.append(record)
    }
    for record in failures {
      self.failures.removeAll { $0.local == record.local && $0.remote == record.remote }
      self.failures.append(record)
    }
  }

  /// Forgets an address and its services.
  public mutating func forget(_ remote: IPAddress) {
    cookies.removeAll { $0.remote == remote }
    failures.removeAll { $0.remote.address == remote }
  }

  // MARK: Advice

  /// What a SYN should carry.
  enum Advice: Equatable {
    /// This cookie; a segment may have so many octets, options included.
    case send(FastOpenCookie, maximumSegmentByteCount: Int)
    /// The request for a cookie.
    case request
    /// Nothing: it failed before.
    case withhold
  }

  func advice(from local: IPAddress, to remote: TransportAddress, at now: Instant) -> Advice {
    if let failure = failures.last(where: { $0.local == local && $0.remote == remote }), failure.withheldUntil > now {
      return .withhold
    }
    guard let known = cookies.last(where: { $0.local == local && $0.remote == remote.address }) else { return .request }
    return .send(known.cookie, maximumSegmentByteCount: known.maximumSegmentByteCount)
  }

  // MARK: Lessons

  /// A SYN/ACK brought a cookie.
  mutating func note(
    _ cookie: FastOpenCookie, maximumSegmentByteCount: Int, from local: IPAddress, to remote: IPAddress,
    at now: Instant, limits: FastOpenMemoryLimits
  ) {
    cookies.removeAll { $0.local == local && $0.remote == remote }
    cookies.append(
      Cookie(
        local: local, remote: remote, cookie: cookie, maximumSegmentByteCount: maximumSegmentByteCount, learntAt: now))
    age(at: now, limits: limits)
  }

  /// A service took the data of a SYN.
  mutating func noteWorking(from local: IPAddress, to remote: TransportAddress) {
    failures.removeAll { $0.local == local && $0.remote == remote }
  }

  /// A service did not, or nothing came back.
  mutating func noteFailure(
    from local: IPAddress, to remote: TransportAddress, at now: Instant, limits: FastOpenMemoryLimits
  ) {
    var count = 0
    if let index = failures.firstIndex(where: { $0.local == local && $0.remote == remote }) {
      count = failures.remove(at: index).failureCount
    }
    count = min(count + 1, 1 << 20)
    failures.append(
      Failure(local: local, remote: remote, failureCount: count, withheldUntil: now + limits.delay(after: count)))
    age(at: now, limits: limits)
  }

  /// Lets go what is too old, and what is beyond the bounds. A failure is remembered for some time after Fast Open is
  /// tried again: the next one in a row counts more.
  mutating func age(at now: Instant, limits: FastOpenMemoryLimits) {
    cookies.removeAll { now - $0.learntAt >= limits.cookieLifetime }
    failures.removeAll { now - $0.withheldUntil >= limits.longestDelay }
    if cookies.count > limits.cookieCount { cookies.removeFirst(cookies.count - limits.cookieCount) }
    if failures.count > limits.failureCount { failures.removeFirst(failures.count - limits.failureCount) }
  }
}
