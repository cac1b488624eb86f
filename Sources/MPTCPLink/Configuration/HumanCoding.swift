import MPTCPWire

// Numbers with units in JSON are strings in the words of the text form: "20ms", "0.5%", "10Mbit/s".

extension Decoder {
  /// Reads a string by the rules of the text form. The error names the key and the form.
  func text<Value>(_ parse: (LinkText) throws(LinkTextError) -> Value) throws -> Value {
    let container = try singleValueContainer()
    let key = codingPath.last?.stringValue ?? "value"
    let text: String
    if let number = try? container.decode(Int.self) {
      // A bare number is as good where the text form takes one: "mtu": 1280.
      text = String(number)
    } else {
      text = try container.decode(String.self)
    }
    do {
      return try parse(LinkText(text[...], in: text[...]))
    } catch {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "'\(key)': '\(text)': expected \(error.expected)")
    }
  }
}

extension Encoder {
  func text(_ text: String) throws {
    var container = singleValueContainer()
    try container.encode(text)
  }
}

extension Nanoseconds: Codable {
  /// Reads a length of time as the text form has it: `"20ms"`, `"1.5s"`.
  public init(from decoder: any Decoder) throws {
    self = try decoder.text { text throws(LinkTextError) in try text.time() }
  }

  /// Writes a length of time in the largest unit in which it is whole.
  public func encode(to encoder: any Encoder) throws { try encoder.text(LinkText.time(self)) }
}

extension Probability: Codable {
  /// Reads a share as the text form has it: `"0.5%"`.
  public init(from decoder: any Decoder) throws {
    self = try decoder.text { text throws(LinkTextError) in try text.probability() }
  }

  /// Writes the shortest percentage that stands for the probability.
  public func encode(to encoder: any Encoder) throws { try encoder.text(description) }
}

/// A number of bytes whose JSON form is a number, or a string with a unit: `20000`, `"20KB"`.
struct ByteCountText: Codable, Equatable {
  var count: Int

  init(_ count: Int) { self.count = count }

  init(from decoder: any Decoder) throws {
    count = try decoder.text { text throws(LinkTextError) in try text.size() }
  }

  func encode(to encoder: any Encoder) throws { try encoder.text(LinkText.size(count)) }
}

extension ConfigurationFields {
  /// A field with a number of bytes.
  mutating func byteCount(_ key: String, _ count: inout Int) throws {
    var text = ByteCountText(count)
    try field(key, &text)
    count = text.count
  }

  /// A field with a number of bytes or none.
  mutating func byteCount(_ key: String, _ count: inout Int?) throws {
    var text = count.map { ByteCountText($0) }
    try field(key, &text)
    count = text?.count
  }
}

/// An address in its usual form in JSON.
private struct AddressText: Codable, Equatable {
  var address: IPAddress

  init(_ address: IPAddress) { self.address = address }

  init(from decoder: any Decoder) throws {
    address = try decoder.text { text throws(LinkTextError) in
      guard let address = IPAddress(text.text) else {
        throw LinkTextError(part: text.text, expected: "an IP address such as 192.0.2.1 or 2001:db8::1")
      }
      return address
    }
  }

  func encode(to encoder: any Encoder) throws { try encoder.text(address.description) }
}

extension ConfigurationFields {
  /// A field with addresses.
  mutating func addresses(_ key: String, _ addresses: inout [IPAddress]) throws {
    var texts = addresses.map { AddressText($0) }
    try field(key, &texts)
    addresses = texts.map(\.address)
  }

  /// A field whose usual value is there, so that its absence needs a word of its own.
  mutating func optional<Value: Codable & Equatable>(
    _ key: String, _ value: inout Value?, none word: String
  ) throws {
    var choice = value.map { WordOr<Value>.value($0) } ?? .word(word)
    try field(key, &choice)
    if case .value(let chosen) = choice { value = chosen } else { value = nil }
  }
}

/// A value, or a word that says that there is none.
private enum WordOr<Value: Codable & Equatable>: Codable, Equatable {
  case word(String)
  case value(Value)

  init(from decoder: any Decoder) throws {
    let text = try? decoder.singleValueContainer().decode(String.self)
    if text == "any" || text == "none" { self = .word(text ?? "") } else { self = .value(try Value(from: decoder)) }
  }

  func encode(to encoder: any Encoder) throws {
    switch self {
    case .word(let word): try encoder.text(word)
    case .value(let value): try value.encode(to: encoder)
    }
  }
}

extension Decoder {
  /// One of an enumeration's words; what else there is gets all of them told.
  func choice<Choice: RawRepresentable<String> & CaseIterable>() throws -> Choice {
    let container = try singleValueContainer()
    let text = try container.decode(String.self)
    guard let choice = Choice(rawValue: text) else {
      let words = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)': expected one of \(words)")
    }
    return choice
  }
}
