import CLinux
import MPTCPCore
import MPTCPWire

/// A TCP super-segment as a host sent it: many wire packets in one frame.
///
/// On a slow line its wire packets are far apart, so it crosses in pieces that are super-segments themselves.
struct SuperSegment {
  private let frame: DevicePort.Frame
  private let linkHeaderByteCount: Int
  private let ip: IPHeader
  private let tcp: TCPHeader
  /// The payload of each wire packet but the last.
  let segmentByteCount: Int

  /// A frame, or part of one, as the host at the other end will get it.
  struct Piece: Sendable {
    var header: clinux_vnet_header
    /// The headers of a part; none where `rest` is the whole frame.
    var head: [UInt8]
    var rest: ByteSlice
  }

  /// Nothing for a frame that is a single packet, or is not understood.
  init?(_ frame: DevicePort.Frame, linkHeaderByteCount: Int) {
    guard frame.header.gso_type != UInt8(CLINUX_VNET_GSO_NONE), frame.header.gso_size > 0 else { return nil }
    let packet = frame.bytes.dropFirst(linkHeaderByteCount)
    guard let ip = try? IPHeader(parsing: packet.bytes), ip.protocolNumber == IPProtocol.tcp, ip.fragment == nil,
      ip.totalByteCount == packet.count, let tcp = try? TCPHeader(parsing: ip.payload(in: packet.bytes)),
      ip.payloadByteCount > tcp.headerByteCount
    else { return nil }
    (self.frame, self.linkHeaderByteCount, self.ip, self.tcp) = (frame, linkHeaderByteCount, ip, tcp)
    segmentByteCount = Int(frame.header.gso_size)
  }

  /// The IP and TCP header, which each wire packet repeats.
  var headerByteCount: Int { ip.headerByteCount + tcp.headerByteCount }

  private var payloadByteCount: Int { ip.payloadByteCount - tcp.headerByteCount }

  /// How many wire packets it stands for.
  var segmentCount: Int { (payloadByteCount + segmentByteCount - 1) / segmentByteCount }

  /// The payload of the wire packets numbered `range`.
  func payloadByteCount(of range: Range<Int>) -> Int {
    min(range.upperBound * segmentByteCount, payloadByteCount) - range.lowerBound * segmentByteCount
  }

  /// The wire packets numbered `range` in one piece, its checksums left open as the whole's were.
  func piece(_ range: Range<Int>) -> Piece {
    guard range.count < segmentCount else { return Piece(header: frame.header, head: [], rest: frame.bytes) }
    let count = payloadByteCount(of: range), offset = range.lowerBound * segmentByteCount
    let headEnd = linkHeaderByteCount + headerByteCount
    var head = frame.bytes.prefix(headEnd).array
    let ipStart = linkHeaderByteCount, tcpStart = linkHeaderByteCount + ip.headerByteCount
    let upperByteCount = tcp.headerByteCount + count
    switch ip.source.family {
    case .v6:
      head.put(UInt16(truncatingIfNeeded: upperByteCount), at: ipStart + 4)
    case .v4:
      head.put(UInt16(truncatingIfNeeded: ip.headerByteCount + upperByteCount), at: ipStart + 2)
      head.put(
        UInt16(truncatingIfNeeded: ip.identification &+ UInt32(truncatingIfNeeded: range.lowerBound)), at: ipStart + 4)
      head.put(0, at: ipStart + 10)
      var sum = InternetChecksum()
      sum.add(head.span.bytes.extracting(ipStart..<tcpStart))
      head.put(sum.value, at: ipStart + 10)
    }
    let sequenceNumber = tcp.sequenceNumber + offset
    head.put(UInt16(truncatingIfNeeded: sequenceNumber.rawValue >> 16), at: tcpStart + 4)
    head.put(UInt16(truncatingIfNeeded: sequenceNumber.rawValue), at: tcpStart + 6)
    // One CWR for one halving (RFC 3168 §6.1.2); FIN and PSH belong to the last octet.
    if offset > 0 { head[tcpStart + 13] &= ~TCPFlags.cwr.octet }
    if range.upperBound < segmentCount { head[tcpStart + 13] &= ~(TCPFlags.fin.octet | TCPFlags.psh.octet) }
    var pseudoHeader = InternetChecksum()
    pseudoHeader.add(
      pseudoHeader: ip.source, destination: ip.destination, protocol: IPProtocol.tcp, length: upperByteCount)
    head.put(pseudoHeader.partial, at: tcpStart + 16)
    var header = frame.header
    if range.count == 1 {
      header.gso_type = UInt8(CLINUX_VNET_GSO_NONE)
      header.gso_size = 0
    } else if offset > 0 {
      header.gso_type &= ~UInt8(CLINUX_VNET_GSO_ECN)
    }
    header.header_length = UInt16(truncatingIfNeeded: headEnd)
    return Piece(header: header, head: head, rest: frame.bytes.dropFirst(headEnd + offset).prefix(count))
  }
}

extension TCPFlags {
  /// As it stands in the header's fourteenth octet.
  fileprivate var octet: UInt8 { UInt8(truncatingIfNeeded: rawValue) }
}

extension [UInt8] {
  fileprivate mutating func put(_ value: UInt16, at offset: Int) {
    self[offset] = UInt8(truncatingIfNeeded: value >> 8)
    self[offset + 1] = UInt8(truncatingIfNeeded: value)
  }
}
