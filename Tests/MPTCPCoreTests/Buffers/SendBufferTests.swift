import Testing

@testable import MPTCPCore

@Suite struct SendBufferTests {
  private func read(_ buffer: SendBuffer, at offset: Int, count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let (first, second) = buffer.slices(at: offset + bytes.count, upTo: count - bytes.count)
      guard !first.isEmpty else { break }
      bytes += first.array + (second?.array ?? [])
    }
    return bytes
  }

  @Test(arguments: 1...15 as ClosedRange<UInt64>)
  func `the buffer agrees with an array`(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let base = Int.random(in: 0..<1_000_000, using: &generator)
    var buffer = SendBuffer(startingAt: base)
    var model: [UInt8] = []
    var released = 0
    for _ in 0..<400 {
      let count =
        Bool.random(using: &generator)
        ? Int.random(in: 0..<200, using: &generator) : Int.random(in: 0..<30_000, using: &generator)
      let bytes = [UInt8](unsafeUninitializedCapacity: count) { storage, used in
        for index in 0..<count { storage[index] = UInt8(truncatingIfNeeded: model.count &+ index &* 7) }
        used = count
      }
      if Bool.random(using: &generator) {
        buffer.append(copying: bytes.span.bytes)
      } else {
        buffer.append(ByteSlice(bytes))
      }
      model += bytes
      #expect(buffer.start == base + released)
      #expect(buffer.end == base + model.count)

      if released < model.count {
        let offset = Int.random(in: released..<model.count, using: &generator)
        let wanted = Int.random(in: 1...70_000, using: &generator)
        let expected = Array(model[offset..<min(offset + wanted, model.count)])
        #expect(read(buffer, at: base + offset, count: wanted) == expected)
      }
      if Int.random(in: 0..<3, using: &generator) == 0 {
        released = Int.random(in: released...model.count, using: &generator)
        buffer.release(upTo: base + released)
        #expect(buffer.byteCount == model.count - released)
      }
    }
    buffer.release(upTo: .max)
    #expect(buffer.byteCount == 0)
    #expect(buffer.start == base + model.count)
  }

  @Test func `bytes outside the buffer are empty`() {
    var buffer = SendBuffer()
    #expect(buffer.slices(at: 0, upTo: 10).0.isEmpty)
    buffer.append(copying: ([1, 2, 3] as [UInt8]).span.bytes)
    #expect(buffer.slices(at: 3, upTo: 10).0.isEmpty)
    #expect(buffer.slices(at: -1, upTo: 10).0.isEmpty)
    #expect(buffer.slices(at: 0, upTo: 0).0.isEmpty)
    buffer.release(upTo: 2)
    #expect(buffer.slices(at: 1, upTo: 10).0.isEmpty)
    #expect(buffer.slices(at: 2, upTo: 10).0.array == [3])
    buffer.release(upTo: 1)
    #expect(buffer.start == 2)
  }

  @Test func `bytes that were handed out stay as they are while the buffer goes on`() {
    var buffer = SendBuffer()
    buffer.append(copying: ([1, 2, 3] as [UInt8]).span.bytes)
    let held = buffer.slices(at: 0, upTo: 3).0
    buffer.release(upTo: 3)
    for _ in 0..<5_000 { buffer.append(copying: ([9, 9, 9] as [UInt8]).span.bytes) }
    #expect(held.array == [1, 2, 3])
  }

  @Test func `a large slice is kept without copying, small ones are gathered`() {
    var buffer = SendBuffer()
    let large = ByteSlice([UInt8](repeating: 5, count: 40_000))
    buffer.append(large)
    #expect(buffer.slices(at: 0, upTo: 40_000).0.chunk === large.chunk)
    for _ in 0..<100 { buffer.append(ByteSlice([1])) }
    let (first, second) = buffer.slices(at: 40_000, upTo: 100)
    #expect(first.count == 100)
    #expect(second == nil)
  }

  @Test func `an emptied buffer keeps no chunk of more than 512 bytes alive`() {
    for count in [1, 400, 600, 4_000, 200_000] {
      var buffer = SendBuffer()
      weak var chunk: Chunk?
      buffer.append(copying: [UInt8](repeating: 3, count: count).span.bytes)
      do { chunk = buffer.slices(at: buffer.start, upTo: 1).0.chunk }
      let capacity = chunk?.capacity ?? 0
      #expect(capacity >= min(count, 65_536))
      buffer.release(upTo: buffer.end)
      #expect((chunk == nil) == (capacity > 512))
    }
  }

  @Test func `an empty buffer is small`() { #expect(MemoryLayout<SendBuffer>.size <= 64) }
}
