/// SipHash-2-4 (Aumasson and Bernstein): a keyed hash of short inputs that is a pseudo-random function.
///
/// Fed with whole 64-bit words; what is left, up to seven octets, goes into ``finish(tail:tailByteCount:)``.
struct SipHash {
  private var v0: UInt64
  private var v1: UInt64
  private var v2: UInt64
  private var v3: UInt64
  private var byteCount: UInt64 = 0

  /// Starts a hash under `key`, the two halves of its 128 bits in little-endian order.
  init(key: (UInt64, UInt64)) {
    v0 = key.0 ^ 0x736F_6D65_7073_6575
    v1 = key.1 ^ 0x646F_7261_6E64_6F6D
    v2 = key.0 ^ 0x6C79_6765_6E65_7261
    v3 = key.1 ^ 0x7465_6462_7974_6573
  }

  /// Takes in eight octets, little-endian.
  @inline(__always)
  mutating func append(_ word: UInt64) {
    byteCount &+= 8
    compress(word)
  }

  /// Takes in the last `tailByteCount` (0 to 7) octets, little-endian in the lower bits of `tail`, and gives the hash.
  @inline(__always)
  consuming func finish(tail: UInt64 = 0, tailByteCount: UInt64 = 0) -> UInt64 {
    compress((byteCount &+ tailByteCount) << 56 | tail)
    v2 ^= 0xFF
    round()
    round()
    round()
    round()
    return v0 ^ v1 ^ v2 ^ v3
  }

  @inline(__always)
  private mutating func compress(_ word: UInt64) {
    v3 ^= word
    round()
    round()
    v0 ^= word
  }

  @inline(__always)
  private mutating func round() {
    v0 &+= v1
    v1 = rotate(v1, 13) ^ v0
    v0 = rotate(v0, 32)
    v2 &+= v3
    v3 = rotate(v3, 16) ^ v2
    v0 &+= v3
    v3 = rotate(v3, 21) ^ v0
    v2 &+= v1
    v1 = rotate(v1, 17) ^ v2
    v2 = rotate(v2, 32)
  }

  @inline(__always)
  private func rotate(_ word: UInt64, _ count: UInt64) -> UInt64 { word << count | word >> (64 &- count) }
}
