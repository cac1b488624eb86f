import MPTCPPolicy
import MPTCPWire

/// What an endpoint keeps while somebody watches whether its rules hold: what has changed since they looked, and what
/// was true then. An endpoint that nobody watches has none.
final class Inspection {
  /// What a connection must not take back.
  struct Mark {
    var id: ConnectionID
    var receiveNext: Int
    var receiveWindowEdge: Int
    var sendUnacknowledged: Int
    var sendWindowEdge: Int
  }

  /// What a subflow must not take back.
  struct SubflowMark {
    var connection: ConnectionID
    var id: SubflowID
    var receiveNext: Int
    var receiveWindowEdge: Int
    var sendUnacknowledged: Int
    var sendNext: Int
  }

  var transitions = TransitionCounters()
  /// A transition that no figure has.
  var wrongTransition: String?
  /// The connections that something happened to since the last look, each once.
  var touched: [Int32] = []
  private var isTouched: [Bool] = []
  var marks: [Mark?] = []
  var subflowMarks: [SubflowMark?] = []

  func touch(_ slot: Int32) {
    let index = Int(slot)
    if index >= isTouched.count {
      isTouched.append(contentsOf: repeatElement(false, count: index + 1 - isTouched.count))
      marks.append(contentsOf: repeatElement(nil, count: index + 1 - marks.count))
    }
    guard !isTouched[index] else { return }
    isTouched[index] = true
    touched.append(slot)
  }

  func forgetTouched() {
    for slot in touched { isTouched[Int(slot)] = false }
    touched.removeAll(keepingCapacity: true)
  }

  func subflowMark(_ slot: Int32) -> SubflowMark? {
    Int(slot) < subflowMarks.count ? subflowMarks[Int(slot)] : nil
  }

  func set(_ mark: SubflowMark, _ slot: Int32) {
    let index = Int(slot)
    if index >= subflowMarks.count {
      subflowMarks.append(contentsOf: repeatElement(nil, count: index + 1 - subflowMarks.count))
    }
    subflowMarks[index] = mark
  }

  func note(_ machine: TransitionCounters.Machine, from: Int, to: Int, isRight: Bool) {
    transitions.note(machine, from: from, to: to)
    guard !isRight, wrongTransition == nil else { return }
    wrongTransition = "a \(machine) went from \(machine.states[from]) to \(machine.states[to])"
  }
}

// What those who watch an endpoint ask of it. Nothing here changes what it does.
extension Endpoint {
  /// Begins to watch: from now on ``violation()`` knows which connections something happened to, and transitions are
  /// counted. To be called before the first connection.
  package func inspect() { if inspection == nil { inspection = Inspection() } }

  /// How often each machine went from one state to another since ``inspect()``.
  package var transitions: TransitionCounters { inspection?.transitions ?? TransitionCounters() }

  func touch(_ connection: Connection) { inspection?.touch(connection.slot) }

  /// What is wrong with the connections that something happened to since the last call; nil if nothing. To be called
  /// between an output pass and the next input, when nothing is half done.
  ///
  /// - Parameter body: is called with each of those connections that still exists.
  package func violation(_ body: (ConnectionID) -> Void = { _ in }) -> String? {
    guard let inspection else { return nil }
    if let wrong = inspection.wrongTransition { return wrong }
    var problem: String?
    for slot in inspection.touched {
      guard let connection = connectionSlots[Int(slot)] else { continue }
      problem = problem ?? check(connection, inspection)
      body(connection.id)
    }
    inspection.forgetTouched()
    return problem
  }

  /// What is wrong with any connection, or with what the endpoint keeps of all; nil if nothing.
  package func wholeViolation() -> String? {
    if let wrong = inspection?.wrongTransition { return wrong }
    var halfOpen = 0
    for case let connection? in connectionSlots {
      if let problem = check(connection, inspection) { return problem }
      for subflow in connection.subflows where subflow.state == .synReceived && !subflow.isInitiator { halfOpen += 1 }
    }
    return halfOpen == halfOpenCount ? nil : "half open \(halfOpenCount), not \(halfOpen)"
  }

