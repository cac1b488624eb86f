/// Up to four ranges, the most recently changed first: what the SACK option reports (RFC 2018 §4).
struct RecentRanges {
  static let capacity = 4

  private var storage = InlineArray<4, Range<Int>>(repeating: 0..<0)

  /// How many ranges there are.
  private(set) var count = 0

  subscript(index: Int) -> Range<Int> { storage[index] }

  /// Adds `range` behind the others, unless it is there already or there is no room.
  mutating func append(_ range: Range<Int>) {
    guard count < Self.capacity else { return }
    for index in 0..<count where storage[index] == range { return }
    storage[count] = range
    count += 1
  }
}

/// The stream offsets at which segments arrived most recently, latest first.
struct RecentPositions {
  private var storage = InlineArray<4, Int>(repeating: 0)
  private var used: Int8 = 0

  /// How many offsets there are.
  var count: Int { Int(used) }

  subscript(index: Int) -> Int { storage[index] }

  /// Puts `position` in front, in place of all others in `range`, the contiguous range that it lies in.
  /// Requirement 2018-4-02
  mutating func note(_ position: Int, in range: Range<Int>) {
    var kept = 1
    var shifted = InlineArray<4, Int>(repeating: position)
    for index in 0..<count where !range.contains(storage[index]) && kept < 4 {
      shifted[kept] = storage[index]
      kept += 1
    }
    storage = shifted
    used = Int8(truncatingIfNeeded: kept)
  }
}
