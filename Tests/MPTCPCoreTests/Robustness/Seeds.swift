import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Which seeds a random test runs: a few in the fast suite; `ROBUSTNESS_SEEDS=FIRST-LAST` for long runs.
enum Seeds {
  /// Whether packets are printed (`ROBUSTNESS_TRACE`).
  static var traces: Bool { getenv("ROBUSTNESS_TRACE") != nil }

  static func range(fast: Int) -> ClosedRange<Int> {
    guard let text = getenv("ROBUSTNESS_SEEDS") else { return 1...fast }
    let parts = String(cString: text).split(separator: "-").compactMap { Int($0) }
    guard parts.count == 2, parts[0] <= parts[1] else { return 1...fast }
    return parts[0]...parts[1]
  }
}

extension SeededGenerator {
  /// One of `range`.
  mutating func pick(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

  /// True `percent` times in a hundred.
  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}
