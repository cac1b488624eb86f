import CLinux
import MPTCPCore
import MPTCPLink
import MPTCPStack
import MPTCPWire

/// One direction of a path: takes what one host sends, lets it through the link, and hands it to the other host on
/// time.
struct Direction {
  /// Wire packets that the line sends within this time cross in one piece, and arrive when the last of them does.
  private static let pieceTime = Nanoseconds.microseconds(100)

  private let source: DevicePort
  private let destination: DevicePort
  private let capture: PathCapture?
  /// Which end the source is.
  private let side: Int
  private var link: Link
  /// Whether there is nothing that the link would do.
  private let isTransparent: Bool
  private var coalescer = SegmentCoalescer()
  private var headers = FrameHeaders()
  private var disturbances = Disturbances()
  private(set) var account = DirectionAccount()
  /// Whether boxes stand on the path: then single packets pass, and ``PathBoxes`` takes them from here.
  private let hasBoxes: Bool
  /// What the source sent and no box has seen.
  private(set) var entering: [[UInt8]] = []
  /// What came out of the link and has boxes before it.
  private(set) var arriving: [[UInt8]] = []

  init(
    from source: DevicePort, to destination: DevicePort, side: Int, _ configuration: LinkConfiguration,
    hasBoxes: Bool, capture: PathCapture?, at now: Instant
  ) {
    (self.source, self.destination, self.side, self.capture) = (source, destination, side, capture)
    self.hasBoxes = hasBoxes
    // Its times count from the command's beginning.
    link = Link(configuration, at: now, isScheduled: false)
    var plain = LinkConfiguration()
    plain.seed = configuration.seed
    isTransparent = !hasBoxes && configuration == plain
  }

  /// Lets the schedule's time begin.
  mutating func beginSchedule(at now: Instant) { link.beginSchedule(at: now) }

  /// When ``deliver()`` has something to do.
  var nextDeadline: Instant? { link.nextDeadline }

  /// What was measured until now.
  mutating func closedAccount() -> DirectionAccount {
    account.counters = link.counters
    account.noteOverflow(source.overflowCount())
    account.refusedFrameCount = destination.refusedFrameCount
    return account
  }

  // MARK: In

  /// Takes up to `limit` frames that the source host has sent; gives how many there were.
  ///
  /// - Parameter wait: how long this thread had to wait for a processor after they had come.
  mutating func take(limit: Int, after wait: Nanoseconds) -> Int {
    for count in 0..<limit {
      guard let frame = source.receive() else { return count }
      let now = Instant(nanoseconds: MonotonicClock.now)
      guard isPacket(frame) else {
        // ARP is between the hosts; the model is of IP packets.
        frame.bytes.withUnsafeBytes { destination.send(frame.header, $0) }
        continue
      }
      if let capture {
        capture.record(frame, linkHeaderByteCount: source.linkHeaderByteCount, side, .outbound, at: now)
      }
      let segment = SuperSegment(frame, linkHeaderByteCount: source.linkHeaderByteCount)
      account.noteSent(packetCount: segment?.segmentCount ?? 1, at: now)
      if isTransparent {
        pass(frame, segment, at: now)
      } else {
        if count == 0, wait > Disturbances.threshold { disturbances.note(wait, at: now) }
        enter(frame, segment, at: now)
      }
    }
    return limit
  }

  private func isPacket(_ frame: DevicePort.Frame) -> Bool {
    guard source.linkHeaderByteCount > 0 else { return true }
    let type = frame.bytes.withUnsafeBytes { UInt16($0[12]) << 8 | UInt16($0[13]) }
    return type == 0x0800 || type == 0x86dd
  }

  private mutating func pass(_ frame: DevicePort.Frame, _ segment: SuperSegment?, at now: Instant) {
    var byteCount = frame.bytes.count - source.linkHeaderByteCount
    // On the wire, each packet has the headers.
    if let segment { byteCount += (segment.segmentCount - 1) * segment.headerByteCount }
    account.direct.packetCount += segment?.segmentCount ?? 1
    account.direct.byteCount += byteCount
    frame.bytes.withUnsafeBytes { destination.send(frame.header, $0) }
    if let capture {
      capture.record(frame, linkHeaderByteCount: source.linkHeaderByteCount, 1 - side, .inbound, at: now)
    }
    account.noteDelivered(byteCount: byteCount, at: now)
  }

