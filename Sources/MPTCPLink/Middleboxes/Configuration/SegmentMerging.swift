import MPTCPWire

/// Holds segments back for the next one and puts both together, as receive offload of a router or a traffic
/// normaliser does.
///
/// Of the options only the first segment's remain, so that the second one's mapping is lost (Honda et al., IMC 2011:
/// some boxes coalesce; the sender has to send the bytes again with a mapping, RFC 8684 §3.3.1).
public struct SegmentMerging: Hashable, Sendable {
  /// The most data that a segment has when it goes on.
  public var byteCount: Int
  /// How long a segment waits for the next at most.
  public var hold: Nanoseconds
  /// The only direction in which it acts; both where there is none.
  public var direction: PathDirection?

  /// Makes a configuration; see the properties.
  public init(byteCount: Int = 2920, hold: Nanoseconds = .milliseconds(5), direction: PathDirection? = nil) {
    self.byteCount = byteCount
    self.hold = hold
    self.direction = direction
  }
}

extension SegmentMerging: FieldwiseCodable {
  init() { self.init(byteCount: 2920) }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.byteCount("byteCount", &byteCount)
    try fields.field("hold", &hold)
    try fields.field("direction", &direction)
  }

  func check() throws(FieldProblem) {
    guard hold > .zero else { throw FieldProblem(key: "hold", expected: "a time above 0, such as 5ms") }
  }

  /// Reads an object with the properties' names; what is not there has its usual value.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with the properties that have not their usual value.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
