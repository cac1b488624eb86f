import Foundation

/// Our stack and the kernel's, joined by a number of paths.
///
/// Path `i` (from 1) is 10.0.i.0/24 and fd00:i::/64; the kernel has 1, we have 2.
final class Arena: Sendable {
  /// What carries the paths on our side.
  enum Device: String, CaseIterable, Sendable {
    /// TUN devices in the kernel's namespace.
    case tun
    /// Packet sockets on Ethernet pairs, in a namespace beside the kernel's.
    case packet

    /// Those that can be made here.
    static var available: [Device] { Machine.hasTUN ? [.tun, .packet] : [.packet] }
  }

  /// The protocol below.
  enum Family: String, CaseIterable, Sendable {
    case v4, v6
  }

  let device: Device
  let family: Family
  let pathCount: Int
  /// Where the kernel's side runs.
  let kernel: NetworkNamespace
  /// Where our side runs.
  let ours: NetworkNamespace
  private let links: [String]

  /// Makes the namespaces.
  /// - Parameter links: the link model of each path, as `--tun` and `--packet` take it; one stands for all.
  init(_ device: Device = .tun, _ family: Family = .v4, paths: Int = 2, links: [String] = [""]) async throws {
    self.device = device
    self.family = family
    pathCount = paths
    self.links = links
    kernel = try await NetworkNamespace()
    ours = device == .tun ? kernel : try await NetworkNamespace(sharingUserNamespaceOf: kernel)
    try await kernel.run(script: "ip mptcp limits set subflow 8 add_addr_accepted 8")
    guard device == .packet else { return }
    for path in 1...paths {
      try await kernel.run("ip", "link", "add", "k\(path)", "type", "veth", "peer", "name", "p\(path)")
      try await kernel.move("p\(path)", to: ours)
      try await kernel.run(
        script: """
          ip address add 10.0.\(path).1/24 dev k\(path)
          ip address add fd00:\(path)::1/64 dev k\(path) nodad
          ip link set k\(path) up
          """)
      try await ours.run("ip", "link", "set", "p\(path)", "up")
    }
  }

  /// The kernel's name of a path's device.
  func kernelDevice(_ path: Int) -> String { device == .tun ? "t\(path)" : "k\(path)" }
  /// The kernel's address on a path, counted from 1.
  func kernelAddress(_ path: Int) -> String { family == .v4 ? "10.0.\(path).1" : "fd00:\(path)::1" }
  /// Our address on a path.
  func ourAddress(_ path: Int) -> String { family == .v4 ? "10.0.\(path).2" : "fd00:\(path)::2" }
  /// The kernel's address with a port, as mptcp-peer takes it.
  func kernelSocket(_ port: Int = 5000, path: Int = 1) -> String { socket(kernelAddress(path), port) }
  /// Where the kernel listens: everywhere.
  var kernelListening: String { socket(family == .v4 ? "0.0.0.0" : "::", 5000) }
  /// Our address with a port.
  func ourSocket(_ port: Int = 5000, path: Int = 1) -> String { socket(ourAddress(path), port) }

  private func socket(_ address: String, _ port: Int) -> String {
    family == .v4 ? "\(address):\(port)" : "[\(address)]:\(port)"
  }

  /// The options that give our side its paths.
  var pathArguments: [String] {
    (1...pathCount).flatMap { path in
      let link = links[(path - 1) % links.count]
      let tail = link.isEmpty ? "" : "," + link
      let length = family == .v4 ? 24 : 64
      switch device {
      case .tun: return ["--tun", "t\(path)=\(ourAddress(path))/\(length),host=\(kernelAddress(path))\(tail)"]
      case .packet:
        return ["--packet", "p\(path)=\(ourAddress(path))/\(length),gateway=\(kernelAddress(path))\(tail)"]
      }
    }
  }

  // MARK: The two sides

  /// The kernel listens; the call returns once it does.
  func kernelServer(_ arguments: String...) async throws -> ChildProcess {
    let server = try kernel.start(
      [Machine.peer, "server"] + arguments + [kernelListening])
    try await server.waits(for: "listening")
    return server
  }

  /// The kernel connects to us.
  func kernelClient(_ arguments: String..., path: Int = 1) throws -> ChildProcess {
    try kernel.start([Machine.peer, "client"] + arguments + [ourSocket(path: path)])
  }

  /// Our stack connects to the kernel, by `stack-peer`.
  func client(_ arguments: String..., to servers: [String]? = nil) throws -> ChildProcess {
    try ours.start([Machine.stackPeer, "client"] + pathArguments + arguments + (servers ?? [kernelSocket()]))
  }

  /// Our stack listens, by `stack-peer`; the call returns once it does.
  func server(_ arguments: String...) async throws -> ChildProcess {
    let server = try ours.start([Machine.stackPeer, "server"] + pathArguments + arguments + ["5000"])
    try await server.waits(for: "listening")
    if family == .v6 && device == .packet { try await Task.sleep(for: .seconds(1)) }
    return server
  }

  /// A shell pipeline around `mptcp nc` with this arena's paths; `nc` stands for the command.
  func netcat(_ script: String) throws -> ChildProcess {
    let command = ([Machine.mptcp, "nc"] + pathArguments).map { "'\($0)'" }.joined(separator: " ")
    return try ours.start(script: "nc() { \(command) \"$@\"; }\nexport -f nc\n\(script)")
  }
}

extension Arena: CustomStringConvertible {
  var description: String { "\(device) \(family)" }
}
