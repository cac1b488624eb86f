import MPTCPWire

/// Lowers the maximum segment size that SYNs announce, as routers in front of tunnels do.
///
/// The option is lowered where it is larger, and never added.
public struct SegmentSizeClamping: Hashable, Sendable {
  /// The largest size that passes.
  public var byteCount: Int
  /// The only direction in which it acts; both where there is none.
  public var direction: PathDirection?

  /// Makes a configuration; see the properties.
  public init(byteCount: Int = 1360, direction: PathDirection? = nil) {
    self.byteCount = byteCount
    self.direction = direction
  }
}

extension SegmentSizeClamping: FieldwiseCodable {
  init() { self.init(byteCount: 1360) }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.byteCount("byteCount", &byteCount)
    try fields.field("direction", &direction)
  }

  func check() throws(FieldProblem) {
    guard (1...65_535).contains(byteCount) else { throw FieldProblem(key: "byteCount", expected: "1 to 65535 bytes") }
  }

  /// Reads an object with the properties' names; what is not there has its usual value.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with the properties that have not their usual value.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
