import MPTCPPolicy
import MPTCPWire

// Predictive scheduling, the default. For each subflow it predicts T, the time until the segment would be acknowledged
// there: what is in flight before it divided by the rate that the path has shown, and at least the path's own round-trip
// time. The least T takes the segment, if it has room; another with room takes it unless that would do harm:
//
// 1. The connection's window. A segment keeps the window's left edge where it is for T, and until then all subflows
//    together send ΣR·T. Where that is more than the window W they are stopped by it, and the connection gets W/T whatever
//    the paths can do. So a subflow's queue, which costs T and brings nothing, grows only as long as the window can afford
//    it, and a subflow stays idle just where W/T would fall below what the others bring without it. BLEST asks the same
//    question with cwnd for the rate, which in a bloated queue is neither constant nor the path's, and takes the slow
//    subflow's queue as given instead of keeping it short.
// 2. The end of the data. When the application has nothing more to write, and a faster subflow would be through with all
//    that waits before the slower one is with this segment, it waits (ECF's thought). While the application is itself
//    stopped by the send buffer there is no end in sight, and no path stays idle.
// 3. A window with nothing to spare. Where it holds hardly more than ΣR times the longest of the paths' own round-trip times,
//    no path takes more than keeps it busy: what waits in a queue waits in the window of the others, and what a full queue
//    drops stops all of them until it has been repaired.
//
// SRTT, by which the other schedulers rank, says the same as T of a path whose queue is steady, but a round trip late; and
// a near path whose queue has eaten the whole window would, by SRTT, keep it from an idle one that is only a little
// further.
extension Connection {
  /// The subflow for `wanted` octets of new data, and its room; nil to wait for a better one.
  func predictively(now: Instant, wanted: Int) -> (Subflow, Int)? {
    let onlyBackups = usesBackups()
    var least = Nanoseconds.max
    for subflow in subflows {
      subflow.noteDelivery(at: now)
      // One that repairs a loss has room again soon: it counts.
      guard subflow.acceptsData, !subflow.isStalled, onlyBackups || !(subflow.isBackup || subflow.isPeerBackup) else {
        continue
      }
      least = min(least, subflow.timeToAcknowledge(min(wanted, subflow.fullPayloadByteCount)))
    }
    let isTight = isWindowTight(onlyBackups: onlyBackups)
    var best: (subflow: Subflow, room: Int)?
    var bestTime = Nanoseconds.max
    for subflow in subflows where onlyBackups || !(subflow.isBackup || subflow.isPeerBackup) {
      let count = min(wanted, subflow.fullPayloadByteCount)
      let time = subflow.timeToAcknowledge(count)
      guard best == nil || time < bestTime else { continue }
      let room = room(on: subflow, wanted: wanted, now: now)
      guard isWorthwhile(room, wanted: wanted, on: subflow) else { continue }
      if isTight, subflow.hasQueue(before: count) { continue }
      guard time <= least || isWorthIt(subflow, time, wanted: wanted, onlyBackups: onlyBackups, now: now) else {
        continue
      }
      // Whether it bears a second one is another question.
      best = (subflow, time > least && subflow.dueByteCount == 0 ? min(room, count) : room)
      bestTime = time
    }
    return best.map { ($0.subflow, $0.room) }
  }

  /// Whether the window holds hardly more than the paths need together while nothing waits in them (3. above).
  private func isWindowTight(onlyBackups: Bool) -> Bool {
    guard !isFallback else { return false }
    var longest = Nanoseconds.zero
    var rate = 0
    var count = 0
    for subflow in subflows where subflow.acceptsData && !subflow.isStalled {
      guard onlyBackups || !(subflow.isBackup || subflow.isPeerBackup) else { continue }
      longest = max(longest, subflow.scheduling.forecast.leastRoundTrip ?? .zero)
      rate += subflow.deliveryRate
      count += 1
    }
    let needed = min(DeliveryForecast.octets(at: rate, in: longest), 1 << 50)
    return count > 1 && needed + needed / 4 > sendWindowEdge - sendUnacknowledged
  }

