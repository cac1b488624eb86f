import MPTCPWire

/// Weighted Vegas, wVegas (Cao, Xu, Fu: "Delay-based congestion control for multipath TCP", ICNP 2012; with the
/// parameters of its Linux implementation), in octets.
///
/// Once in a round trip that gave at least three samples, a path is judged by what it holds in queues:
/// diff = w·(rtt − base)/rtt, where rtt is the mean of the round's samples and base the least round-trip time ever
/// seen.
///
/// - Slow start ends when diff exceeds γ (a segment); the window is then what filled the path, and a segment.
/// - Congestion avoidance aims at α_r segments in the queues of path r: a segment less when there are more, one more
///   when there are fewer. Where diff reaches α_r, it is weighed anew: α_r = max(2, 10 · x_r/Σx), with the rate x =
///   w/rtt. So all paths of a connection together hold ten segments, and each as many as its share of the rate. α is
///   counted in octets: of nine and a half segments none is rounded off.
/// - Once the queueing delay has doubled since its least, the window is cut to w·base/(2·rtt), for the queues to drain
///   and base to show. Slow start leads back to three quarters of what it was, as in Linux.
///
/// The least queueing delay is that of rounds in which the path holds its α. A queue that is only being filled has no
/// least worth the name: the delay of its second segment is twice that of its first. Taken from any round, as Linux
/// takes it, each flow is cut on its way to α, and never comes to where rates decide: then every subflow takes as much
/// as a flow of its own (docs/congestion.md has the figures).
///
/// Losses are answered as in RFC 5681, and in rounds with too few samples windows grow as there. The least window is
/// two segments.
final class WeightedVegas: CongestionController {
  /// What is known of one path.
  struct PathState {
    /// The least round-trip time seen; nil before the first sample.
    var base: Nanoseconds?
    /// The sum of this round's samples, and their count.
    var sampleSum = Nanoseconds.zero
    var sampleCount: Int64 = 0
    /// Octets to be acknowledged before the round is over; not positive before it has begun.
    var roundRemainingByteCount = 0
    /// The mean of the round that has just ended; nil where it gave too few samples, or none has.
    var roundMean: Nanoseconds?
    var isRoundOver = false
    /// α in octets: how much it aims to hold in queues; nil until it has been weighed since the last loss.
    var targetByteCount: Int?
    /// The rate at which it was weighed last, in octets a second; 0 if it was not since the last loss.
    var rate = 0
    /// The least queueing delay of rounds that reached the target, since the queues were drained; nil before one did.
    var leastDelay: Nanoseconds?
  }

  /// γ, in segments.
  static let slowStartLimit = 1
  /// The least α of a path, and what it begins with, in segments.
  static let leastTarget = 2
  /// What the αs of all paths amount to.
  static let totalTarget = 10
  private static let leastSampleCount: Int64 = 3
  /// Longer round trips count as this: sums of millions of them are far from overflow.
  private static let largestSample = Nanoseconds.seconds(3_600)

  private(set) var paths: [PathState] = []

  override var name: String { "wvegas" }

  override func windowAdded(_ slot: Int, at: Instant) {
    while paths.count <= slot { paths.append(PathState()) }
    paths[slot] = PathState()
  }

  // MARK: Samples

  override func observe(_ slot: Int, _ acknowledgment: CongestionAcknowledgment) {
    guard windows[slot].phase == .open else {
      // What a repair measures says nothing of queues.
      resetRound(slot)
      paths[slot].isRoundOver = false
      return
    }
    if let measured = acknowledgment.roundTripTime, measured > .zero {
      let sample = min(measured, Self.largestSample)
      paths[slot].base = min(paths[slot].base ?? sample, sample)
      paths[slot].sampleSum = paths[slot].sampleSum + sample
      paths[slot].sampleCount += 1
    }
    paths[slot].isRoundOver = paths[slot].roundRemainingByteCount <= acknowledgment.byteCount
    guard paths[slot].isRoundOver else {
      paths[slot].roundRemainingByteCount -= acknowledgment.byteCount
      return
    }
    let count = paths[slot].sampleCount
    paths[slot].roundMean = count >= Self.leastSampleCount ? paths[slot].sampleSum / count : nil
    resetRound(slot)
    paths[slot].roundRemainingByteCount = max(acknowledgment.priorInFlight - acknowledgment.byteCount, 0)
  }

  private func resetRound(_ slot: Int) {
    paths[slot].sampleSum = .zero
    paths[slot].sampleCount = 0
    paths[slot].roundRemainingByteCount = 0
  }

