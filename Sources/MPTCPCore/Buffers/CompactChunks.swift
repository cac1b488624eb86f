import DequeModule

/// Chunks of ``ReassemblyRuns``' own, into which it copies segments that would pin more memory than they carry.
///
/// Each copy has a ticket, the number of its chunk. A chunk counts as memory until its last ticket has been released.
struct CompactChunks {
  private struct Record {
    var liveCount: Int32
    var capacity: Int32
  }

  /// The ticket of segments that are not here.
  static let notCompact: Int32 = -1

  private static let smallestCapacity = 2_048
  private static let largestCapacity = 65_536

  /// The chunks from the oldest that is in use on; the last one is being filled.
  private var records: Deque<Record> = []
  private var tail: Chunk?
  private var tailFill: Int32 = 0
  private var firstTicket: Int32 = 0

  /// The memory of the chunks in use.
  private(set) var memoryByteCount = 0

  /// Copies `slice` into a chunk; `queuedByteCount`, what the whole queue holds, sets the size of a new one.
  mutating func copy(_ slice: ByteSlice, queuedByteCount: Int) -> (ByteSlice, ticket: Int32) {
    let chunk = tailWithRoom(for: slice.count, queuedByteCount: queuedByteCount)
    let copied = append(slice, to: chunk)
    records[records.count - 1].liveCount += 1
    return (copied, firstTicket &+ Int32(truncatingIfNeeded: records.count - 1))
  }

  /// Copies `slice` right behind `previous`, the copy with that ticket, and returns both as one slice; nil if there is
  /// no room behind it, or something else.
  mutating func extend(_ previous: ByteSlice, ticket: Int32, with slice: ByteSlice) -> ByteSlice? {
    guard ticket != Self.notCompact, let tail, tail === previous.chunk,
      previous.offset + previous.count == Int(tailFill), slice.count <= tail.capacity - Int(tailFill)
    else { return nil }
    let copied = append(slice, to: tail)
    return ByteSlice(tail, offset: previous.offset, count: previous.count + copied.count)
  }

  /// Gives a ticket back.
  mutating func release(_ ticket: Int32) {
    let index = Int(ticket &- firstTicket)
    guard records.indices.contains(index) else { return }
    records[index].liveCount -= 1
    guard records[index].liveCount == 0 else { return }
    memoryByteCount -= Int(records[index].capacity)
    records[index].capacity = 0
    if index == records.count - 1 { tail = nil }
    while let first = records.first, first.liveCount == 0 {
      records.removeFirst()
      firstTicket = (firstTicket &+ 1) & .max
    }
  }

  private mutating func tailWithRoom(for byteCount: Int, queuedByteCount: Int) -> Chunk {
    if let tail, byteCount <= tail.capacity - Int(tailFill) { return tail }
    // Chunks grow with the queue, so that a long queue takes few allocations and a short one little memory.
    let wanted = min(max(queuedByteCount, Self.smallestCapacity), Self.largestCapacity)
    let chunk = Chunk(capacity: max(wanted, byteCount))
    records.append(Record(liveCount: 0, capacity: Int32(clamping: chunk.capacity)))
    memoryByteCount += chunk.capacity
    tail = chunk
    tailFill = 0
    return chunk
  }

  private mutating func append(_ slice: ByteSlice, to chunk: Chunk) -> ByteSlice {
    let offset = Int(tailFill)
    slice.withUnsafeBytes { source in
      if let address = source.baseAddress {
        (chunk.base + offset).copyMemory(from: address, byteCount: source.count)
      }
    }
    tailFill += Int32(truncatingIfNeeded: slice.count)
    return ByteSlice(chunk, offset: offset, count: slice.count)
  }
}
