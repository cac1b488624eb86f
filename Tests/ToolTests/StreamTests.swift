import MPTCPTools
import Testing

@Suite("Streams")
struct StreamTests {
  private func bytes(_ pattern: SeededPattern, _ range: Range<Int>) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
      count = range.count
      pattern.fill(
        UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]), from: range.lowerBound
      )
    }
  }

  @Test("A pattern is the same whichever way it is cut", arguments: [0, 1, 7, 8, 9, 15, 16, 31])
  func cuts(offset: Int) {
    let pattern = SeededPattern(seed: 42)
    let whole = bytes(pattern, 0..<100)
    for end in offset..<100 {
      let part = bytes(pattern, offset..<end)
      #expect(part == Array(whole[offset..<end]))
      #expect(part.withUnsafeBytes { pattern.firstDifference(in: $0, from: offset) } == nil)
    }
  }

  @Test("The first byte that differs is found, wherever it is")
  func differences() {
    let pattern = SeededPattern(seed: 1)
    for offset in [0, 3, 8] {
      for position in 0..<40 {
        var part = bytes(pattern, offset..<offset + 40)
        part[position] ^= 1
        #expect(part.withUnsafeBytes { pattern.firstDifference(in: $0, from: offset) } == position)
      }
    }
  }

  @Test("The pattern is the one of mptcp-peer")
  func sharedPattern() {
    // The first 16 octets that `mptcp-peer pattern 16 1` writes.
    #expect(
      bytes(SeededPattern(seed: 1), 0..<16) == [
        0x84, 0x8a, 0x9e, 0x4b, 0x87, 0x66, 0x5b, 0x3c, 0x64, 0x0d, 0xcf, 0xcf, 0x8f, 0x51, 0x1e, 0x5a,
      ])
  }

  @Test("A digest taken in pieces is the digest of the whole")
  func digest() {
    var digest = StreamDigest()
    for piece in ["a", "b", "c"] { Array(piece.utf8).withUnsafeBytes { digest.update($0) } }
    #expect(digest.byteCount == 3)
    // FIPS 180-2, appendix B.1.
    #expect(digest.hexadecimal == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test("The longest pause and its place are kept")
  func stalls() {
    var meter = StallMeter()
    for (time, count) in [(5.0, 10), (5.1, 20), (5.6, 30), (5.7, 40)] { meter.arrival(at: time, after: count) }
    #expect(abs(meter.longest - 0.5) < 1e-9)
    #expect(meter.position == 30)
  }
}
