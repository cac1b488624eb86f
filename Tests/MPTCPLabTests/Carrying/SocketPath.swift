import CLinux
import Glibc
import MPTCPCore
import MPTCPStack
import MPTCPWire

@testable import MPTCPLab

/// A path that a carrier serves, with pairs of sockets in the place of devices: a host sends and gets whole frames.
final class SocketPath: Sendable {
  let carrier: Carrier
  private let hosts: [Descriptor]

  /// Begins to carry over these links, in the words of a lab file.
  init(_ link: String, index: Int = 0) throws {
    let text = #"{"paths":[{"name":"p","between":["a","b"],"link":"\#(link)"}]}"#
    let (first, firstHost) = try Self.pair(), (second, secondHost) = try Self.pair()
    hosts = [firstHost, secondHost]
    let ports = PortPair(
      DevicePort(first, linkHeaderByteCount: 0), DevicePort(second, linkHeaderByteCount: 0))
    carrier = try Carrier(LabFile(json: Array(text.utf8)).paths[0], index: index, between: ports, capture: nil)
  }

  deinit { carrier.stop() }

  private static func pair() throws -> (Descriptor, Descriptor) {
    var ends: [Int32] = [0, 0]
    let kind = Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw SystemError("make a pair of sockets", number: errno) }
    return (Descriptor(ends[0]), Descriptor(ends[1]))
  }

  /// Sends a frame from a host, if the carrier has room; says whether it had.
  @discardableResult
  func send(_ frame: DevicePort.Frame, from host: Int = 0) -> Bool {
    let header = withUnsafeBytes(of: frame.header) { Array($0) }
    let bytes = header + frame.bytes.array
    return clinux_write(hosts[host].number, bytes, bytes.count) == bytes.count
  }

  /// Takes a frame that a host was handed, without its virtio header; nil where none is there within a time.
  func receive(at host: Int = 1, within milliseconds: Int32 = 0) -> [UInt8]? {
    var entry = pollfd(fd: hosts[host].number, events: Int16(POLLIN), revents: 0)
    if milliseconds > 0 { poll(&entry, 1, milliseconds) }
    var bytes = [UInt8](repeating: 0, count: 70_000)
    let count = clinux_read(hosts[host].number, &bytes, bytes.count)
    return count > 0 ? Array(bytes[MemoryLayout<clinux_vnet_header>.size..<count]) : nil
  }

  /// Lets a host's side of its device vanish.
  func hangUp(_ host: Int) { shutdown(hosts[host].number, Int32(SHUT_RDWR)) }
}
