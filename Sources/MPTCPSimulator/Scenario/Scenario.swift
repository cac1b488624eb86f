import MPTCPWire

/// What a simulation is to do: hosts, the paths between them, what applications send, and what goes wrong meanwhile.
///
/// A scenario is plain data. As JSON it is short, because everything has a default: hosts and interfaces come to be by
/// being named as the end of a path, and addresses are given out by themselves.
///
/// ```json
/// {
///   "paths": [
///     {"between": ["phone.wifi", "server"], "link": "30mbit,10ms,queue=100ms"},
///     {"between": ["phone.lte", "server"], "link": "12mbit,40ms,queue=200ms"}
///   ],
///   "transfers": [{"client": "phone", "server": "server", "download": "20MB"}]
/// }
/// ```
public struct Scenario: Hashable, Sendable {
  /// What it is about, for people.
  public var title = ""
  /// Where all chance comes from: the same scenario with the same seed runs the same, byte for byte.
  public var seed: UInt64 = 1
  /// When the simulation ends at the latest, from its start.
  public var duration: Nanoseconds = .seconds(60)
  /// The time between two samples for plots; nil takes none.
  public var sampleInterval: Nanoseconds? = .milliseconds(100)
  /// Hosts that need more than a name; the others are made as paths name them.
  public var hosts: [Host] = []
  /// Links that several paths share, by name. What a path alone uses stands in the path.
  public var links: [SharedLink] = []
  /// The ways between interfaces.
  public var paths: [Path] = []
  /// What applications do.
  public var transfers: [Transfer] = []
  /// What happens to links, interfaces and hosts, in any order.
  public var events: [Event] = []

  /// A scenario in which nothing happens.
  public init() {}
}

extension Scenario: Codable {
  /// Reads a scenario; absent keys keep their defaults.
  ///
  /// - Throws: ``ScenarioError``, or the decoder's `DecodingError`, which ``ScenarioError/init(_:)`` translates.
  public init(from decoder: any Decoder) throws {
    let reader = try ObjectReader(
      decoder, ["title", "seed", "duration", "sample", "hosts", "links", "paths", "transfers", "events"])
    try reader.read("title", into: &title)
    do {
      try reader.read("seed", into: &seed)
    } catch {
      throw reader.error("seed", "expected a whole number from 0 to \(UInt64.max)")
    }
    try reader.readTime("duration", into: &duration)
    if let interval = try reader.optionalTime("sample") {
      guard interval == .zero || interval >= .milliseconds(1) else {
        throw reader.error("sample", "expected 1ms at least, or 0ns for none")
      }
      sampleInterval = interval == .zero ? nil : interval
    }
    try reader.read("hosts", into: &hosts)
    try reader.read("links", into: &links)
    try reader.read("paths", into: &paths)
    try reader.read("transfers", into: &transfers)
    try reader.read("events", into: &events)
  }

  /// Writes what differs from the defaults.
  public func encode(to encoder: any Encoder) throws {
    let usual = Scenario()
    var writer = ObjectWriter(encoder)
    try writer.write("title", title, unless: usual.title)
    try writer.write("seed", seed, unless: usual.seed)
    try writer.write("duration", duration, unless: usual.duration)
    if sampleInterval != usual.sampleInterval { try writer.write("sample", Quantity.text(sampleInterval ?? .zero)) }
    try writer.write("hosts", hosts, unless: [])
    try writer.write("links", links, unless: [])
    try writer.write("paths", paths, unless: [])
    try writer.write("transfers", transfers, unless: [])
    try writer.write("events", events, unless: [])
  }
}