  /// What an endpoint that has come to rest, and whose applications are gone, still keeps; nil if nothing.
  package func leak() -> String? {
    if connectionCount != 0 { return "\(connectionCount) connections left: \(leftConnections)" }
    if tuples.count != 0 { return "\(tuples.count) tuples left" }
    if tokens.count != 0 { return "\(tokens.count) tokens left" }
    if timeWaits.count != 0 { return "\(timeWaits.count) in TIME-WAIT" }
    if halfOpenCount != 0 { return "\(halfOpenCount) half open" }
    if let nextDeadline { return "timer at \(nextDeadline)" }
    for listener in listeners where listener.untakenCount != 0 { return "untaken \(listener.untakenCount)" }
    for listener in listeners where listener.pendingFastOpenCount != 0 {
      return "fast open requests \(listener.pendingFastOpenCount)"
    }
    return nil
  }

  private var leftConnections: String {
    connectionSlots.compactMap { $0 }.prefix(10).map { connection in
      "phase \(connection.phase) released \(connection.isReleased) \(connection.subflows.map(\.state))"
    }.joined(separator: "; ")
  }

  /// How far a connection's streams have come, to be held against the other end's; nil if there is no such connection.
  package func progress(of id: ConnectionID) -> ConnectionProgress? {
    guard id.slot < connectionSlots.count, let connection = connectionSlots[id.slot], connection.id == id else {
      return nil
    }
    // A connection that was ended by force has no end left to wait for; that is not the peer's acknowledgment.
    let isWhole = connection.closeReason == nil || connection.closeReason == .finished
    return ConnectionProgress(
      isMultipath: connection.isMultipath, localToken: connection.localToken, remoteToken: connection.remoteToken,
      acknowledged: connection.sendUnacknowledged, sent: connection.sendNext, received: connection.receiveNext,
      receivedOnSyn: Int(connection.receivedOnSynByteCount),
      isEndAcknowledged: connection.isDataFinAcknowledged && isWhole && !connection.isEndLeftToFin,
      hasTakenEnd: connection.isRemoteFinished)
  }

  /// The connection whose subflow has these ends.
  package func connection(of tuple: FourTuple) -> ConnectionID? {
    guard let code = tuples[tuple], code & 1 == 0 else { return nil }
    return subflowSlots[Int(code >> 1)]?.connection.id
  }

  /// Calls `body` with the ends of each subflow of a connection that is fully established.
  package func forEachEstablishedSubflow(of id: ConnectionID, _ body: (FourTuple) -> Void) {
    guard id.slot < connectionSlots.count, let connection = connectionSlots[id.slot], connection.id == id else {
      return
    }
    for subflow in connection.subflows where subflow.isFullyEstablished && subflow.isOpen { body(subflow.tuple) }
  }
}

/// How far a connection's streams have come. Positions are offsets whose first octet of data is 1, the same at both
/// ends.
package struct ConnectionProgress: Sendable, Hashable {
  /// Whether DSS options are sent.
  package var isMultipath: Bool
  /// Our token.
  package var localToken: Token
  /// The peer's token, where it is known.
  package var remoteToken: Token
  /// What the peer has acknowledged at the data level.
  package var acknowledged: Int
  /// What was sent at the data level.
  package var sent: Int
  /// What has arrived in order at the data level.
  package var received: Int
  /// How many bytes of that came with the SYN, outside of the data sequence space.
  package var receivedOnSyn: Int
  /// Whether the peer has acknowledged our DATA_FIN; the FIN of a subflow that stands for it does not count.
  package var isEndAcknowledged: Bool
  /// Whether the peer's data is here to its end.
  package var hasTakenEnd: Bool
}
