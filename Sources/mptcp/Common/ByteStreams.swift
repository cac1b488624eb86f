import ArgumentParser
import Glibc
import MPTCPTools
import Multipath

/// Reading or writing a descriptor failed.
struct StreamError: Error, CustomStringConvertible {
  let description: String

  init(_ attempt: String) { self.init(attempt, reason: String(cString: strerror(errno))) }

  init(_ attempt: String, reason: String) { description = "cannot \(attempt): \(reason)" }
}

/// The bytes that a descriptor gives, in chunks that go to the stack without a copy. Blocks until they come, or until
/// the wake-up call.
struct InputStream {
  let descriptor: Int32
  private let wakeUp: WakeUp
  private var chunk = Chunk(capacity: 0)
  private var used = 0

  private static let chunkByteCount = 256 << 10

  init(_ descriptor: Int32, until wakeUp: WakeUp) {
    self.descriptor = descriptor
    self.wakeUp = wakeUp
    // Fewer, larger reads where the input is a pipe (F_SETPIPE_SZ, 1031); elsewhere it does nothing.
    _ = fcntl(descriptor, 1031, 1 << 20)
  }

  /// The next bytes; `nil` at the end, and after the wake-up call.
  mutating func next() throws(StreamError) -> ByteSlice? {
    // Small reads share a chunk, so that a byte at a time does not take a chunk each.
    if chunk.capacity - used < Self.chunkByteCount / 4 {
      chunk = Chunk(capacity: Self.chunkByteCount)
      used = 0
    }
    while true {
      guard wakeUp.isReadable(descriptor) else { return nil }
      let count = Glibc.read(descriptor, chunk.base + used, chunk.capacity - used)
      if count > 0 {
        defer { used += count }
        return ByteSlice(chunk, offset: used, count: count)
      }
      if count == 0 { return nil }
      // EAGAIN: another process that shares the terminal or pipe made it non-blocking, and was faster.
      if errno != EINTR && errno != EAGAIN { throw StreamError("read the input") }
    }
  }
}

/// Ends another thread's wait for a descriptor: a `read` on a terminal or a pipe would outlast its task.
final class WakeUp: Sendable {
  private let reading: Int32
  private let writing: Int32

  init() throws(StreamError) {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw StreamError("make a pipe") }
    (reading, writing) = (ends[0], ends[1])
  }

  deinit {
    close(reading)
    close(writing)
  }

  /// Ends the wait, and all later ones.
  func call() { _ = Glibc.write(writing, [1], 1) }

  /// Waits until the descriptor has something to read, or its end; false after a call.
  func isReadable(_ descriptor: Int32) -> Bool {
    var waits = [
      pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: reading, events: Int16(POLLIN), revents: 0),
    ]
    // Interrupted, it waits again; for all other errors, the read has the better words.
    while poll(&waits, 2, -1) < 0 && errno == EINTR {}
    return waits[1].revents == 0
  }
}

/// Makes sure that a file can be written before work begins whose result is to go there. It is not opened for that: a
/// FIFO's reader would see its end, and a file that is not there yet would be left behind.
func checkWritable(_ path: String, _ option: String) throws {
  guard path != "-" else {
    throw ArgumentProblem("\(option) -: the standard output is for other things; give a file, or a FIFO")
  }
  var status = stat()
  let exists = stat(path, &status) == 0
  let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
  if exists && status.st_mode & S_IFMT == S_IFDIR {
    errno = EISDIR
  } else if exists ? access(path, W_OK) == 0 : errno == ENOENT && access(folder, W_OK | X_OK) == 0 && !path.isEmpty {
    return
  }
  StandardError.say("\(option) '\(path)': cannot be written: \(String(cString: strerror(errno))); give another file")
  throw ExitCode(ExitStatus.inputOutput.rawValue)
}

/// Writes all of it, whatever the descriptor takes at a time. Blocks.
func writeAll(_ slice: ByteSlice, to descriptor: Int32) throws(StreamError) {
  var rest = slice
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    if count >= 0 {
      rest = rest.dropFirst(count)
    } else if errno == EAGAIN {
      // Another process that shares the terminal or pipe made it non-blocking.
      var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      poll(&wait, 1, -1)
    } else if errno == EBADF {
      throw StreamError("write the output", reason: "it is closed")
    } else if errno != EINTR {
      throw StreamError("write the output")
    }
  }
}

/// The monotonic clock in seconds.
func secondsNow() -> Double {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
