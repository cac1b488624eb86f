import MPTCPWire

/// Gives each flow other initial sequence numbers, in both directions, as firewalls do for hosts whose own are easy
/// to guess.
///
/// Sequence numbers, acknowledgment numbers and SACK blocks are translated all along the flow. That is why mappings
/// count relative to the initial sequence number (RFC 8684 §3.3.1). Honda et al. (IMC 2011) found such boxes; Hesmans
/// et al., "Are TCP extensions middlebox-proof?", HotMiddlebox 2013, describe those that forget the SACK blocks,
/// which then lie outside what the sender has sent. A flow whose SYN the box has not seen passes as it is.
public struct SequenceRewriting: Hashable, Sendable {
  /// Whether SACK blocks are translated too.
  public var translatesSACK: Bool

  /// Makes a configuration; see the properties.
  public init(translatesSACK: Bool = true) {
    self.translatesSACK = translatesSACK
  }
}

extension SequenceRewriting: FieldwiseCodable {
  init() { self.init(translatesSACK: true) }

  mutating func visit(_ fields: inout ConfigurationFields) throws {
    try fields.field("translatesSACK", &translatesSACK)
  }

  /// Reads an object with the properties' names; what is not there has its usual value.
  public init(from decoder: any Decoder) throws { try self.init(fieldsFrom: decoder) }

  /// Writes an object with the properties that have not their usual value.
  public func encode(to encoder: any Encoder) throws { try encode(fieldsTo: encoder) }
}
