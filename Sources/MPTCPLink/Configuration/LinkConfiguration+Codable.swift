// The text form's parts, as the keys and values of an object.
extension LinkConfiguration: Codable {
  /// Reads a configuration: one string in the text form, or an object whose keys are those of the text form, each with
  /// a string (or a bare number, where the text form takes one), or several strings where a key may be repeated:
  ///
  /// ```json
  /// {"rate": "10Mbit/s", "delay": "20ms", "queue": "50ms", "discipline": "codel", "loss": "0.5%",
  ///  "down": ["5s", "9s"], "up": ["6s", "10s"], "change": ["3s rate 2Mbit/s", "4s delay 80ms"], "seed": 7}
  /// ```
  ///
  /// - Throws: `DecodingError` that names the key and what is expected there.
  public init(from decoder: any Decoder) throws {
    if let container = try? decoder.singleValueContainer(), let text = try? container.decode(String.self) {
      do {
        try self.init(parsing: text)
      } catch {
        throw DecodingError.dataCorruptedError(in: container, debugDescription: "\(error)")
      }
      return
    }
    let container = try decoder.container(keyedBy: FieldKey.self)
    var parts: [(key: String, value: String)] = []
    // The order of an object's keys means nothing; it must not decide which error is found first.
    for key in container.allKeys.sorted(by: { $0.stringValue < $1.stringValue }) {
      for value in try Self.values(container, key) { parts.append((key.stringValue, value)) }
    }
    do {
      self = try LinkConfiguration(parts: parts)
    } catch {
      let key = FieldKey(error.part.prefix { $0 != "=" }.description)
      throw DecodingError.dataCorruptedError(forKey: key, in: container, debugDescription: "\(error)")
    }
  }

  /// Writes an object with the keys of the text form, each with a string, or several where there are several.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: FieldKey.self)
    var keys: [String] = []
    var values: [[String]] = []
    for part in parts {
      if let place = keys.firstIndex(of: part.key) {
        values[place].append(part.value)
      } else {
        keys.append(part.key)
        values.append([part.value])
      }
    }
    for (key, values) in zip(keys, values) {
      if values.count == 1 {
        try container.encode(values[0], forKey: FieldKey(key))
      } else {
        try container.encode(values, forKey: FieldKey(key))
      }
    }
  }

  private static func values(
    _ container: KeyedDecodingContainer<FieldKey>, _ key: FieldKey
  ) throws -> [String] {
    if let text = try? container.decode(String.self, forKey: key) { return [text] }
    if let number = try? container.decode(UInt64.self, forKey: key) { return [String(number)] }
    if let texts = try? container.decode([String].self, forKey: key) { return texts }
    throw DecodingError.dataCorruptedError(
      forKey: key, in: container,
      debugDescription: "'\(key.stringValue)': expected a string such as \"20ms\", or an array of such strings")
  }
}
