import MPTCPWire

/// Ends flows with an RST in a host's name, with the right sequence number, as some firewalls and censors do.
public struct ResetInjection: Hashable, Sendable {
  /// Times since the box was made at which it ends all flows that it knows.
  public var at: [Nanoseconds]
  /// How many octets of data a flow carries, both directions together, before it is ended.
  public var afterByteCount: Int?
  /// Whether the client's side gets one.
  public var toClient: Bool
  /// Whether the server's side gets one.
  public var toServer: Bool

  /// Makes a configuration; see the properties.
  public init(at: [Nanoseconds] = [], afterByteCount: Int? = nil, toClient: Bool = true, toServer: Bool = true) {
    self.at = at
    self.afterByteCount = afterByteCount
    self.toClient = toClient
    self.toServer = toServer
  }
}

extension ResetInjection: FieldwiseCodable {
  init() { self.init(at: []) }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.field("at", &at)
    try fields.byteCount("afterByteCount", &afterByteCount)
    try fields.field("toClient", &toClient)
    try fields.field("toServer", &toServer)
  }

  /// Reads an object with the properties' names; what is not there has its usual value.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with the properties that have not their usual value.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
