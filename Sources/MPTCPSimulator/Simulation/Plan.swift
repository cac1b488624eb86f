import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire

/// A scenario whose names have become numbers.
struct Plan {
  struct Host {
    var name: String
    var configuration = EndpointConfiguration()
    var offload = true
    var interfaces: [Interface] = []
  }

  struct Interface {
    var name: String
    var family = IPAddress.Family.v4
    var addresses: [IPAddress] = []
    var maximumTransmissionUnit = 1500
    var isBackup = false
    /// Where packets to an address go.
    var routes: [(destination: IPAddress, route: Int)] = []
  }

  /// One direction of a path.
  struct Route {
    var path: Int
    var isBack: Bool
    var wires: [Int]
    var host: Int
    var interface: Int
  }

  struct Path {
    var name: String
    /// From the first end to the second; the next number is the way back.
    var route: Int
    var boxes: [MiddleboxConfiguration] = []
    /// Whether a box translates addresses or ports, so that the two ends know a subflow by other ones.
    var hasTranslator: Bool { boxes.contains { $0.kind == .nat } }
    /// Whether plain TCP cannot tell what a box does to its data: it changes it, or acknowledges it for the receiver.
    var isTampered: Bool {
      boxes.contains { $0.kind == .changePayload || $0.kind == .resizePayload || $0.kind == .acknowledgeEarly }
    }
    /// Whether a box changes how much data there is.
    var isResized: Bool { boxes.contains { $0.kind == .resizePayload } }
  }

  /// One direction of a link.
  struct Wire {
    var name: String
    var configuration: LinkConfiguration
  }

  struct Transfer {
    var client: Int
    var server: Int
    /// The interface of the initial subflow, where the scenario asks for one.
    var interface: Int?
    var address: TransportAddress
    /// Where the server connects to, of a simultaneous opening.
    var clientAddress: TransportAddress?
    var clientOptions: ConnectionOptions
    var serverOptions: ConnectionOptions
    /// The number of its first connection among all of them.
    var firstConnection: Int
  }

  enum Change {
    case path(Int, isUp: Bool)
    case interface(host: Int, interface: Int, isUp: Bool)
    case presence(host: Int, interface: Int, isThere: Bool)
    case pause(host: Int, Nanoseconds)
  }

  var hosts: [Host] = []
  var wires: [Wire] = []
  var routes: [Route] = []
  var paths: [Path] = []
  var transfers: [Transfer] = []
  /// The last one first.
  var changes: [(at: Nanoseconds, change: Change)] = []
  var connectionCount = 0

  private var hostNumbers: [String: Int] = [:]
  /// Whose each address is, as host.interface.
  var owners: [IPAddress: String] = [:]

  init(_ scenario: Scenario) throws(ScenarioError) {
    guard scenario.duration > .zero else { throw ScenarioError("duration", "expected more than nothing") }
    for (index, host) in scenario.hosts.enumerated() { try noteAddresses(of: host, at: "hosts[\(index)]") }
    for (index, host) in scenario.hosts.enumerated() { try add(host, at: "hosts[\(index)]") }
    var shared: [String: Int] = [:]
    for (index, link) in scenario.links.enumerated() {
      guard !link.name.isEmpty else { throw ScenarioError("links[\(index)].name", "expected a name") }
      guard shared.updateValue(wires.count, forKey: link.name) == nil else {
        throw ScenarioError("links[\(index)].name", "there is another link '\(link.name)'; give it another name")
      }
      add(link.link, name: link.name, seed: scenario.seed)
    }
    try addPaths(scenario, shared)
    for (index, transfer) in scenario.transfers.enumerated() { try add(transfer, index, scenario) }
    for (index, event) in scenario.events.enumerated() { changes.append((event.at, try change(event, index))) }
    // Events at the same time happen in the order in which they stand.
    let order = changes.indices.sorted { (changes[$0].at, $0) > (changes[$1].at, $1) }
    changes = order.map { changes[$0] }
  }

  // MARK: Hosts and paths

