import Testing

@testable import MPTCPWire

/// What `write` puts into a buffer of `capacity` octets.
func written(
  _ capacity: Int = 2048, _ write: (UnsafeMutableRawBufferPointer) throws(WireError) -> Int
) throws -> [UInt8] {
  var bytes = [UInt8](repeating: 0xa5, count: capacity)
  var failure: WireError?
  let count = bytes.withUnsafeMutableBytes { buffer in
    do throws(WireError) { return try write(buffer) } catch {
      failure = error
      return 0
    }
  }
  #expect(bytes[count...].allSatisfy { $0 == 0xa5 }, "octets behind the result were touched")
  if let failure { throw failure }
  return Array(bytes[..<count])
}

/// The checksum of RFC 1071, one octet at a time: the reference for everything that is faster.
func referenceChecksum(_ bytes: [UInt8]) -> UInt16 {
  var sum: UInt32 = 0
  for (index, octet) in bytes.enumerated() {
    sum += index % 2 == 0 ? UInt32(octet) << 8 : UInt32(octet)
    sum = (sum & 0xffff) + (sum >> 16)
  }
  return ~UInt16(sum)
}

/// The octets of a pseudo-header.
func pseudoHeader(_ source: IPAddress, _ destination: IPAddress, _ protocolNumber: UInt8, _ length: Int) -> [UInt8] {
  let tail = [UInt8(length >> 24 & 255), UInt8(length >> 16 & 255), UInt8(length >> 8 & 255), UInt8(length & 255)]
  return octets(source) + octets(destination) + tail + [0, 0, 0, protocolNumber]
}

/// An address in network order.
func octets(_ address: IPAddress) -> [UInt8] {
  switch address.family {
  case .v4: (0..<4).map { UInt8(truncatingIfNeeded: address.v4 >> UInt32(24 - 8 * $0)) }
  case .v6:
    (0..<16).map {
      UInt8(truncatingIfNeeded: ($0 < 8 ? address.high : address.low) >> UInt64(56 - 8 * ($0 % 8)))
    }
  }
}

/// A whole TCP packet with right checksums.
func tcpPacket(
  _ ip: IPHeader, _ tcp: TCPHeader, options: TCPOptionBlock = TCPOptionBlock(), payload: [UInt8]
) throws -> [UInt8] {
  var ip = ip
  ip.payloadByteCount = 20 + options.byteCount + payload.count
  let ipBytes = try written { buffer throws(WireError) in try ip.write(into: buffer) }
  let tcpBytes = try written { buffer throws(WireError) in try tcp.write(options: options, into: buffer) }
  var packet = ipBytes + tcpBytes + payload
  try fillChecksums(&packet)
  return packet
}

/// Segmentation's checksums on an array.
func fillChecksums(_ packet: inout [UInt8]) throws {
  var failure: WireError?
  packet.withUnsafeMutableBytes { buffer in
    do throws(WireError) { try Segmentation.fillChecksums(in: buffer) } catch { failure = error }
  }
  if let failure { throw failure }
}
