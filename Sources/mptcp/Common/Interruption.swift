@preconcurrency import Dispatch
import Glibc
import MPTCPTools

/// SIGINT and SIGTERM, as something to wait for. A second one ends the process at once.
final class Interruption: Sendable {
  private let signals: AsyncStream<Int32>

  init() {
    signals = AsyncStream { continuation in
      let sources = [SIGINT, SIGTERM].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler {
          signal(number, SIG_DFL)
          continuation.yield(number)
        }
        source.resume()
        return source
      }
      continuation.onTermination = { _ in for source in sources { source.cancel() } }
    }
  }

  /// Returns once a signal has come; after cancellation, with no meaning.
  func status() async -> ExitStatus {
    for await number in signals { return number == SIGTERM ? .terminated : .interrupted }
    return .success
  }
}
