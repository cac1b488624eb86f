import MPTCPCore
import MPTCPLink
import MPTCPWire

/// What all applications of simulations send: one long run of bytes of chance, of which each stream begins somewhere
/// else. A byte that is lost, repeated or swapped, within a stream or between two, shows.
///
/// The run repeats after a prime number of bytes, so that no size of segment divides it. It exists once in a process
/// and is written without a copy.
struct StreamPattern {
  static let period = 1_048_573
  static let shared = StreamPattern()

  private let bytes: ByteSlice

  private init() {
    var generator = SeededGenerator(seed: 0x7061_7474_6572_6e)
    let chunk = Chunk(capacity: Self.period * 2)
    for offset in stride(from: 0, to: Self.period - 8, by: 8) {
      chunk.storage.storeBytes(of: generator.next(), toByteOffset: offset, as: UInt64.self)
    }
    for offset in (Self.period - 8)..<Self.period {
      chunk.storage[offset] = UInt8(truncatingIfNeeded: generator.next())
    }
    (chunk.base + Self.period).copyMemory(from: chunk.base, byteCount: Self.period)
    bytes = ByteSlice(chunk, offset: 0, count: Self.period * 2)
  }

  /// Where the stream of `number` begins.
  static func origin(seed: UInt64, number: Int) -> Int {
    var generator = SeededGenerator(seed: seed, stream: UInt64(truncatingIfNeeded: number))
    return Int(generator.next() % UInt64(period))
  }

  /// Up to a period of the run from `position` on.
  func slice(at position: Int, count: Int) -> ByteSlice {
    bytes.dropFirst(position % Self.period).prefix(min(count, Self.period))
  }

  /// How many bytes at the front of `slice` are the run's from `position` on: all of them, if nothing is wrong.
  func agreement(_ slice: ByteSlice, at position: Int) -> Int {
    var offset = 0
    while offset < slice.count {
      let expected = self.slice(at: position + offset, count: slice.count - offset)
      let part = slice.dropFirst(offset).prefix(expected.count)
      let equal = part.withUnsafeBytes { left in expected.withUnsafeBytes { Self.agreement(left, $0) } }
      offset += equal
      if equal < part.count { return offset }
    }
    return slice.count
  }

  private static func agreement(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
    let count = left.count
    var offset = 0
    // Eight words at a time: a difference anywhere is looked for byte by byte afterwards.
    while offset + 64 <= count {
      var difference: UInt64 = 0
      for word in stride(from: offset, to: offset + 64, by: 8) {
        difference |=
          left.loadUnaligned(fromByteOffset: word, as: UInt64.self)
          ^ right.loadUnaligned(fromByteOffset: word, as: UInt64.self)
      }
      if difference != 0 { break }
      offset += 64
    }
    while offset < count, left[offset] == right[offset] { offset += 1 }
    return offset
  }
}
