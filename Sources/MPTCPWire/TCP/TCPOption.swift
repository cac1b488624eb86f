/// The kinds of TCP options that this module reads and writes (IANA, TCP option kind numbers).
public enum TCPOptionKind {
  /// End of the list.
  public static let endOfList: UInt8 = 0
  /// Padding.
  public static let noOperation: UInt8 = 1
  /// Maximum segment size (RFC 9293 §3.7.1).
  public static let maximumSegmentSize: UInt8 = 2
  /// Window scale (RFC 7323 §2.2).
  public static let windowScale: UInt8 = 3
  /// SACK permitted (RFC 2018 §2).
  public static let sackPermitted: UInt8 = 4
  /// SACK (RFC 2018 §3).
  public static let sack: UInt8 = 5
  /// Timestamps (RFC 7323 §3.2).
  public static let timestamps: UInt8 = 8
  /// Multipath TCP (RFC 8684 §3).
  /// Requirement 8684-7.1-01
  public static let multipath: UInt8 = 30
  /// Fast open (RFC 7413 §4.1.1).
  public static let fastOpen: UInt8 = 34
}

/// One TCP option as a value.
public enum TCPOption: Hashable, Sendable {
  /// The end of the list; whatever follows is padding.
  case endOfList
  /// One octet of padding.
  case noOperation
  /// The largest segment that the sender receives, without headers.
  case maximumSegmentSize(UInt16)
  /// The shift that the sender applies to its window.
  case windowScale(UInt8)
  /// The sender understands SACK.
  case sackPermitted
  /// What the sender holds beyond its acknowledgment number.
  case sack(SACKBlocks)
  /// Timestamps.
  case timestamps(TCPTimestamps)
  /// A fast open cookie, or the request for one.
  case fastOpen(FastOpenCookie)
  /// A Multipath TCP option.
  case multipath(MultipathOption)
  /// An option of another kind; `byteCount` includes kind and length.
  case unknown(kind: UInt8, byteCount: Int)

  /// Calls `body` with each option and the offset of its kind octet, in order, the end of the list included.
  ///
  /// - Throws: `WireError` at the first malformed option; `body` has seen those before it.
  public static func forEach(
    in options: RawSpan, _ body: (_ option: TCPOption, _ offset: Int) -> Void
  ) throws(WireError) {
    var offset = 0
    while offset < options.byteCount {
      let kind = options.octet(offset)
      if kind == TCPOptionKind.noOperation {
        body(.noOperation, offset)
        offset += 1
        continue
      }
      if kind == TCPOptionKind.endOfList {
        body(.endOfList, offset)
        return
      }
      let length = try Self.length(in: options, at: offset)
      body(try TCPOption(kind: kind, in: options, at: offset, length: length), offset)
      offset += length
    }
  }

  /// Calls `body` with each well-formed option, in order. A malformed one is skipped, as ``TCPOptions/init(parsing:)``
  /// does; after one whose length leaves the block nothing more is read.
  public static func forEachWellFormed(in options: RawSpan, _ body: (_ option: TCPOption) -> Void) {
    var offset = 0
    while offset < options.byteCount {
      let kind = options.octet(offset)
      if kind == TCPOptionKind.endOfList { return }
      guard kind != TCPOptionKind.noOperation else {
        offset += 1
        continue
      }
      guard let length = try? Self.length(in: options, at: offset) else { return }
      if let option = try? TCPOption(kind: kind, in: options, at: offset, length: length) { body(option) }
      offset += length
    }
  }

  /// The length octet of the option at `offset`, checked against what is there.
  /// Requirement 9293-3.1-08
  @inline(__always)
  static func length(in options: RawSpan, at offset: Int) throws(WireError) -> Int {
    guard offset + 1 < options.byteCount else { throw WireError(.tcpOptionLength, .truncated, at: offset) }
    let length = Int(options.octet(offset + 1))
    guard length >= 2 else { throw WireError(.tcpOptionLength, .badValue, at: offset + 1) }
    guard length <= options.byteCount - offset else { throw WireError(.tcpOptionLength, .truncated, at: offset + 1) }
    return length
  }

  /// Reads an option that has a length octet and lies wholly inside `options`.
  private init(kind: UInt8, in options: RawSpan, at offset: Int, length: Int) throws(WireError) {
    switch kind {
    case TCPOptionKind.maximumSegmentSize:
      guard length == 4 else { throw WireError(.maximumSegmentSize, .badLength, at: offset) }
      self = .maximumSegmentSize(options.be16(offset + 2))
    case TCPOptionKind.windowScale:
      guard length == 3 else { throw WireError(.windowScale, .badLength, at: offset) }
      self = .windowScale(options.octet(offset + 2))
    case TCPOptionKind.sackPermitted:
      guard length == 2 else { throw WireError(.sackPermitted, .badLength, at: offset) }
      self = .sackPermitted
    case TCPOptionKind.sack:
      self = .sack(try SACKBlocks(decoding: options, at: offset, length: length))
    case TCPOptionKind.timestamps:
      guard length == 10 else { throw WireError(.timestamps, .badLength, at: offset) }
      self = .timestamps(TCPTimestamps(value: options.be32(offset + 2), echo: options.be32(offset + 6)))
    case TCPOptionKind.fastOpen:
      self = .fastOpen(try FastOpenCookie(decoding: options, at: offset, length: length))
    case TCPOptionKind.multipath:
      self = .multipath(try MultipathOption(decoding: options, at: offset, length: length))
    default:
      self = .unknown(kind: kind, byteCount: length)
    }
  }
}

extension SACKBlocks {
  @inline(__always)
  init(decoding options: RawSpan, at offset: Int, length: Int) throws(WireError) {
    guard length >= 10, length <= 34, length & 7 == 2 else { throw WireError(.sack, .badLength, at: offset) }
    self.init()
    var position = offset + 2
    while position < offset + length {
      append(
        SACKBlock(left: SequenceNumber(options.be32(position)), right: SequenceNumber(options.be32(position + 4))))
      position += 8
    }
  }
}

extension FastOpenCookie {
  @inline(__always)
  init(decoding options: RawSpan, at offset: Int, length: Int) throws(WireError) {
    // RFC 7413 §4.1.1 has cookies of 4 to 16 octets, of even length; an empty one is a request.
    guard length == 2 || (length >= 6 && length <= 18 && length & 1 == 0),
      let cookie = FastOpenCookie(options.clamped(from: offset + 2, upTo: offset + length))
    else { throw WireError(.fastOpen, .badLength, at: offset) }
    self = cookie
  }
}
