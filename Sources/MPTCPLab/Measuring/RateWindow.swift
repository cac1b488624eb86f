import MPTCPWire

/// The busiest second of a stream of bytes, to a tenth of a second.
struct RateWindow: Hashable, Sendable {
  private static let slot = Nanoseconds.milliseconds(100)
  private var slots = [Int](repeating: 0, count: 10)
  private var current: Int64 = 0
  private var busiest = 0

  /// Counts bytes; times do not go back.
  mutating func add(_ byteCount: Int, at time: Instant) {
    let number = time.nanoseconds / Self.slot.count
    if number != current { advance(to: number) }
    slots[Int(number % 10)] += byteCount
  }

  private mutating func advance(to number: Int64) {
    busiest = max(busiest, slots.reduce(0, +))
    for past in max(current + 1, number - 9)...max(number, current + 1) { slots[Int(past % 10)] = 0 }
    current = number
  }

  /// The bytes of the second that had most of them.
  var busiestByteCount: Int { max(busiest, slots.reduce(0, +)) }
}
