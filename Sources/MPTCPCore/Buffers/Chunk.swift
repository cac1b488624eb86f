/// A block of memory of fixed size that packets and application data live in.
///
/// A chunk is shared by reference: a device reads a packet into it, the engine keeps slices of it, the application
/// reads them, and nobody copies. Octets that a ``ByteSlice`` covers are never written again; whoever fills a chunk
/// writes only behind what has been handed out.
public final class Chunk: @unchecked Sendable {
  /// The first octet.
  public let base: UnsafeMutableRawPointer
  /// The size in bytes.
  public let capacity: Int

  /// Allocates a chunk of `capacity` bytes, uninitialised.
  public init(capacity: Int) {
    self.capacity = capacity
    base = .allocate(byteCount: max(capacity, 1), alignment: 16)
  }

  deinit { base.deallocate() }

  /// The whole of the memory, to be filled by a device.
  @inlinable
  public var storage: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base, count: capacity)
  }
}

/// A run of bytes inside a ``Chunk``, which it keeps alive.
public struct ByteSlice: Sendable {
  /// The memory.
  public let chunk: Chunk
  /// Where in the chunk the bytes begin.
  public private(set) var offset: Int
  /// How many bytes there are.
  public private(set) var count: Int

  /// The bytes `offset ..< offset + count` of `chunk`.
  ///
  /// - Precondition: they lie inside the chunk. Callers derive both numbers from lengths that they have checked.
  @inlinable
  public init(_ chunk: Chunk, offset: Int, count: Int) {
    precondition(offset >= 0 && count >= 0 && offset <= chunk.capacity - count)
    self.init(unchecked: chunk, offset: offset, count: count)
  }

  @usableFromInline
  init(unchecked chunk: Chunk, offset: Int, count: Int) {
    self.chunk = chunk
    self.offset = offset
    self.count = count
  }

  /// A new chunk with a copy of `bytes`.
  public init(copying bytes: RawSpan) {
    let chunk = Chunk(capacity: bytes.byteCount)
    bytes.withUnsafeBytes { source in
      if let address = source.baseAddress { chunk.base.copyMemory(from: address, byteCount: source.count) }
    }
    self.init(unchecked: chunk, offset: 0, count: bytes.byteCount)
  }

  /// A new chunk with a copy of `bytes`.
  public init(_ bytes: [UInt8]) { self.init(copying: bytes.span.bytes) }

  /// The bytes, borrowed.
  @inlinable
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      let span = unsafe RawSpan(_unsafeStart: chunk.base + offset, byteCount: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// Calls `body` with the bytes.
  @inlinable
  public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try body(UnsafeRawBufferPointer(start: chunk.base + offset, count: count))
  }

  /// Whether there are no bytes.
  @inlinable
  public var isEmpty: Bool { count == 0 }

  /// Up to `length` bytes from the front; clamped.
  @inlinable
  public func prefix(_ length: Int) -> ByteSlice {
    ByteSlice(unchecked: chunk, offset: offset, count: min(max(length, 0), count))
  }

  /// What is left after the first `length` bytes; clamped.
  @inlinable
  public func dropFirst(_ length: Int) -> ByteSlice {
    let dropped = min(max(length, 0), count)
    return ByteSlice(unchecked: chunk, offset: offset + dropped, count: count - dropped)
  }

  /// This slice and `next` as one, if `next` stands right behind it in the same chunk.
  @inlinable
  public func joined(with next: ByteSlice) -> ByteSlice? {
    guard chunk === next.chunk, offset + count == next.offset else { return nil }
    return ByteSlice(chunk, offset: offset, count: count + next.count)
  }

  /// No bytes.
  public static let empty = ByteSlice(Chunk(capacity: 0), offset: 0, count: 0)

  /// A copy as an array.
  public var array: [UInt8] { withUnsafeBytes { Array($0) } }
}