  private mutating func add(_ host: Scenario.Host, at place: String) throws(ScenarioError) {
    guard !host.name.isEmpty, !host.name.contains(".") else {
      throw ScenarioError("\(place).name", "expected a name without dots")
    }
    guard hostNumbers[host.name] == nil else {
      throw ScenarioError("\(place).name", "there is another host '\(host.name)'; give it another name")
    }
    guard host.timeWait <= .seconds(600) else { throw ScenarioError("\(place).timeWait", "expected 600s at most") }
    guard host.maximumHalfOpenCount >= 0 else {
      throw ScenarioError("\(place).maximumHalfOpen", "expected no less than 0")
    }
    var configuration = EndpointConfiguration()
    configuration.timeWait = host.timeWait
    configuration.maximumHalfOpenCount = host.maximumHalfOpenCount
    let number = addHost(Host(name: host.name, configuration: configuration, offload: host.offload))
    for (index, interface) in host.interfaces.enumerated() {
      guard !interface.name.isEmpty, !interface.name.contains(".") else {
        throw ScenarioError("\(place).interfaces[\(index)].name", "expected a name without dots")
      }
      guard !hosts[number].interfaces.contains(where: { $0.name == interface.name }) else {
        throw ScenarioError("\(place).interfaces[\(index)].name", "there is another '\(interface.name)' on this host")
      }
      guard (576...65_535).contains(interface.maximumTransmissionUnit) else {
        throw ScenarioError("\(place).interfaces[\(index)].mtu", "expected 576 to 65535 bytes")
      }
      let hasIPv6 =
        interface.addresses.isEmpty ? interface.family == .v6 : interface.addresses.contains { $0.contains(":") }
      guard !hasIPv6 || interface.maximumTransmissionUnit >= 1280 else {
        throw ScenarioError("\(place).interfaces[\(index)].mtu", "expected 1280 bytes at least for IPv6")
      }
      var added = Interface(
        name: interface.name, family: interface.family, maximumTransmissionUnit: interface.maximumTransmissionUnit,
        isBackup: interface.isBackup)
      added.addresses = interface.addresses.compactMap { IPAddress($0) }
      try addInterface(added, to: number, at: "\(place).interfaces[\(index)]")
    }
  }

  private mutating func addHost(_ host: Host) -> Int {
    hostNumbers[host.name] = hosts.count
    hosts.append(host)
    return hosts.count - 1
  }

  @discardableResult
  private mutating func addInterface(
    _ interface: Interface, to host: Int, at place: String
  ) throws(ScenarioError) -> Int {
    var interface = interface
    if interface.addresses.isEmpty {
      let address = try addressToGiveOut(to: interface, of: host, at: place)
      owners[address] = "\(hosts[host].name).\(interface.name)"
      interface.addresses = [address]
    }
    hosts[host].interfaces.append(interface)
    return hosts[host].interfaces.count - 1
  }

