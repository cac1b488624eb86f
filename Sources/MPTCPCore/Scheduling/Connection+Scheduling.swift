import MPTCPPolicy
import MPTCPWire

// Which subflow takes what: room, and the built-in schedulers' choices.
extension Connection {
  // MARK: Room

  /// What a subflow can take of `wanted` bytes right now, in bytes of payload; 0 where it cannot. What it has promised
  /// to carry in its last mapping goes first.
  func room(on subflow: Subflow, wanted: Int, now: Instant) -> Int {
    subflow.reservedByteCount > 0 ? 0 : windowRoom(on: subflow, wanted: wanted, now: now)
  }

  /// The same for what it has promised to carry.
  /// Requirement 8684-6-13
  func windowRoom(on subflow: Subflow, wanted: Int, now: Instant) -> Int {
    // Requirement 6675-5-02
    guard subflow.acceptsData, !subflow.isStalled, subflow.lostByteCount == 0,
      subflow.sentSegments.count < Limits.sentSegments
    else { return 0 }
    // Requirement 8684-3.3.5-03, 8684-3.3.5-04, 9293-3.8.6-03
    let window = min(
      subflow.congestionWindow - subflow.pipeByteCount, subflow.sendWindowEdge - subflow.sendNext)
    guard window > 0, subflow.paceAllows(now) else { return 0 }
    return window < wanted && isCrumb(window, of: subflow) ? 0 : window
  }

  /// Acknowledgements open the window by what each covers. While nearly all of it is in flight nothing is lost by
  /// waiting for a few more; sent at once, each crumb would come back as the next one, and segments stay small for
  /// ever. At rates where that costs nobody much, a smooth flow is worth more to the queues.
  private func isCrumb(_ window: Int, of subflow: Subflow) -> Bool {
    let share = (subflow.inFlightByteCount + window) / 8
    guard window < share, subflow.recovery.phase == .open else { return false }
    let burst = burstLimit(subflow, segment: subflow.fullPayloadByteCount)
    return window < min(share, burst) && burst >= 8 * subflow.fullPayloadByteCount
  }

  /// The same of the connection's window, which each acknowledgement on any subflow opens: next to nothing of what is
  /// in flight. (With one subflow its own window says it.)
  func isCrumb(_ window: Int) -> Bool {
    guard subflows.count > 1, window < (sendNext - sendUnacknowledged) / 64 else { return false }
    return subflows.contains { subflow in
      guard subflow.acceptsData, !subflow.isStalled else { return false }
      let segment = subflow.fullPayloadByteCount
      let burst = burstLimit(subflow, segment: segment)
      return burst >= 8 * segment && window < burst
    }
  }

  /// The most that goes out as one segment, in multiples of `mss`: what one super-segment holds, and at most a
  /// millisecond's worth at the pacing rate so that queues see no great bursts.
  func burstLimit(_ subflow: Subflow, segment mss: Int) -> Int {
    guard endpoint.offersSegmentation(subflow.path) else { return mss }
    let limit = subflow.largestSuperSegmentByteCount / mss * mss
    let rate = subflow.pacingRate
    return rate > 0 ? min(limit, max(rate / 1000 / mss * mss, 2 * mss)) : limit
  }

  /// Whether `room` is worth a segment of `wanted` octets.
  func isWorthwhile(_ room: Int, wanted: Int, on subflow: Subflow) -> Bool {
    room >= min(wanted, subflow.fullPayloadByteCount) || (room > 0 && subflow.sentSegments.isEmpty)
  }

  /// Whether backups have to do: no regular subflow works (RFC 8684 §3.3.8).
  /// Requirement 8684-3.3.8-01, 8684-3.3.8-02, 8684-3.3.8-05, 8684-3.2-11, 8684-3.3.8-06
  func usesBackups(avoiding origin: SubflowID? = nil) -> Bool {
    !subflows.contains {
      $0.acceptsData && !$0.isStalled && !$0.isBackup && !$0.isPeerBackup && $0.id != origin
    }
  }

  /// Whether a scheduler may wait for `subflow`, which works and will have room again by itself.
  func isEligible(_ subflow: Subflow, onlyBackups: Bool) -> Bool {
    subflow.acceptsData && !subflow.isStalled && subflow.lostByteCount == 0
      && (onlyBackups || !(subflow.isBackup || subflow.isPeerBackup)) && subflow.sendWindowEdge > subflow.sendNext
  }

  // MARK: Choosing

  /// The subflow with room for `wanted` octets of new data that the scheduler chooses, and its room; nil to wait.
  func schedule(now: Instant, wanted: Int) -> (Subflow, Int)? {
    guard subflows.count > 1 else { return leastRoundTrip(now: now, wanted: wanted) }
    switch scheduler.kind {
    case .predictive: return predictively(now: now, wanted: wanted)
    case .lowestRoundTripTime, .redundant: return leastRoundTrip(now: now, wanted: wanted)
    case .roundRobin: return byTurns(now: now, wanted: wanted)
    case .blest, .ecf: return unlessWaiting(now: now, wanted: wanted)
    case .custom: return byCustom(now: now, wanted: wanted)
    }
  }

