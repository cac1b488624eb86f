import MPTCPLink
import MPTCPWire

/// One scenario with every rule checked after every step, and at the end that nothing is left of it.
public struct ScenarioRun: Sendable {
  /// What was counted.
  public private(set) var counts = ExplorationCounts()
  /// The rule that was broken; nil if none.
  public private(set) var failure: String?

  /// Runs a scenario to its end. That connections are not over at the end of its duration is a failure, too.
  ///
  /// - Parameter prepare: may look at the simulation before its first step, and set its observer; it is called again
  ///   where the scenario is run again, with other data.
  /// - Throws: what is wrong with the scenario.
  public init(_ scenario: Scenario, prepare: (Simulation) -> Void = { _ in }) throws(ScenarioError) {
    let simulation = try Simulation(scenario)
    Self.run(simulation, prepare) { count($0) }
    failure = simulation.failure
    if simulation.isAboutData, try Self.isChance(scenario, prepare) {
      failure = nil
      counts.chanceCount = 1
    }
    if simulation.failure == nil { failure = needlessEnd(in: simulation) }
    counts.fewestFaultKinds = ScenarioGenerator.faults(of: scenario).count
    counts.fewestPaths = scenario.paths.count
    counts.leastByteCount = ScenarioGenerator.byteCount(of: scenario)
    counts.failureCount = failure == nil ? 0 : 1
    counts.note(simulation.transitions)
  }

  private static func run(
    _ simulation: Simulation, _ prepare: (Simulation) -> Void, mustFinish: Bool = true,
    atEnd: (Simulation) -> Void = { _ in }
  ) {
    simulation.checkInvariants()
    prepare(simulation)
    simulation.run()
    if mustFinish, !simulation.isFinished { simulation.fail(unfinished(simulation)) }
    atEnd(simulation)
    simulation.settle()
    simulation.checkRest()
  }

  /// A checksum of 16 bits misses one change of data in 65,536. Where a box changes data, a scenario is run again with
  /// other data, at the same times: what is wrong with the engine is wrong again, and what was chance is not.
  ///
  /// - Parameter mustFinish: whether a run that is not over in time is a failure.
  static func isChance(
    _ scenario: Scenario, _ prepare: (Simulation) -> Void = { _ in }, mustFinish: Bool = true
  ) throws(ScenarioError) -> Bool {
    for change: UInt64 in 1...2 {
      let simulation = try Simulation(scenario, dataSeed: scenario.seed ^ change << 32)
      run(simulation, prepare, mustFinish: mustFinish)
      guard simulation.failure == nil else { return false }
    }
    return true
  }

  private static func unfinished(_ simulation: Simulation) -> String {
    var text = ""
    for (index, talker) in simulation.talkers.enumerated() where !talker.isOver {
      text += "\(simulation.name(of: index)) sent \(talker.sent) of \(talker.sendByteCount), "
      text += "received \(talker.received) of \(talker.receiveByteCount); "
    }
    for host in simulation.hosts where host.endpoint.connectionCount > 0 {
      text += "\(host.name) has \(host.endpoint.connectionCount) connections; "
    }
    return "not over in time (\(text.dropLast(2)))"
  }

  private mutating func count(_ simulation: Simulation) {
    counts.scheduleCount = 1
    counts.packetCount = simulation.packetCount
    counts.stepCount = simulation.stepCount
    var hasJoined = false
    for index in stride(from: 0, to: simulation.talkers.count, by: 2) {
      let (client, server) = (simulation.talkers[index], simulation.talkers[index + 1])
      counts.connectionCount += 1
      counts.byteCount += client.received + server.received
      counts.note(ConnectionOutcome(client: client, server: server))
      let isPlain = client.isEstablished && !client.isMultipath
      if isPlain || client.fallback != nil || server.fallback != nil { counts.fallbackCount += 1 }
      if client.subflowCount > 1 { hasJoined = true }
    }
    if hasJoined { counts.joinedScheduleCount = 1 }
    let isCarrier = simulation.paths.filter {
      $0.delivered.contains { $0.byteCount >= ExplorationCounts.dataByteCount }
    }
    if isCarrier.count > 1 { counts.sharedScheduleCount = 1 }
    countLinks(simulation)
    countChanges(simulation)
  }

  /// A connection that ended otherwise than its applications meant it to, where nothing that the network did explains it.
  private func needlessEnd(in simulation: Simulation) -> String? {
    for index in stride(from: 0, to: simulation.talkers.count, by: 2) {
      let (client, server) = (simulation.talkers[index], simulation.talkers[index + 1])
      let outcome = ConnectionOutcome(client: client, server: server)
      guard let causes = outcome.causes, !causes.contains(where: { counts[$0].hitCount > 0 }) else { continue }
      // Who hears the other's SYN late takes the answer to its own for that of a host without version 1, and begins anew
      // with version 0.
      let transfer = simulation.scenario.transfers[client.transfer]
      if outcome == .refused, transfer.isSimultaneous { continue }
      return "\(simulation.name(ofConnection: index / 2)): ended as \(outcome.name), and nothing on the way explains it"
    }
    return nil
  }

  private mutating func countLinks(_ simulation: Simulation) {
    var found = [Int](repeating: 0, count: FaultKind.allCases.count)
    func add(_ kind: FaultKind, _ count: Int) { found[kind.rawValue] += count }
    for wire in simulation.wires {
      let counters = wire.link.counters
      add(.loss, counters.dropped(.randomLoss).packetCount)
      add(.burstLoss, counters.dropped(.burstLoss).packetCount)
      add(.queueFull, counters.dropped(.queueFull).packetCount)
      add(.controlledDelay, counters.dropped(.controlledDelay).packetCount)
      add(.tooLarge, counters.dropped(.tooLarge).packetCount)
      add(.linkDown, counters.dropped(.linkDown).packetCount)
      add(.congestionMark, counters.marked.packetCount)
      add(.reordering, counters.heldBack.packetCount)
      add(.duplication, counters.duplicated.packetCount)
      add(.corruption, counters.corrupted.packetCount)
      let configuration = wire.link.configuration
      if configuration.jitter > .zero { add(.jitter, counters.delivered.packetCount) }
      for event in configuration.schedule where Simulation.start + event.after <= simulation.now {
        switch event.change {
        case .rate: add(.rateChange, 1)
        case .delay: add(.delayChange, 1)
        case .loss: add(.lossChange, 1)
        case .down, .up, .maximumTransmissionUnit: break
        }
      }
    }
    for path in simulation.paths {
      add(.pathDown, path.dropped.packetCount)
      for box in path.boxes.boxes {
        for (kind, effect) in FaultKind.effects(of: box.configuration.kind) { add(kind, box.counters[effect]) }
      }
    }
    for kind in FaultKind.allCases { counts.note(kind, found[kind.rawValue]) }
  }

  private mutating func countChanges(_ simulation: Simulation) {
    var (removed, added, down, paused) = (0, 0, 0, 0)
    // The last change stands first, and those that have happened are taken away.
    for (_, change) in simulation.plan.changes[simulation.changes.count...] {
      switch change {
      case .path: break
      case .interface(_, _, let isUp): if !isUp { down += 1 }
      case .presence(_, _, let isThere): if isThere { added += 1 } else { removed += 1 }
      case .pause: paused += 1
      }
    }
    counts.note(.interfaceDown, down)
    counts.note(.addressRemoved, removed)
    counts.note(.addressAdded, added)
    counts.note(.hostPause, paused)
  }
}
