import MPTCPLink
import MPTCPWire
import Testing

@testable import MPTCPCore
@testable import MPTCPSimulator

@Suite("What must hold after every step is looked at after every step")
struct InvariantTests {
  private func simulation(_ change: (inout Scenario) -> Void = { _ in }) throws -> Simulation {
    var scenario = try SmallScenarios.twoPaths("30mbit,10ms,queue=60KB,loss=1%", "12mbit,15ms,jitter=3ms,loss=2%")
    change(&scenario)
    let simulation = try Simulation(scenario)
    simulation.checkInvariants()
    return simulation
  }

  /// Runs until the client's connection has two subflows, and gives it.
  private func connection(_ simulation: Simulation) throws -> Connection {
    while simulation.talkers[0].subflowCount < 2, simulation.step() {}
    let id = try #require(simulation.talkers[0].connection)
    return try #require(simulation.hosts[0].endpoint.connection(id))
  }

  @Test("Random faults break no rule", arguments: 1...20)
  func faults(seed: UInt64) throws {
    let simulation = try simulation { $0.seed = seed }
    simulation.run()
    simulation.settle()
    simulation.checkRest()
    #expect(simulation.failure == nil)
    #expect(simulation.isFinished)
  }

  @Test(
    "What takes long on the way to rest breaks no rule",
    arguments: [
      // TIME-WAIT begins anew with what links hold back, and outlasts any patience that does not know it.
      """
      {"duration": "10000s", "hosts": [{"name": "c", "timeWait": "600s"}, {"name": "s", "timeWait": "600s"}],
       "paths": [{"between": ["c", "s"], "link": "10mbit,10ms,dup=100%,jitter=2s:reorder"}],
       "transfers": [{"client": "c", "server": "s", "upload": "100KB"}]}
      """,
      // SYNs come out of the slow link long after the client has given up.
      """
      {"duration": "10000s", "paths": [{"between": ["c", "s"], "link": "2bit", "back": "10mbit"}],
       "transfers": [{"client": "c", "server": "s", "upload": "1KB"}]}
      """,
      // A host that is off its processor cannot let TIME-WAIT pass.
      """
      {"paths": [{"between": ["c", "s"], "link": "10mbit"}],
       "transfers": [{"client": "c", "server": "s", "upload": "1KB"}],
       "events": [{"at": "10ms", "hostPaused": "s", "for": "3000000s"}]}
      """,
    ])
  func longWayToRest(json: String) throws {
    let results = try run(SmallScenarios.parse(json))
    #expect(results.failure == nil && results.isFinished)
  }

  @Test("Time does not stand still while bytes arrive, however many at one instant")
  func oneInstant() throws {
    // Two steps for each byte.
    let simulation = try Simulation(
      SmallScenarios.parse(
        """
        {"paths": [{"between": ["c", "s"], "link": "dup=100%"}],
         "transfers": [{"client": "c", "server": "s", "upload": "2KB", "options": {"sendBuffer": "1B"}}]}
        """))
    simulation.mostStepsAtOneInstant = 1000
    simulation.run()
    #expect(simulation.failure == nil && simulation.isFinished)
    #expect(simulation.now == Simulation.start)
  }

  @Test("Nor while two ends answer each other over a perfect line, byte for byte")
  func roundsAtOneInstant() throws {
    let simulation = try Simulation(
      SmallScenarios.parse(
        """
        {"paths": [{"between": ["c", "s"], "link": ""}],
         "transfers": [{"client": "c", "server": "s", "upload": "1B", "download": "1B", "rounds": 3000}]}
        """))
    simulation.mostStepsAtOneInstant = 100
    simulation.run()
    #expect(simulation.failure == nil && simulation.isFinished)
    #expect(simulation.stepCount > 6000)
  }

  private static let breaks: [(String, @Sendable (Connection) -> Void)] = [
    ("its window moved back", { $0.receiveWindowEdge -= 1 }),
    ("acknowledged less than before", { $0.sendUnacknowledged -= 1 }),
    ("received less than before", { $0.receiveNext -= 1 }),
    ("pending", { $0.pendingByteCount += 1 }),
    ("in flight", { $0.subflows[0].inFlightByteCount += 1 }),
    ("its token leads elsewhere", { $0.endpoint.retireToken(of: $0) }),
    (
      "a multipath went from fellBack to confirmed",
      {
        $0.multipath = .fellBack(.synsLost)
        $0.multipath = .confirmed
      }
    ),
    ("a subflow went from established to synSent", { $0.subflows[0].state = .synSent }),
  ]

  @Test("A rule that is broken is told", arguments: breaks.indices)
  func brokenRule(index: Int) throws {
    let (name, breaking) = Self.breaks[index]
    let simulation = try simulation()
    let connection = try connection(simulation)
    #expect(simulation.failure == nil)
    breaking(connection)
    connection.endpoint.touch(connection)
    simulation.check(0)
    let failure = try #require(simulation.failure)
    #expect(failure.contains(name), "\(failure)")
  }