  private mutating func enter(_ frame: DevicePort.Frame, _ segment: SuperSegment?, at now: Instant) {
    if source.linkHeaderByteCount > 0 { headers.note(frame.bytes.bytes, byteCount: source.linkHeaderByteCount) }
    let packet = frame.bytes.dropFirst(source.linkHeaderByteCount)
    if hasBoxes { return noteEntering(frame, packet) }
    if let segment { return enter(segment, packet, at: now) }
    let whole = PacketRun(
      SuperSegment.Piece(header: frame.header, head: [], rest: frame.bytes), headerByteCount: packet.count,
      payloadByteCount: 0, segmentByteCount: 0)
    if link.send(whole, at: now) { return }
    if frame.header.flags & UInt8(CLINUX_VNET_NEEDS_CHECKSUM) != 0 {
      link.send(superSegment: packet.bytes, segmentByteCount: 0, at: now)
    } else {
      // Its checksum is the sender's: filled in anew, a damaged packet would come out whole.
      link.send(packet.array, at: now)
    }
  }

  /// Boxes want to see what is on the wire: single packets with their checksums.
  private mutating func noteEntering(_ frame: DevicePort.Frame, _ packet: ByteSlice) {
    let isSuperSegment = frame.header.gso_type != UInt8(CLINUX_VNET_GSO_NONE) && frame.header.gso_size > 0
    guard isSuperSegment || frame.header.flags & UInt8(CLINUX_VNET_NEEDS_CHECKSUM) != 0 else {
      return entering.append(packet.array)
    }
    do {
      let segmentByteCount = isSuperSegment ? Int(frame.header.gso_size) : 0
      try Segmentation.forEachSegment(of: packet.bytes, segmentByteCount: segmentByteCount) {
        entering.append(Array($0))
      }
    } catch {
      entering.append(packet.array)
    }
  }

  /// Hands over what waits for the boxes: first what the source has sent, then what the link has let through.
  mutating func takeWaiting() -> (entering: [[UInt8]], arriving: [[UInt8]]) {
    defer {
      entering.removeAll(keepingCapacity: true)
      arriving.removeAll(keepingCapacity: true)
    }
    return (entering, arriving)
  }

  /// Puts a packet that has passed the boxes before the link on the link.
  mutating func enter(wirePacket bytes: [UInt8], at now: Instant) { link.send(bytes, at: now) }

  private mutating func enter(_ segment: SuperSegment, _ packet: ByteSlice, at now: Instant) {
    let count = segment.segmentCount
    let step = min(count, segmentsInPiece(byteCount: segment.headerByteCount + segment.segmentByteCount))
    var first = 0
    while first < count {
      let range = first..<min(first + step, count)
      let piece = segment.piece(range)
      let payloadByteCount = segment.payloadByteCount(of: range)
      let run = PacketRun(
        piece, headerByteCount: segment.headerByteCount, payloadByteCount: payloadByteCount,
        segmentByteCount: segment.segmentByteCount)
      if !link.send(run, at: now) {
        let bytes =
          piece.head.isEmpty ? packet.array : Array(piece.head[source.linkHeaderByteCount...]) + piece.rest.array
        link.send(superSegment: bytes.span.bytes, segmentByteCount: segment.segmentByteCount, at: now)
      }
      first = range.upperBound
    }
  }

  private func segmentsInPiece(byteCount: Int) -> Int {
    guard let rate = link.configuration.bitsPerSecond else { return .max }
    // A rate may be any number: whole ones would leave their range here.
    return max(1, Int(Double(rate) / 8 * Self.pieceTime.seconds) / byteCount)
  }

  // MARK: Out

