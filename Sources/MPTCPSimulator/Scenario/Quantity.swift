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

  /// The longest time: no sum of such times is beyond what the clock can count.
  static let longestTime = Nanoseconds.seconds(10_000_000)

  /// What is wrong with a text, in words that fit behind "expected".
  struct Problem: Error, Hashable {
    let expected: String
  }

  /// Reads a time such as `1.5s`.
  static func time(_ text: String) throws(Problem) -> Nanoseconds {
    if text == "0" { return .zero }
    let most = "\(Self.text(longestTime)) at most"
    let time = Nanoseconds(try number(text, times, "a time such as 20ms or 1.5s", most: most))
    guard time <= longestTime else { throw Problem(expected: most) }
    return time
  }

  /// Reads a size such as `200KB`.
  static func byteCount(_ text: String) throws(Problem) -> Int {
    Int(try number(text, sizes, "a size such as 200KB or 1MiB", most: "9000000000GB at most"))
  }

  /// Reads a rate such as `40mbit`, above 0, in bits a second.
  static func bitsPerSecond(_ text: String) throws(Problem) -> Int {
    let rate = Int(try number(text, rates, "a rate such as 40mbit", most: "9000000000gbit at most"))
    guard rate > 0 else { throw Problem(expected: "a rate above 0") }
    return rate
  }

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

  private static func number(
    _ text: String, _ units: [(String, Int64)], _ expected: String, most: String
  ) throws(Problem) -> Int64 {
    let digits = text.prefix { $0.isASCII && $0.isNumber || $0 == "." }
    var unit = text.dropFirst(digits.count).lowercased()
    var hasExponent = false
    if unit.first == "e", let sign = unit.dropFirst().first, sign == "-" || sign == "+" || sign.isNumber {
      hasExponent = true
      unit = String(unit.dropFirst(2).drop { $0.isNumber })
    }
    while unit.first == " " { unit.removeFirst() }
    guard let factor = units.first(where: { $0.0.lowercased() == unit })?.1, let decimal = Double(digits) else {
      throw Problem(expected: expected)
    }
    if hasExponent { throw Problem(expected: "a number without an exponent") }
    if let whole = Int64(digits) {
      let (product, overflow) = whole.multipliedReportingOverflow(by: factor)
      if !overflow { return product }
    } else if let number = Int64(exactly: (decimal * Double(factor)).rounded()) {
      return number
    }
    throw Problem(expected: most)
  }
}
