import Glibc
import MPTCPTools
import Synchronization

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

  /// The lines at the bottom that are drawn in place; everything else is written above them.
  private static let live = Mutex((block: LiveBlock(), lines: [String]()))

  /// Writes one line that begins with the program's name.
  static func say(_ line: String) { write("mptcp: \(line)\n") }

  /// Writes text that ends its line.
  static func write(_ text: String) {
    live.withLock { live in put(live.block.clearing() + text + live.block.drawing(live.lines)) }
  }

  /// Draws lines in the place of those that were drawn before.
  static func draw(_ lines: [String]) {
    live.withLock { live in
      live.lines = lines
      put(live.block.drawing(lines))
    }
  }

  /// Removes the lines that were drawn.
  static func clear() {
    live.withLock { live in
      live.lines = []
      put(live.block.clearing())
    }
  }

  /// Leaves the lines that were drawn as they are; what comes now is written below them.
  static func leave() { live.withLock { live in live = (LiveBlock(), []) } }

  private static func put(_ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
      if count <= 0 { return }
      bytes = bytes.dropFirst(count)
    }
  }
}
