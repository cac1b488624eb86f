import MPTCPWire

/// The two ends that a TCP segment or a UDP datagram names, to be written anew with checksums corrected by what changed
/// (RFC 1624, RFC 3022 §4.2).
struct TransportEnds {
  var source: TransportAddress
  var destination: TransportAddress
  let protocolNumber: UInt8

  private let start: Int
  private let family: IPAddress.Family

  /// `nil` for what is neither, or not whole, or a fragment.
  init?(_ packet: [UInt8]) {
    let bytes = packet.span.bytes
    guard let ip = try? IPHeader(parsing: bytes), ip.fragment == nil else { return nil }
    let least = ip.protocolNumber == IPProtocol.tcp ? 20 : 8
    guard ip.protocolNumber == IPProtocol.tcp || ip.protocolNumber == IPProtocol.udp, ip.payloadByteCount >= least
    else { return nil }
    start = ip.headerByteCount
    family = ip.source.family
    protocolNumber = ip.protocolNumber
    source = TransportAddress(ip.source, Port(Octets.get16(packet, start)))
    destination = TransportAddress(ip.destination, Port(Octets.get16(packet, start + 2)))
  }

  /// A copy of the packet that these were read from, with other ends of the same family.
  func written(into packet: [UInt8]) -> [UInt8] {
    var changed = packet
    Octets.put(source.address, destination.address, &changed)
    Octets.put16(source.port.rawValue, &changed, start)
    Octets.put16(destination.port.rawValue, &changed, start + 2)
    let addresses = family == .v4 ? 12..<20 : 8..<40
    if family == .v4 { correct(&changed, from: packet, at: 10, for: [addresses]) }
    let field = start + (protocolNumber == IPProtocol.tcp ? 16 : 6)
    // A UDP checksum of 0 says that there is none (RFC 768).
    if protocolNumber == IPProtocol.udp, Octets.get16(packet, field) == 0 { return changed }
    correct(&changed, from: packet, at: field, for: [addresses, start..<start + 4])
    if protocolNumber == IPProtocol.udp, Octets.get16(changed, field) == 0 { Octets.put16(0xffff, &changed, field) }
    return changed
  }

  private func correct(_ packet: inout [UInt8], from old: [UInt8], at field: Int, for places: [Range<Int>]) {
    var checksum = Octets.get16(packet, field)
    for place in places {
      for offset in stride(from: place.lowerBound, to: place.upperBound, by: 2) {
        checksum = InternetChecksum.updating(
          checksum, replacing: Octets.get16(old, offset), with: Octets.get16(packet, offset))
      }
    }
    Octets.put16(checksum, &packet, field)
  }
}
