import MPTCPPolicy
import MPTCPWire

/// What an endpoint has learnt of destinations and paths where Multipath TCP does not work as offered (RFC 8684 §3.1
/// and §3.9.3, RFC 6824 §3.8.3): a plain value, which a host may read, keep over a restart, and set again
/// (``Endpoint/peerMemory``).
///
/// - A destination whose SYN with MP_CAPABLE went unanswered and whose SYN without was answered is offered none, over
///   that path, for a time that doubles with each failure in a row. Where that happens with several destinations of one
///   path, the path is what drops the option, and none is offered there at all, for such a time. Whatever works makes
///   it forgotten.
/// - A destination whose answer contradicted the offer is offered none for good: something on the way plays with
///   options.
/// - Of a destination that ignored version 1 it is known whether it speaks version 0.
///
/// Only connections that this host opens teach it and heed it: what a client does, behind the same address as others,
/// must not cost those their Multipath TCP. All of it is bounded, and the oldest goes first.
public struct PeerMemory: Sendable, Hashable {
  /// What a destination answered when it ignored version 1.
  public enum Answer: Sendable, Hashable {
    /// Version 0.
    case version0
    /// TCP, to version 0 too.
    case onlyTCP
  }

  /// One destination over one path.
  public struct Destination: Sendable, Hashable {
    /// The destination's address.
    public var address: IPAddress
    /// The path that led there.
    public var path: PathID
    /// What it answered when it ignored version 1; nil where it never did.
    public var answer: Answer?
    /// How often in a row SYNs with MP_CAPABLE went unanswered.
    public var failureCount: Int
    /// Until when MP_CAPABLE is withheld, `.distantFuture` for good; nil where it is not.
    public var withheldUntil: Instant?
    /// When this was learnt.
    public var learntAt: Instant

    /// Makes a record; see the properties.
    public init(
      address: IPAddress, path: PathID, answer: Answer? = nil, failureCount: Int = 0, withheldUntil: Instant? = nil,
      learntAt: Instant
    ) {
      self.address = address
      self.path = path
      self.answer = answer
      self.failureCount = failureCount
      self.withheldUntil = withheldUntil
      self.learntAt = learntAt
    }
  }

  /// One path, once MP_CAPABLE has failed there with any destination.
  public struct PathRecord: Sendable, Hashable {
    /// The path.
    public var path: PathID
    /// The destinations with which it failed since it last worked; as many as make the path suspect.
    public var destinations: [IPAddress]
    /// How often in a row the path became suspect.
    public var failureCount: Int
    /// Until when MP_CAPABLE is withheld; nil where it is not.
    public var withheldUntil: Instant?
    /// When this was learnt.
    public var learntAt: Instant

    /// Makes a record; see the properties.
    public init(
      path: PathID, destinations: [IPAddress], failureCount: Int = 0, withheldUntil: Instant? = nil, learntAt: Instant
    ) {
      self.path = path
      self.destinations = destinations
      self.failureCount = failureCount
      self.withheldUntil = withheldUntil
      self.learntAt = learntAt
    }
  }

  /// The destinations, the latest lesson last.
  public private(set) var destinations: [Destination] = []
  /// The paths, the latest lesson last.
  public private(set) var paths: [PathRecord] = []

  /// Knows nothing.
  public init() {}

  /// Knows what is given, in its order. Times are the endpoint's: a host that kept records over a restart translates
  /// them, and the path IDs.
  public init(destinations: [Destination], paths: [PathRecord]) {
    for record in destinations {
      self.destinations.removeAll { $0.address == record.address && $0.path == record.path }
      self.destinations.append(record)
    }
    for record in paths {
      self.paths.removeAll { $0.path == record.path }
      self.paths.append(record)
    }
  }

  /// Forgets a destination, over all paths.
  public mutating func forget(_ address: IPAddress) { destinations.removeAll { $0.address == address } }

  /// Forgets a path, and what was learnt over it.
  public mutating func forget(_ path: PathID) {
    destinations.removeAll { $0.path == path }
    paths.removeAll { $0.path == path }
  }

  // MARK: Advice

  /// What to offer.
  enum Advice: Equatable {
    /// This version; where it is version 1, whether to try version 0 after it.
    case offer(MPTCPVersion, thenVersion0: Bool)
    /// Nothing: it failed before.
    case withhold
  }

