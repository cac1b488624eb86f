import MPTCPStack

/// A path that a stack lost by itself: its device is gone, or another host uses our address.
public struct LostPath: Hashable, Sendable {
  /// The number that it had.
  public var id: PathID
  /// The device's name.
  public var name: String
  /// Why it was lost, and what to do about it.
  public var error: MultipathError
}

extension MultipathStack {
  /// The paths that were lost so far, the latest 64 at most, and those that will be until the stack ends.
  public var lostPaths: AsyncStream<LostPath> {
    let losses = host.losses.stream()
    let (stream, continuation) = AsyncStream.makeStream(of: LostPath.self, bufferingPolicy: .bufferingNewest(64))
    let pump = Task {
      for await loss in losses {
        continuation.yield(
          LostPath(id: loss.id, name: loss.name, error: MultipathError(loss.reason, attempt: "use \(loss.name)")))
      }
      continuation.finish()
    }
    continuation.onTermination = { _ in pump.cancel() }
    return stream
  }
}
