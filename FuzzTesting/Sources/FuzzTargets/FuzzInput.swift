/// The octets of a fuzzer's input, taken from the front; behind the end there are zeros.
struct FuzzInput {
  private var bytes: UnsafeRawBufferPointer
  private var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isAtEnd: Bool { position >= bytes.count }
  var remainingByteCount: Int { bytes.count - position }

  /// Whether the run has TCP Fast Open: its input ends with an F, which is no part of what follows.
  mutating func takeFastOpen() -> Bool {
    guard bytes.last == UInt8(ascii: "F") else { return false }
    bytes = UnsafeRawBufferPointer(rebasing: bytes.dropLast())
    return true
  }

  mutating func octet() -> UInt8 {
    guard position < bytes.count else { return 0 }
    defer { position += 1 }
    return bytes[position]
  }

  mutating func pair() -> UInt16 { UInt16(octet()) << 8 | UInt16(octet()) }

  mutating func number() -> UInt32 { UInt32(pair()) << 16 | UInt32(pair()) }

  mutating func flag() -> Bool { octet() & 1 == 1 }

  /// One of `0 ..< bound`.
  mutating func index(below bound: Int) -> Int { Int(octet()) % max(bound, 1) }

  /// A distance in a sequence space, short ones most often.
  mutating func distance() -> Int {
    let kind = octet()
    switch kind & 7 {
    case 0...3: return Int(Int8(bitPattern: octet()))
    case 4, 5: return Int(Int16(bitPattern: pair()))
    default: return Int(Int32(bitPattern: number()))
    }
  }

  /// Up to `limit` octets.
  mutating func take(_ limit: Int) -> [UInt8] {
    let count = min(max(limit, 0), remainingByteCount)
    defer { position += count }
    return Array(bytes[position..<position + count])
  }
}

/// Ends the process: what a fuzzer looks for.
func violated(_ rule: String) -> Never { fatalError("violated: \(rule)") }
