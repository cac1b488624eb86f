import CLinux
import Glibc
import MPTCPStack
import MPTCPTools
import Multipath

/// The file that the demonstration moves. It is read rather than mapped: a mapped file that somebody else shortens ends
/// the process.
final class SourceFile: Sendable {
  let byteCount: Int
  /// SHA-256 of the content.
  let digest: String
  private let file: OpenFile

  /// The file is no longer what it was when the demonstration began.
  struct Changed: Error, CustomStringConvertible {
    let description: String
  }

  /// A descriptor until its last user is gone.
  private final class OpenFile: Sendable {
    let descriptor: Int32
    let name: String

    init(_ descriptor: Int32, name: String) { (self.descriptor, self.name) = (descriptor, name) }

    deinit { close(descriptor) }

    /// Fills the buffer with what stands at `offset`.
    func read(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
      var filled = 0
      while filled < buffer.count {
        let count = pread(descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled, offset + filled)
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { throw StreamError("read \(name)") }
        guard count > 0 else { throw Changed(description: "cannot read \(name) to its end: it has been shortened") }
        filled += count
      }
    }

    func digest(ofFirst byteCount: Int) throws -> String {
      var hash = StreamDigest()
      let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
      defer { block.deallocate() }
      var offset = 0
      while offset < byteCount {
        let part = UnsafeMutableRawBufferPointer(rebasing: block[..<min(block.count, byteCount - offset)])
        try read(part, at: offset)
        hash.update(UnsafeRawBufferPointer(part))
        offset += part.count
      }
      return hash.hexadecimal
    }
  }

  /// Opens an existing file.
  convenience init(path: String) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw StreamError("read --file '\(path)'") }
    let file = OpenFile(descriptor, name: "--file '\(path)'")
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 0 else {
      throw StreamError("use --file '\(path)'", reason: "it is not a file with something in it")
    }
    try self.init(file, byteCount: Int(status.st_size))
  }

  /// Makes a file of patterned bytes in memory, which goes with the process.
  convenience init(temporaryOf byteCount: Int) throws {
    let descriptor = clinux_memory_file("mptcp-demo")
    guard descriptor >= 0 else { throw SystemError("make a file in memory", number: -descriptor) }
    let file = OpenFile(descriptor, name: "the file in memory")
    let pattern = SeededPattern(seed: UInt64(secondsNow() * 1e6))
    var offset = 0
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 8)
    defer { block.deallocate() }
    while offset < byteCount {
      let count = min(block.count, byteCount - offset)
      pattern.fill(UnsafeMutableRawBufferPointer(rebasing: block[..<count]), from: offset)
      guard write(descriptor, block.baseAddress, count) == count else { throw StreamError("fill a file in memory") }
      offset += count
    }
    try self.init(file, byteCount: byteCount)
  }

  private init(_ file: OpenFile, byteCount: Int) throws {
    self.file = file
    self.byteCount = byteCount
    digest = try file.digest(ofFirst: byteCount)
  }

  /// The first bytes of another one.
  convenience init(startOf other: SourceFile, byteCount: Int) throws {
    try self.init(other.file, byteCount: min(byteCount, other.byteCount))
  }

  /// The bytes from `offset` on, at most `limit` of them.
  func slice(from offset: Int, upTo limit: Int) throws -> ByteSlice {
    let chunk = Chunk(capacity: max(0, min(limit, byteCount - offset)))
    try file.read(UnsafeMutableRawBufferPointer(start: chunk.base, count: chunk.capacity), at: offset)
    return ByteSlice(chunk, offset: 0, count: chunk.capacity)
  }
}

/// Refuses files that are one and the same under two options: what is written to one would be lost from the other.
func refuseSameFiles(_ files: [(option: String, path: String?)]) throws(ArgumentProblem) {
  var seen: [(option: String, device: dev_t, number: ino_t)] = []
  var created: [(option: String, path: String)] = []
  for (option, path) in files {
    guard let path else { continue }
    var status = stat()
    let other: String?
    if stat(path, &status) == 0 {
      // Several options may name /dev/null.
      guard status.st_mode & S_IFMT == S_IFREG else { continue }
      other = seen.first { $0.device == status.st_dev && $0.number == status.st_ino }?.option
      seen.append((option, status.st_dev, status.st_ino))
    } else {
      other = created.first { $0.path == path }?.option
      created.append((option, path))
    }
    if let other { throw ArgumentProblem("\(option) '\(path)': it is the file of \(other) too; give another") }
  }
}
