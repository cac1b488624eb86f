import MPTCPWire

/// Numbers with units as people write them in scenarios: `20ms`, `200KB`, `40mbit`.
///
/// Times take `ns`, `us`, `ms`, `s`, `min`; sizes `B`, `KB`, `MB`, `GB` and `KiB`, `MiB`, `GiB`; rates `bit`, `kbit`,
/// `mbit`, `gbit`. Case does not matter, and there may be a space before the unit.
enum Quantity {
  /// Each unit's spelling and its size, the largest first: that is also how numbers are written.
  private static let times: [(String, Int64)] = [
    ("min", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000), ("ns", 1),
  ]
  private static let sizes: [(String, Int64)] = [
    ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1000), ("B", 1), ("GiB", 1 << 30), ("MiB", 1 << 20),
    ("KiB", 1 << 10),
  ]
  private static let rates: [(String, Int64)] = [
    ("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1000), ("bit", 1),
  ]

  /// A time such as `1.5s`; nil for anything else.
  static func time(_ text: String) -> Nanoseconds? {
    text == "0" ? .zero : number(text, times).map { Nanoseconds($0) }
  }

  /// A size such as `200KB`; nil for anything else.
  static func byteCount(_ text: String) -> Int? { number(text, sizes).map { Int($0) } }

  /// A rate such as `40mbit` in bits a second; nil for anything else.
  static func bitsPerSecond(_ text: String) -> Int? { number(text, rates).map { Int($0) } }

  /// A time in the form that ``time(_:)`` reads.
  static func text(_ time: Nanoseconds) -> String { spelled(time.count, times.dropFirst()) }

  /// A size in the form that ``byteCount(_:)`` reads.
  static func text(byteCount: Int) -> String { spelled(Int64(byteCount), sizes.prefix(4)) }

  /// A rate in the form that ``bitsPerSecond(_:)`` reads.
  static func text(bitsPerSecond: Int) -> String { spelled(Int64(bitsPerSecond), rates[...]) }

  private static func spelled(_ value: Int64, _ units: ArraySlice<(String, Int64)>) -> String {
    for (name, factor) in units where value != 0 && value % factor == 0 { return "\(value / factor)\(name)" }
    return "\(value)\(units.last?.0 ?? "")"
  }

  private static func number(_ text: String, _ units: [(String, Int64)]) -> Int64? {
    let digits = text.prefix { $0.isASCII && $0.isNumber || $0 == "." }
    var unit = text.dropFirst(digits.count).lowercased()
    while unit.first == " " { unit.removeFirst() }
    guard let factor = units.first(where: { $0.0.lowercased() == unit })?.1 else { return nil }
    if let whole = Int64(digits) {
      let (product, overflow) = whole.multipliedReportingOverflow(by: factor)
      return overflow ? nil : product
    }
    guard let decimal = Double(digits), decimal.isFinite else { return nil }
    return Int64(exactly: (decimal * Double(factor)).rounded())
  }
}
