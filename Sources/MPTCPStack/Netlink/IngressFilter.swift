import CLinux
import Glibc
import MPTCPWire

/// Keeps the kernel from seeing packets for our addresses on an interface whose link-layer address we share with it.
///
/// Without that a kernel that forwards would send our packets on, or answer them with redirects and host-unreachable.
/// Packet sockets see a packet before this filter drops it. It is an nftables table whose owner is our netlink socket:
/// the kernel removes it with the descriptor, however the process ends.
final class IngressFilter {
  private let owner: Descriptor

  /// Drops what arrives on `interface` for one of `addresses`, once packet sockets have their copy.
  init(interface: String, addresses: [IPAddress]) throws(SystemError) {
    let attempt = "keep the kernel from answering for our address on \(interface)"
    let remedy = "this needs CAP_NET_ADMIN and nftables in the kernel; on a wired interface it is not needed"
    owner = Descriptor(try check(clinux_netlink_open(CLINUX_NETLINK_NETFILTER, 0, true), attempt))
    var batch = Batch(table: "swift-multipath-\(getpid())-\(owner.number)", interface: interface)
    for address in addresses { batch.drop(address) }
    let bytes = batch.finish()
    try check(bytes.withUnsafeBytes { clinux_write(owner.number, $0.baseAddress, $0.count) }, attempt, remedy: remedy)
    try Self.awaitAnswer(from: owner, to: batch.lastSequence, attempt, remedy: remedy)
  }

  private static func awaitAnswer(
    from socket: Descriptor, to sequence: UInt32, _ attempt: String, remedy: String
  ) throws(SystemError) {
    var buffer = [UInt8](repeating: 0, count: 1 << 14)
    while true {
      let count = buffer.withUnsafeMutableBytes { clinux_read(socket.number, $0.baseAddress, $0.count) }
      for reply in NetlinkReply.parse(buffer.prefix(Int(try check(count, attempt)))) where reply.type == 2 {
        let number = reply.payload.native(Int32.self, at: 0) ?? -EPROTO
        if number != 0 { throw SystemError(attempt, number: -number, remedy: remedy) }
        if reply.sequence == sequence { return }
      }
    }
  }
}

/// The messages that make a table with one chain on an interface's ingress (linux/netfilter/nf_tables.h).
private struct Batch {
  private static let netdevFamily: UInt8 = 5
  private static let subsystem: UInt16 = 10
  private static let chain = "ingress"

  private let table: String
  private var bytes: [UInt8] = []
  private(set) var lastSequence: UInt32 = 0

  init(table: String, interface: String) {
    self.table = table
    // NFNL_MSG_BATCH_BEGIN, for the whole subsystem.
    bytes +=
      NetlinkMessage(
        type: 0x10, flags: 0x1, sequence: 0, header: [0, 0] + Self.subsystem.bigEndian.nativeBytes
      ).bytes
    append(0, flags: 0x400) { message in
      message.attribute(1, table)
      // NFT_TABLE_F_OWNER
      message.attribute(2, UInt32(2).bigEndian)
    }
    append(3, flags: 0x400) { message in
      message.attribute(1, table)
      message.attribute(3, Self.chain)
      message.nest(4) { hook in
        // NF_NETDEV_INGRESS, priority 0.
        hook.attribute(1, UInt32(0))
        hook.attribute(2, UInt32(0))
        hook.attribute(3, interface)
      }
      message.attribute(7, "filter")
    }
  }

  /// A rule: a packet of the address's family, with the address as its destination, goes no further.
  mutating func drop(_ address: IPAddress) {
    let isVersion4 = address.family == .v4
    let table = table
    append(6, flags: 0x400 | 0x800) { message in
      message.attribute(1, table)
      message.attribute(2, Self.chain)
      message.nest(4) { expressions in
        expressions.expression("meta") { data in
          // NFT_META_PROTOCOL into register 1.
          data.attribute(1, UInt32(1).bigEndian)
          data.attribute(2, UInt32(1).bigEndian)
        }
        expressions.compare(with: isVersion4 ? [0x08, 0x00] : [0x86, 0xDD])
        expressions.expression("payload") { data in
          data.attribute(1, UInt32(1).bigEndian)
          // From the network header on.
          data.attribute(2, UInt32(1).bigEndian)
          data.attribute(3, UInt32(isVersion4 ? 16 : 24).bigEndian)
          data.attribute(4, UInt32(isVersion4 ? 4 : 16).bigEndian)
        }
        expressions.compare(with: address.octets)
        expressions.expression("immediate") { data in
          // The verdict register; NF_DROP.
          data.attribute(1, UInt32(0))
          data.nest(2) { $0.nest(2) { $0.attribute(1, UInt32(0)) } }
        }
      }
    }
  }

  mutating func finish() -> [UInt8] {
    // NFNL_MSG_BATCH_END
    bytes
      + NetlinkMessage(
        type: 0x11, flags: 0x1, sequence: lastSequence + 1, header: [0, 0] + Self.subsystem.bigEndian.nativeBytes
      ).bytes
  }

  private mutating func append(_ type: UInt16, flags: UInt16, _ body: (inout NetlinkMessage) -> Void) {
    lastSequence += 1
    var message = NetlinkMessage(
      type: Self.subsystem << 8 | type, flags: flags | 0x1 | 0x4, sequence: lastSequence,
      header: [Self.netdevFamily, 0, 0, 0])
    body(&message)
    bytes += message.bytes
  }
}

extension NetlinkMessage {
  fileprivate mutating func expression(_ name: String, _ body: (inout NetlinkMessage) -> Void) {
    nest(1) { element in
      element.attribute(1, name)
      element.nest(2, body)
    }
  }

  /// Register 1 equals `value`, or the rule ends here.
  fileprivate mutating func compare(with value: [UInt8]) {
    expression("cmp") { data in
      data.attribute(1, UInt32(1).bigEndian)
      data.attribute(2, UInt32(0))
      data.nest(3) { $0.attribute(1, value) }
    }
  }
}
