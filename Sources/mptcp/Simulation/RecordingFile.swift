import Glibc
import Synchronization

/// A file that is written in large pieces. After the first failure nothing more is written.
final class RecordingFile: Sendable {
  private struct State {
    var descriptor: Int32
    var buffer: [UInt8] = []
    var hasFailed = false
  }

  private static let pieceByteCount = 1 << 20
  private let state: Mutex<State>

  /// Makes the file, or empties it.
  init(_ path: String) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    state = Mutex(State(descriptor: descriptor, hasFailed: descriptor < 0))
  }

  deinit { state.withLock { if $0.descriptor >= 0 { close($0.descriptor) } } }

  func write(_ bytes: RawSpan) {
    state.withLock { state in
      guard !state.hasFailed else { return }
      bytes.withUnsafeBytes { state.buffer.append(contentsOf: $0) }
      if state.buffer.count >= Self.pieceByteCount { Self.flush(&state) }
    }
  }

  /// Writes the rest; whether all of it is in the file.
  func finish() -> Bool {
    state.withLock { state in
      Self.flush(&state)
      return !state.hasFailed
    }
  }

  private static func flush(_ state: inout State) {
    var offset = 0
    while offset < state.buffer.count, !state.hasFailed {
      let count = state.buffer.withUnsafeBytes { bytes in
        Glibc.write(state.descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
      }
      if count < 0, errno == EINTR { continue }
      if count <= 0 { state.hasFailed = true } else { offset += count }
    }
    state.buffer.removeAll(keepingCapacity: true)
  }
}
