import Multipath
import Synchronization

/// What each path has carried for one connection, closed subflows included.
final class PathAccounts: Sendable {
  /// The counters of one path.
  struct Account: Sendable {
    var sentByteCount = 0
    var acknowledgedByteCount = 0
    var receivedByteCount = 0
    var retransmittedByteCount = 0
    var reinjectedByteCount = 0

    mutating func add(_ subflow: SubflowDescription) {
      sentByteCount += subflow.sentByteCount
      acknowledgedByteCount += subflow.acknowledgedByteCount
      receivedByteCount += subflow.receivedByteCount
      retransmittedByteCount += subflow.retransmittedByteCount
      reinjectedByteCount += subflow.reinjectedByteCount
    }
  }

  /// A path as it is now.
  struct Path: Sendable {
    var account: Account
    /// Subflows that live on it.
    var subflows: [SubflowDescription]
  }

  private struct State {
    /// Of subflows that are gone.
    var closed: [PathID: Account] = [:]
    /// As last seen: the end of a connection takes its subflows with it.
    var live: [SubflowDescription] = []
    /// Those that an event has closed already.
    var closedIDs: Set<SubflowID> = []
  }

  private let state = Mutex(State())

  /// Notes a subflow's end.
  func close(_ subflow: SubflowDescription) {
    state.withLock { state in
      guard state.closedIDs.insert(subflow.id).inserted else { return }
      state.live.removeAll { $0.id == subflow.id }
      state.closed[subflow.path, default: Account()].add(subflow)
    }
  }

  /// Notes how the live subflows are; none at all means that the connection is over, and the last look counts.
  func update(_ subflows: [SubflowDescription]) {
    state.withLock { state in
      if !subflows.isEmpty { state.live = subflows.filter { !state.closedIDs.contains($0.id) } }
    }
  }

  /// What a path has carried, and its live subflows.
  func path(_ id: PathID) -> Path {
    state.withLock { state in
      var path = Path(account: state.closed[id] ?? Account(), subflows: state.live.filter { $0.path == id })
      for subflow in path.subflows { path.account.add(subflow) }
      return path
    }
  }
}