  @Test("What is acknowledged and was not received is told, and so are ends that do not have each other's keys")
  func ends() throws {
    let first = try simulation()
    let connection = try connection(first)
    connection.sendUnacknowledged += 1_000_000
    connection.sendNext += 1_000_000
    connection.phase = .closed
    connection.endpoint.touch(connection)
    first.check(0)
    #expect(first.failure?.contains("acknowledged, ") == true, "\(first.failure ?? "")")
    let second = try simulation()
    let other = try self.connection(second)
    other.remoteToken = Token(other.remoteToken.rawValue &+ 1)
    other.endpoint.touch(other)
    second.check(0)
    #expect(second.failure?.contains("each other's keys") == true, "\(second.failure ?? "")")
  }

  @Test("A packet with Multipath TCP after the fallback is told")
  func optionsAfterFallback() throws {
    let simulation = try simulation()
    _ = try connection(simulation)
    simulation.notePlain(0)
    while simulation.failure == nil, simulation.step() {}
    #expect(simulation.failure?.contains("Multipath TCP after the fallback") == true)
  }

  @Test("Wrong bytes are excused on the way of a box that has changed some, and nowhere else")
  func boxesElsewhere() throws {
    let scenario = try SmallScenarios.parse(
      """
      {"paths": [{"between": ["a.w", "s.e"], "link": "10mbit,5ms"},
                 {"between": ["b.w", "t.e"], "link": "10mbit,5ms", "boxes": [{"changePayload": {"after": "5KB"}}]},
                 {"between": ["c.w", "u.e"], "link": "10mbit,5ms", "boxes": [{"changePayload": {"after": "100MB"}}]},
                 {"between": ["d.w", "v.e"], "link": "10mbit,5ms", "boxes": [{"acknowledgeEarly": {}}]}],
       "transfers": [{"client": "a", "server": "s", "upload": "20KB"}, {"client": "b", "server": "t", "upload": "20KB"},
                     {"client": "c", "server": "u", "upload": "20KB"},
                     {"client": "d", "server": "v", "upload": "20KB", "options": {"multipath": false}}]}
      """)
    let simulation = try Simulation(scenario)
    #expect((0..<8).allSatisfy { !simulation.isBeyondProof($0, at: 0) })
    simulation.run()
    #expect(
      (0..<8).map { simulation.isBeyondProof($0, at: 0) } == [false, false, true, true, false, false, false, false])
    #expect(simulation.failure == nil)
  }

  /// With SYN cookies any third ACK that comes again opens a connection, which the client knows nothing of: it is not
  /// the one that lost its initial subflow, and has a join under way.
  @Test("A connection that nobody opened is nobody's")
  func ghosts() throws {
    let scenario = try SmallScenarios.parse(
      """
      {"seed": 6082234324694176951,
       "hosts": [{"name": "s", "maximumHalfOpen": 0, "interfaces": [{"name": "e", "mtu": 1280}]}],
       "paths": [{"between": ["c.w", "s.e"], "link": "1mbit,100ms,queue=20p", "back": "1bit"},
                 {"between": ["c.l", "s.e"], "link": "dup=100%,jitter=1s:reorder",
                  "boxes": [{"cut": {"byteCount": 1}}, {"reset": {"afterByteCount": 0}}]}],
       "transfers": [{"client": "c.l", "server": "s", "upload": "100KB", "download": "1KB"}]}
      """)
    let simulation = try Simulation(scenario)
    simulation.checkInvariants()
    simulation.run(until: .milliseconds(1900))
    #expect(simulation.failure == nil)
    #expect(simulation.hosts[0].name == "s" && simulation.hosts[0].endpoint.statistics.cookiesAccepted > 1)
  }

  @Test("Transitions are counted")
  func transitions() throws {
    let simulation = try simulation()
    simulation.run()
    simulation.settle()
    let transitions = simulation.transitions
    // Two subflows, each with two ends.
    #expect(transitions[.subflow, 1, 3] == 2)
    #expect(transitions[.subflow, 2, 3] == 2)
    // The client knows both keys before it knows that the server does; the server learns both at once.
    #expect(transitions[.multipath, 1, 2] == 1)
    #expect(transitions[.multipath, 2, 3] == 1)
    #expect(transitions[.multipath, 1, 3] == 1)
    #expect(transitions[.connection, 0, 1] == 2)
    #expect(transitions[.connection, 1, 2] == 2)
    var lines: [String] = []
    transitions.forEach { lines.append("\($0) \($1) \($2) \($3)") }
    #expect(lines.contains("subflow closed synSent 2"))
  }
}