  /// Whether a segment on `subflow`, where it takes `time` and not the least, does no harm.
  private func isWorthIt(
    _ subflow: Subflow, _ time: Nanoseconds, wanted: Int, onlyBackups: Bool, now: Instant
  ) -> Bool {
    if !isFallback {
      // While nothing waits in the path, what the others need in that time has to fit; only a queue of its own counts too.
      // (Of two that do not fit together, the window lets W/T through whichever of them it stops.)
      let count = min(wanted, subflow.fullPayloadByteCount)
      var demand = subflow.hasQueue(before: count) ? subflow.dueByteCount + count : 0
      for other in subflows where other !== subflow && other.acceptsData && !other.isStalled {
        guard onlyBackups || !(other.isBackup || other.isPeerBackup) else { continue }
        demand += min(DeliveryForecast.octets(at: other.deliveryRate, in: time), 1 << 50)
      }
      // A path that brings less than a sixteenth of the whole is not worth a window without anything to spare: each of
      // its losses stops the others.
      let window = sendWindowEdge - sendUnacknowledged
      guard demand <= window - window / 16 else { return isDueForTrial(subflow, time, now: now) }
    }
    guard !wantsWritable else { return true }
    let waiting = dataEnd - sendNext
    return !subflows.contains { other in
      other !== subflow && isEligible(other, onlyBackups: onlyBackups) && other.timeToAcknowledge(waiting) < time
    }
  }

  /// An idle subflow carries a segment now and then all the same: it shows what the path is like now, and a receiver that
  /// sizes its window by what is read learns that more would be used.
  private func isDueForTrial(_ subflow: Subflow, _ time: Nanoseconds, now: Instant) -> Bool {
    guard subflow.sentSegments.isEmpty, subflow.scheduling.nextTrial <= now else { return false }
    subflow.scheduling.nextTrial = now + max(time * 64, .seconds(1))
    return true
  }
}

extension Subflow {
  /// Takes down for the forecast what has been delivered.
  func noteDelivery(at now: Instant) {
    guard let smoothed = roundTrip.smoothed, let least = roundTrip.minimum else { return }
    scheduling.forecast.note(
      delivered: acknowledgedByteCount + sackedByteCount, roundTrip: smoothed, least: least, at: now)
  }

  /// Octets a second that the subflow sends if it may: what it has shown.
  var deliveryRate: Int {
    let rate = scheduling.forecast.rate(window: congestionWindow, roundTrip: roundTrip.smoothed ?? .milliseconds(100))
    return min(rate, 1 << 50)
  }

  /// What is in the network or promised to it.
  var dueByteCount: Int { pipeByteCount + reservedByteCount }

  /// How long the last of `byteCount` further octets takes to be acknowledged.
  ///
  /// What a path has shown is its rate where a queue stands before it. Where none does, the scheduler may have kept the
  /// subflow short, and its window may tell more: a little more each round trip, twice as much while that turns out true.
  func timeToAcknowledge(_ byteCount: Int) -> Nanoseconds {
    guard let smoothed = roundTrip.smoothed else { return .max }
    var rate = deliveryRate
    if let least = scheduling.forecast.leastRoundTrip, smoothed <= least + least / 4 {
      let possible = DeliveryForecast.rate(congestionWindow, in: smoothed)
      rate = max(rate, min(possible, scheduling.forecast.isGrowing ? 2 * rate : rate + rate / 4))
    }
    return scheduling.forecast.time(of: dueByteCount + byteCount, rate: rate)
  }

  /// Whether `byteCount` further octets stand behind more than keeps the path busy, at the rate that it has shown.
  func hasQueue(before byteCount: Int) -> Bool {
    let least = scheduling.forecast.leastRoundTrip ?? .zero
    let rate = scheduling.forecast.isGrowing ? 2 * deliveryRate : deliveryRate
    let slack = max(least / 16, DeliveryForecast.span(of: 2 * fullPayloadByteCount, at: rate))
    return DeliveryForecast.span(of: dueByteCount + byteCount, at: rate) > least + slack
  }
}
