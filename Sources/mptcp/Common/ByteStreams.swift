import Glibc
import Multipath

/// Reading or writing a descriptor failed.
struct StreamError: Error, CustomStringConvertible {
  let description: String

  init(_ attempt: String) { description = "cannot \(attempt): \(String(cString: strerror(errno)))" }
}

/// The bytes that a descriptor gives, in chunks that go to the stack without a copy. Blocks.
struct InputStream {
  let descriptor: Int32
  private var chunk = Chunk(capacity: 0)
  private var used = 0

  private static let chunkByteCount = 256 << 10

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    // Fewer, larger reads where the input is a pipe (F_SETPIPE_SZ, 1031); elsewhere it does nothing.
    _ = fcntl(descriptor, 1031, 1 << 20)
  }

  /// The next bytes; `nil` at the end.
  mutating func next() throws(StreamError) -> ByteSlice? {
    // Small reads share a chunk, so that a byte at a time does not take a chunk each.
    if chunk.capacity - used < Self.chunkByteCount / 4 {
      chunk = Chunk(capacity: Self.chunkByteCount)
      used = 0
    }
    while true {
      let count = Glibc.read(descriptor, chunk.base + used, chunk.capacity - used)
      if count > 0 {
        defer { used += count }
        return ByteSlice(chunk, offset: used, count: count)
      }
      if count == 0 { return nil }
      if errno != EINTR { throw StreamError("read the input") }
    }
  }
}

/// Writes all of it, whatever the descriptor takes at a time. Blocks.
func writeAll(_ slice: ByteSlice, to descriptor: Int32) throws(StreamError) {
  var rest = slice
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    if count >= 0 {
      rest = rest.dropFirst(count)
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
