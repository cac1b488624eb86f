import MPTCPCore
import MPTCPPolicy
import MPTCPWire

extension Scenario {
  /// What may be said of a connection: the engine's `ConnectionOptions` as plain data.
  public struct Options: Hashable, Sendable {
    /// Whether to ask for Multipath TCP.
    public var multipath = true
    /// The name of the congestion control; see ``congestionControls``.
    public var congestionControl = "cubic"
    /// The name of the scheduler; see ``schedulers``.
    public var scheduler = Scheduler.standard.name
    /// The name of the policy; see ``policies``.
    public var policy = "full-mesh"
    /// Whether to ask for DSS checksums.
    public var checksum = false
    /// Whether small writes leave at once.
    public var noDelay = false
    /// Whether to ask for ECN.
    public var explicitCongestionNotification = false
    /// Whether to refuse joins to the initial address (flag C).
    public var refusesJoinsToInitialAddress = false
    /// The send buffer in bytes; nil: the engine's default.
    public var sendBufferByteCount: Int?
    /// The largest receive window in bytes; nil: the engine's default.
    public var receiveBufferByteCount: Int?
    /// Idle time before a keep-alive probe; nil: none.
    public var keepAlive: Nanoseconds?
    /// How long data may stay unacknowledged; nil: the engine's default.
    public var userTimeout: Nanoseconds?

    /// The engine's defaults.
    public init() {}

    /// The congestion controls by name.
    public static let congestionControls: [(name: String, algorithm: CongestionAlgorithm)] =
      CongestionAlgorithm.builtIn.map { ($0.name, $0) }

    /// The policies by name.
    public static let policies: [(name: String, policy: Policy)] = [
      ("full-mesh", .fullMesh()), ("passive", .passive),
    ]
  }
}

extension Scenario.Options {
  /// The engine's form.
  ///
  /// - Parameter place: where the options stand in the scenario, for the error.
  func connectionOptions(at place: String) throws(ScenarioError) -> ConnectionOptions {
    var options = ConnectionOptions()
    options.multipath = multipath ? .enabled : .disabled
    guard let algorithm = Self.congestionControls.first(where: { $0.name == congestionControl })?.algorithm else {
      throw Self.unknown(place, "congestionControl", congestionControl, Self.congestionControls.map(\.name))
    }
    options.congestionControl = algorithm
    guard let scheduler = Scheduler(name: scheduler) else {
      throw Self.unknown(place, "scheduler", scheduler, ["default"] + Scheduler.allNames)
    }
    options.scheduler = scheduler
    guard let policy = Self.policies.first(where: { $0.name == policy })?.policy else {
      throw Self.unknown(place, "policy", policy, Self.policies.map(\.name))
    }
    options.policy = policy
    options.checksum = checksum
    options.noDelay = noDelay
    options.explicitCongestionNotification = explicitCongestionNotification
    options.refusesJoinsToInitialAddress = refusesJoinsToInitialAddress
    if let sendBufferByteCount { options.sendBufferByteCount = sendBufferByteCount }
    if let receiveBufferByteCount { options.receiveBufferByteCount = receiveBufferByteCount }
    options.keepAlive = keepAlive
    if let userTimeout { options.userTimeout = userTimeout }
    return options
  }

  private static func unknown(_ place: String, _ key: String, _ name: String, _ names: [String]) -> ScenarioError {
    ScenarioError("\(place).\(key)", "'\(name)': expected one of \(names.joined(separator: ", "))")
  }
}

extension Scenario.Options: Codable {
  private static let names = [
    "multipath", "congestionControl", "scheduler", "policy", "checksum", "noDelay", "ecn", "refusesJoins",
    "sendBuffer", "receiveBuffer", "keepAlive", "userTimeout",
  ]

  /// Reads options; every key has a default.
  public init(from decoder: any Decoder) throws {
    let reader = try ObjectReader(decoder, Self.names)
    try reader.read("multipath", into: &multipath)
    try reader.read("congestionControl", into: &congestionControl)
    try reader.read("scheduler", into: &scheduler)
    try reader.read("policy", into: &policy)
    try reader.read("checksum", into: &checksum)
    try reader.read("noDelay", into: &noDelay)
    try reader.read("ecn", into: &explicitCongestionNotification)
    try reader.read("refusesJoins", into: &refusesJoinsToInitialAddress)
    sendBufferByteCount = try reader.optionalByteCount("sendBuffer")
    receiveBufferByteCount = try reader.optionalByteCount("receiveBuffer")
    keepAlive = try reader.optionalTime("keepAlive")
    userTimeout = try reader.optionalTime("userTimeout")
  }

  /// Writes what differs from the defaults.
  public func encode(to encoder: any Encoder) throws {
    let usual = Self()
    var writer = ObjectWriter(encoder)
    try writer.write("multipath", multipath, unless: usual.multipath)
    try writer.write("congestionControl", congestionControl, unless: usual.congestionControl)
    try writer.write("scheduler", scheduler, unless: usual.scheduler)
    try writer.write("policy", policy, unless: usual.policy)
    try writer.write("checksum", checksum, unless: usual.checksum)
    try writer.write("noDelay", noDelay, unless: usual.noDelay)
    try writer.write("ecn", explicitCongestionNotification, unless: usual.explicitCongestionNotification)
    try writer.write("refusesJoins", refusesJoinsToInitialAddress, unless: usual.refusesJoinsToInitialAddress)
    try writer.write("sendBuffer", sendBufferByteCount.map { Quantity.text(byteCount: $0) })
    try writer.write("receiveBuffer", receiveBufferByteCount.map { Quantity.text(byteCount: $0) })
    try writer.write("keepAlive", keepAlive.map { Quantity.text($0) })
    try writer.write("userTimeout", userTimeout.map { Quantity.text($0) })
  }
}
