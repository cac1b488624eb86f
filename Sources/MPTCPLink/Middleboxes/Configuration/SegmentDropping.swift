import MPTCPWire

/// Drops segments for what they carry, in silence or with an RST.
///
/// Some firewalls drop SYNs with options that they do not know, some every such segment (Honda et al., IMC 2011);
/// some drop SYNs with data, so that fast open fails (RFC 7413 §7.1; Hesmans et al., HotMiddlebox 2013). With
/// `mptcp.join` it blocks joins and leaves the first subflow alone.
public struct SegmentDropping: Hashable, Sendable {
  /// Only segments with such an option; any where there is none.
  public var option: OptionSelection?
  /// Which segments.
  public var on: [SegmentKind]
  /// Whether only segments with data are meant.
  public var withData: Bool
  /// Whether the sender gets an RST.
  public var answersWithReset: Bool
  /// The only direction in which it acts; both where there is none.
  public var direction: PathDirection?
  /// The share of such segments that it drops.
  public var chance: Probability

  /// Makes a configuration; see the properties.
  public init(
    option: OptionSelection? = .multipath, on: [SegmentKind] = [.syn], withData: Bool = false,
    answersWithReset: Bool = false, direction: PathDirection? = nil, chance: Probability = .always
  ) {
    self.option = option
    self.on = on
    self.withData = withData
    self.answersWithReset = answersWithReset
    self.direction = direction
    self.chance = chance
  }
}

extension SegmentDropping: FieldwiseCodable {
  init() { self.init(option: .multipath) }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.optional("option", &option, none: "any")
    try fields.field("on", &on)
    try fields.field("withData", &withData)
    try fields.field("answersWithReset", &answersWithReset)
    try fields.field("direction", &direction)
    try fields.field("chance", &chance)
  }

  /// Reads an object with the properties' names; what is not there has its usual value.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with the properties that have not their usual value.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
