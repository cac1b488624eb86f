import MPTCPPolicy
import MPTCPWire

/// A run of the subflow's sequence space that has been sent: what RACK (RFC 8985 §5.2) keeps of a segment, be it one
/// wire packet or a super-segment. It never crosses a mapping's end, unless the peer has it.
struct SentSegment {
  /// The first offset (SYN = 0, the first octet of data = 1).
  var start: Int
  /// The offset behind the last.
  var end: Int
  /// When it was sent last.
  var sentAt: Instant
  /// It has been sent more than once.
  var isRetransmitted = false
  /// The peer has it (SACK).
  var isSacked = false
  /// It is thought lost and has not been sent again since.
  var isLost = false
  /// It is the FIN, which occupies one number and no octet.
  var isFin = false
  /// How many segments it was made of at least: what is reported as arrived is joined with its neighbours.
  var mergedCount: Int32 = 1

  var count: Int { end - start }
  /// Whether it counts as in flight (RFC 6675's pipe).
  /// Requirement 6675-5-01
  var isInFlight: Bool { !isSacked && !isLost }

  /// How many wire packets it was, with up to `size` octets in each.
  func segmentCount(_ size: Int) -> Int { max(Int(mergedCount), (count + size - 1) / size) }

  /// RACK's order (RFC 8985 §6.2): by time, and by number where the time is the same.
  func isSent(before other: SentSegment) -> Bool { (sentAt, end) < (other.sentAt, other.end) }
}

/// A mapping that this subflow declared (RFC 8684 §3.3.1), with the bytes that it covers. It lives until the subflow
/// has acknowledged all of it, so that a retransmission carries the same bytes even when the connection has them
/// acknowledged through another subflow (RFC 8684 §3.3.6).
/// Requirement 8684-3.3.1-03, 8684-3.3.2-07, 8684-3.3.6-02
struct SentMapping {
  /// The subflow offset of its first octet.
  var subflowOffset: Int
  /// The connection offset of its first octet (the key's octet = 0).
  var dataOffset: Int
  /// Octets of payload that go here.
  var count: Int
  /// Octets behind them that the mapping covers and that the subflow ended before: it says the same to the last.
  var withheldByteCount = 0
  var first: ByteSlice
  var second: ByteSlice?
  /// The DSS checksum, where the connection uses it.
  var checksum: UInt16?
  /// The mapping includes the DATA_FIN behind its payload.
  var hasDataFin: Bool
  /// It was declared by MP_CAPABLE's data fields (RFC 8684 §3.1).
  var isImplied: Bool

  var end: Int { subflowOffset + count }

  /// The data offset that belongs to a subflow offset.
  func dataOffset(of offset: Int) -> Int { dataOffset + (offset - subflowOffset) }

  /// The bytes of `range` (subflow offsets inside the mapping), in up to two runs.
  func bytes(_ range: Range<Int>) -> (ByteSlice, ByteSlice?) {
    let from = range.lowerBound - subflowOffset
    let length = range.count
    if from >= first.count {
      return ((second ?? first).dropFirst(from - first.count).prefix(length), nil)
    }
    let head = first.dropFirst(from).prefix(length)
    guard head.count < length, let second else { return (head, nil) }
    return (head, second.prefix(length - head.count))
  }
}

/// A mapping that the peer declared.
struct ReceivedMapping: Equatable {
  /// The subflow offset of its first octet.
  var subflowOffset: Int
  /// The connection offset of its first octet.
  var dataOffset: Int
  /// Octets of payload.
  var count: Int
  /// The length and checksum as they stood on the wire, for verification.
  var wireLength: UInt16
  var checksum: UInt16?

  var end: Int { subflowOffset + count }

  /// Whether both say the same where they overlap.
  func agrees(with other: ReceivedMapping) -> Bool {
    self == other
      || (checksum == nil && other.checksum == nil
        && dataOffset - subflowOffset == other.dataOffset - other.subflowOffset)
  }

  /// Whether `other` binds the same octets and adds the DATA_FIN.
  func isExtended(by other: ReceivedMapping) -> Bool {
    subflowOffset == other.subflowOffset && dataOffset == other.dataOffset && count == other.count
      && (checksum == nil) == (other.checksum == nil) && Int(wireLength) == count && Int(other.wireLength) == count + 1
  }

  mutating func dropFirst(_ length: Int) {
    subflowOffset += length
    dataOffset += length
    count -= length
  }
}

/// What came in, parsed: one segment or super-segment for one subflow.
struct Segment {
  var tuple: FourTuple
  var path: PathID
  var header: TCPHeader
  var options: TCPOptions
  var payload: ByteSlice
  /// The payload of each wire packet, where several were merged.
  var segmentByteCount: Int
  /// The ECN field of the IP header (RFC 3168 §5).
  var congestionExperienced: Bool
  /// Where the options stand, for the rare packet that repeats one.
  var optionBytes: ByteSlice

  var flags: TCPFlags { header.flags }

  /// Whether it is an acknowledgement and nothing else.
  var isBare: Bool { payload.isEmpty && !header.flags.contains(.fin) }

  /// The largest segment of a sender that does not say it (RFC 9293 §3.7.1).
  /// Requirement 9293-3.7.1-04
  var defaultMaximumSegmentSize: UInt16 { tuple.remote.address.family == .v4 ? 536 : 1220 }
}
