import MPTCPPolicy
import MPTCPWire

// What must be true of a connection at any time.
extension Endpoint {
  /// The longest that anything may wait for a timer: longer than any time-out that the engine has by default, so that
  /// what has none is found.
  private static let patience = Nanoseconds.seconds(1000)

  func check(_ connection: Connection, _ inspection: Inspection?) -> String? {
    if let problem = books(of: connection) { return problem }
    if let problem = places(of: connection) { return problem }
    if let problem = memory(of: connection) { return problem }
    if let problem = timers(of: connection) { return problem }
    guard let inspection else { return nil }
    return steps(of: connection, inspection)
  }

  // MARK: Books

  private func books(of connection: Connection) -> String? {
    var pending = 0
    for subflow in connection.subflows {
      if let problem = books(of: subflow) { return "\(subflow.id) \(subflow.state): \(problem)" }
      pending += subflow.reassembly.byteCount + subflow.unmappedByteCount + subflow.checksumHold.byteCount
    }
    if pending != connection.pendingByteCount { return "pending \(connection.pendingByteCount), not \(pending)" }
    if connection.sendUnacknowledged > connection.sendNext { return "acknowledged more than was sent" }
    if connection.phase != .closed, connection.sendNext > connection.dataEnd { return "sent more than was written" }
    return nil
  }

  private func books(of subflow: Subflow) -> String? {
    var inFlight = 0
    var sacked = 0
    var lost = 0
    var position: Int?
    for segment in subflow.sentSegments {
      if segment.isSacked {
        sacked += segment.count
      } else if segment.isLost {
        lost += segment.count
      } else {
        inFlight += segment.count
      }
      if segment.count <= 0 { return "empty segment \(segment)" }
      if let position, position != segment.start { return "segments \(position) \(segment.start)" }
      position = segment.end
    }
    if let position, position != subflow.sendNext { return "segments end at \(position), not \(subflow.sendNext)" }
    if inFlight != subflow.inFlightByteCount { return "in flight \(subflow.inFlightByteCount), not \(inFlight)" }
    if sacked != subflow.sackedByteCount { return "sacked \(subflow.sackedByteCount), not \(sacked)" }
    if lost != subflow.lostByteCount { return "lost \(subflow.lostByteCount), not \(lost)" }
    if subflow.sendUnacknowledged > subflow.sendNext { return "acknowledged \(subflow.sendUnacknowledged)" }
    return nil
  }

  // MARK: Places

  /// Each subflow and each token leads to its own connection.
  private func places(of connection: Connection) -> String? {
    for subflow in connection.subflows {
      if subflow.connection !== connection { return "\(subflow.id) belongs to another connection" }
      if subflowSlots[Int(subflow.slot)] !== subflow { return "\(subflow.id) is not in its place" }
      if tuples[subflow.tuple] != subflow.slot << 1 { return "\(subflow.id): its packets go elsewhere" }
    }
    // RFC 8684 §3.1: a token is a connection's alone for as long as joins may name it.
    if connection.isMultipath, connection.phase == .open, tokens[connection.localToken] != connection.slot {
      return "its token leads elsewhere"
    }
    return nil
  }

  // MARK: Memory

  private func memory(of connection: Connection) -> String? {
    let options = connection.options
    if connection.sendBuffer.byteCount > max(options.sendBufferByteCount, 1) {
      return "its send buffer holds \(connection.sendBuffer.byteCount) bytes"
    }
    // ``ConnectionOptions/receiveBufferByteCount``: twice as many are the most that a peer can make it keep, but for
    // the packet that goes beyond.
    // No memory is larger than a quarter of all numbers, and the sums below stay among them.
    let limit = min(max(options.receiveBufferByteCount, 4096), Int.max / 4)
    let received = connection.receiveQueue.byteCount + connection.reassembly.byteCount
    if received > 2 * limit + 65_535 { return "it holds \(received) bytes of a window of \(limit)" }
    let perSubflow = Limits.unmappedByteCount + 2 * 65_535
    if connection.pendingByteCount > 2 * limit + connection.subflows.count * perSubflow {
      return "its subflows hold \(connection.pendingByteCount) bytes of a window of \(limit)"
    }
    if connection.subflows.count > configuration.maximumSubflowCount {
      return "it has \(connection.subflows.count) subflows"
    }
    return nil
  }

