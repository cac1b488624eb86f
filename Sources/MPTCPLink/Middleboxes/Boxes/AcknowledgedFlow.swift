import MPTCPWire

/// A flow whose data in one direction a box acknowledges before its receiver does.
struct AcknowledgedFlow: Sendable {
  struct Copy: Sendable {
    var packet: MiddleboxPacket
    var end: SequenceNumber
    var byteCount: Int
  }

  /// What an answer of the receiver means for the copies.
  enum News {
    case nothing
    case progress
    case duplicates
  }

  /// What the receiver has acknowledged.
  private(set) var acknowledged: SequenceNumber?
  /// What the box has acknowledged, never less than the receiver has; `nil` before the receiver's first word.
  var early: SequenceNumber?
  /// The number of the receiver's next octet.
  private(set) var receiverNext: SequenceNumber?
  private(set) var receiverTimestamp: UInt32?
  /// Data that the receiver has not acknowledged, in its order.
  private(set) var copies = Ring<Copy>()
  private(set) var copyByteCount = 0
  var deadline: Instant?
  var attempts = 0

  private var senderStart: SequenceNumber?
  private var senderShift: Int?
  private var receiverStart: SequenceNumber?
  private var receiverShift: Int?
  /// The right edge of the window that the receiver has offered, and what the sender has been told of it.
  private var edge: SequenceNumber?
  private var toldEdge: SequenceNumber?
  private var told: SequenceNumber?
  private var duplicateCount = 0

  /// Whether a SYN without ACK opens another connection than this one.
  func isOver(_ segment: EditableSegment, _ isSender: Bool) -> Bool {
    (isSender ? senderStart : receiverStart) != segment.dataStart
  }

  mutating func hear(senderSYN segment: EditableSegment) {
    senderStart = segment.dataStart
    senderShift = segment.windowShift
  }

  mutating func keep(_ packet: MiddleboxPacket, end: SequenceNumber, byteCount: Int) {
    copies.append(Copy(packet: packet, end: end, byteCount: byteCount))
    copyByteCount += byteCount
  }

  /// Learns from a segment of the receiver's.
  mutating func hear(receiver segment: EditableSegment) -> News {
    let isSYN = segment.tcp.flags.contains(.syn)
    if isSYN {
      receiverShift = segment.windowShift
      receiverStart = segment.dataStart
    }
    if receiverNext.map({ segment.end - $0 > 0 }) ?? true { receiverNext = segment.end }
    if let stamps = segment.timestamps { receiverTimestamp = stamps.value }
    // Without the sender's SYN the windows' scale is not known.
    guard segment.tcp.flags.contains(.ack), senderStart != nil else { return .nothing }
    let number = segment.tcp.acknowledgmentNumber
    let offered = number + Int(segment.tcp.window) << (isSYN ? 0 : shift)
    let isWider = edge.map { offered - $0 > 0 } ?? true
    if isWider { edge = offered }
    guard let before = acknowledged else {
      acknowledged = number
      early = number
      return .nothing
    }
    if number - before > 0 {
      acknowledged = number
      if let early, number - early > 0 { self.early = number }
      while let first = copies.first, first.end - number <= 0 {
        copyByteCount -= first.byteCount
        _ = copies.popFirst()
      }
      duplicateCount = 0
      return .progress
    }
    let isPlain = segment.payload.isEmpty && segment.tcp.flags.isDisjoint(with: [.syn, .fin])
    guard number == before, isPlain, !isWider, !copies.isEmpty else { return .nothing }
    duplicateCount += 1
    // Three duplicates are a loss (RFC 5681 §3.2).
    return duplicateCount == 3 ? .duplicates : .nothing
  }

  /// Whether the receiver has room for data up to a number.
  func isOffered(_ end: SequenceNumber) -> Bool { edge.map { end - $0 <= 0 } ?? false }

  /// The window field that leaves the right edge where the receiver has put it, or less than a unit beyond it: an edge
  /// must not move back (RFC 9293 §3.8.6).
  func window(behind number: SequenceNumber) -> UInt16 {
    guard let edge else { return 0 }
    let unit = 1 << shift
    return UInt16(clamping: (max(edge - number, 0) + unit - 1) / unit)
  }

  /// Whether an answer tells the sender nothing that it does not know: no further number, no wider window, no option
  /// but what TCP itself repeats.
  func saysNothing(_ segment: EditableSegment) -> Bool {
    guard segment.payload.isEmpty, segment.tcp.flags.isDisjoint(with: [.syn, .fin, .urg, .ece, .cwr]), let early,
      let told, told - early >= 0, let edge, let toldEdge, toldEdge - edge >= 0
    else { return false }
    var isPlain = true
    EditableSegment.forEachOption(in: segment.options) { kind, _ in
      isPlain = isPlain && (kind == TCPOptionKind.timestamps || kind == TCPOptionKind.sack)
    }
    return isPlain
  }

  /// Notes what the sender now knows.
  mutating func tell(_ number: SequenceNumber) {
    if told.map({ number - $0 > 0 }) ?? true { told = number }
    toldEdge = edge
  }

  // A shift counts only where both ends have one (RFC 7323 §2.2).
  private var shift: Int { senderShift == nil ? 0 : receiverShift ?? 0 }
}