  private mutating func addPaths(_ scenario: Scenario, _ shared: [String: Int]) throws(ScenarioError) {
    var ends: [(host: Int, interface: Int)] = []
    for (index, path) in scenario.paths.enumerated() {
      guard path.between.count == 2 else {
        throw ScenarioError("paths[\(index)].between", "expected two ends, as host.interface")
      }
      for end in path.between { ends.append(try makeEnd(end, at: "paths[\(index)].between")) }
    }
    for (index, path) in scenario.paths.enumerated() {
      let place = "paths[\(index)]"
      var there: [Int] = []
      var back: [Int] = []
      var name = path.name
      if name.isEmpty {
        name = hosts[ends[2 * index].host].interfaces[ends[2 * index].interface].name
        if paths.contains(where: { $0.name == name }) { name = "\(path.between[0])-\(path.between[1])" }
      }
      if let link = path.link {
        there.append(wires.count)
        back.append(wires.count + 1)
        add(link, name: name, seed: scenario.seed)
      }
      for (position, name) in path.shared.enumerated() {
        guard let wire = shared[name] else {
          throw ScenarioError("\(place).shared[\(position)]", "there is no link '\(name)'; name it in links")
        }
        guard !there.contains(wire) else {
          throw ScenarioError("\(place).shared[\(position)]", "'\(name)' is on this path already")
        }
        there.append(wire)
        back.append(wire + 1)
      }
      guard !there.isEmpty else {
        throw ScenarioError(place, "a path needs a link, its own (link) or a shared one (shared)")
      }
      guard there.count <= 255 else {
        throw ScenarioError("\(place).shared", "expected 255 links at most, the path's own included")
      }
      let (first, second) = (ends[2 * index], ends[2 * index + 1])
      guard first.host != second.host else {
        throw ScenarioError("\(place).between", "the two ends are on one host; a path leads to another one")
      }
      guard !paths.contains(where: { $0.name == name }) else {
        throw ScenarioError("\(place).name", "there is another path '\(name)'; give this one a name of its own")
      }
      paths.append(Path(name: name, route: routes.count, boxes: path.boxes))
      routes.append(Route(path: index, isBack: false, wires: there, host: second.host, interface: second.interface))
      routes.append(
        Route(path: index, isBack: true, wires: back.reversed(), host: first.host, interface: first.interface))
      try addRoute(routes.count - 2, from: first, to: second, place)
      try addRoute(routes.count - 1, from: second, to: first, place)
      try addOuterAddresses(of: path.boxes, leadingBackOver: routes.count - 1, from: second, place)
    }
  }

  private mutating func addRoute(
    _ route: Int, from: (host: Int, interface: Int), to: (host: Int, interface: Int), _ place: String
  ) throws(ScenarioError) {
    for address in hosts[to.host].interfaces[to.interface].addresses {
      guard !hosts[from.host].interfaces[from.interface].routes.contains(where: { $0.destination == address }) else {
        throw ScenarioError(
          "\(place).between", "there is a path between these two already; give one end another interface")
      }
      hosts[from.host].interfaces[from.interface].routes.append((address, route))
    }
  }

  private mutating func add(_ link: Scenario.DuplexLink, name: String, seed: UInt64) {
    for configuration in [link.there, link.back] {
      var configuration = configuration
      let place = seed &* 0x9e37_79b9 &+ UInt64(wires.count)
      if configuration.seed == 0 {
        configuration.seed = place
      } else {
        // A sum of the two would be another line's.
        var generator = SeededGenerator(seed: configuration.seed, stream: place)
        configuration.seed = generator.next()
      }
      wires.append(Wire(name: name, configuration: configuration))
    }
  }

  private static func parts(_ end: String) -> (host: String, interface: String?) {
    guard let dot = end.firstIndex(of: ".") else { return (end, nil) }
    return (String(end[..<dot]), String(end[end.index(after: dot)...]))
  }

  /// The end of a path, made where it is named first.
  private mutating func makeEnd(_ end: String, at place: String) throws(ScenarioError) -> (host: Int, interface: Int) {
    let (hostName, name) = Self.parts(end)
    guard !hostName.isEmpty, name != "" else {
      throw ScenarioError(place, "'\(end)': expected a host, or host.interface")
    }
    let host = hostNumbers[hostName] ?? addHost(Host(name: hostName))
    let interface = name ?? "eth0"
    if let known = hosts[host].interfaces.firstIndex(where: { $0.name == interface }) { return (host, known) }
    return (host, try addInterface(Interface(name: interface), to: host, at: place))
  }

  /// A host, and the interface where one is named.
  private func find(_ end: String, at place: String) throws(ScenarioError) -> (host: Int, interface: Int?) {
    let (hostName, name) = Self.parts(end)
    guard let host = hostNumbers[hostName] else {
      throw ScenarioError(
        place, "there is no host '\(hostName)'; these are: \(hosts.prefix(20).map(\.name).joined(separator: ", "))")
    }
    guard let name else { return (host, nil) }
    guard let interface = hosts[host].interfaces.firstIndex(where: { $0.name == name }) else {
      throw ScenarioError(
        place,
        "'\(hostName)' has no interface '\(name)'; it has: \(hosts[host].interfaces.map(\.name).joined(separator: ", "))"
      )
    }
    return (host, interface)
  }

