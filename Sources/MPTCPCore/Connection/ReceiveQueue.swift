import DequeModule
import MPTCPWire

/// Bytes in order that the application has not read. Large slices stay where the device put them; small ones are copied
/// together, so that a small packet never keeps a large chunk alive.
///
/// Chunks of which less than a quarter is kept add up to ``thinLimit`` at most: a peer that spreads its bytes thinly
/// over our chunks makes us copy, not keep.
struct ReceiveQueue {
  private struct Piece {
    var slice: ByteSlice
    /// It is a small part of its chunk, which counts in `thinByteCount`.
    var isThin = false
  }

  private var pieces = Deque<Piece>()
  private(set) var byteCount = 0
  private var thinByteCount = 0
  private var tail: Chunk?
  private var tailUsed = 0

  private static let smallByteCount = 4096
  private static let tailCapacity = 16 << 10
  static let thinLimit = 1 << 20

  var isEmpty: Bool { byteCount == 0 }

  mutating func append(_ slice: ByteSlice) {
    byteCount += slice.count
    // A slice that fills most of its chunk costs nothing to keep.
    let capacity = slice.chunk.capacity
    if slice.count > capacity / 2 || slice.count >= Self.smallByteCount && slice.count >= capacity / 4 {
      pieces.append(Piece(slice: slice))
      return
    }
    if slice.count >= Self.smallByteCount, thinByteCount + capacity <= Self.thinLimit {
      thinByteCount += capacity
      pieces.append(Piece(slice: slice, isThin: true))
      return
    }
    if tail == nil || tail.map({ $0.capacity - tailUsed < slice.count }) == true {
      // The first tail is small: most short exchanges fit, and an idle connection keeps little.
      tail = Chunk(capacity: pieces.isEmpty ? max(slice.count, 1024) : max(Self.tailCapacity, slice.count))
      tailUsed = 0
    }
    guard let tail else { return }
    slice.withUnsafeBytes { bytes in
      if let address = bytes.baseAddress { (tail.base + tailUsed).copyMemory(from: address, byteCount: bytes.count) }
    }
    if let last = pieces.last?.slice, last.chunk === tail, last.offset + last.count == tailUsed {
      pieces[pieces.count - 1].slice = ByteSlice(tail, offset: last.offset, count: last.count + slice.count)
    } else {
      pieces.append(Piece(slice: ByteSlice(tail, offset: tailUsed, count: slice.count)))
    }
    tailUsed += slice.count
  }

  /// Up to `limit` bytes from the front; nil when there are none.
  mutating func pop(upTo limit: Int) -> ByteSlice? {
    guard limit > 0, let first = pieces.first else { return nil }
    if first.slice.count <= limit {
      pieces.removeFirst()
      byteCount -= first.slice.count
      if first.isThin { thinByteCount -= first.slice.chunk.capacity }
      if pieces.isEmpty { tail = nil }
      return first.slice
    }
    let head = first.slice.prefix(limit)
    pieces[0].slice = first.slice.dropFirst(limit)
    byteCount -= head.count
    return head
  }

  /// All of them, from the front.
  mutating func popAll() -> [ByteSlice] {
    let all = pieces.map(\.slice)
    removeAll()
    return all
  }

  mutating func removeAll() {
    pieces.removeAll()
    byteCount = 0
    thinByteCount = 0
    tail = nil
  }
}

extension ByteSlice {
  /// The same bytes, copied where they would keep a chunk alive that is much larger than they are.
  var unpinned: ByteSlice { count >= chunk.capacity / 4 ? self : ByteSlice(copying: bytes) }
}
