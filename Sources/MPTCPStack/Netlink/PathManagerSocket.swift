import CLinux
import Glibc
import MPTCPWire

/// A conversation with the path manager of the kernel's Multipath TCP, by generic netlink (linux/mptcp_pm.h).
///
/// It acts in the network namespace of the thread that made it.
package final class PathManagerSocket {
  /// What an address is for.
  package struct Use: OptionSet, Sendable, Hashable {
    package var rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Announced to the peer by ADD_ADDR (RFC 8684 §3.4.1).
    package static let signal = Use(rawValue: 1)
    /// The source of a further subflow (RFC 8684 §3.2).
    package static let subflow = Use(rawValue: 2)
    /// Of subflows that carry data only when no other can (RFC 8684 §3.3.8).
    package static let backup = Use(rawValue: 4)
    /// The source of a subflow to each address of the peer.
    package static let fullmesh = Use(rawValue: 8)
  }

  private let descriptor: Descriptor
  private let family: UInt16
  private var sequence: UInt32 = 1

  /// Opens the conversation.
  package init() throws(SystemError) {
    descriptor = Descriptor(try check(clinux_netlink_open(CLINUX_NETLINK_GENERIC, 0, true), "open a netlink socket"))
    // CTRL_CMD_GETFAMILY of the controller, 0x10, by CTRL_ATTR_FAMILY_NAME; the answer is CTRL_ATTR_FAMILY_ID.
    var message = NetlinkMessage(type: 0x10, flags: 0x1, sequence: sequence, header: [3, 1, 0, 0])
    message.attribute(2, "mptcp_pm")
    let attempt = "find the kernel's path manager for Multipath TCP"
    let reply = try descriptor.exchange(message, attempt, remedy: "the kernel has no Multipath TCP, or an old one")
    guard let family = reply?.attributes(after: 4)[1]?.native(UInt16.self, at: 0) else {
      throw SystemError(attempt, number: EPROTO)
    }
    self.family = family
  }

  /// Sets how many further subflows a connection may have, and how many announced addresses it takes up.
  package func setLimits(subflows: Int, acceptedAddresses: Int) throws(SystemError) {
    var message = request(command: 5)
    message.attribute(2, UInt32(clamping: acceptedAddresses))
    message.attribute(3, UInt32(clamping: subflows))
    try descriptor.exchange(message, "set the limits of Multipath TCP", remedy: "each is 8 at most")
  }

  /// Gives the path manager an address of the interface numbered `interfaceIndex`.
  package func addEndpoint(_ address: IPAddress, use: Use, interfaceIndex: Int32) throws(SystemError) {
    var message = request(command: 1)
    message.nest(1) { endpoint in
      endpoint.attribute(1, UInt16(address.linuxFamily).nativeBytes)
      endpoint.attribute(address.family == .v4 ? 3 : 4, address.octets)
      endpoint.attribute(6, use.rawValue)
      endpoint.attribute(7, interfaceIndex.nativeBytes)
    }
    try descriptor.exchange(
      message, "make \(address) an endpoint of Multipath TCP",
      remedy: "the kernel takes 8 endpoints, and refuses fullmesh together with signal")
  }

  private func request(command: UInt8) -> NetlinkMessage {
    sequence &+= 1
    return NetlinkMessage(type: family, flags: 0x5, sequence: sequence, header: [command, 1, 0, 0])
  }
}

extension Descriptor {
  /// Sends a request and waits for the reply, or for the acknowledgment, which is nil.
  @discardableResult
  fileprivate func exchange(
    _ message: NetlinkMessage, _ attempt: String, remedy: String
  ) throws(SystemError) -> NetlinkReply? {
    try check(message.bytes.withUnsafeBytes { clinux_write(number, $0.baseAddress, $0.count) }, attempt)
    var buffer = [UInt8](repeating: 0, count: 1 << 14)
    let count = try check(
      buffer.withUnsafeMutableBytes { clinux_read(number, $0.baseAddress, $0.count) }, attempt)
    guard let reply = NetlinkReply.parse(buffer.prefix(Int(count))).first else {
      throw SystemError(attempt, number: EPROTO)
    }
    guard reply.type == 2 else { return reply }
    let error = reply.payload.native(Int32.self, at: 0) ?? -EPROTO
    if error != 0 { throw SystemError(attempt, number: -error, remedy: remedy) }
    return nil
  }
}
