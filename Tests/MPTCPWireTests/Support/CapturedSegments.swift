import PacketFactory

@testable import MPTCPWire

/// A TCP segment of a capture, as far as it was captured.
struct CapturedSegment {
  var frame: Int
  /// The sender's end is local.
  var tuple: FourTuple
  var header: TCPHeader
  /// Every Multipath TCP option of the segment.
  var options: [MultipathOption]
  /// Octets of payload on the wire; what was captured of them is `payload`.
  var payloadByteCount: Int
  var payload: ArraySlice<UInt8>
}

extension CaptureFile {
  /// The capture's TCP segments, in order.
  func segments() throws -> [CapturedSegment] {
    var result: [CapturedSegment] = []
    for packet in packets {
      guard let range = ipRange(packet) else { continue }
      let bytes = octets.span.bytes.extracting(range)
      let ip = try IPHeader(parsingFrontOf: bytes)
      guard ip.protocolNumber == IPProtocol.tcp, ip.fragment == nil else { continue }
      let segment = ip.payload(in: bytes)
      let tcp = try TCPHeader(parsing: segment)
      var options: [MultipathOption] = []
      try? TCPOption.forEach(in: tcp.optionBytes(in: segment)) { option, _ in
        if case .multipath(let option) = option { options.append(option) }
      }
      let start = range.lowerBound + ip.headerByteCount + tcp.headerByteCount
      let payloadByteCount = ip.payloadByteCount - tcp.headerByteCount
      result.append(
        CapturedSegment(
          frame: packet.number,
          tuple: FourTuple(
            local: TransportAddress(ip.source, tcp.sourcePort),
            remote: TransportAddress(ip.destination, tcp.destinationPort)),
          header: tcp, options: options, payloadByteCount: payloadByteCount,
          payload: octets[start..<min(start + payloadByteCount, range.upperBound)]))
    }
    return result
  }
}

extension FourTuple {
  /// The same two ends seen from the other one.
  var reversed: FourTuple { FourTuple(local: remote, remote: local) }
}