  /// Hands over what has arrived by now.
  mutating func deliver() {
    var now = Instant(nanoseconds: MonotonicClock.now)
    while let arrival = link.nextDeadline, arrival <= now {
      guard let packet = link.receive(at: now) else { break }
      if let piece = packet.run?.content as? SuperSegment.Piece {
        flush()
        hand(over: piece)
      } else if hasBoxes {
        arriving.append(packet.bytes)
      } else {
        hand(over: packet.bytes, at: now)
      }
      count(packet, at: now)
      now = Instant(nanoseconds: MonotonicClock.now)
    }
    flush()
  }

  private mutating func count(_ packet: LinkPacket, at now: Instant) {
    let packetCount = packet.run?.wirePacketCount ?? 1
    let byteCount = packet.run?.wireByteCount ?? packet.bytes.count
    let disturbance = disturbances.wait(at: packet.sent)
    var spacing = Nanoseconds.zero
    if packetCount > 1, let rate = link.configuration.bitsPerSecond {
      spacing = Nanoseconds(Int64(byteCount / packetCount) * 8_000_000_000) / Int64(max(rate, 1))
    }
    account.noteDelivered(
      packetCount: packetCount, byteCount: byteCount, at: now, delay: now - packet.sent + disturbance,
      lateness: now - packet.arrival + disturbance, spacing: spacing)
  }

  private func hand(over piece: SuperSegment.Piece) {
    piece.rest.withUnsafeBytes { rest in
      piece.head.withUnsafeBytes { head in destination.send(piece.header, head, rest) }
    }
    guard let capture else { return }
    let whole = piece.head.isEmpty ? piece.rest : ByteSlice(piece.head + piece.rest.array)
    capture.record(
      DevicePort.Frame(header: piece.header, bytes: whole), linkHeaderByteCount: source.linkHeaderByteCount, 1 - side,
      .inbound, at: Instant(nanoseconds: MonotonicClock.now))
  }

  /// Hands a packet to the host, as part of what goes with ``flush()``.
  mutating func hand(over bytes: [UInt8], at now: Instant) {
    if let capture { capture.record(bytes, 1 - side, .inbound, at: now) }
    coalescer.add(bytes)
  }

  /// Lets go of what was handed over.
  mutating func flush() {
    coalescer.flush()
    while let packet = coalescer.next() {
      var header = clinux_vnet_header()
      if packet.segmentByteCount > 0 {
        header.flags = UInt8(CLINUX_VNET_NEEDS_CHECKSUM)
        header.checksum_start = UInt16(packet.networkHeaderByteCount + destination.linkHeaderByteCount)
        header.checksum_offset = 16
        header.gso_size = UInt16(packet.segmentByteCount)
        header.header_length = UInt16(packet.headerByteCount + destination.linkHeaderByteCount)
        let isVersion4 = packet.networkHeaderByteCount == 20
        header.gso_type = UInt8(isVersion4 ? CLINUX_VNET_GSO_TCPV4 : CLINUX_VNET_GSO_TCPV6)
        if packet.bytes[packet.networkHeaderByteCount + 13] & 0x80 != 0 {
          header.gso_type |= UInt8(CLINUX_VNET_GSO_ECN)
        }
      }
      packet.bytes.withUnsafeBytes { bytes in
        guard destination.linkHeaderByteCount > 0 else { return destination.send(header, bytes) }
        headers.header(for: packet.bytes.span.bytes).withUnsafeBytes { destination.send(header, $0, bytes) }
      }
    }
  }
}

/// When this thread had to wait for a processor before it could read what a host had sent: packets of those moments are
/// as late as that, which the link cannot know.
struct Disturbances {
  /// Shorter waits are as good as none.
  static let threshold = Nanoseconds.microseconds(20)
  private static let limit = 1 << 16

  private var entries: [(time: Instant, wait: Nanoseconds)] = []

  /// Notes that what was read at `time` had waited.
  mutating func note(_ wait: Nanoseconds, at time: Instant) {
    if entries.count == Self.limit { entries.removeFirst(Self.limit / 2) }
    entries.append((time, wait))
  }

  /// How long what was read at `time` had waited.
  func wait(at time: Instant) -> Nanoseconds {
    guard let last = entries.last, last.time >= time else { return .zero }
    var low = 0, high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].time < time { low = middle + 1 } else { high = middle }
    }
    return low < entries.count && entries[low].time == time ? entries[low].wait : .zero
  }
}
