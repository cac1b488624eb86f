import MPTCPWire

/// A key of a scenario's objects.
struct ScenarioKey: CodingKey {
  let stringValue: String
  let intValue: Int?

  init(_ name: String) {
    stringValue = name
    intValue = nil
  }

  init?(stringValue: String) { self.init(stringValue) }

  init?(intValue: Int) {
    stringValue = "\(intValue)"
    self.intValue = intValue
  }
}

/// Reads one object of a scenario: what is absent keeps its default, and what nobody knows is refused, because a word
/// that is spelled wrong would otherwise silently mean the default.
struct ObjectReader {
  private let container: KeyedDecodingContainer<ScenarioKey>

  init(_ decoder: any Decoder, _ names: [String]) throws {
    container = try decoder.container(keyedBy: ScenarioKey.self)
    // The order of a decoder's keys is nobody's promise: the first wrong one by name is the one that is told.
    let unknown = container.allKeys.map(\.stringValue).filter { !names.contains($0) }.sorted()
    if let first = unknown.first {
      throw ScenarioError(
        container.codingPath + [ScenarioKey(first)], "there is no such key; these are: \(names.joined(separator: ", "))"
      )
    }
  }

  /// The error for the value of `name`.
  func error(_ name: String, _ problem: String) -> ScenarioError {
    ScenarioError(container.codingPath + [ScenarioKey(name)], problem)
  }

  /// The error for the object as a whole.
  func error(_ problem: String) -> ScenarioError { ScenarioError(container.codingPath, problem) }

  func optional<Value: Decodable>(_ name: String, _ type: Value.Type = Value.self) throws -> Value? {
    let key = ScenarioKey(name)
    guard container.contains(key), try !container.decodeNil(forKey: key) else { return nil }
    return try value(name)
  }

  func value<Value: Decodable>(_ name: String, _ type: Value.Type = Value.self) throws -> Value {
    do {
      return try container.decode(Value.self, forKey: ScenarioKey(name))
    } catch let problem where !(problem is DecodingError || problem is ScenarioError) {
      // For a number that its type cannot hold, the decoder has an error of its own, which names no place.
      throw self.error(name, "a number here is not whole, or too large")
    }
  }

  func read<Value: Decodable>(_ name: String, into value: inout Value) throws {
    if let found: Value = try optional(name) { value = found }
  }

  func optionalTime(_ name: String) throws -> Nanoseconds? {
    try quantity(name, "a time such as 20ms or 1.5s", Quantity.time)
  }

  func readTime(_ name: String, into value: inout Nanoseconds) throws {
    if let found = try optionalTime(name) { value = found }
  }

  /// A size in bytes: a whole number, or a text with a unit.
  func optionalByteCount(_ name: String) throws -> Int? {
    if let number = try? optional(name, Int.self) {
      guard number >= 0 else { throw error(name, "expected no less than 0") }
      return number
    }
    return try quantity(name, "a size such as 200KB or 1MiB", Quantity.byteCount)
  }

  func readByteCount(_ name: String, into value: inout Int) throws {
    if let found = try optionalByteCount(name) { value = found }
  }

  func optionalRate(_ name: String) throws -> Int? {
    try quantity(name, "a rate such as 40mbit", Quantity.bitsPerSecond)
  }

  private func quantity<Value>(
    _ name: String, _ expected: String, _ parse: (String) throws(Quantity.Problem) -> Value
  ) throws -> Value? {
    let text: String?
    do { text = try optional(name) } catch { throw self.error(name, "expected \(expected), in quotes") }
    guard let text else { return nil }
    do throws(Quantity.Problem) {
      return try parse(text)
    } catch {
      throw self.error(name, "'\(text)': expected \(error.expected)")
    }
  }

  /// One word out of a list.
  func choice<Value>(_ name: String, _ choices: [(String, Value)]) throws -> Value? {
    guard let text: String = try optional(name) else { return nil }
    guard let choice = choices.first(where: { $0.0 == text }) else {
      throw error(name, "'\(text)': expected one of \(choices.map(\.0).joined(separator: ", "))")
    }
    return choice.1
  }
}

/// Writes one object of a scenario; what is as it would be anyway is left out.
struct ObjectWriter {
  private var container: KeyedEncodingContainer<ScenarioKey>

  init(_ encoder: any Encoder) { container = encoder.container(keyedBy: ScenarioKey.self) }

  mutating func write<Value: Encodable & Equatable>(_ name: String, _ value: Value, unless usual: Value) throws {
    if value != usual { try container.encode(value, forKey: ScenarioKey(name)) }
  }

  mutating func write<Value: Encodable>(_ name: String, _ value: Value?) throws {
    if let value { try container.encode(value, forKey: ScenarioKey(name)) }
  }

  mutating func write(_ name: String, _ time: Nanoseconds, unless usual: Nanoseconds) throws {
    if time != usual { try write(name, Quantity.text(time)) }
  }

  mutating func write(_ name: String, byteCount: Int, unless usual: Int) throws {
    if byteCount != usual { try write(name, Quantity.text(byteCount: byteCount)) }
  }

  mutating func write(_ name: String, bitsPerSecond: Int?) throws {
    if let bitsPerSecond { try write(name, Quantity.text(bitsPerSecond: bitsPerSecond)) }
  }
}
