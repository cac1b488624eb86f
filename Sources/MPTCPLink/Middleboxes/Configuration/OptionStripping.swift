import MPTCPWire

/// Takes TCP options out of segments.
///
/// Firewalls and proxies that know only the options of their time do so: on SYNs, where Multipath TCP then is not
/// negotiated and the connection is plain TCP (RFC 8684 §3.7), on data segments only, which leaves a negotiated
/// connection without mappings, or on joins. Honda et al., "Is it still possible to extend TCP?", IMC 2011, found all
/// of these by port and network, most often around port 80. Some write NOPs over the option, some shorten the header.
public struct OptionStripping: Hashable, Sendable {
  /// Which options.
  public var option: OptionSelection
  /// On which segments.
  public var on: [SegmentKind]
  /// Whether the header really becomes shorter; else NOPs stand in the option's place.
  public var shortensHeader: Bool
  /// The only direction in which it acts; both where there is none.
  public var direction: PathDirection?
  /// The share of such segments from which it takes options.
  public var chance: Probability

  /// Makes a configuration; see the properties.
  public init(
    option: OptionSelection = .multipath, on: [SegmentKind] = SegmentKind.allCases, shortensHeader: Bool = false,
    direction: PathDirection? = nil, chance: Probability = .always
  ) {
    self.option = option
    self.on = on
    self.shortensHeader = shortensHeader
    self.direction = direction
    self.chance = chance
  }
}

extension OptionStripping: FieldwiseCodable {
  init() { self.init(option: .multipath) }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.field("option", &option)
    try fields.field("on", &on)
    try fields.field("shortensHeader", &shortensHeader)
    try fields.field("direction", &direction)
    try fields.field("chance", &chance)
  }

  /// Reads an object with the properties' names; what is not there has its usual value.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with the properties that have not their usual value.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
