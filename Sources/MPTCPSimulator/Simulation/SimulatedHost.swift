import MPTCPCore
import MPTCPPolicy
import MPTCPWire

/// A host: the engine, its interfaces, and who listens to what.
final class SimulatedHost {
  let name: String
  let endpoint: Endpoint
  var interfaces: [SimulatedInterface] = []
  /// The interface of each path that the engine ever knew, by its number.
  var interfaceOfPath: [Int] = []
  /// The listeners, and the transfers that they belong to.
  var listeners: [(id: ListenerID, transfer: Int)] = []
  /// The talker of each of the engine's connections, by slot; -1 for none.
  var talkerOfSlot: [Int32] = []
  /// Until when it is off its processor.
  var pausedUntil: Instant
  /// Packets that came meanwhile.
  var inbox: [(interface: Int, bytes: [UInt8])] = []
  /// The subflows of connections that are plain TCP, and their talkers, while that is watched.
  var plainTuples: [FourTuple: Int] = [:]
  /// It is on the list of hosts that have something to say.
  var isBusy = false

  init(_ plan: Plan.Host, seed: UInt64, at now: Instant) {
    name = plan.name
    endpoint = Endpoint(configuration: plan.configuration, entropy: SeededEntropy(seed: seed), at: now)
    pausedUntil = now
    for interface in plan.interfaces { interfaces.append(SimulatedInterface(interface, offload: plan.offload)) }
    for index in interfaces.indices { add(index, at: now) }
  }

  /// Gives the engine the interface's path.
  func add(_ index: Int, at now: Instant) {
    guard interfaces[index].path == nil else { return }
    interfaces[index].path = endpoint.addPath(interfaces[index].configuration, at: now)
    interfaces[index].isUp = true
    interfaceOfPath.append(index)
  }

  func remove(_ index: Int, at now: Instant) {
    guard let path = interfaces[index].path else { return }
    interfaces[index].path = nil
    endpoint.removePath(path, at: now)
  }

  func set(_ index: Int, isUp: Bool, at now: Instant) {
    guard let path = interfaces[index].path else { return }
    interfaces[index].isUp = isUp
    endpoint.setPath(path, isUp: isUp, at: now)
  }
}

/// An interface of a host.
struct SimulatedInterface {
  let name: String
  let configuration: PathConfiguration
  /// The engine's number for it; nil while it is taken away.
  var path: PathID?
  var isUp = true
  private let routes: [(destination: IPAddress, route: Int)]
  private var table: [IPAddress: Int] = [:]
  /// Up to so many are found by looking at each.
  private static let fewRouteCount = 8

  init(_ plan: Plan.Interface, offload: Bool) {
    name = plan.name
    routes = plan.routes
    func prefix(_ address: IPAddress) -> IPPrefix { IPPrefix(address, length: address.family == .v4 ? 32 : 128) }
    configuration = PathConfiguration(
      name: plan.name, addresses: plan.addresses.map(prefix),
      maximumTransmissionUnit: plan.maximumTransmissionUnit, offersChecksumOffload: offload,
      offersSegmentationOffload: offload, isBackup: plan.isBackup,
      reach: plan.routes.map { prefix($0.destination) })
    guard routes.count > Self.fewRouteCount else { return }
    for (destination, route) in routes { table[destination] = route }
  }

  /// The way to an address; nil where there is none.
  func route(to destination: IPAddress) -> Int? {
    guard routes.count <= Self.fewRouteCount else { return table[destination] }
    for index in routes.indices where routes[index].destination == destination { return routes[index].route }
    return nil
  }
}
