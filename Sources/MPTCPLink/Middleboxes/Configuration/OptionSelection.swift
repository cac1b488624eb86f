import MPTCPWire

/// Which TCP options a box has its eye on.
///
/// As text: `mptcp` for any Multipath TCP option, `mptcp.join` for one of its subtypes (`capable`, `join`, `dss`,
/// `addAddress`, `removeAddress`, `priority`, `fail`, `fastClose`, `reset`), `timestamps`, `sackPermitted`, `sack`,
/// `windowScale`, `maximumSegmentSize`, `fastOpen`, `unknown` for whatever a box from before 2004 does not know, or a
/// number for a kind.
public struct OptionSelection: Hashable, Sendable {
  private enum Choice: Hashable, Sendable {
    case kind(UInt8)
    case subtype(MultipathSubtype)
    case unknown
  }

  private let choice: Choice

  /// Options of one kind (IANA's number).
  public static func kind(_ kind: UInt8) -> OptionSelection { OptionSelection(choice: .kind(kind)) }
  /// Multipath TCP options of one subtype.
  public static func multipath(_ subtype: MultipathSubtype) -> OptionSelection {
    OptionSelection(choice: .subtype(subtype))
  }
  /// All Multipath TCP options.
  public static let multipath = kind(TCPOptionKind.multipath)
  /// All options but those of RFC 9293, RFC 7323 and RFC 2018: maximum segment size, window scale, SACK permitted, SACK
  /// and timestamps.
  public static let unknown = OptionSelection(choice: .unknown)

  /// Whether an option is of the selection.
  ///
  /// - Parameters:
  ///   - kind: The option's kind.
  ///   - octets: The whole option, kind and length included.
  func contains(_ kind: UInt8, _ octets: ArraySlice<UInt8>) -> Bool {
    switch choice {
    case .kind(let chosen): kind == chosen
    case .subtype(let subtype):
      kind == TCPOptionKind.multipath && octets.count > 2 && octets[octets.startIndex + 2] >> 4 == subtype.rawValue
    case .unknown: !Self.classical.contains(kind)
    }
  }

  private static let classical: [UInt8] = [
    TCPOptionKind.endOfList, TCPOptionKind.noOperation, TCPOptionKind.maximumSegmentSize, TCPOptionKind.windowScale,
    TCPOptionKind.sackPermitted, TCPOptionKind.sack, TCPOptionKind.timestamps,
  ]
  private static let kinds: [(name: String, kind: UInt8)] = [
    ("mptcp", TCPOptionKind.multipath), ("timestamps", TCPOptionKind.timestamps),
    ("sackPermitted", TCPOptionKind.sackPermitted), ("sack", TCPOptionKind.sack),
    ("windowScale", TCPOptionKind.windowScale), ("maximumSegmentSize", TCPOptionKind.maximumSegmentSize),
    ("fastOpen", TCPOptionKind.fastOpen),
  ]
  private static let subtypes: [(name: String, subtype: MultipathSubtype)] = [
    ("capable", .capable), ("join", .join), ("dss", .dss), ("addAddress", .addAddress),
    ("removeAddress", .removeAddress), ("priority", .priority), ("fail", .fail), ("fastClose", .fastClose),
    ("reset", .reset), ("experimental", .experimental),
  ]
}

extension OptionSelection: LosslessStringConvertible {
  /// Reads a selection from its text.
  public init?(_ text: String) {
    if text == "unknown" {
      self = .unknown
    } else if let known = Self.kinds.first(where: { $0.name == text }) {
      self = .kind(known.kind)
    } else if let known = Self.subtypes.first(where: { "mptcp.\($0.name)" == text }) {
      self = .multipath(known.subtype)
    } else if let number = UInt8(text), number > TCPOptionKind.noOperation {
      self = .kind(number)
    } else {
      return nil
    }
  }

  /// The selection's text.
  public var description: String {
    switch choice {
    case .unknown: "unknown"
    case .kind(let kind): Self.kinds.first { $0.kind == kind }?.name ?? "\(kind)"
    case .subtype(let subtype): "mptcp." + (Self.subtypes.first { $0.subtype == subtype }?.name ?? "")
    }
  }
}

extension OptionSelection: Codable {
  /// Reads a selection from its text.
  public init(from decoder: any Decoder) throws {
    self = try decoder.text { text throws(LinkTextError) in
      guard let selection = OptionSelection(text.original) else {
        throw LinkTextError(
          part: text.text,
          expected: "mptcp, mptcp.capable, mptcp.join, mptcp.dss, timestamps, sackPermitted, sack, windowScale, "
            + "maximumSegmentSize, fastOpen, unknown or the number of an option kind")
      }
      return selection
    }
  }

  /// Writes the selection's text.
  public func encode(to encoder: any Encoder) throws { try encoder.text(description) }
}
