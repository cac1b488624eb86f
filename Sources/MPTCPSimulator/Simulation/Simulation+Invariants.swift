import MPTCPCore
import MPTCPPolicy
import MPTCPWire

// What must hold after every step, whatever happens on the way.
extension Simulation {
  /// From now on checks the engine's rules after every step: each endpoint's own (``MPTCPCore``'s `violation()`), and
  /// those that only both ends together show. What is found is ``failure``. To be called before the first step.
  public func checkInvariants() {
    checksInvariants = true
    for host in hosts { host.endpoint.inspect() }
  }

  /// How often each machine of all endpoints went from one state to another, since ``checkInvariants()``.
  package var transitions: TransitionCounters {
    var sum = TransitionCounters()
    for host in hosts { sum.add(host.endpoint.transitions) }
    return sum
  }

  /// After ``settle()``: every connection has reached CLOSED, and nothing of it is left.
  public func checkRest() {
    for host in hosts {
      if let problem = host.endpoint.wholeViolation() ?? host.endpoint.leak() { fail("\(host.name): \(problem)") }
    }
  }

  /// Checks what happened on a host in this step.
  func check(_ hostIndex: Int) {
    let host = hosts[hostIndex]
    var problem: String?
    let violation = host.endpoint.violation { id in
      guard problem == nil, let index = talker(of: id, on: host) else { return }
      if let found = disagreement(index) { problem = "\(name(of: index)): \(found)" }
    }
    if let violation = violation ?? problem { fail("\(host.name): \(violation)") }
  }

  /// Checks everything, once, at the end.
  func checkAll() {
    for host in hosts { if let problem = host.endpoint.wholeViolation() { fail("\(host.name): \(problem)") } }
  }

  /// What the two ends of a connection do not agree on; nil while they do, or one is gone.
  private func disagreement(_ index: Int) -> String? {
    let (mine, other) = (talkers[index], talkers[index ^ 1])
    guard let myID = mine.connection, let otherID = other.connection,
      let my = hosts[mine.host].endpoint.progress(of: myID),
      let their = hosts[other.host].endpoint.progress(of: otherID)
    else { return nil }
    return disagreement(my, their, mine) ?? disagreement(their, my, mine)
      ?? disagreement(my, myID, their, otherID, index)
  }

  /// What one end believes that the other has, and that it has not.
  private func disagreement(_ my: ConnectionProgress, _ their: ConnectionProgress, _ talker: Talker) -> String? {
    // No checksum covers what comes with a SYN: where a box makes that longer or shorter, everything behind it moves.
    let path = talker.path.map { plan.paths[$0] }
    if path?.isResized == true, my.receivedOnSyn > 0 || their.receivedOnSyn > 0 { return nil }
    if !my.isMultipath {
      // In plain TCP an acknowledgment is whoever's it is that sends it, and data counts as it comes.
      if path?.isTampered == true { return nil }
      // An end that fell back counts what the subflow has; one that has not heard of it, what its mappings brought.
      if their.isMultipath { return nil }
    }
    // RFC 8684 §3.3.2: a DATA_ACK is for what is here in order, so that the peer can deliver it.
    if my.acknowledged > their.received { return "\(my.acknowledged) acknowledged, \(their.received) received" }
    if my.isEndAcknowledged, !their.hasTakenEnd { return "the end is acknowledged that the peer does not know" }
    return nil
  }

  private func disagreement(
    _ my: ConnectionProgress, _ myID: ConnectionID, _ their: ConnectionProgress, _ otherID: ConnectionID, _ index: Int
  ) -> String? {
    guard my.isMultipath, their.isMultipath else { return nil }
    if my.remoteToken != their.localToken || my.localToken != their.remoteToken {
      return "the two ends do not have each other's keys"
    }
    // RFC 8684 §3.2: a join belongs to the connection whose token it named.
    guard !hasTranslator || !hasTranslator(between: talkers[index].host, talkers[index ^ 1].host) else { return nil }
    var problem: String?
    hosts[talkers[index].host].endpoint.forEachEstablishedSubflow(of: myID) { tuple in
      let reversed = FourTuple(local: tuple.remote, remote: tuple.local)
      let other = hosts[talkers[index ^ 1].host].endpoint
      guard let found = other.connection(of: reversed), found != otherID else { return }
      // Where the other end has lost the connection, a SYN that comes again begins a handshake, which the answer ends.
      other.forEachEstablishedSubflow(of: found) {
        if $0 == reversed { problem = "a subflow is another connection's at the other end (\(tuple))" }
      }
    }
    return problem
  }

