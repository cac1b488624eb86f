import MPTCPWire

/// A TCP segment that may become part of a super-segment.
struct CoalescableSegment {
  let ip: IPHeader
  let tcp: TCPHeader
  let tuple: FourTuple

  /// Whether the packet may stand in a super-segment; when not, it only marks the end of what came before it.
  let mayMerge: Bool

  /// Nothing for what is no TCP segment.
  init?(_ packet: RawSpan) {
    guard let ip = try? IPHeader(parsing: packet), ip.protocolNumber == IPProtocol.tcp, ip.fragment == nil,
      let tcp = try? TCPHeader(parsing: ip.payload(in: packet))
    else { return nil }
    self.ip = ip
    self.tcp = tcp
    tuple = FourTuple(
      local: TransportAddress(ip.source, tcp.sourcePort), remote: TransportAddress(ip.destination, tcp.destinationPort))
    // A cut super-segment has the plain header, and nothing that its cutter would not have put there.
    let hasPlainHeader = ip.headerByteCount == (ip.source.family == .v4 ? 20 : 40)
    let hasReservedBits =
      packet.octet(ip.headerByteCount + 12) & 0x0e != 0 || ip.source.family == .v4 && packet.octet(6) & 0x80 != 0
    mayMerge =
      hasPlainHeader && !hasReservedBits && ip.totalByteCount == packet.byteCount
      && tcp.flags.isDisjoint(with: [.syn, .rst, .urg]) && tcp.flags.contains(.ack)
      && ip.payloadByteCount > tcp.headerByteCount
  }

  var payloadByteCount: Int { ip.payloadByteCount - tcp.headerByteCount }
  var payloadOffset: Int { ip.headerByteCount + tcp.headerByteCount }

  /// Whether nothing may follow in a super-segment that ends with this segment.
  var endsRun: Bool { !tcp.flags.isDisjoint(with: [.psh, .fin]) }

  func hasValidChecksums(_ packet: RawSpan) -> Bool {
    guard IPHeader.hasValidChecksum(packet) else { return false }
    var checksum = InternetChecksum()
    checksum.add(
      pseudoHeader: ip.source, destination: ip.destination, protocol: IPProtocol.tcp, length: ip.payloadByteCount)
    checksum.add(ip.payload(in: packet))
    return checksum.value == 0
  }
}

/// Segments of one flow, each following the one before, that wait to become a super-segment.
struct SegmentRun: Sendable {
  let tuple: FourTuple
  private let ip: IPHeader
  private let tcp: TCPHeader
  private let segmentByteCount: Int
  private var bytes: [UInt8]
  private var payloadByteCount: Int
  private var count = 1
  private var lastFlags: TCPFlags
  /// Whether the run takes no more segments.
  private(set) var isComplete: Bool

  init(_ segment: CoalescableSegment, _ packet: [UInt8]) {
    tuple = segment.tuple
    ip = segment.ip
    tcp = segment.tcp
    segmentByteCount = segment.payloadByteCount
    bytes = packet
    payloadByteCount = segment.payloadByteCount
    lastFlags = segment.tcp.flags
    isComplete = segment.endsRun
  }

  /// Whether cutting the run with this segment at its end would give this segment back.
  private func continues(with segment: CoalescableSegment, _ packet: [UInt8]) -> Bool {
    let other = segment.tcp
    let atEndOnly: TCPFlags = [.fin, .psh]
    guard !isComplete, other.sequenceNumber == tcp.sequenceNumber + payloadByteCount,
      segment.payloadByteCount <= segmentByteCount, other.acknowledgmentNumber == tcp.acknowledgmentNumber,
      // CWR goes with the first segment of a cut one.
      other.flags.subtracting(atEndOnly) == tcp.flags.subtracting(atEndOnly.union(.cwr)),
      other.window == tcp.window, other.urgentPointer == tcp.urgentPointer,
      other.headerByteCount == tcp.headerByteCount, segment.ip.trafficClass == ip.trafficClass,
      segment.ip.hopLimit == ip.hopLimit, segment.ip.flowLabel == ip.flowLabel,
      segment.ip.dontFragment == ip.dontFragment
    else { return false }
    // The identification of a packet that is never fragmented means nothing (RFC 6864 §4.1).
    if ip.source.family == .v4, !ip.dontFragment,
      UInt16(truncatingIfNeeded: segment.ip.identification)
        != UInt16(truncatingIfNeeded: ip.identification) &+ UInt16(truncatingIfNeeded: count)
    {
      return false
    }
    // Mappings, acknowledgments, time stamps: what is not the same to the bit would be lost.
    let options = (ip.headerByteCount + 20)..<segment.payloadOffset
    return bytes[options] == packet[options]
  }

  /// Adds a segment of the same flow; false, and no change, when it does not fit.
  mutating func append(_ segment: CoalescableSegment, _ packet: [UInt8], maximumByteCount: Int) -> Bool {
    guard bytes.count + segment.payloadByteCount <= maximumByteCount, continues(with: segment, packet) else {
      return false
    }
    if count == 1 { bytes.reserveCapacity(maximumByteCount) }
    bytes.append(contentsOf: packet[segment.payloadOffset...])
    payloadByteCount += segment.payloadByteCount
    count += 1
    lastFlags = segment.tcp.flags
    isComplete = segment.endsRun || segment.payloadByteCount < segmentByteCount
    return true
  }

  /// The super-segment, or the packet as it came when it stayed alone.
  consuming func finish() -> CoalescedPacket {
    var packet = CoalescedPacket(single: bytes, isChecksumValid: true)
    guard count > 1 else { return packet }
    bytes = []
    packet.segmentByteCount = segmentByteCount
    packet.wirePacketCount = count
    packet.networkHeaderByteCount = ip.headerByteCount
    packet.headerByteCount = ip.headerByteCount + tcp.headerByteCount
    let upperByteCount = tcp.headerByteCount + payloadByteCount
    let flags = tcp.flags.union(lastFlags.intersection([.fin, .psh]))
    var sum = InternetChecksum()
    sum.add(pseudoHeader: ip.source, destination: ip.destination, protocol: IPProtocol.tcp, length: upperByteCount)
    packet.put(UInt16(tcp.headerByteCount / 4) << 12 | flags.rawValue, at: ip.headerByteCount + 12)
    packet.put(sum.partial, at: ip.headerByteCount + 16)
    switch ip.source.family {
    case .v6:
      packet.put(UInt16(clamping: upperByteCount), at: 4)
    case .v4:
      packet.put(UInt16(clamping: packet.bytes.count), at: 2)
      packet.put(0, at: 10)
      var header = InternetChecksum()
      header.add(packet.bytes.span.bytes.clamped(from: 0, upTo: ip.headerByteCount))
      packet.put(header.value, at: 10)
    }
    return packet
  }
}

extension CoalescedPacket {
  fileprivate mutating func put(_ value: UInt16, at offset: Int) {
    bytes[offset] = UInt8(truncatingIfNeeded: value >> 8)
    bytes[offset + 1] = UInt8(truncatingIfNeeded: value)
  }
}
