import MPTCPWire

/// Sends old packets again, byte for byte, long after they passed.
///
/// A copy that a link makes comes at once; this one comes when the flow has gone on, or is over.
public struct SegmentReplay: Hashable, Sendable {
  /// The share of packets that come again.
  public var chance: Probability
  /// How much later.
  public var after: Nanoseconds
  /// How many packets it keeps at a time at most.
  public var limit: Int
  /// The only direction in which it acts; both where there is none.
  public var direction: PathDirection?

  /// Makes a configuration; see the properties.
  public init(
    chance: Probability = .percent(1), after: Nanoseconds = .milliseconds(200), limit: Int = 64,
    direction: PathDirection? = nil
  ) {
    self.chance = chance
    self.after = after
    self.limit = limit
    self.direction = direction
  }
}

extension SegmentReplay: FieldwiseCodable {
  init() { self.init(chance: .percent(1)) }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.field("chance", &chance)
    try fields.field("after", &after)
    try fields.field("limit", &limit)
    try fields.field("direction", &direction)
  }

  func check() throws(FieldProblem) {
    guard (1...65_536).contains(limit) else { throw FieldProblem(key: "limit", expected: "1 to 65536") }
  }

  /// Reads an object with the properties' names; what is not there has its usual value.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with the properties that have not their usual value.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
