import MPTCPWire

/// Cuts segments with much data into smaller ones, as a box with a smaller maximum segment size, or an interface that
/// cuts super-segments.
///
/// Interfaces copy the options to each part, so that one mapping comes with several segments; some boxes leave them
/// on the first part only (Honda et al., IMC 2011). A receiver has to take both (RFC 8684 §3.3.1).
public struct SegmentCutting: Hashable, Sendable {
  /// The most data that a part has.
  public var byteCount: Int
  /// Whether each part has the options; else the first alone.
  public var copiesOptions: Bool
  /// The only direction in which it acts; both where there is none.
  public var direction: PathDirection?
  /// The share of the longer segments that it cuts.
  public var chance: Probability

  /// Makes a configuration; see the properties.
  public init(
    byteCount: Int = 536, copiesOptions: Bool = true, direction: PathDirection? = nil, chance: Probability = .always
  ) {
    self.byteCount = byteCount
    self.copiesOptions = copiesOptions
    self.direction = direction
    self.chance = chance
  }
}

extension SegmentCutting: FieldwiseCodable {
  init() { self.init(byteCount: 536) }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.byteCount("byteCount", &byteCount)
    try fields.field("copiesOptions", &copiesOptions)
    try fields.field("direction", &direction)
    try fields.field("chance", &chance)
  }

  func check() throws(FieldProblem) {
    guard byteCount > 0 else { throw FieldProblem(key: "byteCount", expected: "at least 1 byte") }
  }

  /// Reads an object with the properties' names; what is not there has its usual value.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with the properties that have not their usual value.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
