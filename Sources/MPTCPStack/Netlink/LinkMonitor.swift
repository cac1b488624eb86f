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
    while true {
      let count = buffer.withUnsafeMutableBytes { clinux_read(file.number, $0.baseAddress, $0.count) }
      // ENOBUFS: news were lost. The next change of the link corrects what this one would have said.
      if count == -Int(ENOBUFS) { continue }
      guard count > 0 else { return latest }
      for reply in NetlinkReply.parse(buffer.prefix(count)) {
        guard let link = LinkDescription(reply), link.index == index else { continue }
        switch reply.type {
        case 16: latest = link.isRunning ? .up : .down
        case 17 where latest != .gone: latest = .gone
        default: continue
        }
      }
    }
  }
}
