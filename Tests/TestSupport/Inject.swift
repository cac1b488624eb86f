import MPTCPCore
import MPTCPPolicy
import MPTCPWire

/// A packet as a test looks at it: taken apart, or made by hand.
package struct SeenSegment {
  package var ip: IPHeader
  package var tcp: TCPHeader
  package var options: TCPOptions
  package var optionBytes: [UInt8]
  package var payload: [UInt8]

  package var flags: TCPFlags { tcp.flags }
  package var tuple: FourTuple {
    FourTuple(
      local: TransportAddress(ip.source, tcp.sourcePort), remote: TransportAddress(ip.destination, tcp.destinationPort))
  }

  /// nil for what is no whole TCP segment.
  package init?(_ bytes: [UInt8]) {
    guard let ip = try? IPHeader(parsing: bytes.span.bytes), ip.protocolNumber == IPProtocol.tcp, ip.fragment == nil,
      ip.headerByteCount + ip.payloadByteCount <= bytes.count
    else { return nil }
    let body = ByteSlice(bytes).dropFirst(ip.headerByteCount).prefix(ip.payloadByteCount)
    guard let tcp = try? TCPHeader(parsing: body.bytes) else { return nil }
    self.ip = ip
    self.tcp = tcp
    let optionSlice = body.dropFirst(20).prefix(tcp.headerByteCount - 20)
    options = TCPOptions(parsing: optionSlice.bytes)
    optionBytes = optionSlice.array
    payload = body.dropFirst(tcp.headerByteCount).array
  }

  /// The same segment with other options and payload, as a whole packet with right lengths and checksums.
  package func bytes(options: [UInt8]? = nil, payload: [UInt8]? = nil) -> [UInt8] {
    let optionBytes = padded(options ?? optionBytes)
    let payload = payload ?? self.payload
    var ip = ip
    ip.payloadByteCount = 20 + optionBytes.count + payload.count
    var packet = [UInt8](repeating: 0, count: 128)
    let ipByteCount = packet.withUnsafeMutableBytes { (try? ip.write(into: $0)) ?? 0 }
    var header = tcp
    header.checksum = 0
    packet.withUnsafeMutableBytes { buffer in
      let tcp = UnsafeMutableRawBufferPointer(rebasing: buffer[ipByteCount...])
      _ = try? header.write(options: TCPOptionBlock(), into: tcp)
    }
    packet = Array(packet.prefix(ipByteCount + 20)) + optionBytes + payload
    packet[ipByteCount + 12] =
      UInt8(truncatingIfNeeded: ((20 + optionBytes.count) / 4) << 4) | packet[ipByteCount + 12] & 15
    return withChecksums(packet)
  }

  private func padded(_ options: [UInt8]) -> [UInt8] {
    let cut = options.prefix(40)
    return cut + [UInt8](repeating: 1, count: (4 - cut.count % 4) % 4)
  }
}

/// The packet with all its checksums filled in; as it is where it is too broken to have any.
package func withChecksums(_ bytes: [UInt8]) -> [UInt8] {
  var bytes = bytes
  bytes.withUnsafeMutableBytes { _ = try? Segmentation.fillChecksums(in: $0) }
  return bytes
}

/// A TCP packet made by hand.
package func madeSegment(
  from source: TransportAddress, to destination: TransportAddress, sequence: SequenceNumber,
  acknowledgment: SequenceNumber = SequenceNumber(0), flags: TCPFlags, window: UInt16 = 65_535,
  options: [TCPOption] = [], payload: [UInt8] = [], trafficClass: UInt8 = 0, urgentPointer: UInt16 = 0
) -> [UInt8] {
  var block = TCPOptionBlock()
  for option in options { _ = block.append(option) }
  let ip = IPHeader(
    source: source.address, destination: destination.address, protocolNumber: IPProtocol.tcp,
    payloadByteCount: 20 + block.byteCount + payload.count, trafficClass: trafficClass)
  var header = TCPHeader(
    sourcePort: source.port, destinationPort: destination.port, sequenceNumber: sequence,
    acknowledgmentNumber: acknowledgment, flags: flags, window: window)
  header.urgentPointer = urgentPointer
  var packet = [UInt8](repeating: 0, count: 128)
  let count = packet.withUnsafeMutableBytes { buffer in
    let ipByteCount = (try? ip.write(into: buffer)) ?? 0
    let tcp = UnsafeMutableRawBufferPointer(rebasing: buffer[ipByteCount...])
    return ipByteCount + ((try? header.write(options: block, into: tcp)) ?? 0)
  }
  return withChecksums(Array(packet.prefix(count)) + payload)
}
