import CLinux
import Glibc

/// News of one network interface: up, down, gone. It hears of the network namespace of the thread that made it.
final class LinkMonitor {
  /// What happened to the interface.
  enum News: Equatable {
    case up
    case down
    case gone
  }

  private let file: Descriptor
  private let index: Int32
  private var buffer = [UInt8](repeating: 0, count: 1 << 14)

  var descriptor: Int32 { file.number }

  init(interfaceIndex: Int32) throws(SystemError) {
    index = interfaceIndex
    // RTMGRP_LINK
    file = Descriptor(try check(clinux_netlink_open(CLINUX_NETLINK_ROUTE, 0x1, false), "watch the network interfaces"))
  }

  /// The latest news since the last call; nil: none.
  func poll() -> News? {
    var latest: News?
    var isBehind = false
    while true {
      let count = buffer.withUnsafeMutableBytes { clinux_read(file.number, $0.baseAddress, $0.count) }
      if count == -Int(ENOBUFS) {
        isBehind = true
        continue
      }
      if count <= 0 && isBehind {
        // News were lost. The answer needs room in the socket, so it is asked for once the rest is read.
        isBehind = false
        ask()
        continue
      }
      guard count > 0 else { return latest }
      for reply in NetlinkReply.parse(buffer.prefix(count)) { latest = Self.news(in: reply, of: index) ?? latest }
    }
  }

  /// What a message says of the interface.
  static func news(in reply: NetlinkReply, of index: Int32) -> News? {
    // NLMSG_ERROR: the interface that we asked for is not there.
    if reply.type == 2 { return reply.payload.native(Int32.self, at: 0) == -ENODEV ? .gone : nil }
    // Of other families, a bridge's first of all, is the news that the interface joins or leaves something.
    guard reply.payload.first == UInt8(AF_UNSPEC), let link = LinkDescription(reply), link.index == index else {
      return nil
    }
    switch reply.type {
    case 16: return link.isRunning ? .up : .down
    case 17: return .gone
    default: return nil
    }
  }

  /// Asks for the interface as it is now (RTM_GETLINK); the answer comes like all news.
  private func ask() {
    let header = [0, 0, 0, 0] + index.nativeBytes + [UInt8](repeating: 0, count: 8)
    let request = NetlinkMessage(type: 18, flags: 0x1, sequence: 0, header: header).bytes
    _ = request.withUnsafeBytes { clinux_write(file.number, $0.baseAddress, $0.count) }
  }
}
