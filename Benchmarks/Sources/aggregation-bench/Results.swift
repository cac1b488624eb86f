/// What one setting gave with one scheduler; a line of `aggregation`.
struct AggregationResult {
  var scheduler: String
  /// `large` or `small`.
  var buffer: String
  var setting: Int
  /// 1 is the sum of both paths, 0 the better one alone.
  var benefit: Double
  /// For people.
  var text: String

  var line: String { "aggregation \(scheduler) \(buffer) \(setting) \(rounded(benefit)) \(text)" }

  init(scheduler: String, buffer: String, setting: Int, benefit: Double, text: String) {
    self.scheduler = scheduler
    self.buffer = buffer
    self.setting = setting
    self.benefit = benefit
    self.text = text
  }

  init?(line: String) {
    let words = line.split(separator: " ", maxSplits: 5).map(String.init)
    guard words.count == 6, words[0] == "aggregation", let setting = Int(words[3]), let benefit = Double(words[4])
    else { return nil }
    self.init(scheduler: words[1], buffer: words[2], setting: setting, benefit: benefit, text: words[5])
  }
}

/// What the death of one path of a setting cost; a line of `failover`.
struct FailoverResult {
  var scheduler: String
  var setting: Int
  /// Which path died.
  var dead: Int
  /// Until the next octet in order, as a part of the bound.
  var first: Double
  /// The longest pause between octets in order in what followed, as a part of the bound.
  var longest: Double
  /// For people.
  var text: String

  var line: String { "failover \(scheduler) \(setting) \(dead) \(rounded(first)) \(rounded(longest)) \(text)" }

  init(scheduler: String, setting: Int, dead: Int, first: Double, longest: Double, text: String) {
    self.scheduler = scheduler
    self.setting = setting
    self.dead = dead
    self.first = first
    self.longest = longest
    self.text = text
  }

  init?(line: String) {
    let words = line.split(separator: " ", maxSplits: 6).map(String.init)
    guard words.count == 7, words[0] == "failover", let setting = Int(words[2]), let dead = Int(words[3]),
      let first = Double(words[4]), let longest = Double(words[5])
    else { return nil }
    self.init(scheduler: words[1], setting: setting, dead: dead, first: first, longest: longest, text: words[6])
  }
}

/// The value below which a share of the sorted ones lies, between neighbours in proportion.
func quantile(_ sorted: [Double], _ share: Double) -> Double {
  guard !sorted.isEmpty else { return .nan }
  let position = share * Double(sorted.count - 1)
  let low = Int(position)
  let high = min(low + 1, sorted.count - 1)
  return sorted[low] + (sorted[high] - sorted[low]) * (position - Double(low))
}

/// Prints the tables of the lines of standard input as Markdown.
func tables() {
  var aggregations: [AggregationResult] = []
  var failovers: [FailoverResult] = []
  while let line = readLine() {
    if let result = AggregationResult(line: line) {
      aggregations.append(result)
    } else if let result = FailoverResult(line: line) {
      failovers.append(result)
    }
  }
  let columns = "| least | 5 % | 25 % | median | 75 % | most |"
  func row(_ values: [Double]) -> String {
    let sorted = values.sorted()
    return [0, 0.05, 0.25, 0.5, 0.75, 1].map { hundredths(quantile(sorted, $0)) }.joined(separator: " | ")
  }
  var names: [String] = []
  for name in aggregations.map(\.scheduler) + failovers.map(\.scheduler) where !names.contains(name) {
    names.append(name)
  }
  for buffer in ["large", "small"] where aggregations.contains(where: { $0.buffer == buffer }) {
    print("| \(buffer) buffers | settings \(columns) below −0.05 |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name in names {
      let values = aggregations.filter { $0.buffer == buffer && $0.scheduler == name }.map(\.benefit)
      guard !values.isEmpty else { continue }
      print("| `\(name)` | \(values.count) | \(row(values)) | \(values.filter { $0 < -0.05 }.count) |")
    }
    print("")
  }
  guard !failovers.isEmpty else { return }
  print("| next octet ÷ bound | cases \(columns) later than the bound |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|")
  for name in names {
    let values = failovers.filter { $0.scheduler == name }.map(\.first)
    guard !values.isEmpty else { continue }
    print("| `\(name)` | \(values.count) | \(row(values)) | \(values.filter { $0 > 1 }.count) |")
  }
}

/// With two digits behind the point, and the sign as typeset.
func hundredths(_ value: Double) -> String {
  let total = Int((abs(value) * 100).rounded())
  let digits = total % 100
  let sign = value < 0 && total > 0 ? "−" : ""
  return "\(sign)\(total / 100).\(digits < 10 ? "0" : "")\(digits)"
}
