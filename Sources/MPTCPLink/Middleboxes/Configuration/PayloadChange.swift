import MPTCPWire

/// Changes data, keeps its length and corrects the TCP checksum, as an application-level gateway does.
///
/// Only the checksum of the DSS option shows it: with another subflow to go on the receiver sends MP_FAIL and closes
/// this one, with none the connection falls back to TCP (RFC 8684 §3.7). Without DSS checksums nobody can see it.
///
/// Where ``find`` is not empty, it is replaced wherever it stands within one segment; else one octet of each segment
/// that reaches beyond ``after`` is changed.
public struct PayloadChange: Hashable, Sendable {
  /// The text to look for, as UTF-8.
  public var find: String
  /// The text that takes its place, of the same length.
  public var replace: String
  /// How many octets of data of a direction stay as they are.
  public var after: Int
  /// The only direction in which it acts; both where there is none.
  public var direction: PathDirection?
  /// The share of such segments that it changes.
  public var chance: Probability

  /// Makes a configuration; see the properties.
  public init(
    find: String = "", replace: String = "", after: Int = 0, direction: PathDirection? = nil,
    chance: Probability = .always
  ) {
    self.find = find
    self.replace = replace
    self.after = after
    self.direction = direction
    self.chance = chance
  }
}

extension PayloadChange: FieldwiseCodable {
  init() { self.init(find: "") }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.field("find", &find)
    try fields.field("replace", &replace)
    try fields.byteCount("after", &after)
    try fields.field("direction", &direction)
    try fields.field("chance", &chance)
  }

  func check() throws(FieldProblem) {
    guard find.utf8.count == replace.utf8.count else {
      throw FieldProblem(key: "replace", expected: "a text as long as that of 'find'")
    }
  }

  /// Reads an object with the properties' names; what is not there has its usual value.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with the properties that have not their usual value.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