  /// Whether what arrived at a place of the stream may be other than what was sent: a box on the way has changed data,
  /// and it is plain TCP, or nobody asked for DSS checksums. With them Multipath TCP does not let it pass (RFC 8684
  /// §3.7), unless it came with the SYN.
  func isBeyondProof(_ index: Int, at position: Int) -> Bool {
    let talker = talkers[index]
    let isTampered = talker.path.map(hasChangedData) ?? false
    guard let id = talker.connection, let progress = hosts[talker.host].endpoint.progress(of: id), progress.isMultipath
    else { return isTampered }
    let transfer = scenario.transfers[talker.transfer]
    if !transfer.clientOptions.checksum, !transfer.serverOptions.checksum {
      // A subflow may go over any path between the two.
      return paths.indices.contains { connects($0, talker.host, talkers[index ^ 1].host) && hasChangedData($0) }
    }
    guard isTampered, let path = talker.path else { return false }
    return progress.receivedOnSyn > 0 && (plan.paths[path].isResized || position < progress.receivedOnSyn)
  }

  /// Whether a box on a path has changed data so far.
  private func hasChangedData(_ path: Int) -> Bool {
    paths[path].boxes.boxes.contains { $0.counters[.payloadChanged] > 0 || $0.counters[.payloadResized] > 0 }
  }

  private func connects(_ path: Int, _ host: Int, _ other: Int) -> Bool {
    let route = plan.paths[path].route
    let ends = (plan.routes[route].host, plan.routes[route + 1].host)
    return ends == (host, other) || ends == (other, host)
  }

  private func hasTranslator(between host: Int, _ other: Int) -> Bool {
    plan.paths.indices.contains { plan.paths[$0].hasTranslator && connects($0, host, other) }
  }

  // MARK: On the wire

  /// A connection of a host is plain TCP: from now on none of its packets may carry Multipath TCP.
  func notePlain(_ index: Int) {
    guard checksInvariants, let id = talkers[index].connection else { return }
    let host = hosts[talkers[index].host]
    for subflow in host.endpoint.description(of: id)?.subflows ?? [] { host.plainTuples[subflow.tuple] = index }
  }

  /// RFC 8684 §3.7: after a fallback, never Multipath TCP again. What tells the peer of the fallback may still leave:
  /// MP_FAIL and the infinite mapping.
  func checkOutgoing(_ packet: RawSpan, _ host: SimulatedHost) {
    guard !host.plainTuples.isEmpty, let ip = try? IPHeader(parsing: packet), ip.protocolNumber == IPProtocol.tcp,
      let tcp = try? TCPHeader(parsing: ip.payload(in: packet))
    else { return }
    let tuple = FourTuple(
      local: TransportAddress(ip.source, tcp.sourcePort), remote: TransportAddress(ip.destination, tcp.destinationPort))
    guard let index = host.plainTuples[tuple] else { return }
    if tcp.flags.contains(.syn) {
      // The ports have a new connection.
      host.plainTuples[tuple] = nil
      return
    }
    TCPOption.forEachWellFormed(in: ip.payload(in: packet).extracting(20..<tcp.headerByteCount)) { option in
      guard case .multipath(let option) = option else { return }
      switch option {
      case .fail: return
      case .dss(let dss): if let mapping = dss.mapping, mapping.length == 0 { return }
      case .capable, .join, .addAddress, .removeAddress, .priority, .fastClose, .reset, .experimental, .unknown: break
      }
      fail("\(name(of: index)): Multipath TCP after the fallback (\(PacketText.line(packet)))")
    }
  }
}
