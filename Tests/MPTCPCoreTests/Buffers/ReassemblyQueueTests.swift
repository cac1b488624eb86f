import Testing

@testable import MPTCPCore

@Suite struct ReassemblyQueueTests {
  /// A slice of `count` bytes at the front of a chunk of `capacity`.
  private func slice(_ bytes: [UInt8], inChunkOf capacity: Int) -> ByteSlice {
    let chunk = Chunk(capacity: capacity)
    for (index, byte) in bytes.enumerated() { chunk.storage[index] = byte }
    return ByteSlice(chunk, offset: 0, count: bytes.count)
  }

  @Test func `a run is popped when its turn has come`() {
    var queue = ReassemblyQueue()
    #expect(queue.insert(at: 10, ByteSlice([1, 2, 3])) == 3)
    #expect(queue.insert(at: 13, ByteSlice([4])) == 1)
    #expect(queue.first == 10..<14)
    #expect(queue.pop(at: 9) == nil)
    #expect(queue.pop(at: 10)?.array == [1, 2, 3])
    #expect(queue.pop(at: 13)?.array == [4])
    #expect(queue.pop(at: 14) == nil)
    #expect(queue.isEmpty)
    #expect(queue.memoryByteCount == 0)
  }

  @Test func `the first copy of a byte wins`() {
    var queue = ReassemblyQueue()
    #expect(queue.insert(at: 2, ByteSlice([2, 3])) == 2)
    #expect(queue.insert(at: 0, ByteSlice([90, 91, 92, 93, 94])) == 3)
    #expect(queue.insert(at: 0, ByteSlice([90, 91, 92, 93, 94])) == 0)
    #expect(queue.first == 0..<5)
    var bytes: [UInt8] = []
    while let next = queue.pop(at: bytes.count) { bytes += next.array }
    #expect(bytes == [90, 91, 2, 3, 94])
  }

  @Test func `ranges are reported with the latest first, each once`() {
    // RFC 2018 §4
    var queue = ReassemblyQueue()
    _ = queue.insert(at: 10, ByteSlice([0]))
    _ = queue.insert(at: 20, ByteSlice([0]))
    _ = queue.insert(at: 30, ByteSlice([0]))
    for offset in 31..<40 { _ = queue.insert(at: offset, ByteSlice([0])) }
    var ranges = queue.recentRanges()
    #expect((0..<ranges.count).map { ranges[$0] } == [30..<40, 20..<21, 10..<11])
    // A duplicate moves its range to the front.
    _ = queue.insert(at: 10, ByteSlice([0]))
    ranges = queue.recentRanges()
    #expect((0..<ranges.count).map { ranges[$0] } == [10..<11, 30..<40, 20..<21])
    // A merge leaves one range of two.
    _ = queue.insert(at: 11, ByteSlice([UInt8](repeating: 0, count: 9)))
    ranges = queue.recentRanges()
    #expect((0..<ranges.count).map { ranges[$0] } == [10..<21, 30..<40])
    _ = queue.pop(at: 10)
    queue.trim(below: 21)
    ranges = queue.recentRanges()
    #expect((0..<ranges.count).map { ranges[$0] } == [30..<40])
  }

