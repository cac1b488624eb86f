import MPTCPCore

/// The memory that a device reads packets into: large chunks, filled with one packet behind another and used again as
/// soon as nobody holds a slice of them.
///
/// A super-segment fills nearly half a chunk and is passed on without a copy. Small packets share one, so that
/// thousands of them cost one allocation; the engine copies the small payloads that it keeps.
package struct ReceiveBuffer {
  /// The most that one read can give: the largest IP packet with its link-layer and offload headers, and some room.
  package static let readByteCount = 65_536 + 1_024
  private static let chunkByteCount = 2 * readByteCount
  /// Chunks kept for use again; what is beyond goes with its last slice.
  private static let poolLimit = 64

  private var current = Chunk(capacity: chunkByteCount)
  private var used = 0
  private var pool: [Chunk] = []
  private let headerByteCount: Int

  /// - Parameter headerByteCount: what each read puts before the IP header, which is placed on a 16-byte boundary.
  package init(headerByteCount: Int) { self.headerByteCount = headerByteCount }

  /// Room for one read, ``readByteCount`` bytes at least.
  package mutating func room() -> UnsafeMutableRawBufferPointer {
    if isKnownUniquelyReferenced(&current) { used = 0 }
    var start = aligned(used)
    if current.capacity - start < Self.readByteCount {
      replaceCurrent()
      start = aligned(0)
    }
    used = start
    return UnsafeMutableRawBufferPointer(rebasing: current.storage[start...])
  }

  /// The packet that a read of `byteCount` into ``room()`` gave, without the headers in front of it.
  package mutating func take(_ byteCount: Int) -> ByteSlice {
    let start = used
    used += byteCount
    return ByteSlice(current, offset: start + headerByteCount, count: byteCount - headerByteCount)
  }

  private func aligned(_ offset: Int) -> Int {
    // 64: packets that different threads read do not share a cache line.
    (offset + 63) & ~63 + (16 - headerByteCount & 15) & 15
  }

  private mutating func replaceCurrent() {
    let full = current
    if let free = pool.indices.first(where: { isKnownUniquelyReferenced(&pool[$0]) }) {
      current = pool[free]
      pool[free] = full
    } else {
      current = Chunk(capacity: Self.chunkByteCount)
      if pool.count < Self.poolLimit {
        pool.append(full)
      } else {
        pool[nextVictim] = full
        nextVictim = (nextVictim + 1) % Self.poolLimit
      }
    }
  }

  private var nextVictim = 0
}
