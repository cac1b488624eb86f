import CLinux
import Glibc
import MPTCPLink
import MPTCPStack
import MPTCPWire

/// Hosts and the paths between them, up and running.
///
/// Everything belongs to descriptors of this process and to processes in its namespaces: it goes with them, however
/// they end. It is made inside `NetworkNamespace.runInside`.
package final class Lab {
  package let file: LabFile
  /// The addresses.
  package let plan: AddressPlan
  private let hosts: [String: HostNamespace]
  private let paths: [RunningPath]
  private let captures: [PathCapture]
  private let captureThread: CaptureThread?

  private struct RunningPath {
    var name: String
    var device: LabFile.Device
    var carrier: Carrier
    /// Kept for as long as the path is: a TUN device goes with its descriptor, and its counters with it.
    var ports: PortPair
  }

  /// Builds what the file says, and begins to carry packets.
  ///
  /// - Parameter captureFolder: where a pcapng file for each path goes.
  package init(_ file: LabFile, captureFolder: String? = nil) throws {
    self.file = file
    let hasIPv6 = access("/proc/sys/net/ipv6", F_OK) == 0
    plan = AddressPlan(file, hasIPv6: hasIPv6)
    var hosts: [String: HostNamespace] = [:]
    for host in file.hosts { hosts[host.name] = try Self.build(host, hasIPv6: hasIPv6) }
    self.hosts = hosts
    let hasTUN = access("/dev/net/tun", R_OK | W_OK) == 0
    var paths: [RunningPath] = []
    var captures: [PathCapture] = []
    for (index, path) in file.paths.enumerated() {
      let device: LabFile.Device = path.device == .automatic ? (hasTUN ? .tun : .ethernet) : path.device
      guard let first = hosts[path.first.host], let second = hosts[path.second.host] else { continue }
      let ports: PortPair
      switch device {
      case .tun: ports = PortPair(try .tun(path.name, in: first), try .tun(path.name, in: second))
      case .automatic, .ethernet:
        ports = PortPair(
          try .ethernet(path.name, in: first, number: 2 * index),
          try .ethernet(path.name, in: second, number: 2 * index + 1))
      }
      let capture = try captureFolder.map { folder in
        try PathCapture(path: "\(folder)/\(path.name).pcapng", ends: path.ends.map(\.host))
      }
      if let capture { captures.append(capture) }
      let carrier = try Carrier(path, index: index, between: ports, capture: capture)
      paths.append(RunningPath(name: path.name, device: device, carrier: carrier, ports: ports))
    }
    self.paths = paths
    self.captures = captures
    captureThread = captures.isEmpty ? nil : try CaptureThread(captures)
    for host in file.hosts {
      guard let namespace = hosts[host.name] else { continue }
      let attachments = plan.attachments(of: host.name), routes = plan.routes(of: host.name), file = file
      try namespace.perform { try Self.configure(host, attachments, routes, file) }
    }
  }

  // MARK: Building

  private static func build(_ host: LabFile.Host, hasIPv6: Bool) throws -> HostNamespace {
    let namespace = try HostNamespace()
    let forwards = host.forwards
    try namespace.perform {
      // An answer may leave by another path than the question came by.
      for name in ["all", "default"] { KernelSetting.writeIfPresent("0", to: "net.ipv4.conf.\(name).rp_filter") }
      if forwards { try KernelSetting.write("1", to: "net.ipv4.ip_forward") }
      guard hasIPv6 else { return }
      KernelSetting.writeIfPresent("0", to: "net.ipv6.conf.all.disable_ipv6")
      // Only what the file plans: no addresses that nobody gave, no questions for routers that are not there.
      let quiet = [
        "disable_ipv6": "0", "addr_gen_mode": "1", "accept_ra": "0", "router_solicitations": "0", "accept_dad": "0",
      ]
      for (name, value) in quiet.sorted(by: { $0.key < $1.key }) {
        KernelSetting.writeIfPresent(value, to: "net.ipv6.conf.default.\(name)")
      }
      if forwards { KernelSetting.writeIfPresent("1", to: "net.ipv6.conf.all.forwarding") }
    }
    return namespace
  }

  private static let remoteTable: UInt32 = 100
  private static let firstTable: UInt32 = 101

  private static func configure(
    _ host: LabFile.Host, _ attachments: [AddressPlan.Attachment], _ routes: [AddressPlan.Route], _ file: LabFile
  ) throws {
    let socket = try RouteSocket()
    for attachment in attachments {
      for prefix in attachment.addresses { try socket.addAddress(prefix, to: attachment.name) }
      try socket.setLink(
        attachment.name, isUp: true,
        maximumTransmissionUnit: file.paths[attachment.path].maximumTransmissionUnit, queuePacketCount: 2048)
    }
    for attachment in attachments {
      for prefix in attachment.addresses { try socket.waitUntilLocal(prefix.address) }
      try addRules(attachment, socket)
    }
    try addRoutes(routes, socket)
    try setUpMultipath(host, attachments, socket)
    for setting in host.settings { try KernelSetting.write(setting.value, to: setting.name) }
  }

  /// What comes from a path's address leaves by that path, unless it is for a network that the host is attached to: so
  /// an answer takes the path of the address that asked. Subflows of the kernel's keep to their device in any case.
  private static func addRules(_ attachment: AddressPlan.Attachment, _ socket: RouteSocket) throws {
    let table = firstTable + UInt32(attachment.path)
    for peer in attachment.peerAddresses where attachment.addresses.contains(where: { $0.contains(peer.address) }) {
      try socket.addRoute(
        to: .everything(peer.address.family), by: peer.address, on: attachment.name, table: table)
    }
    for prefix in attachment.addresses {
      let whole = IPPrefix(prefix.address, length: prefix.address.family == .v4 ? 32 : 128)
      try socket.addRule(from: whole, table: table, priority: 1000 + UInt32(attachment.path))
    }
  }

  /// The main table has the attached networks; those behind other hosts come into question after the rules of sources.
  private static func addRoutes(_ routes: [AddressPlan.Route], _ socket: RouteSocket) throws {
    for family in [IPAddress.Family.v4, .v6] where family == .v4 || access("/proc/sys/net/ipv6", F_OK) == 0 {
      try socket.addRule(from: .everything(family), table: 254, priority: 900)
      try socket.addRule(from: .everything(family), table: remoteTable, priority: 2000)
    }
    for route in routes {
      try socket.addRoute(to: route.network, by: route.gateway, on: route.path, table: remoteTable)
    }
  }

  private static func setUpMultipath(
    _ host: LabFile.Host, _ attachments: [AddressPlan.Attachment], _ socket: RouteSocket
  ) throws {
    let manager: PathManagerSocket
    do {
      manager = try PathManagerSocket()
    } catch {
      // Without Multipath TCP in the kernel, a stack of a program's own still has its paths.
      guard !host.endpoints.isEmpty else { return }
      throw error
    }
    try manager.setLimits(subflows: host.subflowLimit, acceptedAddresses: host.acceptedAddressLimit)
    for endpoint in host.endpoints {
      guard let attachment = attachments.first(where: { $0.name == endpoint.path }) else { continue }
      let use = endpoint.uses.reduce(into: PathManagerSocket.Use()) { $0.formUnion(.init($1)) }
      let index = try socket.link(attachment.name).index
      for prefix in attachment.addresses { try manager.addEndpoint(prefix.address, use: use, interfaceIndex: index) }
    }
  }

  // MARK: Commands

  /// Starts a program in a host, with the hosts' addresses in its arguments and its environment.
  ///
  /// - Parameters:
  ///   - ownGroup: whether it leads a process group, of its number.
  ///   - output: a descriptor for its standard output, as `errors` and `input` are for the other streams; nil for this
  ///     process's.
  /// - Returns: its process number.
  package func start(
    _ arguments: [String], in host: String, environment: [String: String], ownGroup: Bool, output: Int32? = nil,
    errors: Int32? = nil, input: Int32? = nil
  ) throws(SystemError) -> Int32 {
    guard let namespace = hosts[host] else { throw SystemError("start '\(arguments[0])' in \(host)", number: ESRCH) }
    var variables = environment
    variables["MPTCP_LAB_HOST"] = host
    for variable in plan.environment(file) { variables[variable.name] = variable.value }
    let words = arguments.map { plan.filling($0, file) }
    let result = NetworkNamespace.withCStrings(words, variables) {
      clinux_spawn($0, $1, namespace.number, ownGroup, input ?? -1, output ?? -1, errors ?? -1)
    }
    return try check(result, "start '\(arguments[0])' in \(host)")
  }

  /// Whether a TCP port of a host has a listener.
  package func hasListener(on port: UInt16, in host: String) -> Bool {
    guard let namespace = hosts[host] else { return false }
    let listens = try? namespace.perform {
      ["tcp", "tcp6"].contains { table in
        guard let text = Self.text("/proc/thread-self/net/\(table)") else { return false }
        return text.split(separator: "\n").dropFirst().contains { line in
          let fields = line.split(separator: " ")
          // sl, local address and port, remote address and port, state; 0A is LISTEN.
          return fields.count > 3 && fields[3] == "0A"
            && fields[1].split(separator: ":").last.flatMap { UInt16($0, radix: 16) } == port
        }
      }
    }
    return listens ?? false
  }

  private static func text(_ path: String) -> String? {
    let opened = open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { return nil }
    let file = Descriptor(opened)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = buffer.withUnsafeMutableBytes { clinux_read(file.number, $0.baseAddress, $0.count) }
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer.prefix(count)
    }
  }

  // MARK: Running

  /// Lets the schedules of all links begin.
  package func beginSchedules() { for path in paths { path.carrier.beginSchedule() } }

  /// What was measured so far, in the order of the file.
  package var measured: [(path: String, directions: [DirectionAccount])] {
    paths.map { ($0.name, $0.carrier.measured.directions) }
  }

  /// Ends the carrying and gives what was measured.
  package func finish() -> [LabReport.Path] {
    // Before the carrying ends: what hosts still send then is not lost because the machine was too slow.
    let dropped = zip(file.paths, paths).map { description, path in
      path.device == .tun ? description.ends.map { droppedFrameCount(of: path.name, in: $0.host) } : []
    }
    for path in paths { path.carrier.stop() }
    return zip(zip(file.paths, paths), dropped).map { path, dropped in
      var account = path.1.carrier.measured
      for (side, count) in dropped.enumerated() { account.directions[side].overflowCount = count }
      return LabReport.Path(path.0, device: path.1.device, account)
    }
  }

  /// Ends the captures; gives how many packets are missing in them.
  package func finishCaptures() throws(SystemError) -> Int {
    captureThread?.stop()
    var missing = 0
    for capture in captures { missing += try capture.finish() }
    return missing
  }

  /// What a TUN device had to drop since nobody read it in time; nil where that cannot be read.
  private func droppedFrameCount(of device: String, in host: String) -> Int? {
    guard let namespace = hosts[host] else { return nil }
    return try? namespace.perform {
      for line in Self.text("/proc/thread-self/net/dev")?.split(separator: "\n") ?? [] {
        let fields = line.split { $0 == " " || $0 == ":" }
        // Received: bytes, packets, errors, drops and four more; sent: bytes, packets, errors, drops.
        if fields.first == device[...], fields.count > 12 { return Int(fields[12]) }
      }
      return nil
    }
  }
}

extension IPPrefix {
  /// All addresses of a family.
  fileprivate static func everything(_ family: IPAddress.Family) -> IPPrefix {
    IPPrefix(family == .v4 ? IPAddress(v4: 0) : IPAddress(v6High: 0, low: 0), length: 0)
  }
}

extension PathManagerSocket.Use {
  fileprivate init(_ use: LabFile.Endpoint.Use) {
    switch use {
    case .signal: self = .signal
    case .subflow: self = .subflow
    case .backup: self = .backup
    case .fullmesh: self = .fullmesh
    }
  }
}
