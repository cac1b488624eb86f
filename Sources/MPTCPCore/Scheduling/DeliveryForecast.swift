import MPTCPWire

/// How fast a subflow delivers, and what follows from it for the next segment.
///
/// The rate is the largest that a round trip showed of late: one in which the connection's window stopped the subflow
/// says nothing about its path, and one in which it was idle says only that the path is no slower. Where there was no
/// other, the last one known stands; until there is any it is a window in a round trip.
struct DeliveryForecast {
  /// The least round-trip time ever seen; nil before the first sample. Ever, because a subflow that is left idle
  /// measures nothing, and one whose queue was full for long would never be tried again.
  private(set) var leastRoundTrip: Nanoseconds?
  private var recentBest = 0
  private var formerBest = 0
  private var epochEnd = Instant.zero
  private var roundStart = Instant.zero
  private var deliveredAtRoundStart = 0
  /// Whether the last round showed much more than any before it.
  private(set) var isGrowing = true
  /// Which part of what was sent of late had to be sent again; of a subflow that is left idle it is forgotten by
  /// halves.
  private(set) var lossShare: Float = 0
  private var sentAtEpoch = 0
  private var repeatedAtEpoch = 0
  private var wasIdle = false
  /// Whether recent rounds say what the path holds.
  private var isShown = false

  /// Of fewer octets the share that was lost is chance.
  private static let tellingOctets = 24_576

  /// Rounds that count as recent, and the least time that does.
  private static let epochRounds: Int64 = 8
  private static let leastEpoch = Nanoseconds.seconds(1)
  /// Shorter rounds are the bunching of acknowledgements.
  private static let leastRound = Nanoseconds.milliseconds(10)

  /// Of so few segments in a round trip the best round is much better than the path: it began behind one
  /// acknowledgement and ended with another. Three are looked at together then.
  private static let fewOctets = 32_768

  /// Takes in what has been delivered so far, once a round trip.
  ///
  /// - Parameters:
  ///   - delivered: octets acknowledged or selectively acknowledged since the beginning.
  ///   - roundTrip: SRTT.
  ///   - least: the least round-trip time of late.
  ///   - sent: octets sent since the beginning, repetitions not counted.
  ///   - repeated: octets sent again since the beginning.
  ///   - isIdle: whether nothing is in flight.
  mutating func note(
    delivered: Int, roundTrip: Nanoseconds, least: Nanoseconds, sent: Int, repeated: Int, isIdle: Bool,
    at now: Instant
  ) {
    if isIdle { wasIdle = true }
    leastRoundTrip = min(leastRoundTrip ?? least, least)
    let round = max(roundTrip, Self.leastRound)
    let elapsed = now - roundStart
    let isFew = delivered - deliveredAtRoundStart < Self.fewOctets
    guard elapsed >= (isFew ? round * 3 : round) else { return }
    if roundStart != .zero, elapsed < round * 5 {
      let shown = Self.rate(delivered - deliveredAtRoundStart, in: elapsed)
      let best = max(recentBest, formerBest)
      if !wasIdle || shown > best {
        isGrowing = shown > best + best / 4
        recentBest = max(recentBest, shown)
      }
      if !wasIdle { isShown = true }
    }
    wasIdle = isIdle
    roundStart = now
    deliveredAtRoundStart = delivered
    guard now >= epochEnd else { return }
    if sent - sentAtEpoch >= Self.tellingOctets {
      lossShare = Float(repeated - repeatedAtEpoch) / Float(sent - sentAtEpoch)
      (sentAtEpoch, repeatedAtEpoch) = (sent, repeated)
    } else if isIdle {
      lossShare /= 2
    }
    formerBest = isShown ? recentBest : max(formerBest, recentBest)
    isShown = false
    recentBest = 0
    epochEnd = now + max(round * Self.epochRounds, Self.leastEpoch)
  }

  /// Octets a second; `window` octets in `roundTrip` while nothing has been measured.
  func rate(window: Int, roundTrip: Nanoseconds) -> Int {
    let measured = max(recentBest, formerBest)
    return measured > 0 ? measured : Self.rate(window, in: max(roundTrip, Nanoseconds(1)))
  }

  /// How long the last of `byteCount` octets in flight takes to be acknowledged: what stands before it at the path's
  /// rate, and at least the path's own round-trip time.
  func time(of byteCount: Int, rate: Int) -> Nanoseconds {
    max(leastRoundTrip ?? .zero, Self.span(of: byteCount, at: rate))
  }

  /// How long `byteCount` octets take at `rate` octets a second.
  static func span(of byteCount: Int, at rate: Int) -> Nanoseconds {
    let (product, overflow) = max(byteCount, 0).multipliedReportingOverflow(by: 1_000_000_000)
    if !overflow { return Nanoseconds(Int64(product / max(rate, 1))) }
    return Nanoseconds(Int64(clamping: UInt128(max(byteCount, 0)) * 1_000_000_000 / UInt128(max(rate, 1))))
  }

  /// Octets a second for `byteCount` octets in `span`.
  static func rate(_ byteCount: Int, in span: Nanoseconds) -> Int {
    Int(clamping: Int64(clamping: UInt128(max(byteCount, 0)) * 1_000_000_000 / UInt128(max(span.count, 1))))
  }

  /// What is sent at `rate` octets a second in `span`.
  static func octets(at rate: Int, in span: Nanoseconds) -> Int {
    let (product, overflow) = max(rate, 0).multipliedReportingOverflow(by: Int(max(span.count, 0)))
    if !overflow { return product / 1_000_000_000 }
    return Int(clamping: Int64(clamping: UInt128(max(rate, 0)) * UInt128(max(span.count, 0)) / 1_000_000_000))
  }
}
