import MPTCPWire

/// Acknowledges data before its receiver does, and sends it again itself where it gets lost: a performance enhancing
/// proxy that splits the acknowledgments (RFC 3135 §3.1), not the connection.
///
/// It keeps a copy of what it has acknowledged until the receiver has it, bounded by ``byteCount`` for each flow;
/// data for which there is no room is not acknowledged early. Copies are sent again after three duplicate
/// acknowledgments or a time, and after ten times of one segment both ends get an RST. The receiver's own
/// acknowledgments go on where they say anything new, with the number raised and SACK blocks taken out, and are
/// swallowed where not. Early acknowledgments carry no Multipath TCP option, hence no DATA_ACK: a sender learns from
/// them that a subflow's octets have arrived somewhere, not that the data has (RFC 8684 §3.3.2, §6).
///
/// With ``keepsCopies`` off it is the simple form that measurement papers found too: it acknowledges and forgets, and
/// what is lost behind it only a reinjection on another subflow brings back.
public struct EarlyAcknowledgment: Hashable, Sendable {
  /// How many octets of a flow it keeps at most.
  public var byteCount: Int
  /// How long it waits for the receiver's acknowledgment at first; the time doubles with each attempt.
  public var timeout: Nanoseconds
  /// Whether it keeps what it acknowledges.
  public var keepsCopies: Bool
  /// The direction of the data that it acknowledges.
  public var direction: PathDirection

  /// Makes a configuration; see the properties.
  public init(
    byteCount: Int = 262_144, timeout: Nanoseconds = .milliseconds(300), keepsCopies: Bool = true,
    direction: PathDirection = .forward
  ) {
    self.byteCount = byteCount
    self.timeout = timeout
    self.keepsCopies = keepsCopies
    self.direction = direction
  }
}

extension EarlyAcknowledgment: FieldwiseCodable {
  init() { self.init(byteCount: 262_144) }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.byteCount("byteCount", &byteCount)
    try fields.field("timeout", &timeout)
    try fields.field("keepsCopies", &keepsCopies)
    try fields.field("direction", &direction)
  }

  func check() throws(FieldProblem) {
    guard timeout > .zero else { throw FieldProblem(key: "timeout", expected: "a time above 0, such as 300ms") }
  }

  /// Reads an object with the properties' names; what is not there has its usual value.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with the properties that have not their usual value.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