  /// The least round-trip time of those with room: what is sent again always goes this way, on another subflow than the
  /// one that has it already.
  func leastRoundTrip(now: Instant, wanted: Int, avoiding origin: SubflowID? = nil) -> (Subflow, Int)? {
    if subflows.count == 1 {
      let only = subflows[0]
      let room = room(on: only, wanted: wanted, now: now)
      return room > 0 && only.id != origin ? (only, room) : nil
    }
    let onlyBackups = usesBackups(avoiding: origin)
    var best: (Subflow, Int)?
    for subflow in subflows where subflow.id != origin && (onlyBackups || !(subflow.isBackup || subflow.isPeerBackup)) {
      let room = room(on: subflow, wanted: wanted, now: now)
      guard isWorthwhile(room, wanted: wanted, on: subflow) else { continue }
      if let known = best, known.0.schedulingTime <= subflow.schedulingTime { continue }
      best = (subflow, room)
    }
    return best
  }

  /// Round robin.
  private func byTurns(now: Instant, wanted: Int) -> (Subflow, Int)? {
    let onlyBackups = usesBackups()
    let turns = scheduler.turns
    // Subflows stand in the order of their IDs; one that is gone leaves its turn to the next.
    let holder = turns.holder?.rawValue ?? -1
    let first = subflows.firstIndex { turns.isInTurn($0.id) || $0.id.rawValue > holder } ?? 0
    for step in subflows.indices {
      let subflow = subflows[(first + step) % subflows.count]
      guard isEligible(subflow, onlyBackups: onlyBackups) else { continue }
      let room = room(on: subflow, wanted: wanted, now: now)
      if isWorthwhile(room, wanted: wanted, on: subflow) {
        return (subflow, min(room, turns.allowance(of: subflow.id) * subflow.fullPayloadByteCount))
      }
      if turns.isStrict { return nil }
    }
    return nil
  }

  /// BLEST and ECF: the least round-trip time of those with room, unless waiting for a faster one is better.
  private func unlessWaiting(now: Instant, wanted: Int) -> (Subflow, Int)? {
    guard let best = leastRoundTrip(now: now, wanted: wanted) else { return nil }
    let onlyBackups = usesBackups()
    var fastest = best.0
    for subflow in subflows
    where subflow.schedulingTime < fastest.schedulingTime && isEligible(subflow, onlyBackups: onlyBackups) {
      fastest = subflow
    }
    guard fastest !== best.0, let smoothed = best.0.roundTrip.smoothed else { return best }
    let fast = SubflowSnapshot(fastest, room: 0)
    let slow = SubflowSnapshot(best.0, room: best.1)
    let waits: Bool
    if scheduler.kind == .blest {
      let range = best.0.scheduling.noteRoundTrip(smoothed)
      scheduler.blocking.adapt(slowRoundTrip: smoothed, at: now)
      let window = isFallback ? Int.max : sendWindowEdge - sendUnacknowledged
      waits = scheduler.blocking.waits(fast: fast, slow: slow, slowRange: range, window: window)
    } else {
      waits = scheduler.completion.waits(fast: fast, slow: slow, waiting: dataEnd - sendNext)
    }
    return waits ? nil : best
  }

  /// What the application's own scheduler says.
  private func byCustom(now: Instant, wanted: Int) -> (Subflow, Int)? {
    let waiting = WaitingData(
      byteCount: dataEnd - sendNext, windowByteCount: wanted, outstandingByteCount: sendNext - sendUnacknowledged,
      at: now)
    let answer = scheduler.askCustom(waiting) { snapshots in
      for subflow in subflows where subflow.acceptsData {
        let room = room(on: subflow, wanted: wanted, now: now)
        let isUsable = isWorthwhile(room, wanted: wanted, on: subflow)
        snapshots.append(SubflowSnapshot(subflow, room: isUsable ? room : 0))
      }
    }
    if let answer, let subflow = subflow(answer) {
      let room = room(on: subflow, wanted: wanted, now: now)
      if isWorthwhile(room, wanted: wanted, on: subflow) { return (subflow, room) }
    }
    // While nothing is in flight nobody would ask again.
    return subflows.allSatisfy(\.sentSegments.isEmpty) ? leastRoundTrip(now: now, wanted: wanted) : nil
  }
}

extension Subflow {
  /// What schedulers compare: the smoothed round-trip time, unknown ones last.
  var schedulingTime: Nanoseconds { roundTrip.smoothed ?? .max }
}
