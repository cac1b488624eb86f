import MPTCPWire

extension Scenario {
  /// Something that happens at a set time.
  public struct Event: Hashable, Sendable {
    /// The time from the start.
    public var at: Nanoseconds
    /// What happens.
    public var change: Change

    /// Lets something happen.
    public init(at: Nanoseconds, _ change: Change) {
      self.at = at
      self.change = change
    }
  }

  /// What can happen.
  public enum Change: Hashable, Sendable {
    /// A path carries nothing more in either direction, and no host is told. Links that it shares go on for others.
    case pathDown(String)
    /// A path carries packets again.
    case pathUp(String)
    /// An interface goes down, and its host knows.
    case interfaceDown(String)
    /// An interface comes back.
    case interfaceUp(String)
    /// An interface is taken away with its addresses.
    case interfaceRemoved(String)
    /// An interface that was taken away is added anew.
    case interfaceAdded(String)
    /// A host is off its processor: nothing is received, sent, read or written until then.
    case hostPaused(String, for: Nanoseconds)
  }
}

extension Scenario.Event: Codable {
  private static let names = [
    "at", "pathDown", "pathUp", "interfaceDown", "interfaceUp", "interfaceRemoved", "interfaceAdded", "hostPaused",
    "for",
  ]

  /// Reads `at` and one change: `{"at": "3s", "pathDown": "wifi"}`.
  public init(from decoder: any Decoder) throws {
    let reader = try ObjectReader(decoder, Self.names)
    guard let time = try reader.optionalTime("at") else {
      throw reader.error("at", "is missing; a time from the start such as 3s")
    }
    at = time
    let pause = try reader.optionalTime("for")
    let changes: [Scenario.Change?] = [
      try reader.optional("pathDown").map { .pathDown($0) },
      try reader.optional("pathUp").map { .pathUp($0) },
      try reader.optional("interfaceDown").map { .interfaceDown($0) },
      try reader.optional("interfaceUp").map { .interfaceUp($0) },
      try reader.optional("interfaceRemoved").map { .interfaceRemoved($0) },
      try reader.optional("interfaceAdded").map { .interfaceAdded($0) },
      try reader.optional("hostPaused").map { .hostPaused($0, for: pause ?? .zero) },
    ]
    let given = changes.compactMap { $0 }
    let kinds = Self.names.dropFirst().dropLast().joined(separator: ", ")
    guard let change = given.first else { throw reader.error("it changes nothing; give it one of \(kinds)") }
    guard given.count == 1 else {
      throw reader.error("it has \(given.count) changes of \(kinds); give each an event of its own")
    }
    if case .hostPaused = change {
      guard pause != nil else { throw reader.error("for", "is missing; how long the pause is, such as 200ms") }
    } else if pause != nil {
      throw reader.error("for", "goes with hostPaused")
    }
    self.change = change
  }

  /// Writes the time and the change.
  public func encode(to encoder: any Encoder) throws {
    var writer = ObjectWriter(encoder)
    try writer.write("at", Quantity.text(at))
    switch change {
    case .pathDown(let name): try writer.write("pathDown", name)
    case .pathUp(let name): try writer.write("pathUp", name)
    case .interfaceDown(let name): try writer.write("interfaceDown", name)
    case .interfaceUp(let name): try writer.write("interfaceUp", name)
    case .interfaceRemoved(let name): try writer.write("interfaceRemoved", name)
    case .interfaceAdded(let name): try writer.write("interfaceAdded", name)
    case .hostPaused(let name, let time):
      try writer.write("hostPaused", name)
      try writer.write("for", Quantity.text(time))
    }
  }
}
