/// What is wrong with a scenario: where it stands, and what should stand there instead.
public struct ScenarioError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The place, as `transfers[0].upload`; empty for the scenario as a whole.
  public let place: String
  /// What is wrong, and the way out.
  public let problem: String

  /// Names a place and what is wrong there.
  public init(_ place: String, _ problem: String) {
    self.place = place
    self.problem = problem
  }

  init(_ path: [any CodingKey], _ problem: String) {
    var place = ""
    for key in path {
      if let index = key.intValue {
        place += "[\(index)]"
      } else {
        place += place.isEmpty ? key.stringValue : ".\(key.stringValue)"
      }
    }
    self.init(place, problem)
  }

  /// The same in the words of scenarios, for what a decoder found by itself.
  public init(_ error: DecodingError) {
    switch error {
    case .keyNotFound(let key, let context): self.init(context.codingPath + [key], "is missing; it has no default")
    case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
      self.init(context.codingPath, "expected \(Self.word(for: type))")
    case .dataCorrupted(let context):
      self.init(context.codingPath, context.codingPath.isEmpty ? "this is no JSON object" : context.debugDescription)
    @unknown default: self.init("", "this cannot be read")
    }
  }

  private static func word(for type: any Any.Type) -> String {
    switch type {
    case is String.Type: "a text in quotes"
    case is Bool.Type: "true or false"
    case is any BinaryInteger.Type: "a whole number"
    case is any BinaryFloatingPoint.Type: "a number"
    default: "\(type)".hasPrefix("Array") ? "a list in square brackets" : "an object in braces"
    }
  }

  /// One line: the place, the problem, the way out.
  public var description: String { place.isEmpty ? problem : "\(place): \(problem)" }
}
