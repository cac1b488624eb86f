/// A run of octets that the receiver holds beyond the acknowledgment number (RFC 2018 §3).
@frozen
public struct SACKBlock: Hashable, Sendable {
  /// The first number of the run.
  public var left: SequenceNumber
  /// The number just behind the run.
  public var right: SequenceNumber
  /// Makes a block.
  @inlinable
  public init(left: SequenceNumber, right: SequenceNumber) {
    self.left = left
    self.right = right
  }
}

/// The blocks of one SACK option: at most four fit (RFC 2018 §3).
@frozen
public struct SACKBlocks: Sendable {
  /// How many blocks one option holds at most.
  public static let limit = 4

  /// How many blocks there are.
  public private(set) var count: Int
  @usableFromInline var blocks: InlineArray<4, SACKBlock>

  /// No blocks.
  public init() {
    count = 0
    blocks = InlineArray(repeating: SACKBlock(left: SequenceNumber(0), right: SequenceNumber(0)))
  }

  /// The block at `index`, in the option's order.
  ///
  /// - Precondition: `index` is in `0 ..< count`.
  @inlinable
  public subscript(index: Int) -> SACKBlock {
    precondition(index >= 0 && index < count)
    return blocks[index]
  }

  /// Adds a block at the end; false, and no change, if there are four already.
  @discardableResult
  public mutating func append(_ block: SACKBlock) -> Bool {
    guard count < Self.limit else { return false }
    blocks[count] = block
    count += 1
    return true
  }
}

extension SACKBlocks: Hashable {
  /// Whether both hold the same blocks in the same order.
  public static func == (lhs: SACKBlocks, rhs: SACKBlocks) -> Bool {
    guard lhs.count == rhs.count else { return false }
    for index in 0..<lhs.count where lhs.blocks[index] != rhs.blocks[index] { return false }
    return true
  }

  /// Hashes the blocks that are there.
  public func hash(into hasher: inout Hasher) {
    for index in 0..<count { hasher.combine(blocks[index]) }
  }
}

/// The timestamps option (RFC 7323 §3.2).
@frozen
public struct TCPTimestamps: Hashable, Sendable {
  /// TSval: the sender's clock.
  public var value: UInt32
  /// TSecr: the receiver's clock as the sender last saw it.
  public var echo: UInt32
  /// Makes the two timestamps.
  @inlinable
  public init(value: UInt32, echo: UInt32) {
    self.value = value
    self.echo = echo
  }
}

/// A fast open cookie of 0 to 16 octets; an empty one asks for a cookie (RFC 7413 §4.1.1).
@frozen
public struct FastOpenCookie: Sendable {
  /// How many octets a cookie has at most.
  public static let limit = 16

  /// The number of octets.
  public private(set) var count: Int
  @usableFromInline var octets: InlineArray<16, UInt8>

  /// An empty cookie: the request for one.
  public init() {
    count = 0
    octets = InlineArray(repeating: 0)
  }

  /// A cookie with a copy of `bytes`; `nil` if there are more than 16.
  public init?(_ bytes: RawSpan) {
    guard bytes.byteCount <= Self.limit else { return nil }
    self.init()
    count = bytes.byteCount
    for index in 0..<count { octets[index] = bytes.octet(index) }
  }

  /// A cookie of eight octets, those of `number` in network byte order.
  public init(_ number: UInt64) {
    self.init()
    count = 8
    for index in 0..<8 { octets[index] = UInt8(truncatingIfNeeded: number >> UInt64(8 * (7 - index))) }
  }

  /// The first `length` octets, or all where there are no more.
  public func prefix(_ length: Int) -> FastOpenCookie {
    var shorter = self
    shorter.count = min(max(length, 0), count)
    return shorter
  }

  /// The octet at `index`.
  ///
  /// - Precondition: `index` is in `0 ..< count`.
  @inlinable
  public subscript(index: Int) -> UInt8 {
    precondition(index >= 0 && index < count)
    return octets[index]
  }
}

extension FastOpenCookie: Hashable {
  /// Whether both have the same octets.
  public static func == (lhs: FastOpenCookie, rhs: FastOpenCookie) -> Bool {
    guard lhs.count == rhs.count else { return false }
    for index in 0..<lhs.count where lhs.octets[index] != rhs.octets[index] { return false }
    return true
  }

  /// Hashes the octets that are there.
  public func hash(into hasher: inout Hasher) {
    for index in 0..<count { hasher.combine(octets[index]) }
  }
}
