import MPTCPWire

/// A NAT with the clients behind it: their packets get other ports, and other addresses where it has some (RFC 3022,
/// for IPv6 in the same way).
///
/// Mapping and filtering depend on the other end's address and port (RFC 4787 §4.1, §5): each flow of TCP and UDP has
/// a port of its own, and only its other end reaches it. A flow is known from the client's first packet on, SYN or
/// not. ``rebind`` and ``idle`` are when the mapping goes: then the client's next packet gets a new port, and the
/// next address of its family, and packets to the old one are dropped. Fragments, other protocols and addresses
/// inside of data or options (ADD_ADDR) pass as they are.
public struct AddressTranslation: Hashable, Sendable {
  /// Outer addresses, each family's taken in turn with every rebinding; where a family has none, the client's own
  /// address stays and only ports change.
  public var addresses: [IPAddress]
  /// Times since the box was made at which all mappings are forgotten.
  public var rebind: [Nanoseconds]
  /// How long a mapping lasts without packets; for ever where there is none.
  public var idle: Nanoseconds?

  /// Makes a configuration; see the properties.
  public init(addresses: [IPAddress] = [], rebind: [Nanoseconds] = [], idle: Nanoseconds? = nil) {
    self.addresses = addresses
    self.rebind = rebind
    self.idle = idle
  }
}

extension AddressTranslation: FieldwiseCodable {
  init() { self.init(addresses: []) }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.addresses("addresses", &addresses)
    try fields.field("rebind", &rebind)
    try fields.field("idle", &idle)
  }

  /// Reads an object with the properties' names; what is not there has its usual value.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with the properties that have not their usual value.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