  // MARK: Transfers and events

  private mutating func add(_ transfer: Scenario.Transfer, _ index: Int, _ scenario: Scenario) throws(ScenarioError) {
    let place = "transfers[\(index)]"
    let client = try find(transfer.client, at: "\(place).client")
    let server = try find(transfer.server, at: "\(place).server")
    guard client.host != server.host else {
      throw ScenarioError("\(place).server", "is the client too; choose another host")
    }
    guard let (address, source) = destination(from: client, to: server) else {
      throw ScenarioError(place, "no path leads from '\(transfer.client)' to '\(transfer.server)'; add one to paths")
    }
    let port = transfer.port ?? UInt16(truncatingIfNeeded: 5001 + index % 20_000)
    let isTaken = transfers.contains { $0.server == server.host && $0.address.port.rawValue == port }
    guard port > 0, !isTaken else {
      throw ScenarioError("\(place).port", "port \(port) of this host has a listener already; choose another")
    }
    transfers.append(
      Transfer(
        client: client.host, server: server.host, interface: client.interface,
        address: TransportAddress(address, Port(port)),
        clientAddress: transfer.isSimultaneous ? TransportAddress(source, Port(port)) : nil,
        clientOptions: try transfer.clientOptions.connectionOptions(at: "\(place).options"),
        serverOptions: try transfer.serverOptions.connectionOptions(at: "\(place).serverOptions"),
        firstConnection: connectionCount))
    connectionCount += max(transfer.connectionCount, 1)
  }

  /// The first address of the server's that the client has a way to, and the one of its own that leads there.
  private func destination(from client: (host: Int, interface: Int?), to server: (host: Int, interface: Int?))
    -> (server: IPAddress, client: IPAddress)?
  {
    for (index, interface) in hosts[client.host].interfaces.enumerated() {
      guard client.interface ?? index == index else { continue }
      for (address, number) in interface.routes {
        let route = routes[number]
        guard route.host == server.host, server.interface ?? route.interface == route.interface,
          let source = interface.addresses.first(where: { $0.family == address.family })
        else { continue }
        return (address, source)
      }
    }
    return nil
  }

  private func change(_ event: Scenario.Event, _ index: Int) throws(ScenarioError) -> Change {
    let place = "events[\(index)]"
    switch event.change {
    case .pathDown(let name): return .path(try path(name, "\(place).pathDown"), isUp: false)
    case .pathUp(let name): return .path(try path(name, "\(place).pathUp"), isUp: true)
    case .interfaceDown(let name):
      let end = try interface(name, "\(place).interfaceDown")
      return .interface(host: end.host, interface: end.interface, isUp: false)
    case .interfaceUp(let name):
      let end = try interface(name, "\(place).interfaceUp")
      return .interface(host: end.host, interface: end.interface, isUp: true)
    case .interfaceRemoved(let name):
      let end = try interface(name, "\(place).interfaceRemoved")
      return .presence(host: end.host, interface: end.interface, isThere: false)
    case .interfaceAdded(let name):
      let end = try interface(name, "\(place).interfaceAdded")
      return .presence(host: end.host, interface: end.interface, isThere: true)
    case .hostPaused(let name, let time):
      let end = try find(name, at: "\(place).hostPaused")
      guard end.interface == nil else {
        throw ScenarioError("\(place).hostPaused", "'\(name)': expected a host; it pauses whole")
      }
      return .pause(host: end.host, time)
    }
  }

  private func path(_ name: String, _ place: String) throws(ScenarioError) -> Int {
    guard let path = paths.firstIndex(where: { $0.name == name }) else {
      throw ScenarioError(
        place, "there is no path '\(name)'; these are: \(paths.prefix(20).map(\.name).joined(separator: ", "))")
    }
    return path
  }

  private func interface(_ name: String, _ place: String) throws(ScenarioError) -> (host: Int, interface: Int) {
    let end = try find(name, at: place)
    guard let interface = end.interface else { throw ScenarioError(place, "expected host.interface") }
    return (end.host, interface)
  }
}
