/// Why bytes are not the packet, header or option that they claim to be, or why one could not be written.
///
/// A parse error condemns this packet (or this option) and says nothing about the connection; the packet is dropped and
/// counted.
public struct WireError: Error, Hashable, Sendable {
  /// The part of a packet that is at fault.
  public enum Field: String, Hashable, Sendable {
    /// The IP version nibble.
    case ipVersion
    /// The fixed IP header as a whole.
    case ipHeader
    /// The IPv4 header length.
    case ipHeaderLength
    /// The IPv4 total length or the IPv6 payload length.
    case ipTotalLength
    /// An IPv6 extension header.
    case ipv6ExtensionHeader
    /// The fixed TCP header as a whole.
    case tcpHeader
    /// The TCP data offset.
    case tcpDataOffset
    /// The length octet of a TCP option.
    case tcpOptionLength
    /// The maximum segment size option.
    case maximumSegmentSize
    /// The window scale option.
    case windowScale
    /// The SACK permitted option.
    case sackPermitted
    /// The SACK option.
    case sack
    /// The timestamps option.
    case timestamps
    /// The fast open option.
    case fastOpen
    /// A Multipath TCP option of any subtype.
    case multipathOption
    /// MP_CAPABLE.
    case multipathCapable
    /// MP_JOIN.
    case multipathJoin
    /// DSS.
    case dataSequenceSignal
    /// ADD_ADDR.
    case addAddress
    /// The IPVer nibble of a version 0 ADD_ADDR.
    case addAddressFamily
    /// REMOVE_ADDR.
    case removeAddress
    /// MP_PRIO.
    case multipathPriority
    /// MP_FAIL.
    case multipathFail
    /// MP_FASTCLOSE.
    case multipathFastClose
    /// MP_TCPRST.
    case multipathReset
    /// The UDP header as a whole.
    case udpHeader
    /// The UDP length.
    case udpLength
    /// An ICMP or ICMPv6 message as a whole.
    case icmpMessage
    /// The checksum of an ICMP or ICMPv6 message.
    case icmpChecksum
    /// The packet that an ICMP error quotes.
    case icmpQuotation
    /// A neighbour discovery message.
    case neighborMessage
    /// The hop limit of a neighbour discovery message, which must be 255.
    case neighborHopLimit
    /// An option of a neighbour discovery message.
    case neighborOption
    /// An Ethernet header as a whole.
    case ethernetHeader
    /// An ARP packet as a whole.
    case arpPacket
    /// The hardware or protocol type, or their lengths, of an ARP packet.
    case arpAddressType
    /// The operation of an ARP packet.
    case arpOperation
    /// The size at which a super-segment is to be cut.
    case segmentByteCount
    /// The caller's buffer.
    case outputBuffer
  }

  /// What is wrong with the field.
  public enum Problem: String, Hashable, Sendable {
    /// Fewer octets are there than the field needs or claims.
    case truncated
    /// The length is none of those that the field can have.
    case badLength
    /// The value is none of those that the field can have.
    case badValue
    /// The value does not fit the field.
    case tooLarge
    /// The caller's buffer is too small for the result.
    case bufferTooSmall
  }

  /// The part at fault.
  public var field: Field
  /// What is wrong with it.
  public var problem: Problem
  /// Where it starts, in octets from the start of what was parsed.
  public var offset: Int

  /// Makes an error.
  @inlinable
  public init(_ field: Field, _ problem: Problem, at offset: Int) {
    self.field = field
    self.problem = problem
    self.offset = offset
  }
}

extension WireError: CustomStringConvertible {
  /// One line for a log: `tcpDataOffset: badValue at octet 12`.
  public var description: String { "\(field.rawValue): \(problem.rawValue) at octet \(offset)" }
}
