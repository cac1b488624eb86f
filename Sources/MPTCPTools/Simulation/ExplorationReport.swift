import MPTCPSimulator

/// What came of an exploration, in words and histograms.
public struct ExplorationReport: Sendable {
  private let results: ExplorationResults

  /// Reports results.
  public init(_ results: ExplorationResults) { self.results = results }

  /// The report for a terminal.
  public var lines: [String] {
    [
      "\(results.schedules) schedules of seed \(results.seed), from number \(results.from): "
        + (results.violations == 0 ? "no rule was broken" : "\(results.violations) BROKE A RULE")
        + (results.chances == 0 ? "" : "; \(results.chances) with data that a checksum of 16 bits missed by chance"),
      "\(decimal(results.rate, places: 0)) schedules a second on one core, \(text(seconds: results.seconds)) in all; "
        + "\(results.packets) packets, rules checked at \(results.steps) instants",
      "\(text(byteCount: results.bytes)) over \(results.connections) connections, \(results.plainConnections) of them "
        + "plain TCP; a second subflow in \(results.joinedSchedules) schedules, data on two paths in "
        + "\(results.sharedSchedules)",
      "each schedule with \(text(byteCount: results.leastBytes)) to send, \(results.fewestPaths) paths and "
        + "\(results.fewestFaultKinds) kinds of fault at least",
      "",
    ] + outcomeTable + [""] + histogram("fault", results.faults) + [""]
      + histogram("transition", results.transitions) + ["", rarityLine] + failureLines
  }

  /// What a long run would not meet a thousand times in a million schedules; a short one can only guess.
  private var rarityLine: String {
    let rarities = results.rarities
    guard !rarities.isEmpty else { return "all of it a thousand times in a million schedules, or more often" }
    return "less often than a thousand times in a million schedules: "
      + rarities.map { "\($0.name) (\($0.hits))" }.joined(separator: ", ")
  }

  private var outcomeTable: [String] {
    var table = TextTable([("connections", .left), ("count", .right), ("share", .right)])
    for outcome in ConnectionOutcome.allCases {
      guard let count = results.outcomes[outcome.name], count > 0 else { continue }
      let share = Double(count) / Double(max(results.connections, 1))
      table.append([outcome.name, "\(count)", "\(decimal(share * 100, places: 2)) %"])
    }
    return table.lines
  }

  /// Bars are as wide as the share of schedules that met something.
  private func histogram(_ title: String, _ counts: [ExplorationResults.Count]) -> [String] {
    var table = TextTable([(title, .left), ("hits", .right), ("schedules", .right), ("", .left)])
    for count in counts {
      let share = Double(count.schedules) / Double(max(results.schedules, 1))
      table.append([count.name, "\(count.hits)", "\(count.schedules)", bar(share, width: Self.barWidth)])
    }
    return table.lines
  }

  private static let barWidth = 24

  private var failureLines: [String] {
    guard !results.failures.isEmpty else { return [] }
    var lines = [""]
    for failure in results.failures {
      lines.append("number \(failure.number): \(failure.problem)")
      if let file = failure.file { lines.append("  made small in \(file); mptcp sim \(file) runs it") }
    }
    let rest = results.violations - results.failures.count
    if rest > 0 { lines.append("… and \(rest) more") }
    return lines
  }
}
