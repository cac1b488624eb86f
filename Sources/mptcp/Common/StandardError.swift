import Glibc

/// Lines for people, on the standard error.
enum StandardError {
  /// Whether it is a terminal, on which lines may be drawn in place.
  static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// The columns of the terminal.
  static var width: Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// Writes one line that begins with the program's name.
  static func say(_ line: String) { write("mptcp: \(line)\n") }

  /// Writes text as it is.
  static func write(_ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
      if count <= 0 { return }
      bytes = bytes.dropFirst(count)
    }
  }
}
