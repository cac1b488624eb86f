import MPTCPPolicy
import MPTCPWire

// Predictive scheduling, the default. For each subflow it predicts T, the time until the segment would be acknowledged
// there: what is in flight before it divided by the rate that the path has shown, and at least the path's own
// round-trip time. The least T takes the segment, if it has room; another with room takes it unless that would do harm:
//
// 1. The connection's window. A segment keeps the window's left edge where it is for T, and until then all subflows
//    together send ΣR·T. Where that is more than the window W they are stopped by it, and the connection gets W/T
//    whatever the paths can do. So a subflow's queue, which costs T and brings nothing, grows only as long as the
//    window can afford it, and a subflow stays idle just where W/T would fall below what the others bring without it.
//    BLEST asks the same question with cwnd for the rate, which in a bloated queue is neither constant nor the path's,
//    and takes the slow subflow's queue as given instead of keeping it short.
// 2. The end of the data. When the application has nothing more to write, and a faster subflow would be through with
//    all that waits before the slower one is with this segment, it waits (ECF's thought). While the application is
//    itself stopped by the send buffer there is no end in sight, and no path stays idle.
// 3. A window with nothing to spare. Where it holds hardly more than ΣR times the longest of the paths' own round-trip
//    times, a path that has enough to be busy gets no more: what waits in a queue waits in the window of the others,
//    and what a full queue drops stops all of them until it has been repaired.
//
// SRTT, by which the other schedulers rank, says the same as T of a path whose queue is steady, but a round trip late;
// and a near path whose queue has eaten the whole window would, by SRTT, keep it from an idle one that is only a little
// further.
extension Connection {
  /// The subflow for `wanted` octets of new data, and its room; nil to wait for a better one.
  func predictively(now: Instant, wanted: Int) -> (Subflow, Int)? {
    let onlyBackups = usesBackups()
    var least = Nanoseconds.max
    var rate = 0
    var (busyCount, busyRate, longest) = (0, 0, Nanoseconds.zero)
    for subflow in subflows where takesPart(subflow, onlyBackups: onlyBackups) {
      subflow.noteDelivery(at: now)
      least = min(least, subflow.timeToAcknowledge(min(wanted, subflow.fullPayloadByteCount)))
      let own = subflow.deliveryRate
      rate += own
      guard subflow.dueByteCount > 0 else { continue }
      busyCount += 1
      busyRate += own
      longest = max(longest, subflow.scheduling.forecast.leastRoundTrip ?? .zero)
    }
    let window = isFallback ? Int.max : sendWindowEdge - sendUnacknowledged
    // Whether the window holds hardly more than the paths in use need together while nothing waits in them (3. above).
    let needed = min(DeliveryForecast.octets(at: busyRate, in: longest), 1 << 50)
    let isTight = busyCount > 1 && needed + needed / 4 > window
    var best: (subflow: Subflow, room: Int)?
    var bestTime = Nanoseconds.max
    for subflow in subflows where takesPart(subflow, onlyBackups: onlyBackups) {
      let count = min(wanted, subflow.fullPayloadByteCount)
      let time = subflow.timeToAcknowledge(count)
      guard best == nil || time < bestTime || time > least else { continue }
      // (Asked last: a subflow whose pace does not allow it wakes the connection when it does.)
      let room = room(on: subflow, wanted: wanted, now: now)
      guard isWorthwhile(room, wanted: wanted, on: subflow) else { continue }
      let hasQueue = (isTight || time > least) && subflow.hasQueue(before: count)
      if isTight, hasQueue { continue }
      if time > least {
        let queue = hasQueue ? subflow.dueByteCount + count : 0
        guard fits(count, on: subflow, time, behind: queue, least: least, rate: rate, window: window) else {
          if takeTrial(on: subflow, time, now: now) { return (subflow, min(room, count)) }
          continue
        }
        guard best == nil || time < bestTime, pays(time, on: subflow, onlyBackups: onlyBackups) else { continue }
      }
      // Whether an idle one bears a second segment is another question.
      best = (subflow, time > least && subflow.dueByteCount == 0 ? min(room, count) : room)
      bestTime = time
    }
    return best.map { ($0.subflow, $0.room) }
  }

  /// Whether `subflow` carries data now or will have room again by itself: one that repairs a loss does. One that has
  /// nothing in flight and no window may wait for a window update that got lost, and nobody waits for that.
  private func takesPart(_ subflow: Subflow, onlyBackups: Bool) -> Bool {
    subflow.acceptsData && !subflow.isStalled && (onlyBackups || !(subflow.isBackup || subflow.isPeerBackup))
      && (subflow.sendWindowEdge > subflow.sendNext || !subflow.sentSegments.isEmpty)
  }

  /// Whether the window takes what the others, of all that have `rate` together, need while `count` octets on `subflow`
  /// take `time`, and a twelfth more: a path that brings less than that is not worth a window without anything to
  /// spare, since each of its losses stops the others. `queue`, what waits on `subflow`, counts too.
  private func fits(
    _ count: Int, on subflow: Subflow, _ time: Nanoseconds, behind queue: Int, least: Nanoseconds, rate: Int,
    window: Int
  ) -> Bool {
    guard !isFallback else { return true }
    // (Of two that do not fit together, the window lets W/T through whichever of them it stops.)
    let others = max(rate - subflow.deliveryRate, 0)
    let demand = min(DeliveryForecast.octets(at: others, in: time), 1 << 60) + queue
    guard demand <= window - window / 12 else { return false }
    // A loss is found when the segment was due and repaired where that takes least; what the others could have sent by
    // then and the window does not take is its price. Where a segment's part of that is more than the segment, the path
    // costs more than it brings.
    let price = min(DeliveryForecast.octets(at: others, in: time + least), 1 << 60) - window
    return price <= 0 || subflow.scheduling.forecast.lossShare * Float(price) <= Float(count)
  }

  /// Whether what the application has written, if it has no more, is not through sooner on a faster subflow.
  private func pays(_ time: Nanoseconds, on subflow: Subflow, onlyBackups: Bool) -> Bool {
    guard !wantsWritable else { return true }
    let waiting = dataEnd - sendNext
    return !subflows.contains { other in
      other !== subflow && isEligible(other, onlyBackups: onlyBackups) && other.timeToAcknowledge(waiting) < time
    }
  }

  /// An idle subflow carries a segment now and then all the same: it shows what the path is like now, and a receiver
  /// that sizes its window by what is read learns that more would be used. True if it does now.
  private func takeTrial(on subflow: Subflow, _ time: Nanoseconds, now: Instant) -> Bool {
    guard subflow.sentSegments.isEmpty, subflow.scheduling.nextTrial <= now else { return false }
    subflow.scheduling.nextTrial = now + max(min(time, .milliseconds(200)) * 64, .seconds(1))
    return true
  }
}

extension Subflow {
  /// Takes down for the forecast what has been delivered.
  func noteDelivery(at now: Instant) {
    guard let smoothed = roundTrip.smoothed, let least = roundTrip.minimum else { return }
    scheduling.forecast.note(
      delivered: acknowledgedByteCount + sackedByteCount, roundTrip: smoothed, least: least, sent: sentByteCount,
      repeated: retransmittedByteCount, isIdle: dueByteCount == 0, at: now)
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
  /// subflow short, and its window may tell more: a little more each round trip, twice as much while that turns out
  /// true.
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
