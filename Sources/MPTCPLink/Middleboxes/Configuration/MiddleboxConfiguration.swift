/// What a middlebox does, as plain data.
///
/// In JSON it is an object with one key, the box's name, and an object with what differs from the usual:
///
/// ```json
/// [
///   {"strip": {"option": "mptcp", "on": ["syn"]}},
///   {"nat": {"rebind": ["5s"], "idle": "60s"}},
///   {"drop": {"option": "mptcp.join", "answersWithReset": true}},
///   "rewriteSequence"
/// ]
/// ```
///
/// The name alone is a box with all things as usual.
public enum MiddleboxConfiguration: Hashable, Sendable {
  /// Takes options out of segments.
  case strip(OptionStripping)
  /// Gives flows other initial sequence numbers.
  case rewriteSequence(SequenceRewriting)
  /// Cuts segments.
  case cut(SegmentCutting)
  /// Puts segments together.
  case merge(SegmentMerging)
  /// Lowers the maximum segment size.
  case clampSegmentSize(SegmentSizeClamping)
  /// Changes data and keeps its length.
  case changePayload(PayloadChange)
  /// Changes data and its length.
  case resizePayload(PayloadResizing)
  /// Drops segments for what they carry.
  case drop(SegmentDropping)
  /// Takes data out of SYNs, so that it has to be sent again (RFC 7413 §7.1).
  case stripSYNData
  /// Acknowledges data before its receiver does.
  case acknowledgeEarly(EarlyAcknowledgment)
  /// Translates addresses and ports.
  case nat(AddressTranslation)
  /// Lets through only what belongs to known connections.
  case firewall(Firewalling)
  /// Ends flows.
  case reset(ResetInjection)
  /// Sends old packets again.
  case replay(SegmentReplay)

  /// What a box is, without its details.
  public enum Kind: String, CaseIterable, Hashable, Sendable, Codable {
    case strip, rewriteSequence, cut, merge, clampSegmentSize, changePayload, resizePayload, drop, stripSYNData
    case acknowledgeEarly, nat, firewall, reset, replay
  }

  /// What the box is.
  public var kind: Kind {
    switch self {
    case .strip: .strip
    case .rewriteSequence: .rewriteSequence
    case .cut: .cut
    case .merge: .merge
    case .clampSegmentSize: .clampSegmentSize
    case .changePayload: .changePayload
    case .resizePayload: .resizePayload
    case .drop: .drop
    case .stripSYNData: .stripSYNData
    case .acknowledgeEarly: .acknowledgeEarly
    case .nat: .nat
    case .firewall: .firewall
    case .reset: .reset
    case .replay: .replay
    }
  }

  /// A box of a kind with everything as usual.
  public init(_ kind: Kind) {
    switch kind {
    case .strip: self = .strip(OptionStripping())
    case .rewriteSequence: self = .rewriteSequence(SequenceRewriting())
    case .cut: self = .cut(SegmentCutting())
    case .merge: self = .merge(SegmentMerging())
    case .clampSegmentSize: self = .clampSegmentSize(SegmentSizeClamping())
    case .changePayload: self = .changePayload(PayloadChange())
    case .resizePayload: self = .resizePayload(PayloadResizing())
    case .drop: self = .drop(SegmentDropping())
    case .stripSYNData: self = .stripSYNData
    case .acknowledgeEarly: self = .acknowledgeEarly(EarlyAcknowledgment())
    case .nat: self = .nat(AddressTranslation())
    case .firewall: self = .firewall(Firewalling())
    case .reset: self = .reset(ResetInjection())
    case .replay: self = .replay(SegmentReplay())
    }
  }
}

extension MiddleboxConfiguration: Codable {
  /// Reads a box: its name, or an object with its name as the only key.
  public init(from decoder: any Decoder) throws {
    let names = Kind.allCases.map(\.rawValue).joined(separator: ", ")
    if let name = try? decoder.singleValueContainer().decode(String.self) {
      guard let kind = Kind(rawValue: name) else {
        throw DecodingError.dataCorrupted(
          .init(codingPath: decoder.codingPath, debugDescription: "'\(name)': expected one of \(names)"))
      }
      self.init(kind)
      return
    }
    let container = try decoder.container(keyedBy: FieldKey.self)
    guard container.allKeys.count == 1, let key = container.allKeys.first, let kind = Kind(rawValue: key.stringValue)
    else {
      let found = container.allKeys.map(\.stringValue).sorted().joined(separator: ", ")
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: decoder.codingPath,
          debugDescription: "'\(found)': expected an object with one key, one of \(names)"))
    }
    func details<Details: Decodable>() throws -> Details { try container.decode(Details.self, forKey: key) }
    switch kind {
    case .strip: self = .strip(try details())
    case .rewriteSequence: self = .rewriteSequence(try details())
    case .cut: self = .cut(try details())
    case .merge: self = .merge(try details())
    case .clampSegmentSize: self = .clampSegmentSize(try details())
    case .changePayload: self = .changePayload(try details())
    case .resizePayload: self = .resizePayload(try details())
    case .drop: self = .drop(try details())
    case .stripSYNData:
      let fields = try container.nestedContainer(keyedBy: FieldKey.self, forKey: key)
      guard fields.allKeys.isEmpty else {
        throw DecodingError.dataCorruptedError(
          forKey: key, in: container, debugDescription: "expected no keys here; the name alone says it")
      }
      self = .stripSYNData
    case .acknowledgeEarly: self = .acknowledgeEarly(try details())
    case .nat: self = .nat(try details())
    case .firewall: self = .firewall(try details())
    case .reset: self = .reset(try details())
    case .replay: self = .replay(try details())
    }
  }

  /// Writes an object with the box's name as its only key; the name alone for a box without details.
  public func encode(to encoder: any Encoder) throws {
    if case .stripSYNData = self { return try encoder.text(kind.rawValue) }
    var container = encoder.container(keyedBy: FieldKey.self)
    let key = FieldKey(kind.rawValue)
    switch self {
    case .strip(let details): try container.encode(details, forKey: key)
    case .rewriteSequence(let details): try container.encode(details, forKey: key)
    case .cut(let details): try container.encode(details, forKey: key)
    case .merge(let details): try container.encode(details, forKey: key)
    case .clampSegmentSize(let details): try container.encode(details, forKey: key)
    case .changePayload(let details): try container.encode(details, forKey: key)
    case .resizePayload(let details): try container.encode(details, forKey: key)
    case .drop(let details): try container.encode(details, forKey: key)
    case .stripSYNData: break
    case .acknowledgeEarly(let details): try container.encode(details, forKey: key)
    case .nat(let details): try container.encode(details, forKey: key)
    case .firewall(let details): try container.encode(details, forKey: key)
    case .reset(let details): try container.encode(details, forKey: key)
    case .replay(let details): try container.encode(details, forKey: key)
    }
  }
}
