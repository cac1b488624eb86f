/// What the live display shows of one path.
public struct PathProgress: Sendable, Hashable {
  /// The path's name.
  public var name: String
  /// Payload carried since the start, in the direction that is shown.
  public var byteCount: Int
  /// The rate of late.
  public var bitsPerSecond: Double
  /// The smoothed round-trip time in seconds; `nil` before the first sample.
  public var roundTripTime: Double?
  /// What ``roundTripTime`` is called, where it is another time.
  public var timeName = "rtt"
  /// A word for a path that does not carry anything now: `down`, `stalled`, `backup`.
  public var remark: String?

  /// Makes an entry; see the properties.
  public init(name: String, byteCount: Int, bitsPerSecond: Double, roundTripTime: Double?, remark: String? = nil) {
    self.name = name
    self.byteCount = byteCount
    self.bitsPerSecond = bitsPerSecond
    self.roundTripTime = roundTripTime
    self.remark = remark
  }

  /// One line: name, bar of the rate against the fastest of all, rate, round-trip time, bytes.
  /// - Parameters:
  ///   - fullScale: The rate that fills the bar, in bits per second.
  ///   - nameWidth: The width of the name's column.
  ///   - width: The columns of the terminal.
  public func line(fullScale: Double, nameWidth: Int, width: Int) -> String {
    let rate = pad(text(bitsPerSecond: bitsPerSecond), 11)
    let time = pad(roundTripTime.map { text(seconds: $0) } ?? "–", 8)
    let tail = " \(rate)  \(timeName) \(time)  \(pad(text(byteCount: byteCount), 8))" + (remark.map { "  \($0)" } ?? "")
    let head = name + String(repeating: " ", count: max(0, nameWidth - name.count)) + " "
    let room = min(30, width - 1 - head.count - tail.count)
    let share = fullScale > 0 ? bitsPerSecond / fullScale : 0
    return String((head + bar(share, width: max(room, 0)) + tail).prefix(max(width - 1, 0)))
  }

  private func pad(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}

/// Rates from counters that are read now and then: a mean over about the last second.
public struct RateMeter: Sendable {
  private var samples: [(time: Double, byteCount: Int)] = []
  private let span: Double

  /// Makes a meter that looks `span` seconds back.
  public init(span: Double = 1) { self.span = span }

  /// Takes a reading, and returns the rate in bits per second over the span that ends with it.
  public mutating func rate(at time: Double, byteCount: Int) -> Double {
    samples.append((time, byteCount))
    while samples.count > 2, time - samples[1].time >= span { samples.removeFirst() }
    guard let first = samples.first, time > first.time else { return 0 }
    return Double(byteCount - first.byteCount) * 8 / (time - first.time)
  }
}

/// A block of lines at the bottom of a terminal that is drawn anew in place.
public struct LiveBlock: Sendable {
  private var drawnLineCount = 0

  /// Makes a block with nothing drawn.
  public init() {}

  /// The characters that replace what was drawn before by these lines.
  public mutating func drawing(_ lines: [String]) -> String {
    var output = clearing()
    for line in lines { output += line + "\n" }
    drawnLineCount = lines.count
    return output
  }

  /// The characters that remove what was drawn: up by its lines, then clear to the end of the screen.
  public mutating func clearing() -> String {
    defer { drawnLineCount = 0 }
    return drawnLineCount == 0 ? "" : "\u{1B}[\(drawnLineCount)A\r\u{1B}[J"
  }
}
