import MPTCPWire

/// The state of CoDel, which drops or marks the packet at the head of a queue in which packets wait for too long
/// (RFC 8289).
///
/// It looks at a packet when the line takes it. Once packets have waited for longer than the target throughout an
/// interval it drops one, and then others at times that come closer with the square root of their number, until one has
/// waited for less.
struct ControlledDelay: Sendable {
  /// A queue of no more than this is not worth a drop (RFC 8289 §5.6): one packet as long as they usually are.
  static let leastByteCount = 1500

  let configuration: ControlledDelayConfiguration
  /// When packets will have waited for too long throughout an interval; `nil` while they do not.
  private var firstAboveTime: Instant?
  private(set) var isDropping = false
  private(set) var nextDrop = Instant.zero
  /// The drops of this state, and of the one before it when it ended.
  private(set) var count: Int64 = 0
  private var lastCount: Int64 = 0
  /// Whether a packet went within the state and the time of the next one is still to be set, which is done only if the
  /// state goes on.
  private var isSpacingDue = false

  init(_ configuration: ControlledDelayConfiguration) { self.configuration = configuration }

  /// The time to the drop behind the `count`th: interval / √count (RFC 8289 §3.3, §5.6), in integers to 1 part in
  /// 65,536.
  static func spacing(_ interval: Nanoseconds, count: Int64) -> Nanoseconds {
    // √count with 16 binary places.
    let root = Int64(squareRoot(UInt64(clamping: min(max(count, 1), 1 << 31)) << 32))
    return interval * 65_536 / root
  }

  /// The largest whole number whose square is not above `value`.
  static func squareRoot(_ value: UInt64) -> UInt64 {
    var rest = value
    var root: UInt64 = 0
    var bit: UInt64 = 1 << 62
    while bit > value { bit >>= 2 }
    while bit != 0 {
      if rest >= root + bit {
        rest -= root + bit
        root = root >> 1 + bit
      } else {
        root >>= 1
      }
      bit >>= 2
    }
    return root
  }

  /// Whether the packet at the head is to go rather than on, the line taking it at `now` (RFC 8289 §5.5). It is asked
  /// again for the next packet after each drop, and not after a mark.
  ///
  /// - Parameters:
  ///   - sojourn: How long the packet has waited; `nil` when the queue is empty.
  ///   - byteCount: What waits behind it.
  ///   - now: The time.
  mutating func decides(sojourn: Nanoseconds?, byteCount: Int, at now: Instant) -> Bool {
    let mayDrop = isAbove(sojourn: sojourn, byteCount: byteCount, at: now)
    if isDropping {
      guard mayDrop else {
        isDropping = false
        isSpacingDue = false
        return false
      }
      if isSpacingDue { nextDrop = nextDrop + Self.spacing(configuration.interval, count: count) }
      isSpacingDue = now >= nextDrop
      count += isSpacingDue ? 1 : 0
      return isSpacingDue
    }
    guard mayDrop else { return false }
    isDropping = true
    // Soon after the last such state its rate is the better first guess.
    let recent = count - lastCount
    count = recent > 1 && now - nextDrop < configuration.interval * 16 ? recent : 1
    nextDrop = now + Self.spacing(configuration.interval, count: count)
    lastCount = count
    return true
  }

  private mutating func isAbove(sojourn: Nanoseconds?, byteCount: Int, at now: Instant) -> Bool {
    guard let sojourn, sojourn >= configuration.target, byteCount > Self.leastByteCount else {
      firstAboveTime = nil
      return false
    }
    guard let firstAboveTime else {
      self.firstAboveTime = now + configuration.interval
      return false
    }
    return now >= firstAboveTime
  }
}
