import Foundation
import Glibc

/// What this machine offers to the interop tests.
enum Machine {
  /// The folder of the package.
  static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..").standardized

  /// The folder with the release builds of `mptcp` and `mptcp-peer`.
  static let binaries: URL = {
    if let path = ProcessInfo.processInfo.environment["MPTCP_BINARIES"] { return URL(filePath: path) }
    return URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../.build/release").standardized
  }()

  /// The command of this package.
  static let mptcp = binaries.appending(path: "mptcp").path
  /// The kernel's side.
  static let peer = binaries.appending(path: "mptcp-peer").path
  /// Our stack's side, where netcat does not suffice.
  static let stackPeer = binaries.appending(path: "stack-peer").path

  /// Why the suite cannot run here; `nil` where it can.
  static let obstacle: String? = {
    for binary in [mptcp, peer, stackPeer] where access(binary, X_OK) != 0 {
      return "\(binary) is missing: make test builds it"
    }
    for tool in ["ip", "nsenter", "unshare"] where !isInstalled(tool) { return "\(tool) is missing: scripts/setup" }
    let flags = geteuid() == 0 ? "-n" : "-rn"
    // A new network namespace has Multipath TCP switched on, whatever this machine's setting is.
    guard let probe = try? ChildProcess(["unshare", flags, "cat", "/proc/sys/net/mptcp/enabled"]) else {
      return "unshare does not start"
    }
    while probe.isRunning { usleep(1000) }
    if probe.output.isEmpty { return "no network namespace, or a kernel without Multipath TCP: \(probe.errors)" }
    return nil
  }()

  /// Whether TUN devices can be made: root, or a `/dev/net/tun` that may be opened.
  static let hasTUN = obstacle == nil && access("/dev/net/tun", R_OK | W_OK) == 0
  /// Whether packets can be captured and dissected.
  static let hasTShark = isInstalled("tcpdump") && isInstalled("tshark")
  /// Whether packet filters can be set.
  static let hasNFTables = isInstalled("nft")

  private static func isInstalled(_ tool: String) -> Bool {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    let folders: [String] = (path + ":/usr/sbin:/sbin").split(separator: ":").map(String.init)
    return folders.contains { access("\($0)/\(tool)", X_OK) == 0 }
  }
}
