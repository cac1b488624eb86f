import ArgumentParser
import Glibc
import MPTCPTools
import Synchronization

/// A file that is written in large pieces. After the first failure nothing more is written.
final class RecordingFile: Sendable {
  private struct State {
    var descriptor: Int32
    var buffer: [UInt8] = []
    /// The error number of the first failure.
    var failure: Int32?
  }

  private static let pieceByteCount = 1 << 20
  private let state: Mutex<State>

  /// Makes the file, or empties it.
  init(_ path: String) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    state = Mutex(State(descriptor: descriptor, failure: descriptor < 0 ? errno : nil))
  }

  deinit { state.withLock { if $0.descriptor >= 0 { close($0.descriptor) } } }

  func write(_ bytes: RawSpan) {
    state.withLock { state in
      guard state.failure == nil else { return }
      bytes.withUnsafeBytes { state.buffer.append(contentsOf: $0) }
      if state.buffer.count >= Self.pieceByteCount { Self.flush(&state) }
    }
  }

  /// Writes the rest; gives the reason if not all of it is in the file.
  func finish() -> String? {
    state.withLock { state in
      Self.flush(&state)
      return state.failure.map { String(cString: strerror($0)) }
    }
  }

  /// Writes the rest; if not all of it is in the file, says so and ends with the status for that.
  func finish(_ option: String, _ path: String) throws {
    guard let reason = finish() else { return }
    StandardError.say("\(option) '\(path)': cannot be written: \(reason); give another file")
    throw ExitCode(ExitStatus.inputOutput.rawValue)
  }

  /// Makes a file of these octets, as ``finish(_:_:)`` does.
  static func write(_ bytes: [UInt8], to path: String, _ option: String) throws {
    let file = RecordingFile(path)
    file.write(bytes.span.bytes)
    try file.finish(option, path)
  }

  private static func flush(_ state: inout State) {
    var offset = 0
    while offset < state.buffer.count, state.failure == nil {
      let count = state.buffer.withUnsafeBytes { bytes in
        Glibc.write(state.descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
      }
      if count < 0, errno == EINTR { continue }
      if count < 0 { state.failure = errno } else { offset += count }
    }
    state.buffer.removeAll(keepingCapacity: true)
  }
}
