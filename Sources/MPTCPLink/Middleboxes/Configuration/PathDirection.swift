/// The two directions of a path. The client is who opens the first subflow; the path itself knows no such role.
public enum PathDirection: String, CaseIterable, Codable, Hashable, Sendable {
  /// From the client's side to the server's.
  case forward
  /// From the server's side to the client's.
  case backward

  /// The other direction.
  public var opposite: PathDirection { self == .forward ? .backward : .forward }
}

extension PathDirection {
  /// Reads a direction by its name.
  public init(from decoder: any Decoder) throws { self = try decoder.choice() }
}
