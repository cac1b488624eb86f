import DequeModule
import MPTCPWire

/// Bytes in order that the application has not read. Large slices stay where the device put them; small ones are copied
/// together, so that a small packet never keeps a large chunk alive.
struct ReceiveQueue {
  private var slices = Deque<ByteSlice>()
  private(set) var byteCount = 0
  private var tail: Chunk?
  private var tailUsed = 0

  private static let smallByteCount = 4096
  private static let tailCapacity = 16 << 10

  var isEmpty: Bool { byteCount == 0 }

  mutating func append(_ slice: ByteSlice) {
    byteCount += slice.count
    // A slice that fills most of its chunk costs nothing to keep.
    if slice.count >= Self.smallByteCount || slice.count * 2 > slice.chunk.capacity {
      slices.append(slice)
      return
    }
    if tail == nil || tail.map({ $0.capacity - tailUsed < slice.count }) == true {
      // The first tail is small: most short exchanges fit, and an idle connection keeps little.
      tail = Chunk(capacity: slices.isEmpty ? max(slice.count, 1024) : max(Self.tailCapacity, slice.count))
      tailUsed = 0
    }
    guard let tail else { return }
    slice.withUnsafeBytes { bytes in
      if let address = bytes.baseAddress { (tail.base + tailUsed).copyMemory(from: address, byteCount: bytes.count) }
    }
    if let last = slices.last, last.chunk === tail, last.offset + last.count == tailUsed {
      slices[slices.count - 1] = ByteSlice(tail, offset: last.offset, count: last.count + slice.count)
    } else {
      slices.append(ByteSlice(tail, offset: tailUsed, count: slice.count))
    }
    tailUsed += slice.count
  }

  /// Up to `limit` bytes from the front; nil when there are none.
  mutating func pop(upTo limit: Int) -> ByteSlice? {
    guard limit > 0, let first = slices.first else { return nil }
    if first.count <= limit {
      slices.removeFirst()
      byteCount -= first.count
      if slices.isEmpty { tail = nil }
      return first
    }
    let head = first.prefix(limit)
    slices[0] = first.dropFirst(limit)
    byteCount -= head.count
    return head
  }

  /// All of them, from the front.
  mutating func popAll() -> Deque<ByteSlice> {
    let all = slices
    removeAll()
    return all
  }

  mutating func removeAll() {
    slices.removeAll()
    byteCount = 0
    tail = nil
  }
}

extension ByteSlice {
  /// The same bytes, copied where they would keep a chunk alive that is much larger than they are.
  var unpinned: ByteSlice { count >= 4096 || count * 2 > chunk.capacity ? self : ByteSlice(copying: bytes) }
}
