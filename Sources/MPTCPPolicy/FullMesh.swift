import MPTCPWire

/// One subflow from each of our addresses to each of the peer's, opened by the initiator, and by the listener towards
/// addresses that the peer announced. The listener announces its further addresses (RFC 8684 §3.4.1).
///
/// A subflow that failed is tried again after ``retryDelay``, which doubles up to ``maximumRetryDelay``, also where each
/// new one is established and reset soon after, beside others; one that either host reset for good (MP_TCPRST without flag T, RFC 8684
/// §3.6), or that either application closed, only when the path or the peer's addresses change. Where no subflow is left, everything is tried again, after
/// ``maximumRetryDelay``. A listener cannot try again, so it takes the address of a subflow that failed back and
/// announces it anew, after the same waits, until somebody joins there: the peer ends what it still has, and may join
/// again (RFC 8684 §3.4.1, §3.4.2).
public struct FullMesh: PathPolicy, Hashable {
  /// The most subflows of a connection, joins under way included.
  public var maximumSubflowCount: Int
  /// The wait before the first new attempt at a pair.
  public var retryDelay: Nanoseconds
  /// The longest wait before a new attempt.
  public var maximumRetryDelay: Nanoseconds

  private struct Attempt: Hashable {
    var path: PathID
    var local: IPAddress
    var remote: TransportAddress
    var failures: Int
    var notBefore: Instant
    /// A subflow has been there: it is known to lead somewhere.
    var hasWorked: Bool
    /// When the subflow that is there now was established.
    var establishedAt: Instant?
  }
  /// Pairs that have been tried, at most `maximumSubflowCount` × 4 of them: the peer's announcements cannot grow it.
  private var attempts: [Attempt] = []
  /// A listener's address whose last subflow failed.
  private struct Lapse: Hashable {
    var id: AddressID
    /// How often it was announced since.
    var invitations: Int
    /// When it is announced again, unless somebody joins there.
    var notBefore: Instant
  }
  /// At most as many as a connection announces.
  private var lapses: [Lapse] = []
  /// An address that the peer announced and that never answered is tried so often, for a SYN may be lost; then it is
  /// left alone until it is announced again (RFC 8684 §3.4.1, RFC 6824 §3.4.1).
  /// Requirement 8684-5-04
  private static let maximumAttemptCount = 6
  /// A peer that does not come after so many will not.
  private static let maximumInvitationCount = 8
  private var isEstablished = false

  /// Makes a full mesh of at most `maximumSubflowCount` subflows.
  public init(
    maximumSubflowCount: Int = 8, retryDelay: Nanoseconds = .milliseconds(500),
    maximumRetryDelay: Nanoseconds = .seconds(15)
  ) {
    self.maximumSubflowCount = maximumSubflowCount
    self.retryDelay = retryDelay
    self.maximumRetryDelay = maximumRetryDelay
  }

  /// Opens and announces what is missing.
  public mutating func handle(_ event: PolicyEvent, in view: PolicyView, commands: inout [PathCommand]) {
    switch event {
    case .established: isEstablished = true
    case .subflowEstablished(let id):
      if let subflow = view.subflows.first(where: { $0.id == id }) {
        noteSuccess(subflow.path, subflow.tuple, at: view.now)
      }
    case .subflowClosed(let tuple, let path, let reason):
      noteFailure(tuple, path, reason, view)
      if !view.isInitiator { noteLapse(tuple, path, reason, view, &commands) }
    case .localPathsChanged:
      // A path that is back deserves an attempt at once.
      attempts.removeAll { attempt in
        view.localAddresses.contains { $0.path == attempt.path && $0.isUp }
      }
      for index in lapses.indices { lapses[index] = Lapse(id: lapses[index].id, invitations: 0, notBefore: view.now) }
    case .remoteAddressesChanged:
      attempts.removeAll { attempt in
        view.remoteAddresses.contains { $0.address == attempt.remote && $0.id != .initial }
      }
    case .wake: break
    }
    guard isEstablished else { return }
    announceFurtherAddresses(view, &commands)
    openMissingSubflows(view, &commands)
  }

  private mutating func announceFurtherAddresses(_ view: PolicyView, _ commands: inout [PathCommand]) {
    guard !view.isInitiator else { return }
    for local in view.localAddresses where local.isUp {
      if let index = lapses.firstIndex(where: { $0.id == local.id }) {
        inviteAgain(local, index, view, &commands)
      } else if local.id != .initial && !view.announced.contains(local.id) {
        commands.append(.announce(local, port: nil))
      }
    }
  }

  /// Announces an address that lost its last subflow until there is another one.
  private mutating func inviteAgain(
    _ local: LocalAddress, _ index: Int, _ view: PolicyView, _ commands: inout [PathCommand]
  ) {
    guard lapses[index].invitations < Self.maximumInvitationCount,
      !view.subflows.contains(where: { $0.tuple.local.address == local.address })
    else { return }
    if lapses[index].notBefore <= view.now {
      commands.append(.announce(local, port: nil))
      lapses[index].invitations += 1
      lapses[index].notBefore = view.now + wait(after: lapses[index].invitations)
    }
    commands.append(.wake(at: lapses[index].notBefore))
  }

