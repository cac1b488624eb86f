import MPTCPPolicy
import Synchronization

/// A path that the stack lost: its device is gone, or can be used no more.
package struct LostPath: Sendable {
  /// Its number.
  package var id: PathID
  /// The device's name.
  package var name: String
  /// Why.
  package var reason: SystemError
}

/// The paths that a stack has lost, for those who ask before and after.
package final class PathLosses: Sendable {
  private struct State {
    /// The latest, for those who come later.
    var past: [LostPath] = []
    var streams: [Int: AsyncStream<LostPath>.Continuation] = [:]
    var nextStream = 0
    var hasEnded = false
  }

  private static let limit = 64
  private let state = Mutex(State())

  /// What was lost, and what will be, until the stack ends.
  package func stream() -> AsyncStream<LostPath> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: LostPath.self, bufferingPolicy: .bufferingNewest(Self.limit))
    let number = state.withLock { state in
      for loss in state.past { continuation.yield(loss) }
      if state.hasEnded { continuation.finish() } else { state.streams[state.nextStream] = continuation }
      state.nextStream += 1
      return state.nextStream - 1
    }
    continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.streams[number] = nil } }
    return stream
  }

  func add(_ loss: LostPath) {
    state.withLock { state in
      state.past.append(loss)
      if state.past.count > Self.limit { state.past.removeFirst() }
      for stream in state.streams.values { stream.yield(loss) }
    }
  }

  func end() {
    let streams = state.withLock { state in
      state.hasEnded = true
      defer { state.streams.removeAll() }
      return Array(state.streams.values)
    }
    for stream in streams { stream.finish() }
  }
}
