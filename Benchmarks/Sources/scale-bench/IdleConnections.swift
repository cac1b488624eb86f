import MPTCPLink
import MPTCPSimulator
import MPTCPWire

/// Connections that are open at once and say nothing: one scenario, one `Simulation`.
///
/// Each is opened, carries 100 bytes in both directions, and then both applications rest for longer than the scenario
/// lasts. The server has a port for each 25,000 connections, so that the client's ephemeral ports are enough.
struct IdleConnections {
  var count: Int
  var subflowCount: Int

  static let portShare = 25_000
  static let interval = Nanoseconds.microseconds(20)
  static let messageByteCount = 100

  var scenario: Scenario {
    var scenario = Scenario()
    scenario.title = "\(count) idle connections"
    scenario.duration = .seconds(100_000)
    scenario.sampleInterval = nil
    let link = Scenario.DuplexLink(LinkConfiguration(delay: .milliseconds(1)))
    for number in 0..<subflowCount {
      scenario.paths.append(Scenario.Path(between: "client.path\(number)", "server", link: link))
    }
    for first in stride(from: 0, to: count, by: Self.portShare) {
      var transfer = Scenario.Transfer(client: "client.path0", server: "server")
      transfer.connectionCount = min(Self.portShare, count - first)
      transfer.start = Self.interval * Int64(first)
      transfer.interval = Self.interval
      transfer.uploadByteCount = 2 * Self.messageByteCount
      transfer.downloadByteCount = 2 * Self.messageByteCount
      transfer.clientApplication.writeByteCount = Self.messageByteCount
      transfer.clientApplication.writePause = .seconds(1_000_000)
      transfer.serverApplication = transfer.clientApplication
      scenario.transfers.append(transfer)
    }
    return scenario
  }

  /// Runs it, and says what it found.
  ///
  /// - Returns: whether each end of a connection took at most `bound` bytes, and nothing else was wrong.
  func run(bound: Int) throws -> Bool {
    let clock = ContinuousClock()
    let empty = MemoryUse.now
    let simulation = try Simulation(scenario)
    let prepared = MemoryUse.now
    let openingStart = clock.now
    let openingTime = Self.interval * Int64(count) + .seconds(10)
    simulation.run(until: openingTime)
    let opening = seconds(clock.now - openingStart)
    let open = MemoryUse.now
    let census = simulation.census
    let established = simulation.establishedMultipathCount
    say(
      "idle: \(established) of \(count) connections established with \(census[0].statistics.joins) joins, "
        + "left \(census.map(\.connectionCount)), \(simulation.packetCount) packets")
    say(
      "  opened in \(rounded(opening)) s, \(rounded(opening / Double(count) * 1e6)) µs each (both ends and the network)"
    )
    let simulator = prepared - empty
    say(
      "  the simulator's applications: \(mebibytes(simulator.allocated)), \(simulator.allocated / count) bytes a connection"
    )
    let both = open - prepared
    let tables = simulation.tableByteCount
    say("  the simulator's tables of who is who: \(mebibytes(tables)), \(tables / (2 * count)) bytes an end")
    let engine = both.allocated - tables
    let each = engine / (2 * count)
    say(
      "  the engine's connections: \(mebibytes(engine)) allocated, \(engine / count) bytes a connection, "
        + "\(each) bytes an end")
    say(
      "  resident, with these tables: \(mebibytes(both.resident)), \(both.resident / (2 * count)) bytes an end; process \(mebibytes(open.resident))"
    )
    let packets = simulation.packetCount
    let steps = simulation.stepCount
    let idleStart = clock.now
    simulation.run(until: openingTime + .seconds(3600))
    let idle = MemoryUse.now - open
    say(
      "  an hour of silence: \(simulation.packetCount - packets) packets, \(simulation.stepCount - steps) steps, "
        + "\(rounded(seconds(clock.now - idleStart))) s, \(idle.allocated) bytes more")
    var isRight = true
    func demand(_ holds: Bool, _ rule: String) {
      guard !holds else { return }
      isRight = false
      say("  broken: \(rule)")
    }
    demand(simulation.failure == nil, simulation.failure ?? "")
    demand(established == count, "all are established as Multipath TCP")
    demand(census[0].statistics.joins == count * (subflowCount - 1), "each has all its subflows")
    demand(each <= bound, "at most \(bound) bytes an end")
    demand(idle.allocated < 1 << 20, "silence takes no memory")
    return isRight
  }
}
