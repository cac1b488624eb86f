import Foundation
import Testing

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

  /// Which end of a connection is ours.
  enum Role: String, CaseIterable, Sendable {
    case client, server
  }

  /// A kind of device, a family and a role.
  struct Place: Sendable, CustomStringConvertible {
    var device: Device
    var family: Family
    var role: Role

    var description: String { "\(device) \(family) \(role)" }

    /// Every device that can be made here, with every family and role.
    static let all: [Place] = Device.available.flatMap { device in
      Family.allCases.flatMap { family in
        Role.allCases.map { Place(device: device, family: family, role: $0) }
      }
    }
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
    // A device that goes down and comes up again keeps its addresses of both families.
    try await kernel.run(
      script: """
        ip mptcp limits set subflow 8 add_addr_accepted 8
        sysctl -q net.ipv6.conf.all.keep_addr_on_down=1
        """)
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
    try await listens(server)
    return server
  }

  /// A connection whose end `role` is ours: the server is started, listens, and then the client.
  func pair(as role: Role, ours: [String], kernel: [String]) async throws -> Pair {
    let (server, client) = role == .client ? (kernel, ours) : (ours, kernel)
    return try await pair(as: role, server: ["--connections", "1"] + server, client: client)
  }

  /// A server and a client, of which `role` is ours.
  func pair(as role: Role, server: [String], client: [String]) async throws -> Pair {
    switch role {
    case .client:
      let kernel = try self.kernel.start([Machine.peer, "server"] + server + [kernelListening])
      try await kernel.waits(for: "listening")
      let ours = try self.ours.start([Machine.stackPeer, "client"] + pathArguments + client + [kernelSocket()])
      return Pair(ours: ours, kernel: kernel)
    case .server:
      let ours = try self.ours.start([Machine.stackPeer, "server"] + pathArguments + server + ["5000"])
      try await listens(ours)
      let kernel = try self.kernel.start([Machine.peer, "client"] + client + [ourSocket()])
      return Pair(ours: ours, kernel: kernel)
    }
  }

  /// Waits until a server of ours can be reached.
  private func listens(_ server: ChildProcess) async throws {
    try await server.waits(for: "listening")
    if family == .v6 && device == .packet { try await Task.sleep(for: .seconds(1)) }
  }

  /// Both ends of a connection at work.
  struct Pair {
    let ours: ChildProcess
    let kernel: ChildProcess

    /// Waits for both; each must say that it succeeded.
    func finish(
      within seconds: Double = 60, location: SourceLocation = #_sourceLocation
    ) async throws -> (ours: ChildProcess.Outcome, kernel: ChildProcess.Outcome) {
      let ours = try await ours.finish(within: seconds)
      #expect(ours.status == 0, "\(ours.summary)", sourceLocation: location)
      let kernel = try await kernel.finish(within: 20)
      #expect(kernel.status == 0, "\(kernel.summary)", sourceLocation: location)
      return (ours, kernel)
    }
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
