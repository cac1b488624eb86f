/// The options of one TCP header as it will be sent: at most 40 octets, always a whole number of words.
///
/// Options stand in the order in which they were appended, each moved by NOPs to where its numbers are word-aligned
/// (as Linux does). When an option no longer fits so, the block is packed without any padding between options, if that
/// makes room: ADD_ADDR of an IPv6 address with port stands beside timestamps only in this way.
@frozen
public struct TCPOptionBlock: Sendable {
  /// How many octets of options a TCP header holds.
  public static let limit = 40

  // NOPs wherever no option was written, so that all padding is there from the start.
  @usableFromInline var octets: InlineArray<40, UInt8>
  @usableFromInline var usedByteCount: Int

  /// No options.
  @inlinable
  public init() {
    // Requirement 9293-3.1-11
    octets = InlineArray(repeating: TCPOptionKind.noOperation)
    usedByteCount = 0
  }

  /// The size with padding, a multiple of four.
  @inlinable
  public var byteCount: Int { (usedByteCount + 3) & ~3 }

  /// The octets left for an option that starts on a word boundary.
  @inlinable
  public var remaining: Int { Self.limit - byteCount }

  /// Whether there are no options.
  @inlinable
  public var isEmpty: Bool { usedByteCount == 0 }

  /// Adds an option; false, and no change, when it does not fit or cannot be written.
  /// Requirement 8684-A-01
  public mutating func append(_ option: TCPOption) -> Bool {
    let byteCount = option.encodedByteCount
    guard byteCount > 0 else { return false }
    var start = usedByteCount
    if option.startInWord >= 0 { start += (option.startInWord - start) & 3 }
    if start + byteCount > Self.limit {
      let packedByteCount = packedByteCount
      guard packedByteCount + byteCount <= Self.limit else { return false }
      pack()
      start = packedByteCount
    }
    withUnsafeMutableBytes(of: &octets) { buffer in
      guard let base = buffer.baseAddress else { return }
      var writer = OctetWriter(base, at: start)
      option.write(&writer)
    }
    usedByteCount = start + byteCount
    return true
  }

  /// Adds a Multipath TCP option; false, and no change, when it does not fit or cannot be written.
  @inlinable
  public mutating func append(_ option: MultipathOption) -> Bool { append(.multipath(option)) }

  /// Whether `option` would be added by ``append(_:)-(TCPOption)``.
  public func hasRoom(for option: TCPOption) -> Bool {
    var copy = self
    return copy.append(option)
  }

  /// Calls `body` with the octets, padding included.
  @inlinable
  public func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    octets.span.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<byteCount])) }
  }

  /// The size of all options without padding.
  private var packedByteCount: Int {
    var offset = 0
    var packed = 0
    while offset < usedByteCount {
      let length = lengthOfOption(at: offset)
      if octets[offset] != TCPOptionKind.noOperation { packed += length }
      offset += length
    }
    return packed
  }

  /// Moves all options together and the padding behind them.
  private mutating func pack() {
    var packed = TCPOptionBlock()
    var offset = 0
    while offset < usedByteCount {
      let length = lengthOfOption(at: offset)
      if octets[offset] != TCPOptionKind.noOperation {
        for index in offset..<offset + length {
          packed.octets[packed.usedByteCount] = octets[index]
          packed.usedByteCount += 1
        }
      }
      offset += length
    }
    self = packed
  }

  /// The length of an option that this block wrote.
  private func lengthOfOption(at offset: Int) -> Int {
    octets[offset] == TCPOptionKind.noOperation ? 1 : Int(octets[offset + 1])
  }
}
