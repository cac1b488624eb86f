/// A block of a pcapng file while it is written: numbers little-endian, everything padded to 32 bits
/// (draft-ietf-opsawg-pcapng §3.1).
struct PcapngBlock: Sendable {
  enum Kind: UInt32 {
    case sectionHeader = 0x0a0d_0d0a
    case interfaceDescription = 1
    case interfaceStatistics = 5
    case enhancedPacket = 6
  }

  private(set) var bytes: [UInt8] = []

  /// Starts anew, keeping the memory.
  mutating func begin(_ kind: Kind) {
    bytes.removeAll(keepingCapacity: true)
    put32(kind.rawValue)
    put32(0)
  }

  /// Closes the options, if there were any, and writes the block's length at both ends.
  mutating func end(hasOptions: Bool) {
    if hasOptions { put32(0) }
    let byteCount = UInt32(clamping: bytes.count + 4)
    put32(byteCount)
    for index in 0..<4 { bytes[4 + index] = UInt8(truncatingIfNeeded: byteCount >> (8 * index)) }
  }

  mutating func put16(_ value: UInt16) {
    bytes.append(UInt8(truncatingIfNeeded: value))
    bytes.append(UInt8(truncatingIfNeeded: value >> 8))
  }

  mutating func put32(_ value: UInt32) {
    put16(UInt16(truncatingIfNeeded: value))
    put16(UInt16(truncatingIfNeeded: value >> 16))
  }

  mutating func put64(_ value: UInt64) {
    put32(UInt32(truncatingIfNeeded: value))
    put32(UInt32(truncatingIfNeeded: value >> 32))
  }

  /// A time stamp, upper half first (§4.3).
  mutating func putTime(_ nanoseconds: UInt64) {
    put32(UInt32(truncatingIfNeeded: nanoseconds >> 32))
    put32(UInt32(truncatingIfNeeded: nanoseconds))
  }

  mutating func putPadded(_ source: UnsafeRawBufferPointer) {
    bytes.append(contentsOf: source)
    bytes.append(contentsOf: repeatElement(0, count: -source.count & 3))
  }

  /// An option whose value is text. Text beyond 65,535 bytes does not fit and is cut at a character.
  mutating func putOption(_ code: UInt16, text: String) {
    var text = text
    while text.utf8.count > 65_535 { text.removeLast() }
    putOption(code, byteCount: text.utf8.count)
    bytes.append(contentsOf: text.utf8)
    bytes.append(contentsOf: repeatElement(0, count: -text.utf8.count & 3))
  }

  mutating func putOption(_ code: UInt16, byte: UInt8) {
    putOption(code, byteCount: 1)
    put32(UInt32(byte))
  }

  mutating func putOption(_ code: UInt16, word: UInt32) {
    putOption(code, byteCount: 4)
    put32(word)
  }

  mutating func putOption(_ code: UInt16, number: UInt64) {
    putOption(code, byteCount: 8)
    put64(number)
  }

  mutating func putOption(_ code: UInt16, time: UInt64) {
    putOption(code, byteCount: 8)
    putTime(time)
  }

  private mutating func putOption(_ code: UInt16, byteCount: Int) {
    put16(code)
    put16(UInt16(clamping: byteCount))
  }
}
