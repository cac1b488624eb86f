import MPTCPPolicy
import MPTCPWire

// Redundant scheduling: every segment on every subflow (RFC 8684 §3.3.1 allows the same data sequence numbers on
// several subflows; the first copy counts). Each subflow has its own position in the data, passes over what has been
// DATA_ACKed meanwhile, and so neither waits for the others nor is waited for.
extension Connection {
  func sendRedundantly(now: Instant) {
    let onlyBackups = !subflows.contains { $0.acceptsData && !$0.isStalled && !$0.isBackup && !$0.isPeerBackup }
    var index = 0
    while index < subflows.count {
      let subflow = subflows[index]
      index += 1
      guard onlyBackups || !(subflow.isBackup || subflow.isPeerBackup), subflow.acceptsData else { continue }
      guard redundantPosition(of: subflow) < dataEnd else { continue }
      subflow.restartAfterIdle(now: now)
      while sendNextRedundantSegment(on: subflow, now: now) {}
    }
  }

  /// Where `subflow` goes on.
  private func redundantPosition(of subflow: Subflow) -> Int { max(subflow.scheduling.position, sendUnacknowledged) }

  /// What the connection's window leaves from `position` on.
  private func redundantWindow(from position: Int) -> Int { isFallback ? .max : sendWindowEdge - position }

  /// A subflow keeps what it sent until it has acknowledged it, DATA_ACKed or not. So one that is slow gets no more
  /// while it keeps as much as the application may have written ahead.
  private func pinsTooMuch(_ subflow: Subflow) -> Bool {
    guard subflows.count > 1 else { return false }
    return subflow.flightByteCount >= options.sendBufferByteCount
  }

  private func sendNextRedundantSegment(on subflow: Subflow, now: Instant) -> Bool {
    let position = redundantPosition(of: subflow)
    let waiting = dataEnd - position
    let available = min(waiting, redundantWindow(from: position))
    guard available > 0, !pinsTooMuch(subflow) else { return false }
    let room = room(on: subflow, wanted: available, now: now)
    guard room >= min(available, subflow.fullPayloadByteCount) || (room > 0 && subflow.sentSegments.isEmpty) else {
      return false
    }
    let length = segmentLength(available: available, waiting: waiting, room: room, subflow)
    return length > 0 && sendRedundant(length, at: position, on: subflow, now: now)
  }

  /// A segment beyond the congestion window, as a probe.
  func sendOneRedundantSegment(on subflow: Subflow, now: Instant) -> Bool {
    let position = redundantPosition(of: subflow)
    let window = min(redundantWindow(from: position), subflow.sendWindowEdge - subflow.sendNext)
    let length = min(dataEnd - position, window, subflow.fullPayloadByteCount)
    return length > 0 && sendRedundant(length, at: position, on: subflow, now: now)
  }

  private func sendRedundant(_ length: Int, at position: Int, on subflow: Subflow, now: Instant) -> Bool {
    let sent = transmit(at: position, count: length, on: subflow, isReinjection: false, now: now)
    guard sent > 0 else { return false }
    let copied = min(sendNext - position, sent)
    if copied > 0 {
      // The data has left twice: plain TCP could not go on from here (RFC 8684 §3.7).
      isLinear = false
      subflow.redundantByteCount += copied
      endpoint.statistics.redundantByteCount += copied
    }
    subflow.scheduling.position = position + sent
    sendNext = max(sendNext, position + sent)
    return true
  }
}
