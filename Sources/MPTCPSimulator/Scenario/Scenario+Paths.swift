import MPTCPLink
import MPTCPWire

extension Scenario {
  /// A line with its two directions.
  public struct DuplexLink: Hashable, Sendable {
    /// From a path's first end to its second.
    public var there: LinkConfiguration
    /// From a path's second end to its first.
    public var back: LinkConfiguration

    /// A line; without `back`, both directions are alike.
    public init(_ there: LinkConfiguration, back: LinkConfiguration? = nil) {
      self.there = there
      self.back = back ?? there
    }
  }

  /// A link that several paths may use: what one of them sends waits behind what the others sent.
  public struct SharedLink: Hashable, Sendable {
    /// Its name, which paths use.
    public var name: String
    /// The line.
    public var link: DuplexLink

    /// Names a line.
    public init(name: String, _ link: DuplexLink) {
      self.name = name
      self.link = link
    }
  }

  /// A way between two interfaces, through one link or several, one after the other.
  public struct Path: Hashable, Sendable {
    /// The two ends, as `host.interface`; a host's name alone means its interface `eth0`.
    public var between: [String]
    /// Its name in reports; empty: the first end's interface.
    public var name = ""
    /// A link of its own, which comes before the shared ones.
    public var link: DuplexLink?
    /// The names of the shared links that it uses, from the first end to the second.
    public var shared: [String] = []
    /// The boxes between the first end and the links, its neighbour first; to them, what the first end sends goes
    /// forward.
    public var boxes: [MiddleboxConfiguration] = []

    /// A path between two interfaces.
    public init(
      between first: String, _ second: String, link: DuplexLink? = nil, shared: [String] = [],
      boxes: [MiddleboxConfiguration] = []
    ) {
      between = [first, second]
      self.link = link
      self.shared = shared
      self.boxes = boxes
    }
  }
}

extension Scenario.SharedLink: Codable {
  /// Reads `name`, `link` and, where the other direction differs, `back`.
  public init(from decoder: any Decoder) throws {
    let reader = try ObjectReader(decoder, ["name", "link", "back"])
    guard let link = try reader.link() else { throw reader.error("link", "is missing; a line such as 30mbit,10ms") }
    self.init(name: try reader.value("name"), link)
  }

  /// Writes the two directions, or one where they are alike.
  public func encode(to encoder: any Encoder) throws {
    var writer = ObjectWriter(encoder)
    try writer.write("name", name)
    try writer.write(link)
  }
}

extension Scenario.Path: Codable {
  /// Reads a path; only `between` is needed.
  public init(from decoder: any Decoder) throws {
    let reader = try ObjectReader(decoder, ["between", "name", "link", "back", "shared", "boxes"])
    between = try reader.value("between")
    guard between.count == 2 else { throw reader.error("between", "expected two ends, as host.interface") }
    try reader.read("name", into: &name)
    link = try reader.link()
    try reader.read("shared", into: &shared)
    try reader.read("boxes", into: &boxes)
  }

  /// Writes what differs from the defaults.
  public func encode(to encoder: any Encoder) throws {
    var writer = ObjectWriter(encoder)
    try writer.write("between", between)
    try writer.write("name", name, unless: "")
    if let link { try writer.write(link) }
    try writer.write("shared", shared, unless: [])
    try writer.write("boxes", boxes, unless: [])
  }
}

extension ObjectReader {
  /// The keys `link` and `back`.
  fileprivate func link() throws -> Scenario.DuplexLink? {
    guard let there = try configuration("link") else {
      if try optional("back", String.self) != nil {
        throw error("back", "is the other direction of link, which is missing")
      }
      return nil
    }
    return Scenario.DuplexLink(there, back: try configuration("back"))
  }

  private func configuration(_ name: String) throws -> LinkConfiguration? {
    guard let text: String = try optional(name) else { return nil }
    do {
      return try LinkConfiguration(parsing: text)
    } catch {
      throw self.error(name, "\(error)")
    }
  }
}

extension ObjectWriter {
  fileprivate mutating func write(_ link: Scenario.DuplexLink) throws {
    try write("link", link.there.description)
    if link.back != link.there { try write("back", link.back.description) }
  }
}
