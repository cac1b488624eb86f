/// The key of a field in a configuration's JSON form.
struct FieldKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(_ text: String) { stringValue = text }
  init?(stringValue: String) { self.init(stringValue) }
  init?(intValue: Int) { nil }
}

/// A configuration whose JSON form is an object with one key for each field; a field that is not there has the value
/// that it has in `init()`.
///
/// Reading and writing are one function, so that they cannot disagree.
protocol FieldwiseCodable: Codable, Equatable {
  init()
  /// Calls ``ConfigurationFields/field(_:_:)`` once for each field, always the same ones.
  mutating func visit(_ fields: inout ConfigurationFields) throws
  /// Throws ``FieldProblem`` for values that do not go together.
  func check() throws(FieldProblem)
}

/// Why a configuration makes no sense: the field, and what is expected.
struct FieldProblem: Error {
  let key: String
  let expected: String
}

extension FieldwiseCodable {
  func check() throws(FieldProblem) {}

  init(fieldsFrom decoder: any Decoder) throws {
    self.init()
    let container = try decoder.container(keyedBy: FieldKey.self)
    var fields = ConfigurationFields(reading: container)
    try visit(&fields)
    try fields.refuseUnknown()
    do {
      try check()
    } catch {
      throw DecodingError.dataCorruptedError(
        forKey: FieldKey(error.key), in: container, debugDescription: "'\(error.key)': expected \(error.expected)")
    }
  }

  func encode(fieldsTo encoder: any Encoder) throws {
    var copy = self
    var plain = Self()
    var plainFields = ConfigurationFields(writing: nil)
    try plain.visit(&plainFields)
    var fields = ConfigurationFields(writing: encoder.container(keyedBy: FieldKey.self))
    fields.plain = plainFields.written
    try copy.visit(&fields)
  }
}

/// Goes through the fields of a configuration, reading or writing them.
struct ConfigurationFields {
  private var reading: KeyedDecodingContainer<FieldKey>?
  private var writing: KeyedEncodingContainer<FieldKey>?
  private var known: [String] = []
  // The values of a plain configuration, which need not be written.
  fileprivate var plain: [any Equatable] = []
  fileprivate var written: [any Equatable] = []

  /// A value as itself: casts see through optionals otherwise.
  private struct Written<Value: Equatable>: Equatable { var value: Value }

  fileprivate init(reading container: KeyedDecodingContainer<FieldKey>) { reading = container }
  fileprivate init(writing container: KeyedEncodingContainer<FieldKey>?) { writing = container }

  /// Reads a field where it is there, or writes it where its value is not the plain one.
  mutating func field<Value: Codable & Equatable>(_ key: String, _ value: inout Value) throws {
    known.append(key)
    if let reading {
      if reading.contains(FieldKey(key)) { value = try reading.decode(Value.self, forKey: FieldKey(key)) }
      return
    }
    written.append(Written(value: value))
    if written.count <= plain.count, plain[written.count - 1] as? Written<Value> == Written(value: value) { return }
    try writing?.encode(value, forKey: FieldKey(key))
  }

  fileprivate func refuseUnknown() throws {
    guard let reading else { return }
    // The order of the keys is not the text's; the first in the alphabet is named whichever comes first.
    let unknown = reading.allKeys.map(\.stringValue).filter { !known.contains($0) }.min()
    guard let unknown else { return }
    throw DecodingError.dataCorruptedError(
      forKey: FieldKey(unknown), in: reading,
      debugDescription: known.isEmpty
        ? "'\(unknown)': expected no keys here" : "'\(unknown)': expected one of \(known.joined(separator: ", "))")
  }
}
