/// The options of a segment in fixed fields: the first of each kind, read in one pass without allocating.
public struct TCPOptions: Hashable, Sendable {
  /// The largest segment that the sender receives.
  public var maximumSegmentSize: UInt16?
  /// The shift that the sender applies to its window, as on the wire: more than 14 counts as 14 (RFC 7323 §2.3).
  public var windowScale: UInt8?
  /// Whether the sender understands SACK.
  public var sackPermitted = false
  /// What the sender holds beyond its acknowledgment number.
  public var sack: SACKBlocks?
  /// Timestamps.
  public var timestamps: TCPTimestamps?
  /// A fast open cookie, or the request for one.
  public var fastOpen: FastOpenCookie?
  /// The Multipath TCP options.
  public var multipath = MultipathOptions()
  /// How many options were malformed and skipped. After an option that leaves the block or claims less than its own
  /// two octets nothing more is read.
  public var malformedCount = 0

  /// No options.
  @inlinable
  public init() {}

  /// Reads the option block of a TCP header; a malformed option is counted and skipped.
  /// Requirement 9293-3.1-05
  public init(parsing options: RawSpan) {
    self.init()
    let end = options.byteCount
    var offset = 0
    while offset < end {
      let kind = options.octet(offset)
      if kind == TCPOptionKind.noOperation {
        offset &+= 1
        continue
      }
      if kind == TCPOptionKind.endOfList { return }
      let length = end &- offset >= 2 ? Int(options.octet(offset &+ 1)) : 0
      // Requirement 9293-3.1-08
      guard length >= 2, length <= end &- offset else {
        malformedCount &+= 1
        return
      }
      do {
        try read(kind, in: options, at: offset, length: length)
      } catch {
        malformedCount &+= 1
      }
      // Requirement 9293-3.1-07
      offset &+= length
    }
  }

  /// Reads an option that lies wholly inside `options`.
  @inline(__always)
  private mutating func read(_ kind: UInt8, in options: RawSpan, at offset: Int, length: Int) throws(WireError) {
    switch kind {
    case TCPOptionKind.timestamps:
      guard length == 10 else { throw WireError(.timestamps, .badLength, at: offset) }
      guard timestamps == nil else { return }
      timestamps = TCPTimestamps(value: options.be32(offset &+ 2), echo: options.be32(offset &+ 6))
    case TCPOptionKind.multipath:
      try multipath.read(options, at: offset, length: length)
    case TCPOptionKind.sack:
      let blocks = try SACKBlocks(decoding: options, at: offset, length: length)
      if sack == nil { sack = blocks }
    case TCPOptionKind.maximumSegmentSize:
      guard length == 4 else { throw WireError(.maximumSegmentSize, .badLength, at: offset) }
      if maximumSegmentSize == nil { maximumSegmentSize = options.be16(offset &+ 2) }
    case TCPOptionKind.windowScale:
      guard length == 3 else { throw WireError(.windowScale, .badLength, at: offset) }
      if windowScale == nil { windowScale = options.octet(offset &+ 2) }
    case TCPOptionKind.sackPermitted:
      guard length == 2 else { throw WireError(.sackPermitted, .badLength, at: offset) }
      sackPermitted = true
    case TCPOptionKind.fastOpen:
      let cookie = try FastOpenCookie(decoding: options, at: offset, length: length)
      if fastOpen == nil { fastOpen = cookie }
    default:
      return
    }
  }
}