  // MARK: The window

  override func grow(_ slot: Int, _ acknowledgment: CongestionAcknowledgment) {
    guard windows[slot].phase == .open else {
      super.grow(slot, acknowledgment)
      return
    }
    guard paths[slot].isRoundOver, let mean = paths[slot].roundMean, let base = paths[slot].base else {
      // Between rounds only slow start moves the window; a round without a verdict is Reno's.
      if windows[slot].isInSlowStart {
        _ = growSlowStart(slot, acknowledgment)
      } else if paths[slot].isRoundOver {
        changeWindow(slot, by: 1)
      }
      return
    }
    let window = windows[slot].congestionWindowByteCount
    let segment = windows[slot].maximumSegmentByteCount
    let time = Int(mean.count)
    let queued = scaled(window, by: Int((mean - base).count), over: time)
    if windows[slot].isInSlowStart {
      guard queued > Self.slowStartLimit * segment else {
        _ = growSlowStart(slot, acknowledgment)
        return
      }
      windows[slot].setWindow(min(window, min(scaled(window, by: Int(base.count), over: time), window) + segment))
      lowerThreshold(slot)
    } else {
      if queued >= target(slot) { weigh(slot, time: time) }
      if queued > target(slot) {
        changeWindow(slot, by: -1)
        lowerThreshold(slot)
      } else if queued < target(slot) {
        changeWindow(slot, by: 1)
      }
      if queued >= target(slot) { drain(slot, mean: mean, base: base) }
    }
    windows[slot].setWindow(max(windows[slot].congestionWindowByteCount, 2 * segment))
  }

  /// α_r in octets.
  private func target(_ slot: Int) -> Int {
    paths[slot].targetByteCount ?? Self.leastTarget * windows[slot].maximumSegmentByteCount
  }

  /// α_r = max(2, 10 · x_r/Σx), over the paths whose rates have been taken.
  private func weigh(_ slot: Int, time: Int) {
    paths[slot].rate = max(
      min(scaled(windows[slot].congestionWindowByteCount, by: 1_000_000_000, over: time), Self.largestSum), 1)
    var total = 0
    for index in windows.indices where windows[index].isInUse {
      total = min(total + paths[index].rate, Self.largestSum)
    }
    let segment = windows[slot].maximumSegmentByteCount
    paths[slot].targetByteCount = max(
      Self.leastTarget * segment, scaled(paths[slot].rate, by: Self.totalTarget * segment, over: total))
  }

  /// Cuts the window once the queueing delay has doubled.
  private func drain(_ slot: Int, mean: Nanoseconds, base: Nanoseconds) {
    // More than nothing: something is queued.
    let delay = mean - base
    let least = min(paths[slot].leastDelay ?? delay, delay)
    paths[slot].leastDelay = least
    guard delay >= least * 2 else { return }
    let window = windows[slot].congestionWindowByteCount
    windows[slot].slowStartThresholdByteCount = max(windows[slot].slowStartThresholdByteCount, window / 4 * 3)
    windows[slot].setWindow(scaled(window, by: Int(base.count), over: Int((mean * 2).count)))
    paths[slot].leastDelay = nil
  }

  private func changeWindow(_ slot: Int, by segments: Int) {
    windows[slot].setWindow(
      windows[slot].congestionWindowByteCount + segments * windows[slot].maximumSegmentByteCount)
  }

  /// The threshold stays a segment below the window: what follows is no slow start.
  private func lowerThreshold(_ slot: Int) {
    let below = windows[slot].congestionWindowByteCount - windows[slot].maximumSegmentByteCount
    windows[slot].slowStartThresholdByteCount = max(
      min(windows[slot].slowStartThresholdByteCount, below), windows[slot].maximumSegmentByteCount)
  }

  // MARK: Losses

  override func threshold(_ slot: Int, after used: Int, at: Instant) -> Int {
    // The rate is that of a path without trouble.
    paths[slot].rate = 0
    paths[slot].targetByteCount = nil
    paths[slot].leastDelay = nil
    resetRound(slot)
    return used / 2
  }

  override func restartAfterIdle(
    _ slot: Int, idle: Nanoseconds, retransmissionTimeout: Nanoseconds, at: Instant
  ) {
    super.restartAfterIdle(slot, idle: idle, retransmissionTimeout: retransmissionTimeout, at: at)
    guard idle > retransmissionTimeout else { return }
    // The path may be another one by now.
    paths[slot] = PathState()
  }
}
