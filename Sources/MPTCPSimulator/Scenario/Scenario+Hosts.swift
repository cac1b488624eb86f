import MPTCPWire

extension Scenario {
  /// A host that is more than a name.
  public struct Host: Hashable, Sendable {
    /// Its name, which paths and transfers use; without dots.
    public var name: String
    /// Its interfaces in the order in which connections prefer them. Paths add those that they name.
    public var interfaces: [Interface] = []
    /// Whether its interfaces cut super-segments and finish checksums, as those of real hosts do.
    public var offload = true
    /// How long TIME-WAIT lasts.
    public var timeWait: Nanoseconds = .seconds(60)
    /// The most handshakes under way before SYN cookies answer.
    public var maximumHalfOpenCount = 1024

    /// A host with the defaults.
    public init(name: String) { self.name = name }
  }

  /// An interface that is more than a name.
  public struct Interface: Hashable, Sendable {
    /// Its name, unique on its host.
    public var name: String
    /// Its addresses, such as `10.0.0.1` or `2001:db8::1`; none: one is given out.
    public var addresses: [String] = []
    /// The family of an address that is given out.
    public var family = IPAddress.Family.v4
    /// The longest packet that it carries, in bytes.
    public var maximumTransmissionUnit = 1500
    /// Whether its subflows are backups.
    public var isBackup = false

    /// An interface with the defaults.
    public init(name: String) { self.name = name }
  }
}

extension Scenario.Host: Codable {
  /// Reads a host; only `name` is needed.
  public init(from decoder: any Decoder) throws {
    let reader = try ObjectReader(decoder, ["name", "interfaces", "offload", "timeWait", "maximumHalfOpen"])
    self.init(name: try reader.value("name"))
    try reader.read("interfaces", into: &interfaces)
    try reader.read("offload", into: &offload)
    try reader.readTime("timeWait", into: &timeWait)
    try reader.read("maximumHalfOpen", into: &maximumHalfOpenCount)
  }

  /// Writes what differs from the defaults.
  public func encode(to encoder: any Encoder) throws {
    let usual = Self(name: name)
    var writer = ObjectWriter(encoder)
    try writer.write("name", name)
    try writer.write("interfaces", interfaces, unless: [])
    try writer.write("offload", offload, unless: usual.offload)
    try writer.write("timeWait", timeWait, unless: usual.timeWait)
    try writer.write("maximumHalfOpen", maximumHalfOpenCount, unless: usual.maximumHalfOpenCount)
  }
}

extension Scenario.Interface: Codable {
  private static let families: [(String, IPAddress.Family)] = [("ipv4", .v4), ("ipv6", .v6)]

  /// Reads an interface; only `name` is needed.
  public init(from decoder: any Decoder) throws {
    let reader = try ObjectReader(decoder, ["name", "addresses", "family", "mtu", "backup"])
    self.init(name: try reader.value("name"))
    try reader.read("addresses", into: &addresses)
    if let choice = try reader.choice("family", Self.families) { family = choice }
    try reader.readByteCount("mtu", into: &maximumTransmissionUnit)
    try reader.read("backup", into: &isBackup)
  }

  /// Writes what differs from the defaults.
  public func encode(to encoder: any Encoder) throws {
    let usual = Self(name: name)
    var writer = ObjectWriter(encoder)
    try writer.write("name", name)
    try writer.write("addresses", addresses, unless: [])
    if family != usual.family { try writer.write("family", Self.families.first { $0.1 == family }?.0) }
    try writer.write("mtu", byteCount: maximumTransmissionUnit, unless: usual.maximumTransmissionUnit)
    try writer.write("backup", isBackup, unless: usual.isBackup)
  }
}
