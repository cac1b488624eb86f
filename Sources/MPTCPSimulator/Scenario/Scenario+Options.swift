import MPTCPCore
import MPTCPPolicy
import MPTCPWire

extension Scenario {
  /// What may be said of a connection: the engine's `ConnectionOptions` as plain data.
  public struct Options: Hashable, Sendable {
    /// Whether to ask for Multipath TCP.
    public var multipath = true
    /// Which version a client asks for; see ``versions``.
    public var version = "1"
    /// The versions that a server answers with.
    public var acceptedVersions = [0, 1]
    /// How a connection is ended at once: "reset" (RFC 8684 §3.5, option R) or "acknowledged" (option A).
    public var fastClose = "reset"
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
    /// Whether what a client writes first may leave on its SYN (TCP Fast Open, RFC 7413). The cookie for it comes with
    /// an earlier connection between the same two addresses.
    public var fastOpen = false
    /// The most connections of a server whose SYN brought data and whose handshake is not done; 0: it takes no data of
    /// SYNs and gives out no cookies.
    public var fastOpenBacklog = 0
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

    /// The versions by name; "1-then-0" tries again with version 0 where version 1 is ignored.
    static let versions: [(name: String, mode: MultipathMode)] = [
      ("1", .enabled), ("0", .version0), ("1-then-0", .version1Then0),
    ]

    /// The policies by name.
    public static let policies: [(name: String, policy: Policy)] = [
      ("full-mesh", .fullMesh()), ("passive", .passive),
    ]
  }
}

extension Scenario.Options {
  /// ``acceptedVersions`` in the engine's form.
  var listenerVersions: MultipathVersions {
    var versions: MultipathVersions = []
    if acceptedVersions.contains(0) { versions.insert(.v0) }
    if acceptedVersions.contains(1) { versions.insert(.v1) }
    return versions
  }

  /// ``fastClose`` in the engine's form; nil for a word that is none.
  var fastCloseForm: FastCloseForm? {
    switch fastClose {
    case "reset": .reset
    case "acknowledged": .acknowledged
    default: nil
    }
  }

  /// The engine's form.
  ///
  /// - Parameter place: where the options stand in the scenario, for the error.
  func connectionOptions(at place: String) throws(ScenarioError) -> ConnectionOptions {
    var options = ConnectionOptions()
    guard let mode = Self.versions.first(where: { $0.name == version })?.mode else {
      throw Self.unknown(place, "version", version, Self.versions.map(\.name))
    }
    options.multipath = multipath ? mode : .disabled
    guard fastCloseForm != nil else { throw Self.unknown(place, "fastClose", fastClose, ["reset", "acknowledged"]) }
    for version in acceptedVersions where !(0...1).contains(version) {
      throw ScenarioError("\(place).acceptedVersions", "\(version): expected 0 and 1, or one of them")
    }
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
    options.fastOpen = fastOpen
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
    "multipath", "version", "acceptedVersions", "fastClose", "congestionControl", "scheduler", "policy", "checksum",
    "noDelay", "ecn", "fastOpen", "fastOpenBacklog", "refusesJoins",
    "sendBuffer", "receiveBuffer", "keepAlive", "userTimeout",
  ]

  /// Reads options; every key has a default.
  public init(from decoder: any Decoder) throws {
    let reader = try ObjectReader(decoder, Self.names)
    try reader.read("multipath", into: &multipath)
    try reader.read("version", into: &version)
    try reader.read("acceptedVersions", into: &acceptedVersions)
    try reader.read("fastClose", into: &fastClose)
    try reader.read("congestionControl", into: &congestionControl)
    try reader.read("scheduler", into: &scheduler)
    try reader.read("policy", into: &policy)
    try reader.read("checksum", into: &checksum)
    try reader.read("noDelay", into: &noDelay)
    try reader.read("ecn", into: &explicitCongestionNotification)
    try reader.read("fastOpen", into: &fastOpen)
    try reader.read("fastOpenBacklog", into: &fastOpenBacklog)
    guard fastOpenBacklog >= 0 else { throw reader.error("fastOpenBacklog", "expected no less than 0") }
    try reader.read("refusesJoins", into: &refusesJoinsToInitialAddress)
    sendBufferByteCount = try reader.optionalByteCount("sendBuffer")
    receiveBufferByteCount = try reader.optionalByteCount("receiveBuffer")
    for (key, size) in [("sendBuffer", sendBufferByteCount), ("receiveBuffer", receiveBufferByteCount)] {
      guard size != 0 else { throw reader.error(key, "expected more than nothing") }
      // No window is larger (RFC 7323 §2.3).
      guard size ?? 0 <= 1 << 30 else { throw reader.error(key, "expected 1GiB at most") }
    }
    keepAlive = try reader.optionalTime("keepAlive")
    userTimeout = try reader.optionalTime("userTimeout")
    for (key, time) in [("keepAlive", keepAlive), ("userTimeout", userTimeout)] {
      guard time.map({ $0 >= .milliseconds(100) }) ?? true else { throw reader.error(key, "expected 100ms at least") }
    }
  }

  /// Writes what differs from the defaults.
  public func encode(to encoder: any Encoder) throws {
    let usual = Self()
    var writer = ObjectWriter(encoder)
    try writer.write("multipath", multipath, unless: usual.multipath)
    try writer.write("version", version, unless: usual.version)
    try writer.write("acceptedVersions", acceptedVersions, unless: usual.acceptedVersions)
    try writer.write("fastClose", fastClose, unless: usual.fastClose)
    try writer.write("congestionControl", congestionControl, unless: usual.congestionControl)
    try writer.write("scheduler", scheduler, unless: usual.scheduler)
    try writer.write("policy", policy, unless: usual.policy)
    try writer.write("checksum", checksum, unless: usual.checksum)
    try writer.write("noDelay", noDelay, unless: usual.noDelay)
    try writer.write("ecn", explicitCongestionNotification, unless: usual.explicitCongestionNotification)
    try writer.write("fastOpen", fastOpen, unless: usual.fastOpen)
    try writer.write("fastOpenBacklog", fastOpenBacklog, unless: usual.fastOpenBacklog)
    try writer.write("refusesJoins", refusesJoinsToInitialAddress, unless: usual.refusesJoinsToInitialAddress)
    try writer.write("sendBuffer", sendBufferByteCount.map { Quantity.text(byteCount: $0) })
    try writer.write("receiveBuffer", receiveBufferByteCount.map { Quantity.text(byteCount: $0) })
    try writer.write("keepAlive", keepAlive.map { Quantity.text($0) })
    try writer.write("userTimeout", userTimeout.map { Quantity.text($0) })
  }
}
