@preconcurrency import Dispatch
import Glibc
import MPTCPTools

/// SIGINT and SIGTERM, as something to wait for.
final class Interruption: Sendable {
  private let signals: AsyncStream<Void>

  init() {
    signals = AsyncStream { continuation in
      let sources = [SIGINT, SIGTERM].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { continuation.yield() }
        source.resume()
        return source
      }
      continuation.onTermination = { _ in for source in sources { source.cancel() } }
    }
  }

  /// Returns once a signal has come; after cancellation, with no meaning.
  func status() async -> ExitStatus {
    for await _ in signals { return .interrupted }
    return .success
  }
}