  @Test(arguments: 1...25 as ClosedRange<UInt64>)
  func `the queue agrees with an array of bytes`(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var queue = ReassemblyQueue()
    let length = 2_000
    var model = [UInt8?](repeating: nil, count: length)
    var popped: [UInt8] = []
    while popped.count < length {
      let reach = min(popped.count + 600, length)
      let start = Int.random(in: max(0, popped.count - 20)..<reach, using: &generator)
      let count = Int.random(in: 1...min(reach - start, 120), using: &generator)
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
      let capacity = Bool.random(using: &generator) ? count : count * 8

      // Bytes that have been popped are the caller's to drop.
      let fresh = max(start, popped.count)
      guard fresh < start + count else { continue }
      let known = (fresh..<start + count).drop { model[$0] == nil }.prefix { model[$0] != nil }
      agree(queue.firstOverlap(with: fresh..<start + count), known.isEmpty ? nil : known)
      var expected = 0
      for offset in fresh..<start + count where model[offset] == nil {
        model[offset] = bytes[offset - start]
        expected += 1
      }
      let piece = slice(bytes, inChunkOf: capacity).dropFirst(fresh - start)
      agree(queue.insert(at: fresh, piece), expected)

      if Int.random(in: 0..<4, using: &generator) == 0 {
        while let next = queue.pop(at: popped.count) { popped += next.array }
      } else if Int.random(in: 0..<20, using: &generator) == 0, let first = queue.first,
        first.lowerBound == popped.count
      {
        let skipped = Int.random(in: 0...first.count, using: &generator)
        popped += model[popped.count..<popped.count + skipped].map { $0 ?? 0 }
        queue.trim(below: popped.count)
      }

      guard Int.random(in: 0..<8, using: &generator) == 0 else { continue }
      let held = (popped.count..<min(popped.count + 600, length)).filter { model[$0] != nil }
      agree(queue.byteCount, held.count)
      agree(queue.first?.lowerBound, held.first)
      agree(queue.end, held.last.map { $0 + 1 })
      let gaps = zip(held, held.dropFirst()).count { $1 != $0 + 1 }
      agree(queue.intervalCount, held.isEmpty ? 0 : gaps + 1)
      agree(queue.memoryByteCount >= queue.byteCount, true)
    }
    #expect(popped == model.map { $0 ?? 0 })
    #expect(queue.memoryByteCount == 0)
  }

  @Test func `one-byte segments do not pin the chunks that they came in`() {
    var queue = ReassemblyQueue()
    for index in 0..<1_000 {
      weak var pinned: Chunk?
      do {
        let slice = slice([7], inChunkOf: 65_536)
        pinned = slice.chunk
        #expect(queue.insert(at: index * 2, slice) == 1)
      }
      #expect(pinned == nil)
    }
    #expect(queue.byteCount == 1_000)
    #expect(queue.intervalCount == 1_000)
    #expect(queue.memoryByteCount < 100_000)
  }

  @Test func `one-byte segments in a row become one segment`() {
    var queue = ReassemblyQueue()
    for index in 0..<1_500 { _ = queue.insert(at: index, slice([UInt8(index & 255)], inChunkOf: 2_048)) }
    #expect(queue.memoryByteCount < 3_000)
    #expect(queue.pop(at: 0)?.array == (0..<1_500).map { UInt8($0 & 255) })
  }

  @Test func `a large slice is kept without copying`() {
    var queue = ReassemblyQueue()
    let large = ByteSlice([UInt8](repeating: 1, count: 40_000))
    _ = queue.insert(at: 1, large)
    #expect(queue.memoryByteCount >= 40_000)
    let popped = queue.pop(at: 1)
    #expect(popped?.chunk === large.chunk)
  }

  @Test func `an offset at the end of the number space is refused`() {
    var queue = ReassemblyQueue()
    #expect(queue.insert(at: .max - 1, ByteSlice([1, 2, 3])) == 0)
    #expect(queue.insert(at: 5, .empty) == 0)
    #expect(queue.isEmpty)
  }

  @Test func `a copy keeps what it has when the original changes`() {
    var queue = ReassemblyQueue()
    _ = queue.insert(at: 5, ByteSlice([5, 6]))
    let copy = queue
    queue.trim(below: 6)
    _ = queue.insert(at: 9, ByteSlice([9]))
    #expect(copy.first == 5..<7)
    #expect(copy.byteCount == 2)
    #expect(queue.first == 6..<7)
    #expect(queue.end == 10)
  }

  @Test func `a queue that nothing ever waited in is a word`() { #expect(MemoryLayout<ReassemblyQueue>.size == 8) }
}
