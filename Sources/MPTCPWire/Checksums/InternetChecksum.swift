/// The Internet checksum, the one's complement of the one's complement sum of 16-bit words (RFC 1071).
///
/// Octets are added in the machine's own order, eight at a time, and swapped once at the end. Runs of odd length may be
/// added one after another: the next run continues in the middle of a word.
@frozen
public struct InternetChecksum: Sendable {
  @usableFromInline var sum: UInt64
  @usableFromInline var isOdd: Bool

  /// A checksum over nothing so far.
  @inlinable
  public init() {
    sum = 0
    isOdd = false
  }

  /// A checksum that continues from a sum of an even number of octets, as ``partial`` gave it.
  @inlinable
  public init(partial: UInt16) {
    sum = UInt64(partial.bigEndian)
    isOdd = false
  }

  /// Adds a run of octets.
  @inlinable
  public mutating func add(_ bytes: RawSpan) {
    bytes.withUnsafeBytes { add($0) }
  }

  /// Adds a run of octets.
  @inlinable
  public mutating func add(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress, bytes.count > 0 else { return }
    var run = Self.sum(base, bytes.count)
    if isOdd {
      // The run's first octet is the low half of a word: swapping the folded run moves every octet to its place.
      run = UInt64(Self.fold(run).byteSwapped)
    }
    let (total, carry) = sum.addingReportingOverflow(run)
    sum = total &+ (carry ? 1 : 0)
    isOdd = isOdd != (bytes.count & 1 != 0)
  }

  /// Adds a word in host order. After an odd count of octets the result is meaningless.
  @inlinable
  public mutating func add(word: UInt16) { addWide(UInt64(word.bigEndian)) }

  /// Adds two words, as one number in host order.
  @inlinable
  public mutating func add(word32: UInt32) { addWide(UInt64(word32.bigEndian)) }

  /// Adds four words, as one number in host order.
  @inlinable
  public mutating func add(word64: UInt64) {
    let native = word64.bigEndian
    addWide((native & 0xffff_ffff) &+ (native >> 32))
  }

  /// Adds the pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 §3.1, RFC 8200 §8.1); `length` counts the octets of the
  /// upper layer, its header included.
  @inlinable
  public mutating func add(
    pseudoHeader source: IPAddress, destination: IPAddress, protocol protocolNumber: UInt8, length: Int
  ) {
    add(word64: source.low)
    add(word64: destination.low)
    if source.family == .v6 {
      add(word64: source.high)
      add(word64: destination.high)
    }
    add(word32: UInt32(truncatingIfNeeded: length))
    add(word: UInt16(protocolNumber))
  }

  /// The checksum in host order, to be stored in network order: the complement of the folded sum. 0 over data that
  /// holds its own right checksum.
  @inlinable
  public var value: UInt16 { ~partial }

  /// The folded sum, not complemented, in host order: what the checksum field holds when a device is to complete it.
  @inlinable
  public var partial: UInt16 { UInt16(bigEndian: Self.fold(sum)) }

  /// The checksum of a packet in which the word `old` becomes `new` (RFC 1624, equation 3).
  @inlinable
  public static func updating(_ checksum: UInt16, replacing old: UInt16, with new: UInt16) -> UInt16 {
    ~fold(UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new))
  }

  /// The checksum of a packet in which the two words `old` become `new` (RFC 1624, equation 3).
  @inlinable
  public static func updating(_ checksum: UInt16, replacing old: UInt32, with new: UInt32) -> UInt16 {
    ~fold(UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new))
  }

  /// Adds a number of at most 33 bits.
  @inlinable @inline(__always)
  mutating func addWide(_ value: UInt64) {
    let (total, carry) = sum.addingReportingOverflow(value)
    sum = total &+ (carry ? 1 : 0)
  }

  /// Folds 64 bits into 16 with end-around carry.
  @inlinable @inline(__always)
  static func fold(_ sum: UInt64) -> UInt16 {
    var folded = (sum & 0xffff_ffff) &+ (sum >> 32)
    folded = (folded & 0xffff) &+ (folded >> 16)
    folded = (folded & 0xffff) &+ (folded >> 16)
    folded = (folded & 0xffff) &+ (folded >> 16)
    return UInt16(truncatingIfNeeded: folded)
  }

  /// The sum of `count` octets as 32-bit numbers in native order. 64-bit loads split in two leave room for 2³²
  /// additions, so no carry is lost within one run.
  @usableFromInline
  static func sum(_ base: UnsafeRawPointer, _ count: Int) -> UInt64 {
    var low: UInt64 = 0
    var high: UInt64 = 0
    var offset = 0
    while count &- offset >= 32 {
      let a = unsafe base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      let b = unsafe base.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self)
      let c = unsafe base.loadUnaligned(fromByteOffset: offset &+ 16, as: UInt64.self)
      let d = unsafe base.loadUnaligned(fromByteOffset: offset &+ 24, as: UInt64.self)
      low &+= (a & 0xffff_ffff) &+ (b & 0xffff_ffff) &+ (c & 0xffff_ffff) &+ (d & 0xffff_ffff)
      high &+= (a >> 32) &+ (b >> 32) &+ (c >> 32) &+ (d >> 32)
      offset &+= 32
    }
    while count &- offset >= 4 {
      low &+= UInt64(unsafe base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
      offset &+= 4
    }
    if count &- offset >= 2 {
      low &+= UInt64(unsafe base.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
      offset &+= 2
    }
    if offset < count {
      // The last octet is the high half of a word whose low half is zero.
      low &+= UInt64((UInt16(unsafe base.load(fromByteOffset: offset, as: UInt8.self)) << 8).bigEndian)
    }
    return low &+ high
  }
}
