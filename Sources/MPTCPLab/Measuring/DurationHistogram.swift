import MPTCPWire

/// Counts of times, each known to one part in 32: small, whatever the times are, and cheap to add to.
package struct DurationHistogram: Hashable, Sendable {
  private var counts = [Int](repeating: 0, count: 59 * 32 + 32)
  /// How many times were counted.
  package private(set) var count = 0
  private var least = Int64.max
  private var greatest = Int64.min

  /// Makes one that is empty.
  package init() {}

  /// The shortest time; nil while empty.
  package var minimum: Nanoseconds? { count == 0 ? nil : Nanoseconds(least) }
  /// The longest time; nil while empty.
  package var maximum: Nanoseconds? { count == 0 ? nil : Nanoseconds(greatest) }

  /// Counts a time `multiple` times. What is negative counts as zero.
  package mutating func add(_ time: Nanoseconds, multiple: Int = 1) {
    let value = max(time.count, 0)
    counts[Self.index(value)] += multiple
    count += multiple
    least = min(least, value)
    greatest = max(greatest, value)
  }

  /// Counts all that another one has.
  package mutating func add(_ other: DurationHistogram) {
    for index in counts.indices { counts[index] += other.counts[index] }
    count += other.count
    least = min(least, other.least)
    greatest = max(greatest, other.greatest)
  }

  /// The time that a share of all, from 0 to 1, does not exceed; nil while empty.
  package func quantile(_ share: Double) -> Nanoseconds? {
    guard count > 0 else { return nil }
    let rank = min(max(Int((share * Double(count)).rounded(.up)), 1), count)
    var sum = 0
    for index in counts.indices {
      sum += counts[index]
      if sum >= rank { return Nanoseconds(min(max(Self.middle(index), least), greatest)) }
    }
    return maximum
  }

  // 32 cells for each power of two; below 32 each number has its own.
  private static func index(_ value: Int64) -> Int {
    guard value >= 32 else { return Int(value) }
    let shift = 58 - value.leadingZeroBitCount
    return shift * 32 + Int(value >> Int64(shift))
  }

  private static func middle(_ index: Int) -> Int64 {
    guard index >= 64 else { return Int64(index) }
    let shift = index / 32 - 1
    return Int64(index - shift * 32) << Int64(shift) + Int64(1) << Int64(shift) / 2
  }
}
