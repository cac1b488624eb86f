/// The Multipath TCP options of a segment in fixed fields: the first of each subtype.
public struct MultipathOptions: Hashable, Sendable {
  /// MP_CAPABLE.
  public private(set) var capable: MPCapable?
  /// MP_JOIN.
  public private(set) var join: MPJoin?
  /// DSS.
  public private(set) var dss: DSS?
  /// ADD_ADDR.
  public private(set) var addAddress: AddAddress?
  /// REMOVE_ADDR.
  public private(set) var removeAddress: RemoveAddress?
  /// MP_PRIO.
  public private(set) var priority: MPPriority?
  /// MP_FAIL.
  public private(set) var fail: MPFail?
  /// MP_FASTCLOSE.
  public private(set) var fastClose: MPFastClose?
  /// MP_TCPRST.
  public private(set) var reset: MPTCPReset?

  // A bit for each subtype that was seen, and whether one was seen again.
  @usableFromInline var seen: UInt16 = 0
  @usableFromInline var repeats = false

  /// No options.
  @inlinable
  public init() {}

  /// Whether no well-formed Multipath TCP option was there, of whatever subtype.
  @inlinable
  public var isEmpty: Bool { seen == 0 }

  /// Whether nothing but a DSS was there.
  @inlinable
  public var isOnlyDSS: Bool { seen == 1 << 2 }

  /// Whether a subtype appears more than once; ``TCPOption/forEach(in:_:)`` then gives them all.
  @inlinable
  public var hasRepeats: Bool { repeats }

  /// Reads an option of kind 30 that lies wholly inside `options`.
  @inline(__always)
  mutating func read(_ options: RawSpan, at offset: Int, length: Int) throws(WireError) {
    guard length >= 3 else { throw WireError(.multipathOption, .badLength, at: offset) }
    let subtype = options.octet(offset &+ 2) >> 4
    if subtype == MultipathSubtype.dss.rawValue {
      let option = try DSS(decoding: options, at: offset, length: length)
      if mark(subtype) { dss = option }
    } else {
      try readRare(subtype, options, at: offset, length: length)
    }
  }

  /// Notes that `subtype` is there; true the first time.
  @inline(__always)
  private mutating func mark(_ subtype: UInt8) -> Bool {
    let bit: UInt16 = 1 &<< UInt16(subtype)
    let isFirst = seen & bit == 0
    seen |= bit
    if !isFirst { repeats = true }
    return isFirst
  }

  /// What is not on every segment stays out of the parser's loop.
  @inline(never)
  private mutating func readRare(
    _ subtype: UInt8, _ options: RawSpan, at offset: Int, length: Int
  ) throws(WireError) {
    let option = try MultipathOption(decoding: options, at: offset, length: length)
    guard mark(subtype) else { return }
    switch option {
    case .capable(let option): capable = option
    case .join(let option): join = option
    case .dss(let option): dss = option
    case .addAddress(let option): addAddress = option
    case .removeAddress(let option): removeAddress = option
    case .priority(let option): priority = option
    case .fail(let option): fail = option
    case .fastClose(let option): fastClose = option
    case .reset(let option): reset = option
    case .experimental, .unknown: return
    }
  }
}
