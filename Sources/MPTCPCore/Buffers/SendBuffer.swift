import DequeModule

/// The bytes that an application wrote and the peer has not acknowledged, by stream offset.
///
/// A queue of slices. Large slices are kept as they are; small writes are gathered in chunks of the buffer's own,
/// whose size grows with what is outstanding, so that a small connection costs little and a fast one allocates seldom.
struct SendBuffer {
  private struct Entry {
    var start: Int
    var slice: ByteSlice

    var end: Int { start + slice.count }
  }

  /// From this size on, keeping a slice costs less than copying it. A super-segment holds two runs at most: of smaller
  /// ones it would hold little, and end with a small packet.
  private static let referenceThreshold = 32_768
  /// The size of a small connection's chunk, the only one that an empty buffer keeps: with the allocator's word half a
  /// KiB.
  private static let smallestCapacity = 504
  private static let largestCapacity = 65_536

  private var entries: Deque<Entry> = []
  private var tail: Chunk?
  /// A chunk whose bytes have all been acknowledged, to be filled again.
  private var spare: Chunk?
  private var tailFill: Int32 = 0

  /// The offset of the first byte that is still here.
  private(set) var start: Int
  /// The offset behind the last byte.
  private(set) var end: Int

  /// Makes an empty buffer whose first byte will have the offset `start`.
  init(startingAt start: Int = 0) {
    self.start = start
    end = start
  }

  /// How many bytes there are.
  var byteCount: Int { end - start }

  /// Adds a copy of `bytes` at the end.
  mutating func append(copying bytes: RawSpan) {
    bytes.withUnsafeBytes { source in
      var rest = source[...]
      while !rest.isEmpty {
        let chunk = tailWithRoom(for: rest.count)
        let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(chunk.capacity - Int(tailFill)))
        if let address = piece.baseAddress {
          (chunk.base + Int(tailFill)).copyMemory(from: address, byteCount: piece.count)
        }
        join(ByteSlice(chunk, offset: Int(tailFill), count: piece.count))
        tailFill += Int32(truncatingIfNeeded: piece.count)
        rest = rest.dropFirst(piece.count)
      }
    }
  }

  /// Adds `slice` at the end, without copying it if it is large.
  mutating func append(_ slice: ByteSlice) {
    if slice.count >= Self.referenceThreshold { join(slice) } else { append(copying: slice.bytes) }
  }

  /// The bytes from `offset` on, up to `limit` of them, as at most two slices; fewer when two slices do not hold as
  /// many. Empty when `offset` is not in `start ..< end`.
  func slices(at offset: Int, upTo limit: Int) -> (ByteSlice, ByteSlice?) {
    guard offset >= start, offset < end, limit > 0 else { return (.empty, nil) }
    let index = indexOfEntry(holding: offset)
    let first = entries[index].slice.dropFirst(offset - entries[index].start).prefix(limit)
    guard first.count < limit, index + 1 < entries.count else { return (first, nil) }
    return (first, entries[index + 1].slice.prefix(limit - first.count))
  }

  /// Forgets the bytes below `offset`.
  mutating func release(upTo offset: Int) {
    let target = min(offset, end)
    guard target > start else { return }
    start = target
    while let first = entries.first, first.end <= target {
      var chunk = entries.removeFirst().slice.chunk
      // Only a full-sized chunk that nobody reads any more is worth keeping, and only while data flows.
      if spare == nil, chunk.capacity == Self.largestCapacity, chunk !== tail, isKnownUniquelyReferenced(&chunk) {
        spare = chunk
      }
    }
    guard entries.isEmpty else { return }
    spare = nil
    if let chunk = tail, chunk.capacity > Self.smallestCapacity {
      tail = nil
    } else if isKnownUniquelyReferenced(&tail) {
      tailFill = 0
    }
  }

  // MARK: Parts

  private mutating func join(_ slice: ByteSlice) {
    let count = entries.count
    if count > 0, let longer = entries[count - 1].slice.joined(with: slice) {
      entries[count - 1].slice = longer
    } else {
      entries.append(Entry(start: end, slice: slice))
    }
    end += slice.count
  }

  private mutating func tailWithRoom(for byteCount: Int) -> Chunk {
    if let tail, Int(tailFill) < tail.capacity { return tail }
    let outstanding = self.byteCount
    let wanted = min(max(byteCount, outstanding, Self.smallestCapacity), Self.largestCapacity)
    let chunk: Chunk
    if let kept = spare {
      chunk = kept
      spare = nil
    } else {
      chunk = Chunk(capacity: wanted)
    }
    tail = chunk
    tailFill = 0
    return chunk
  }

  private func indexOfEntry(holding offset: Int) -> Int {
    let last = entries.count - 1
    // New data is sent from near the end, retransmissions from the front.
    if entries[last].start <= offset { return last }
    var low = 0
    var high = last
    while high - low > 1 {
      let middle = (low + high) / 2
      if entries[middle].start <= offset { low = middle } else { high = middle }
    }
    return low
  }
}
