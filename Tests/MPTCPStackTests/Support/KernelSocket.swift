import Glibc
import MPTCPWire
import Testing

@testable import MPTCPStack

/// A UDP socket of the kernel, in the network namespace of the thread that made it.
final class KernelSocket: Sendable {
  private let descriptor: Int32

  init(_ address: TransportAddress) throws {
    let family = address.address.family == .v4 ? AF_INET : AF_INET6
    descriptor = socket(family, Int32(SOCK_DGRAM.rawValue), 0)
    try #require(descriptor >= 0)
    var timeout = timeval(tv_sec: 2, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    let result = Self.withSocketAddress(address) { bind(descriptor, $0, $1) }
    try #require(result == 0, "bind \(address): \(errno)")
  }

  deinit { close(descriptor) }

  func send(_ bytes: [UInt8], to address: TransportAddress) throws {
    let sent = Self.withSocketAddress(address) { sendto(descriptor, bytes, bytes.count, 0, $0, $1) }
    try #require(sent == bytes.count, "send to \(address): \(errno)")
  }

  /// The next datagram if it is there.
  func poll() -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: 2_048)
    let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    return count < 0 ? nil : Array(buffer.prefix(count))
  }

  /// The next datagram; empty after two seconds without one.
  func receive() -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 2_048)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    return Array(buffer.prefix(max(count, 0)))
  }

  private static func withSocketAddress<R>(
    _ address: TransportAddress, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R
  ) -> R {
    // sockaddr_in and sockaddr_in6: family, port, then the address (behind the flow label for IPv6).
    var bytes = UInt16(address.address.linuxFamily).nativeBytes + address.port.rawValue.bigEndian.nativeBytes
    switch address.address.family {
    case .v4: bytes += address.address.octets + [UInt8](repeating: 0, count: 8)
    case .v6: bytes += [0, 0, 0, 0] + address.address.octets + [0, 0, 0, 0]
    }
    return bytes.withUnsafeBytes { buffer in
      body(buffer.assumingMemoryBound(to: sockaddr.self).baseAddress!, socklen_t(buffer.count))
    }
  }
}

/// A whole UDP packet with checksums.
func udpPacket(from source: TransportAddress, to destination: TransportAddress, _ payload: [UInt8]) throws -> [UInt8] {
  let header = IPHeader(
    source: source.address, destination: destination.address, protocolNumber: IPProtocol.udp,
    payloadByteCount: 8 + payload.count)
  var packet = [UInt8](repeating: 0, count: header.totalByteCount)
  try packet.withUnsafeMutableBytes { buffer in
    let start = try header.write(into: buffer)
    let length = UInt16(8 + payload.count).bigEndian.nativeBytes
    let udp = source.port.rawValue.bigEndian.nativeBytes + destination.port.rawValue.bigEndian.nativeBytes + length
    buffer[start...].copyBytes(from: udp + [0, 0] + payload)
    try Segmentation.fillChecksums(in: buffer)
  }
  return packet
}

/// The payload of a UDP packet between these two, or nil.
func udpPayload(
  _ packet: RawSpan, from source: TransportAddress, to destination: TransportAddress
) throws -> [UInt8]? {
  let header = try IPHeader(parsing: packet)
  guard header.protocolNumber == IPProtocol.udp, header.source == source.address,
    header.destination == destination.address
  else { return nil }
  return header.payload(in: packet).withUnsafeBytes { Array($0.dropFirst(8)) }
}
