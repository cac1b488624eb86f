/// A stream whose every byte follows from a seed and its position, so that a receiver can check it without a copy.
///
/// `mptcp-peer` has the same in C: both ends of a test must agree on it.
public struct SeededPattern: Hashable, Sendable {
  /// Chooses the stream.
  public var seed: UInt64

  /// Chooses a stream.
  public init(seed: UInt64) { self.seed = seed }

  /// SplitMix64's finaliser over the seed and the word's index.
  @inline(__always)
  private func word(_ index: UInt64) -> UInt64 {
    var z = (seed &+ 1) &* 0xd1b5_4a32_d192_ed03 &+ (index &+ 1) &* 0x9e37_79b9_7f4a_7c15
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// Writes the bytes from `offset` on.
  public func fill(_ buffer: UnsafeMutableRawBufferPointer, from offset: Int) {
    var position = 0
    var index = UInt64(offset / 8)
    // Octets up to the next whole word, then words, then the rest.
    if offset % 8 != 0 {
      var first = word(index) >> UInt64(8 * (offset % 8))
      while (offset + position) % 8 != 0, position < buffer.count {
        buffer[position] = UInt8(truncatingIfNeeded: first)
        first >>= 8
        position += 1
      }
      index += 1
    }
    while position + 8 <= buffer.count {
      buffer.storeBytes(of: word(index).littleEndian, toByteOffset: position, as: UInt64.self)
      index += 1
      position += 8
    }
    var last = position < buffer.count ? word(index) : 0
    while position < buffer.count {
      buffer[position] = UInt8(truncatingIfNeeded: last)
      last >>= 8
      position += 1
    }
  }

  /// The index of the first byte that is not the stream's from `offset` on; `nil` if all are.
  public func firstDifference(in bytes: UnsafeRawBufferPointer, from offset: Int) -> Int? {
    var position = 0
    if offset % 8 == 0 {
      var index = UInt64(offset / 8)
      while position + 8 <= bytes.count,
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)) == word(index)
      {
        index += 1
        position += 8
      }
    }
    while position < bytes.count {
      let at = offset + position
      guard bytes[position] == UInt8(truncatingIfNeeded: word(UInt64(at / 8)) >> UInt64(8 * (at % 8))) else {
        return position
      }
      position += 1
    }
    return nil
  }
}

/// The longest pause between two arrivals of a stream.
public struct StallMeter: Hashable, Sendable {
  private var lastArrival: Double?
  /// The longest pause so far, in seconds.
  public private(set) var longest = 0.0
  /// How many bytes had arrived before it.
  public private(set) var position = 0

  /// Starts with no arrival.
  public init() {}

  /// Notes an arrival at a time in seconds, after `byteCount` bytes.
  public mutating func arrival(at time: Double, after byteCount: Int) {
    if let lastArrival, time - lastArrival > longest { (longest, position) = (time - lastArrival, byteCount) }
    lastArrival = time
  }
}
