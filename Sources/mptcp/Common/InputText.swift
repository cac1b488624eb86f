import Glibc

/// A text that a command is given as a file, a pipe (`<(…)`, a FIFO) or, as `-`, on the standard input.
enum InputText {
  /// The most octets that are read: a description of a network is no larger.
  static let limit = 64 << 20

  /// Reads it whole.
  ///
  /// - Throws: ``StreamError`` with the reason in the system's words.
  static func read(_ file: String) throws -> [UInt8] {
    let descriptor = file == "-" ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw StreamError("read '\(file)'") }
    defer { if descriptor != STDIN_FILENO { close(descriptor) } }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw StreamError("read '\(file)'") }
      guard count > 0 else { return bytes }
      bytes += buffer.prefix(count)
      if bytes.count > limit { throw StreamError("read '\(file)'", reason: "more than 64 MiB") }
    }
  }
}