  /// What a connection to `address` over `path` should offer that would like `mode`; nil for plain TCP.
  /// Requirement 8684-3.9.3-02
  func advice(_ mode: MultipathMode, to address: IPAddress, over path: PathID, at now: Instant) -> Advice? {
    guard mode != .disabled else { return nil }
    let known = destinations.last { $0.address == address && $0.path == path }
    if let until = known?.withheldUntil, until > now { return .withhold }
    if let until = paths.last(where: { $0.path == path })?.withheldUntil, until > now { return .withhold }
    // Requirement 8684-3.1-02
    switch mode {
    case .version0: return .offer(.v0, thenVersion0: false)
    case .version1Then0:
      // Requirement 8684-3.1-06
      switch known?.answer {
      case .version0: return .offer(.v0, thenVersion0: false)
      case .onlyTCP: return .offer(.v1, thenVersion0: false)
      case nil: return .offer(.v1, thenVersion0: true)
      }
    case .enabled, .disabled: return .offer(.v1, thenVersion0: false)
    }
  }

  // MARK: Lessons

  /// SYNs with MP_CAPABLE went unanswered, and one without was answered.
  /// Requirement 8684-3.9.3-02
  mutating func noteLost(
    to address: IPAddress, over path: PathID, at now: Instant, limits: PeerMemoryLimits
  ) {
    var record = take(address, path) ?? Destination(address: address, path: path, learntAt: now)
    record.failureCount = min(record.failureCount + 1, 1 << 20)
    record.withheldUntil = max(record.withheldUntil ?? now, now + limits.delay(after: record.failureCount))
    append(&record, at: now, limits)
    var suspect =
      paths.firstIndex { $0.path == path }.map { paths.remove(at: $0) }
      ?? PathRecord(path: path, destinations: [], learntAt: now)
    if !suspect.destinations.contains(address), suspect.destinations.count < max(limits.failuresOfPath, 1) {
      suspect.destinations.append(address)
    }
    if suspect.destinations.count >= limits.failuresOfPath {
      suspect.failureCount = min(suspect.failureCount + 1, 1 << 20)
      suspect.withheldUntil = now + limits.delay(after: suspect.failureCount)
    }
    suspect.learntAt = now
    paths.append(suspect)
    if paths.count > limits.pathCount { paths.removeFirst(paths.count - limits.pathCount) }
  }

  /// The answer to MP_CAPABLE contradicts it.
  mutating func noteSuspicious(
    to address: IPAddress, over path: PathID, at now: Instant, limits: PeerMemoryLimits
  ) {
    var record = take(address, path) ?? Destination(address: address, path: path, learntAt: now)
    record.withheldUntil = .distantFuture
    append(&record, at: now, limits)
  }

  /// MP_CAPABLE was answered with one that is good. What speaks version 1 needs no record.
  mutating func noteWorking(_ version: MPTCPVersion, to address: IPAddress, over path: PathID) {
    paths.removeAll { $0.path == path }
    guard var record = take(address, path), record.answer == .version0, version == .v0 else { return }
    record.failureCount = 0
    record.withheldUntil = nil
    destinations.append(record)
  }

  /// A destination that ignored version 1 was tried with version 0; `answer` nil: nothing is known of it any more.
  mutating func note(
    _ answer: Answer?, of address: IPAddress, over path: PathID, at now: Instant, limits: PeerMemoryLimits
  ) {
    var record = take(address, path) ?? Destination(address: address, path: path, learntAt: now)
    record.answer = answer
    guard answer != nil || record.failureCount > 0 || record.withheldUntil != nil else { return }
    append(&record, at: now, limits)
  }

  /// Lets go what is too old to be true, and what is beyond the bounds.
  mutating func age(at now: Instant, limits: PeerMemoryLimits) {
    destinations.removeAll { Self.isStale($0.withheldUntil, $0.learntAt, now, limits) }
    paths.removeAll { Self.isStale($0.withheldUntil, $0.learntAt, now, limits) }
    while destinations.count > limits.destinationCount {
      // What holds for good is worth more than what would be found out again.
      destinations.remove(at: destinations.firstIndex { $0.withheldUntil != .distantFuture } ?? 0)
    }
    if paths.count > limits.pathCount { paths.removeFirst(paths.count - limits.pathCount) }
  }

  private static func isStale(
    _ withheldUntil: Instant?, _ learntAt: Instant, _ now: Instant, _ limits: PeerMemoryLimits
  ) -> Bool {
    guard withheldUntil != .distantFuture else { return false }
    return now - max(withheldUntil ?? learntAt, learntAt) >= limits.lifetime
  }

  // MARK: Parts

  private mutating func take(_ address: IPAddress, _ path: PathID) -> Destination? {
    destinations.firstIndex { $0.address == address && $0.path == path }.map { destinations.remove(at: $0) }
  }

  private mutating func append(_ record: inout Destination, at now: Instant, _ limits: PeerMemoryLimits) {
    record.learntAt = now
    destinations.append(record)
    age(at: now, limits: limits)
  }
}
