import MPTCPWire

/// Changes data and its length, as an application-level gateway for FTP does, and translates all sequence numbers
/// behind the change, and acknowledgments and SACK blocks on their way back.
///
/// Mappings then no longer fit the bytes that they came with, and the DSS checksum fails (RFC 8684 §3.3.1, §3.7).
/// Data that is sent again is changed in the same way again, wherever it is cut.
///
/// Where ``find`` is not empty, it is replaced wherever it stands within one new segment. Else the octets at ``at``
/// are changed once in each flow: ``by`` octets are put in behind the first, or so many are taken out.
public struct PayloadResizing: Hashable, Sendable {
  /// The most octets that are put in or taken out; more counts as so many.
  public static let limit = 1024

  /// The text to look for, as UTF-8.
  public var find: String
  /// The text that takes its place.
  public var replace: String
  /// The place of the change, in octets of data of a direction.
  public var at: Int
  /// How many octets the data grows by; negative where it shrinks.
  public var by: Int
  /// A packet that became longer than this goes on as two.
  public var maximumByteCount: Int
  /// The direction whose data it changes.
  public var direction: PathDirection

  /// Makes a configuration; see the properties.
  public init(
    find: String = "", replace: String = "", at: Int = 0, by: Int = 4, maximumByteCount: Int = 1500,
    direction: PathDirection = .forward
  ) {
    self.find = find
    self.replace = replace
    self.at = at
    self.by = by
    self.maximumByteCount = maximumByteCount
    self.direction = direction
  }
}

extension PayloadResizing: FieldwiseCodable {
  init() { self.init(find: "") }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.field("find", &find)
    try fields.field("replace", &replace)
    try fields.byteCount("at", &at)
    try fields.field("by", &by)
    try fields.byteCount("maximumByteCount", &maximumByteCount)
    try fields.field("direction", &direction)
  }

  func check() throws(FieldProblem) {
    guard (-Self.limit...Self.limit).contains(by) else { throw FieldProblem(key: "by", expected: "-1024 to 1024") }
    guard (128...65_535).contains(maximumByteCount) else {
      throw FieldProblem(key: "maximumByteCount", expected: "128 to 65535 bytes")
    }
  }

  /// Reads an object with the properties' names; what is not there has its usual value.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with the properties that have not their usual value.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
