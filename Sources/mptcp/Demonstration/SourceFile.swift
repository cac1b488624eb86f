import Glibc
import MPTCPTools
import Multipath

/// The file that the demonstration moves: mapped, so that both ends read it from the page cache.
final class SourceFile: Sendable {
  let byteCount: Int
  /// SHA-256 of the content.
  let digest: String
  private let mapping: Mapping

  /// Memory that nobody writes, until its last user is gone.
  private final class Mapping: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let byteCount: Int

    init(base: UnsafeMutableRawPointer, byteCount: Int) { (self.base, self.byteCount) = (base, byteCount) }

    deinit { munmap(base, byteCount) }

    func digest(ofFirst count: Int) -> String {
      var hash = StreamDigest()
      hash.update(UnsafeRawBufferPointer(start: base, count: count))
      return hash.hexadecimal
    }
  }

  /// Maps an existing file.
  convenience init(path: String) throws(StreamError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw StreamError("read --file '\(path)'") }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 0 else {
      close(descriptor)
      throw StreamError("use --file '\(path)'", reason: "it is not a file with something in it")
    }
    try self.init(mapping: descriptor, name: path)
  }

  /// Makes a file of patterned bytes that has no name and goes with the process.
  convenience init(temporaryOf byteCount: Int) throws(StreamError) {
    var template = Array("/tmp/mptcp-demo-XXXXXX".utf8CString)
    let descriptor = mkstemp(&template)
    guard descriptor >= 0 else { throw StreamError("make a file in /tmp") }
    unlink(template)
    let pattern = SeededPattern(seed: UInt64(secondsNow() * 1e6))
    var offset = 0
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 8)
    defer { block.deallocate() }
    while offset < byteCount {
      let count = min(block.count, byteCount - offset)
      pattern.fill(UnsafeMutableRawBufferPointer(rebasing: block[..<count]), from: offset)
      guard write(descriptor, block.baseAddress, count) == count else { throw StreamError("fill a file in /tmp") }
      offset += count
    }
    try self.init(mapping: descriptor, name: "the file in /tmp")
  }

  private init(mapping descriptor: Int32, name: String) throws(StreamError) {
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw StreamError("use \(name)") }
    guard let pointer = mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0), pointer != MAP_FAILED
    else {
      throw StreamError("map \(name)")
    }
    mapping = Mapping(base: pointer, byteCount: Int(status.st_size))
    byteCount = mapping.byteCount
    digest = mapping.digest(ofFirst: byteCount)
  }

  /// The first bytes of another one.
  init(startOf other: SourceFile, byteCount: Int) {
    mapping = other.mapping
    self.byteCount = min(byteCount, other.byteCount)
    digest = mapping.digest(ofFirst: self.byteCount)
  }

  /// The bytes from `offset` on, at most `limit` of them.
  func bytes(from offset: Int, upTo limit: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: mapping.base + offset, count: max(0, min(limit, byteCount - offset)))
  }

  /// A copy of them, for a stack that keeps what it is given.
  func slice(from offset: Int, upTo limit: Int) -> ByteSlice {
    let source = bytes(from: offset, upTo: limit)
    let chunk = Chunk(capacity: source.count)
    if let address = source.baseAddress { chunk.base.copyMemory(from: address, byteCount: source.count) }
    return ByteSlice(chunk, offset: 0, count: source.count)
  }
}
