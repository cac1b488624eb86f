@preconcurrency import Dispatch
import Glibc
import MPTCPTools

/// SIGHUP, SIGINT and SIGTERM, as something to wait for: no kernel ends our connections for us when the process is
/// gone. A second one ends the process at once.
///
/// A signal that the process was started to ignore, as under `nohup` or in the background of a script, stays ignored.
final class Interruption: Sendable {
  private let signals: AsyncStream<Int32>

  init() {
    signals = AsyncStream { continuation in
      var sources: [any DispatchSourceSignal] = []
      for number in [SIGHUP, SIGINT, SIGTERM] {
        var disposition = sigaction()
        sigaction(number, nil, &disposition)
        let isIgnored = unsafeBitCast(disposition.__sigaction_handler.sa_handler, to: Int.self) == 1
        if isIgnored { continue }
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler {
          signal(number, SIG_DFL)
          continuation.yield(number)
        }
        source.resume()
        sources.append(source)
      }
      continuation.onTermination = { [sources] _ in for source in sources { source.cancel() } }
    }
  }

  /// Returns once a signal has come; nil after cancellation.
  func status() async -> ExitStatus? {
    for await number in signals { return ExitStatus(signal: number) }
    return nil
  }
}
