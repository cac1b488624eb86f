import MPTCPPolicy
import MPTCPWire

// Predictive scheduling, the default. The least round-trip time of those with room, except where the forecast says that
// the segment would do harm there:
//
// 1. The connection's window. A segment that takes T to be DATA_ACKed keeps the window's left edge where it is for so
//    long, and until then all subflows together send ΣR·T. Where that is more than the window, they will be stopped by
//    it, and the connection gets W/T whatever the paths can do. T is the larger of the path's own round-trip time and
//    what is in flight there divided by the path's rate; so the rule keeps a subflow's queue (which costs T and brings
//    nothing) only as long as the window can afford it, and leaves a subflow idle just where W/T would fall below what
//    the others bring without it. BLEST asks the same question with cwnd for the rate, which in a bloated queue is
//    neither constant nor the path's, and counts the slow subflow's queue as given instead of keeping it short.
// 2. The end of the data. When the application has nothing more to write, and a faster subflow would be through with all
//    that waits before the slower one is with this segment, it waits (ECF's thought). While the application is itself
//    stopped by the send buffer there is no end in sight, and no path stays idle.
extension Connection {
  /// The subflow for `wanted` octets of new data, and its room; nil to wait for a better one.
  func predictively(now: Instant, wanted: Int) -> (Subflow, Int)? {
    let onlyBackups = usesBackups()
    var fastest: Subflow?
    for subflow in subflows {
      subflow.noteDelivery(at: now)
      guard isEligible(subflow, onlyBackups: onlyBackups) else { continue }
      if let known = fastest, known.schedulingTime <= subflow.schedulingTime { continue }
      fastest = subflow
    }
    var best: (Subflow, Int)?
    for subflow in subflows where onlyBackups || !(subflow.isBackup || subflow.isPeerBackup) {
      if let known = best, known.0.schedulingTime <= subflow.schedulingTime { continue }
      let room = room(on: subflow, wanted: wanted, now: now)
      guard isWorthwhile(room, wanted: wanted, on: subflow) else { continue }
      guard subflow === fastest || isWorthIt(subflow, wanted: wanted, onlyBackups: onlyBackups) else { continue }
      best = (subflow, room)
    }
    return best
  }

  /// Whether a segment on `subflow`, which is not the fastest, does no harm.
  private func isWorthIt(_ subflow: Subflow, wanted: Int, onlyBackups: Bool) -> Bool {
    let load = subflow.pipeByteCount + min(wanted, subflow.fullPayloadByteCount)
    let time = subflow.timeToAcknowledge(load)
    if !isFallback {
      var demand = load
      for other in subflows where other !== subflow && other.acceptsData && !other.isStalled {
        guard onlyBackups || !(other.isBackup || other.isPeerBackup) else { continue }
        demand += min(DeliveryForecast.octets(at: other.deliveryRate, in: time), 1 << 50)
      }
      guard demand <= sendWindowEdge - sendUnacknowledged else { return false }
    }
    guard !wantsWritable else { return true }
    let waiting = dataEnd - sendNext
    return !subflows.contains { other in
      other !== subflow && other.schedulingTime < subflow.schedulingTime
        && isEligible(other, onlyBackups: onlyBackups)
        && other.timeToAcknowledge(other.pipeByteCount + waiting) < time
    }
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
    scheduling.forecast.rate(window: congestionWindow, roundTrip: roundTrip.smoothed ?? .milliseconds(100))
  }

  /// How long the last of `byteCount` octets in flight takes to be acknowledged. What it has shown is no measure of the
  /// path where the scheduler kept it short; there its window tells more, and what is found wrong shows in the round trip.
  func timeToAcknowledge(_ byteCount: Int) -> Nanoseconds {
    let possible = DeliveryForecast.rate(congestionWindow, in: roundTrip.smoothed ?? .milliseconds(100))
    return scheduling.forecast.time(of: byteCount, rate: max(deliveryRate, possible))
  }
}