  /// A subflow that the peer opened has failed. Where it was the last of our address, the address is taken back, which
  /// tells the peer so, should it still wait for answers there, and announced again later.
  private mutating func noteLapse(
    _ tuple: FourTuple, _ path: PathID, _ reason: SubflowCloseReason, _ view: PolicyView,
    _ commands: inout [PathCommand]
  ) {
    switch reason {
    case .resetByPeer(_, isTransient: true), .timedOut: break
    default: return
    }
    guard let local = view.localAddresses.first(where: { $0.path == path && $0.address == tuple.local.address }),
      !view.subflows.contains(where: { $0.tuple.local.address == local.address }), !view.subflows.isEmpty
    else { return }
    // Requirement 8684-3.4.2-03
    commands.append(.withdraw(local.id))
    if let index = lapses.firstIndex(where: { $0.id == local.id }) {
      // One that worked for a good while has no past.
      if view.now > lapses[index].notBefore + maximumRetryDelay { lapses[index].invitations = 0 }
      lapses[index].notBefore = view.now + wait(after: lapses[index].invitations)
    } else if lapses.count < 32 {
      lapses.append(Lapse(id: local.id, invitations: 0, notBefore: view.now + retryDelay))
    }
  }

  /// The wait after so many failures.
  /// Requirement 8684-3.9.2-03
  private func wait(after failures: Int) -> Nanoseconds {
    min(retryDelay * (1 << Int64(min(failures, 16))), maximumRetryDelay)
  }

  /// Requirement 8684-3.4-01, 8684-3.4-02, 8684-3.9.1-01, 8684-6-02
  private mutating func openMissingSubflows(_ view: PolicyView, _ commands: inout [PathCommand]) {
    var count = view.subflows.count
    var wake: Instant?
    for local in view.localAddresses where local.isUp {
      for remote in view.remoteAddresses where local.leads(to: remote.address.address) {
        // Behind a NAT the initiator's initial address is not where it can be reached; only announced ones are.
        if !view.isInitiator && remote.id == .initial { continue }
        // An announcement and a join of the peer's from the same address are told by the ID: a NAT may show another
        // address (RFC 8684 §3.2, §3.4).
        // Requirement 8684-3.2-06
        let exists = view.subflows.contains {
          $0.path == local.path && $0.tuple.local.address == local.address
            && ($0.isInitiator
              ? $0.tuple.remote == remote.address
              : $0.tuple.remote.address == remote.address.address
                || (remote.id != .initial && $0.remoteAddressID == remote.id))
        }
        if exists { continue }
        // Requirement 8684-3.4.1-20, 8684-3.9.3-05
        if let attempt = attempts.first(where: {
          $0.path == local.path && $0.local == local.address && $0.remote == remote.address
        }), attempt.notBefore > view.now {
          if attempt.notBefore == .distantFuture { continue }
          wake = min(wake ?? .distantFuture, attempt.notBefore)
          continue
        }
        guard count < maximumSubflowCount else { return }
        count += 1
        commands.append(.openSubflow(from: local, to: remote, isBackup: local.isBackup))
      }
    }
    if let wake { commands.append(.wake(at: wake)) }
  }

  private mutating func noteFailure(
    _ tuple: FourTuple, _ path: PathID, _ reason: SubflowCloseReason, _ view: PolicyView
  ) {
    let index = attempts.firstIndex {
      $0.path == path && $0.local == tuple.local.address && $0.remote == tuple.remote
    }
    let failures = index.map { failureCount(attempts[$0], reason, view) } ?? 0
    let hasWorked = index.map { attempts[$0].hasWorked } ?? false || reason != .connectTimedOut
    let notBefore: Instant
    // Requirement 8684-3.4.1-20, 8684-3.9.3-05
    switch reason {
    case .connectTimedOut where !hasWorked && failures + 1 >= Self.maximumAttemptCount && isAnnounced(tuple, view):
      notBefore = .distantFuture
    case .refused, .resetByPeer(_, isTransient: false), .reset(_, isTransient: false), .closedByPolicy, .finished:
      // RFC 8684 §3.6: without flag T, not again over this path, until something changes.
      notBefore = .distantFuture
    default: notBefore = view.now + wait(after: failures)
    }
    let attempt = Attempt(
      path: path, local: tuple.local.address, remote: tuple.remote, failures: failures + 1, notBefore: notBefore,
      hasWorked: hasWorked)
    if let index {
      attempts[index] = attempt
    } else {
      if attempts.count >= maximumSubflowCount * 4 { attempts.removeFirst() }
      attempts.append(attempt)
    }
    guard view.subflows.isEmpty else { return }
    // That is for a connection with other subflows. Without, another refusal costs nothing, and Linux refuses for as
    // long as it counts subflows that died.
    for index in attempts.indices where attempts[index].notBefore == .distantFuture {
      attempts[index].notBefore = view.now + maximumRetryDelay
    }
  }

  private func isAnnounced(_ tuple: FourTuple, _ view: PolicyView) -> Bool {
    view.remoteAddresses.contains { $0.address == tuple.remote && $0.id != .initial }
  }

  private mutating func noteSuccess(_ path: PathID, _ tuple: FourTuple, at now: Instant) {
    for index in attempts.indices
    where attempts[index].path == path && attempts[index].local == tuple.local.address
      && attempts[index].remote == tuple.remote
    {
      attempts[index].establishedAt = now
      attempts[index].hasWorked = true
    }
  }

  /// How many attempts have failed in a row. One that was established ends the row, but for those that somebody resets
  /// as soon as they are used: beside others a path that a middlebox spoils is not joined twice a second for ever. Where
  /// nothing is left it is all that there is, and what little each subflow brings counts.
  private func failureCount(_ attempt: Attempt, _ reason: SubflowCloseReason, _ view: PolicyView) -> Int {
    guard let start = attempt.establishedAt else { return attempt.failures }
    switch reason {
    case .reset, .resetByPeer:
      return view.now - start < maximumRetryDelay && !view.subflows.isEmpty ? attempt.failures : 0
    default: return 0
    }
  }
}
