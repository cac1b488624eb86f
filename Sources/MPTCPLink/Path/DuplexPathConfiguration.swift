import MPTCPWire

/// What a path between two hosts is made of.
///
/// In JSON:
///
/// ```json
/// {
///   "forward": {"rate": "10Mbit/s", "delay": "20ms", "queue": "100KB"},
///   "backward": "5mbit,20ms",
///   "boxes": [{"strip": {"option": "mptcp", "on": ["syn"]}}],
///   "seed": 7
/// }
/// ```
///
/// Without `backward` both directions are alike.
public struct DuplexPathConfiguration: Hashable, Sendable {
  /// From the client to the server.
  public var forward: LinkConfiguration
  /// From the server to the client.
  public var backward: LinkConfiguration
  /// Boxes between the client and the links, the client's neighbour first.
  public var clientBoxes: [MiddleboxConfiguration]
  /// Boxes between the links and the server, the server's neighbour last.
  public var serverBoxes: [MiddleboxConfiguration]
  /// Where all chance comes from that has no seed of its own: a link with a seed of 0 gets one from here.
  public var seed: UInt64

  /// Makes a configuration; without `backward` both directions are alike.
  public init(
    _ forward: LinkConfiguration = LinkConfiguration(), backward: LinkConfiguration? = nil,
    clientBoxes: [MiddleboxConfiguration] = [], serverBoxes: [MiddleboxConfiguration] = [], seed: UInt64 = 0
  ) {
    self.forward = forward
    self.backward = backward ?? forward
    self.clientBoxes = clientBoxes
    self.serverBoxes = serverBoxes
    self.seed = seed
  }
}

extension DuplexPathConfiguration: FieldwiseCodable {
  init() { self.init(LinkConfiguration()) }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.field("forward", &forward)
    var other = backward == forward ? nil : Optional(backward)
    try fields.field("backward", &other)
    backward = other ?? forward
    try fields.field("boxes", &clientBoxes)
    try fields.field("serverBoxes", &serverBoxes)
    try fields.field("seed", &seed)
  }

  /// Reads an object with the keys `forward`, `backward`, `boxes` (at the client's side), `serverBoxes` and `seed`.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with what is not as usual.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
