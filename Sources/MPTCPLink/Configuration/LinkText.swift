import MPTCPWire

/// One value in the text of a configuration, and how numbers with units are read and written there.
struct LinkText {
  enum Queue {
    case bytes(Int)
    case packets(Int)
    case time(Nanoseconds)
  }

  static let keys = """
    a rate, a delay, or one of queue=, discipline=, loss=, burst=, corrupt=, dup=, reorder=, jitter=, ecn=, mtu=, \
    down=, up=, change=, seed=, rate=, delay=
    """

  private static let rates: [(String, Int64)] = [
    ("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1000), ("bit", 1),
    ("gbit/s", 1_000_000_000), ("mbit/s", 1_000_000), ("kbit/s", 1000), ("bit/s", 1),
  ]
  private static let sizes: [(String, Int64)] = [
    ("mb", 1_000_000), ("kb", 1000), ("mib", 1 << 20), ("kib", 1 << 10), ("b", 1), ("", 1),
  ]
  private static let times: [(String, Int64)] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000), ("ns", 1)]

  /// The value in lower case.
  let text: String
  /// The value as it was written.
  let original: String
  private let part: String

  init(_ value: Substring, in part: Substring) {
    original = trimmed(value)
    text = original.lowercased()
    self.part = String(part)
  }

  private init(_ text: String, in part: String) {
    self.text = text
    original = text
    self.part = part
  }

  func dropLast(_ count: Int) -> LinkText { LinkText(String(text.dropLast(count)), in: part) }

  func pair(_ expected: String) throws(LinkTextError) -> (LinkText, LinkText) {
    let halves = text.split(separator: ":", omittingEmptySubsequences: false)
    guard halves.count == 2 else { throw error(expected) }
    return (LinkText(String(halves[0]), in: part), LinkText(String(halves[1]), in: part))
  }

  /// Whether it is a rate by its unit, be it a possible one or not.
  var isRate: Bool { reading(Self.rates) != .other }

  func rate() throws(LinkTextError) -> Int {
    let rate = try number(Self.rates, "a rate such as 40mbit", most: "9000000000gbit")
    guard rate > 0 else { throw error("a rate above 0, such as 40mbit") }
    return rate
  }

  /// The longest time: no sum of such times along a path is beyond what the clock can count.
  static let longestTime = Nanoseconds.seconds(10_000_000)

  func time(_ expected: String = "a time such as 20ms") throws(LinkTextError) -> Nanoseconds {
    if text == "0" { return .zero }
    let most = Self.time(Self.longestTime)
    let time = Nanoseconds(Int64(try number(Self.times, expected, most: most)))
    guard time <= Self.longestTime else { throw error("\(most) at most") }
    return time
  }

  func size() throws(LinkTextError) -> Int { try number(Self.sizes, "a size such as 200KB", most: "9000000000000MB") }

  /// A size that packets can have: every link carries 68 bytes (RFC 791 §3.2).
  func packetSize() throws(LinkTextError) -> Int {
    let size = try size()
    guard size >= 68 else { throw error("a size of 68 bytes or more, which IP needs") }
    return size
  }

  func queue() throws(LinkTextError) -> Queue {
    if reading(Self.sizes) != .other { return .bytes(try size()) }
    let packets = [("p", Int64(1))]
    if reading(packets) != .other { return .packets(try number(packets, "a number", most: "\(Int64.max)p")) }
    return .time(try time("a size, a number of packets or a time, such as 200KB, 100p or 50ms"))
  }

  func probability() throws(LinkTextError) -> Probability {
    guard text.hasSuffix("%"), let percent = decimal(text.dropLast()), percent <= 100 else {
      throw error("a share from 0% to 100%")
    }
    return .percent(percent)
  }

  func integer() throws(LinkTextError) -> UInt64 {
    guard let integer = UInt64(text) else { throw error("a whole number") }
    return integer
  }

  func error(_ expected: String) -> LinkTextError { LinkTextError(part: part, expected: expected) }

  /// A word of this value as a value of its own.
  func part(_ word: String) -> LinkText { LinkText(word, in: part) }

  /// A time and what changes then: `3s rate 2mbit`.
  func event() throws(LinkTextError) -> LinkEvent {
    let words = text.split(separator: " ").map(String.init)
    let problem = error(
      "a time and a change such as '3s rate 2mbit', '3s delay 80ms', '3s loss 2%', '3s mtu 1280', '3s down', '3s up'")
    guard let first = words.first, words.count >= 2 else { throw problem }
    let after = try part(first).time()
    let value = words.count == 3 ? part(words[2]) : nil
    switch (words[1], value) {
    case ("down", nil) where words.count == 2: return LinkEvent(after: after, .down)
    case ("up", nil) where words.count == 2: return LinkEvent(after: after, .up)
    case ("rate", let value?):
      return LinkEvent(after: after, .rate(value.text == "unlimited" ? nil : try value.rate()))
    case ("delay", let value?): return LinkEvent(after: after, .delay(try value.time()))
    case ("loss", let value?): return LinkEvent(after: after, .loss(try value.probability()))
    case ("mtu", let value?):
      return LinkEvent(
        after: after, .maximumTransmissionUnit(value.text == "unlimited" ? nil : try value.packetSize()))
    case _: throw problem
    }
  }

  /// What a number with one of these units is.
  private enum Reading: Equatable {
    case number(Int)
    case tooLarge
    case exponent
    case other
  }

  private func number(
    _ units: [(name: String, factor: Int64)], _ expected: String, most: String
  ) throws(LinkTextError) -> Int {
    switch reading(units) {
    case .number(let number): return number
    case .tooLarge: throw error("\(most) at most")
    case .exponent: throw error("a number without an exponent")
    case .other: throw error(expected)
    }
  }

  private func reading(_ units: [(name: String, factor: Int64)]) -> Reading {
    let digits = text.prefix { $0.isASCII && $0.isNumber || $0 == "." }
    var rest = text.dropFirst(digits.count)
    var hasExponent = false
    if rest.first == "e", let sign = rest.dropFirst().first, sign == "-" || sign == "+" || sign.isNumber {
      hasExponent = true
      rest = rest.dropFirst(2).drop { $0.isNumber }
    }
    let unit = trimmed(rest)
    guard let factor = units.first(where: { $0.name == unit })?.factor, let value = decimal(digits) else {
      return .other
    }
    if hasExponent { return .exponent }
    if let whole = Int(digits) {
      let (product, overflow) = whole.multipliedReportingOverflow(by: Int(factor))
      return overflow ? .tooLarge : .number(product)
    }
    return Int(exactly: (value * Double(factor)).rounded()).map { .number($0) } ?? .tooLarge
  }

  // Exponents, signs and names of numbers have no place in these texts.
  private func decimal(_ text: Substring) -> Double? {
    text.allSatisfy { $0.isASCII && $0.isNumber || $0 == "." } ? Double(text) : nil
  }

  static func change(_ event: LinkEvent) -> String {
    switch event.change {
    case .down: "\(time(event.after)) down"
    case .up: "\(time(event.after)) up"
    case .rate(let rate): "\(time(event.after)) rate \(rate.map(Self.rate) ?? "unlimited")"
    case .delay(let delay): "\(time(event.after)) delay \(time(delay))"
    case .loss(let share): "\(time(event.after)) loss \(share)"
    case .maximumTransmissionUnit(let size): "\(time(event.after)) mtu \(size.map(String.init) ?? "unlimited")"
    }
  }

  static func rate(_ rate: Int) -> String { spelled(Int64(rate), Array(rates[..<4])) }
  static func time(_ time: Nanoseconds) -> String { spelled(time.count, times) }
  static func size(_ size: Int) -> String { spelled(Int64(size), [("MB", 1_000_000), ("KB", 1000), ("B", 1)]) }

  private static func spelled(_ value: Int64, _ units: [(name: String, factor: Int64)]) -> String {
    for (name, factor) in units where value != 0 && value % factor == 0 { return "\(value / factor)\(name)" }
    return "\(value)\(units[units.count - 1].name)"
  }
}

func trimmed(_ text: Substring) -> String {
  var text = text
  while text.first == " " { text.removeFirst() }
  while text.last == " " { text.removeLast() }
  return String(text)
}
