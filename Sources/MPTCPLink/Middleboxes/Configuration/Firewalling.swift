import MPTCPWire

/// A stateful firewall: lets through what belongs to connections whose opening it has seen.
public struct Firewalling: Hashable, Sendable {
  /// Whether segments of flows are dropped whose SYN it has not seen.
  public var requiresSYN: Bool
  /// Whether segments are dropped whose sequence or acknowledgment number is outside of what both ends can mean at
  /// the moment.
  public var checksWindow: Bool
  /// Whether SYNs from the server's side pass.
  public var allowsBackwardOpening: Bool
  /// Whether the sender of a segment of an unknown flow gets an RST.
  public var answersWithReset: Bool
  /// How long it remembers a flow without packets; for ever where there is none.
  public var idle: Nanoseconds?

  /// Makes a configuration; see the properties.
  public init(
    requiresSYN: Bool = true, checksWindow: Bool = true, allowsBackwardOpening: Bool = true,
    answersWithReset: Bool = false, idle: Nanoseconds? = nil
  ) {
    self.requiresSYN = requiresSYN
    self.checksWindow = checksWindow
    self.allowsBackwardOpening = allowsBackwardOpening
    self.answersWithReset = answersWithReset
    self.idle = idle
  }
}

extension Firewalling: FieldwiseCodable {
  init() { self.init(requiresSYN: true) }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.field("requiresSYN", &requiresSYN)
    try fields.field("checksWindow", &checksWindow)
    try fields.field("allowsBackwardOpening", &allowsBackwardOpening)
    try fields.field("answersWithReset", &answersWithReset)
    try fields.field("idle", &idle)
  }

  /// Reads an object with the properties' names; what is not there has its usual value.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with the properties that have not their usual value.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
