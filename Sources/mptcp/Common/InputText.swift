import CLinux
import Glibc
import MPTCPStack

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
    return try read(descriptor, file)
  }

  /// Reads what is left of an open file whole; `name` is what errors call it.
  static func read(_ descriptor: Descriptor, named name: String) throws -> [UInt8] { try read(descriptor.number, name) }

  /// A file without a name that has this text, and that a program which takes this one's place inherits.
  static func inheritable(_ bytes: [UInt8]) throws(SystemError) -> Descriptor {
    let copy = Descriptor(try check(clinux_memory_file("mptcp-input"), "make a file in memory"))
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = try check(
        rest.withUnsafeBytes { clinux_write(copy.number, $0.baseAddress, $0.count) }, "write to a file in memory")
      rest = rest.dropFirst(count)
    }
    lseek(copy.number, 0, SEEK_SET)
    guard fcntl(copy.number, F_SETFD, 0) == 0 else { throw SystemError("hand a file on", number: errno) }
    return copy
  }

  private static func read(_ descriptor: Int32, _ file: String) throws -> [UInt8] {
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
