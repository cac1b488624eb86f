import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

@Suite struct ReceiveQueueTests {
  /// The memory behind slices: each chunk once.
  private func memory(_ slices: [ByteSlice]) -> Int {
    var chunks: [ObjectIdentifier: Int] = [:]
    for slice in slices { chunks[ObjectIdentifier(slice.chunk)] = slice.chunk.capacity }
    return chunks.values.reduce(0, +)
  }

  private func slice(_ count: Int, of capacity: Int, filledWith octet: UInt8) -> ByteSlice {
    let chunk = Chunk(capacity: capacity)
    chunk.storage[100..<(100 + count)].copyBytes(from: [UInt8](repeating: octet, count: count))
    return ByteSlice(chunk, offset: 100, count: count)
  }

  @Test(arguments: [1, 1000, 4095, 4096, 20_000])
  func bytesSpreadThinlyOverChunksKeepLittleMemory(count: Int) {
    var queue = ReceiveQueue()
    let pieces = 4 << 20 / 20_000
    for index in 0..<pieces { queue.append(slice(count, of: 133_120, filledWith: UInt8(truncatingIfNeeded: index))) }
    #expect(queue.byteCount == pieces * count)
    let all = queue.popAll()
    #expect(memory(all) <= 2 * pieces * count + ReceiveQueue.thinLimit + 64 << 10)
    let expected = (0..<pieces).flatMap { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: count) }
    #expect(all.flatMap(\.array) == expected)
  }

  @Test func whatIsTakenMakesRoomToKeepMoreAsItIs() throws {
    var queue = ReceiveQueue()
    for _ in 0..<100 {
      let large = slice(8192, of: 133_120, filledWith: 7)
      queue.append(large)
      // Taken in two steps: the first leaves the chunk where it is.
      let first = queue.pop(upTo: 8000), second = queue.pop(upTo: 8000)
      #expect(first?.chunk === large.chunk && first?.count == 8000)
      #expect(second?.chunk === large.chunk && second?.count == 192)
    }
    #expect(queue.isEmpty)
  }

  @Test func aSliceThatFillsAQuarterOfItsChunkIsNeverCopied() {
    var queue = ReceiveQueue()
    let slices = (0..<40).map { slice(40_000, of: 133_120, filledWith: UInt8($0)) }
    for slice in slices { queue.append(slice) }
    #expect(zip(queue.popAll(), slices).allSatisfy { $0.chunk === $1.chunk })
  }
}
