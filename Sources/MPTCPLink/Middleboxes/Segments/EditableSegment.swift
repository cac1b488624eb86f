import MPTCPWire

/// A TCP segment taken apart, so that a box can change it and put it together again.
///
/// A box corrects a checksum by what it changed (RFC 1624): one that was right stays right, and one that was wrong
/// stays wrong, so that no box hides damage from before it.
struct EditableSegment: Sendable {
  /// The IP header as it came. Addresses and lengths are written from the properties below.
  let ip: IPHeader
  /// The sender's end.
  var source: TransportAddress
  /// The receiver's end.
  var destination: TransportAddress
  /// The fixed header; its ports, checksum and length are not used.
  var tcp: TCPHeader
  /// The octets of the options, padding included.
  var options: [UInt8]
  /// The octets of data.
  var payload: [UInt8]

  private let ipOctets: [UInt8]
  private let reservedBits: UInt8
  // The one's complement sums over what came, checksum included: all ones where it was right.
  private let ipResidue: UInt16
  private let residue: UInt16

  /// Takes a packet apart; `nil` for what is no whole TCP segment, fragments included.
  init?(_ packet: [UInt8]) {
    let bytes = packet.span.bytes
    guard let ip = try? IPHeader(parsing: bytes), ip.protocolNumber == IPProtocol.tcp, ip.fragment == nil else {
      return nil
    }
    let segment = ip.payload(in: bytes)
    guard let tcp = try? TCPHeader(parsing: segment) else { return nil }
    self.ip = ip
    self.tcp = tcp
    source = TransportAddress(ip.source, tcp.sourcePort)
    destination = TransportAddress(ip.destination, tcp.destinationPort)
    let start = ip.headerByteCount
    ipOctets = Array(packet[..<start])
    options = Array(packet[(start + 20)..<(start + tcp.headerByteCount)])
    payload = Array(packet[(start + tcp.headerByteCount)..<ip.totalByteCount])
    reservedBits = packet[start + 12] & 0x0e
    var header = InternetChecksum()
    header.add(bytes.clamped(from: 0, upTo: start))
    ipResidue = header.partial
    var sum = InternetChecksum()
    sum.add(
      pseudoHeader: ip.source, destination: ip.destination, protocol: IPProtocol.tcp, length: ip.payloadByteCount)
    sum.add(segment)
    residue = sum.partial
  }

  /// Whether the checksums were right when the segment came.
  var hasValidChecksums: Bool { residue == 0xffff && (ip.source.family == .v6 || ipResidue == 0xffff) }

  /// The sequence number behind the data, and behind SYN and FIN, which take one number each (RFC 9293 §3.4).
  var end: SequenceNumber {
    tcp.sequenceNumber + payload.count + (tcp.flags.contains(.syn) ? 1 : 0) + (tcp.flags.contains(.fin) ? 1 : 0)
  }

  /// The sequence number of the first octet of data: in a SYN it follows the SYN.
  var dataStart: SequenceNumber { tcp.sequenceNumber + (tcp.flags.contains(.syn) ? 1 : 0) }

  /// The size of the packet with its headers.
  var byteCount: Int { ipOctets.count + 20 + options.count + payload.count }

  /// The packet, to be counted on by `index` in IPv4's identification where a box makes several out of one.
  func encoded(index: Int = 0) -> [UInt8] {
    let start = ipOctets.count
    let segmentByteCount = 20 + options.count + payload.count
    var packet = ipOctets
    packet.reserveCapacity(start + segmentByteCount)
    packet.append(contentsOf: repeatElement(0, count: 20))
    packet += options
    packet += payload
    Octets.put16(source.port.rawValue, &packet, start)
    Octets.put16(destination.port.rawValue, &packet, start + 2)
    Octets.put32(tcp.sequenceNumber.rawValue, &packet, start + 4)
    Octets.put32(tcp.acknowledgmentNumber.rawValue, &packet, start + 8)
    let words = UInt16(truncatingIfNeeded: (20 + options.count) / 4) << 12
    Octets.put16(words | UInt16(reservedBits) << 8 | tcp.flags.rawValue & 0x1ff, &packet, start + 12)
    Octets.put16(tcp.window, &packet, start + 14)
    Octets.put16(tcp.urgentPointer, &packet, start + 18)
    writeIP(&packet, segmentByteCount, index)
    var sum = InternetChecksum()
    sum.add(
      pseudoHeader: source.address, destination: destination.address, protocol: IPProtocol.tcp,
      length: segmentByteCount)
    sum.add(packet.span.bytes.clamped(from: start, upTo: packet.count))
    Octets.put16(Octets.checksum(over: sum.partial, residue: residue), &packet, start + 16)
    return packet
  }

  private func writeIP(_ packet: inout [UInt8], _ segmentByteCount: Int, _ index: Int) {
    let total = UInt16(truncatingIfNeeded: ipOctets.count + segmentByteCount)
    Octets.put(source.address, destination.address, &packet)
    guard ip.source.family == .v4 else { return Octets.put16(total &- 40, &packet, 4) }
    Octets.put16(total, &packet, 2)
    Octets.put16(UInt16(truncatingIfNeeded: ip.identification &+ UInt32(truncatingIfNeeded: index)), &packet, 4)
    Octets.put16(0, &packet, 10)
    var header = InternetChecksum()
    header.add(packet.span.bytes.clamped(from: 0, upTo: ipOctets.count))
    Octets.put16(Octets.checksum(over: header.partial, residue: ipResidue), &packet, 10)
  }
}