  // MARK: Timers

  /// Whoever waits for something is woken, in a time that is not for ever.
  private func timers(of connection: Connection) -> String? {
    var next = connection.nextDeadline
    if next != .distantFuture {
      guard let known = connectionTimers.deadline(of: connection.slot), known <= next else {
        return "its timer at \(next) is not in the queue"
      }
    }
    for subflow in connection.subflows {
      let deadline = subflow.nextDeadline
      next = min(next, deadline)
      if deadline != .distantFuture {
        guard let known = subflowTimers.deadline(of: subflow.slot), known <= deadline else {
          return "\(subflow.id): its timer at \(deadline) is not in the queue"
        }
      }
      let isWaiting = !subflow.sentSegments.isEmpty || subflow.state == .synSent || subflow.state == .synReceived
      if isWaiting, subflow.retransmitDeadline == .distantFuture {
        return "\(subflow.id) \(subflow.state): nothing would send it again"
      }
      if isWaiting, deadline > now + Self.patience { return "\(subflow.id): its timer at \(deadline) is too far away" }
    }
    // One that is over and has no subflow left waits for its application alone, whatever was never acknowledged.
    let isWaiting =
      switch connection.phase {
      case .opening: true
      case .open: connection.sendNext > connection.sendUnacknowledged
      case .closed: !connection.subflows.isEmpty
      }
    if isWaiting, next > now + Self.patience { return "phase \(connection.phase): nothing wakes it" }
    return nil
  }

  // MARK: Steps

  /// What was acknowledged, received or allowed stays so.
  private func steps(of connection: Connection, _ inspection: Inspection) -> String? {
    let slot = Int(connection.slot)
    if slot < inspection.marks.count {
      if let mark = inspection.marks[slot], mark.id == connection.id {
        if connection.receiveNext < mark.receiveNext { return "received less than before" }
        // RFC 8684 §3.3.4, RFC 9293 §3.8.6.2.2: the right edge of a window does not move back.
        if connection.receiveWindowEdge < mark.receiveWindowEdge { return "its window moved back" }
        if connection.sendUnacknowledged < mark.sendUnacknowledged { return "acknowledged less than before" }
        if connection.isMultipath, connection.sendWindowEdge < mark.sendWindowEdge {
          return "the peer's window moved back"
        }
      }
      inspection.marks[slot] = Inspection.Mark(
        id: connection.id, receiveNext: connection.receiveNext, receiveWindowEdge: connection.receiveWindowEdge,
        sendUnacknowledged: connection.sendUnacknowledged, sendWindowEdge: connection.sendWindowEdge)
    }
    for subflow in connection.subflows {
      if let mark = inspection.subflowMark(subflow.slot), mark.connection == connection.id, mark.id == subflow.id {
        if subflow.receiveNext < mark.receiveNext { return "\(subflow.id) received less than before" }
        // With Multipath TCP the window is the data's: counted from a subflow's own bytes it may move either way.
        if connection.multipath == .off, subflow.receiveWindowEdge < mark.receiveWindowEdge {
          return "\(subflow.id): its window moved back"
        }
        if subflow.sendUnacknowledged < mark.sendUnacknowledged { return "\(subflow.id) acknowledged less than before" }
        if subflow.sendNext < mark.sendNext { return "\(subflow.id) sent less than before" }
      }
      inspection.set(
        Inspection.SubflowMark(
          connection: connection.id, id: subflow.id, receiveNext: subflow.receiveNext,
          receiveWindowEdge: subflow.receiveWindowEdge, sendUnacknowledged: subflow.sendUnacknowledged,
          sendNext: subflow.sendNext), subflow.slot)
    }
    return nil
  }
}
