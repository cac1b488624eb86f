/// The front of the packet that an ICMP error quotes: enough to find the subflow and to judge whether the error can be
/// true (RFC 5927 §4.1: the sequence number must be in flight).
public struct ICMPQuotation: Hashable, Sendable {
  /// The quoted packet's IP header; its payload is mostly not there.
  public var header: IPHeader
  /// The quoted source port; for a packet that we sent, our end.
  public var sourcePort: Port
  /// The quoted destination port.
  public var destinationPort: Port
  /// The quoted TCP sequence number; of another protocol, the 32 bits in its place.
  public var sequenceNumber: SequenceNumber

  /// The quoted packet's ends as its sender sees them.
  @inlinable
  public var tuple: FourTuple {
    FourTuple(
      local: TransportAddress(header.source, sourcePort), remote: TransportAddress(header.destination, destinationPort))
  }

  /// Reads an IP header and 8 octets behind it, which every ICMP error quotes at least (RFC 792).
  init(parsing bytes: RawSpan, at start: Int) throws(WireError) {
    let quoted = bytes.clamped(from: start, upTo: bytes.byteCount)
    guard let header = try? IPHeader(parsingFrontOf: quoted), header.fragment.map({ $0.offset == 0 }) ?? true,
      quoted.byteCount - header.headerByteCount >= 8
    else { throw WireError(.icmpQuotation, .badValue, at: start) }
    self.header = header
    sourcePort = Port(quoted.be16(header.headerByteCount))
    destinationPort = Port(quoted.be16(header.headerByteCount + 2))
    sequenceNumber = SequenceNumber(quoted.be32(header.headerByteCount + 4))
  }
}

/// A message of ICMP or ICMPv6 (RFC 792, RFC 1191, RFC 4443).
public enum ICMPMessage: Hashable, Sendable {
  /// An echo request; ``writeEchoReply(to:into:)`` answers it.
  case echoRequest(identifier: UInt16, sequenceNumber: UInt16)
  /// An echo reply.
  case echoReply(identifier: UInt16, sequenceNumber: UInt16)
  /// The packet cannot be delivered; `code` differs between the families. `nextHopMTU` is there in IPv4's code 4,
  /// fragmentation needed, unless the router is older than RFC 1191.
  case destinationUnreachable(code: UInt8, nextHopMTU: UInt16?, ICMPQuotation)
  /// IPv6: the packet exceeds the next link's MTU.
  case packetTooBig(mtu: UInt32, ICMPQuotation)
  /// The hop limit was used up (code 0), or fragments did not all come (code 1).
  case timeExceeded(code: UInt8, ICMPQuotation)
  /// A field of the packet makes no sense; `pointer` is its offset in the quoted packet.
  case parameterProblem(code: UInt8, pointer: UInt32, ICMPQuotation)
  /// IPv6 neighbour discovery.
  case neighbor(NeighborMessage)
  /// A message that this module does not read.
  case other(type: UInt8, code: UInt8)

  /// The packet that an error is about.
  public var quotation: ICMPQuotation? {
    switch self {
    case .destinationUnreachable(_, _, let quotation), .packetTooBig(_, let quotation),
      .timeExceeded(_, let quotation), .parameterProblem(_, _, let quotation):
      quotation
    case .echoRequest, .echoReply, .neighbor, .other: nil
    }
  }

  /// The MTU that an error announces, of either family: IPv4's fragmentation needed with an MTU, IPv6's packet too big.
  public var announcedMTU: Int? {
    switch self {
    case .destinationUnreachable(_, let mtu, _): mtu.map(Int.init)
    case .packetTooBig(let mtu, _): Int(mtu)
    default: nil
    }
  }

  /// Reads the message in `packet`, a whole packet whose header `ip` was parsed from it and whose protocol is ICMP or
  /// ICMPv6.
  ///
  /// - Throws: `WireError` for a wrong checksum, a message that is cut, an error without a usable quotation, and
  ///   neighbour discovery that breaks a rule of RFC 4861.
  public init(parsing packet: RawSpan, header ip: IPHeader) throws(WireError) {
    let message = ip.payload(in: packet)
    guard message.byteCount >= 8, message.byteCount == ip.payloadByteCount else {
      throw WireError(.icmpMessage, .truncated, at: ip.headerByteCount)
    }
    let isV6 = ip.source.family == .v6
    var checksum = InternetChecksum()
    if isV6 {
      checksum.add(
        pseudoHeader: ip.source, destination: ip.destination, protocol: IPProtocol.icmpv6, length: message.byteCount)
    }
    checksum.add(message)
    guard checksum.value == 0 else { throw WireError(.icmpChecksum, .badValue, at: ip.headerByteCount + 2) }
    if isV6 { try self.init(v6: message, header: ip) } else { try self.init(v4: message) }
  }

  private init(v4 message: RawSpan) throws(WireError) {
    let code = message.octet(1)
    switch message.octet(0) {
    case 0: self = .echoReply(identifier: message.be16(4), sequenceNumber: message.be16(6))
    case 8: self = .echoRequest(identifier: message.be16(4), sequenceNumber: message.be16(6))
    case 3:
      let mtu = code == 4 && message.be16(6) != 0 ? message.be16(6) : nil
      self = .destinationUnreachable(code: code, nextHopMTU: mtu, try ICMPQuotation(parsing: message, at: 8))
    case 11: self = .timeExceeded(code: code, try ICMPQuotation(parsing: message, at: 8))
    case 12:
      self = .parameterProblem(
        code: code, pointer: UInt32(message.octet(4)), try ICMPQuotation(parsing: message, at: 8))
    // Requirement 9293-3.9.2.2-02
    default: self = .other(type: message.octet(0), code: code)
    }
  }

  private init(v6 message: RawSpan, header ip: IPHeader) throws(WireError) {
    let code = message.octet(1)
    switch message.octet(0) {
    case 1:
      self = .destinationUnreachable(code: code, nextHopMTU: nil, try ICMPQuotation(parsing: message, at: 8))
    case 2: self = .packetTooBig(mtu: message.be32(4), try ICMPQuotation(parsing: message, at: 8))
    case 3: self = .timeExceeded(code: code, try ICMPQuotation(parsing: message, at: 8))
    case 4:
      self = .parameterProblem(code: code, pointer: message.be32(4), try ICMPQuotation(parsing: message, at: 8))
    case 128: self = .echoRequest(identifier: message.be16(4), sequenceNumber: message.be16(6))
    case 129: self = .echoReply(identifier: message.be16(4), sequenceNumber: message.be16(6))
    case 133...136: self = .neighbor(try NeighborMessage(parsing: message, header: ip))
    default: self = .other(type: message.octet(0), code: code)
    }
  }
}
