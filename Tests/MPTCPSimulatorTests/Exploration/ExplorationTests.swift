import Foundation
import MPTCPLink
import MPTCPTools
import MPTCPWire
import Testing

@testable import MPTCPCore
@testable import MPTCPSimulator

@Suite("Random scenarios are explored, and those that break a rule are made small")
struct ExplorationTests {
  private let generator = ScenarioGenerator(seed: 7)

  @Test("A seed and a number give the same scenario each time, and another number another one")
  func generatorIsDeterministic() {
    for number in 0..<50 { #expect(generator.scenario(number) == ScenarioGenerator(seed: 7).scenario(number)) }
    #expect(generator.scenario(1) != generator.scenario(2))
    #expect(generator.scenario(1) != ScenarioGenerator(seed: 8).scenario(1))
  }

  @Test("Each scenario has two paths or more, three kinds of fault or more, and 200 KB or more to send")
  func leastOfAll() {
    for number in 0..<5000 {
      let scenario = generator.scenario(number)
      #expect(scenario.paths.count >= 2)
      #expect(ScenarioGenerator.faults(of: scenario).count >= 3, "number \(number)")
      #expect(ScenarioGenerator.byteCount(of: scenario) >= 200_000, "number \(number)")
      #expect(!ScenarioGenerator.isSlight(scenario))
    }
  }

  @Test("What is written as JSON is read as the same scenario")
  func scenariosAreWritten() throws {
    for number in 0..<200 {
      let scenario = generator.scenario(number)
      let data = try JSONEncoder().encode(scenario)
      #expect(try JSONDecoder().decode(Scenario.self, from: data) == scenario, "number \(number)")
    }
  }

  @Test("No rule is broken in 50 schedules, second subflows join and carry data, and what links can do is met")
  func shortExploration() {
    var exploration = Exploration(generator)
    exploration.run(0..<50)
    for failure in exploration.failures { Issue.record("number \(failure.number): \(failure.problem)") }
    let counts = exploration.counts
    #expect(counts.scheduleCount == 50)
    #expect(counts.joinedScheduleCount > 25)
    #expect(counts.sharedScheduleCount > 25)
    #expect(counts.fewestFaultKinds >= 3 && counts.fewestPaths >= 2 && counts.leastByteCount >= 200_000)
    for kind in ScenarioGenerator.drawnFaults { #expect(counts[kind].hitCount > 0, "\(kind)") }
  }

  @Test("Every kind of fault is asked for, every kind of box among them")
  func everythingIsDrawn() {
    var kinds: Set<FaultKind> = []
    var boxes: Set<MiddleboxConfiguration.Kind> = []
    for number in 0..<1500 {
      let scenario = generator.scenario(number)
      kinds.formUnion(ScenarioGenerator.faults(of: scenario))
      for path in scenario.paths { boxes.formUnion(path.boxes.map(\.kind)) }
    }
    #expect(kinds == Set(FaultKind.allCases))
    #expect(boxes == Set(MiddleboxConfiguration.Kind.allCases))
  }

  @Test("What a box did is counted as a fault of its kind")
  func boxesAreCounted() throws {
    var scenario = try SmallScenarios.twoPaths()
    scenario.paths[0].boxes = [.rewriteSequence(SequenceRewriting()), .reset(ResetInjection(at: [.milliseconds(70)]))]
    scenario.paths[1].boxes = [.nat(AddressTranslation(rebind: [.milliseconds(90)]))]
    let counts = try ScenarioRun(scenario).counts
    for kind in [FaultKind.sequenceRewritten, .resetInjected, .addressTranslated, .mappingForgotten] {
      #expect(counts[kind].hitCount > 0 && counts[kind].scheduleCount == 1, "\(kind)")
    }
    #expect(counts[.replayed].hitCount == 0)
  }

  @Test("What several explorations counted is added")
  func countsAreAdded() {
    var whole = Exploration(generator)
    whole.run(0..<12)
    var first = Exploration(generator)
    first.run(stride(from: 0, to: 12, by: 2))
    var second = Exploration(generator)
    second.run(stride(from: 1, to: 12, by: 2))
    first.add(second)
    #expect(first.counts.scheduleCount == 12)
    #expect(first.counts.packetCount == whole.counts.packetCount)
    #expect(first.counts.stepCount == whole.counts.stepCount)
    for kind in FaultKind.allCases { #expect(first.counts[kind] == whole.counts[kind], "\(kind)") }
    var (some, all) = ([String](), [String]())
    first.counts.forEachTransition { some.append("\($0) \($1) \($2) \($3.hitCount) \($3.scheduleCount)") }
    whole.counts.forEachTransition { all.append("\($0) \($1) \($2) \($3.hitCount) \($3.scheduleCount)") }
    #expect(some == all)
    #expect(some.count > 10)
  }

  @Test("What would not happen a thousand times in a million schedules is named, the rarest first")
  func raritiesAreNamed() throws {
    var exploration = Exploration(generator)
    exploration.run(0..<2)
    let results = ExplorationResults(exploration, from: 0, seconds: 1, processorSeconds: 1)
    #expect(results.rarities.allSatisfy { $0.hits == 0 })
    #expect(results.rarities.count == (results.faults + results.transitions).count { $0.hits == 0 })
    let line = try #require(ExplorationReport(results).lines.last)
    #expect(line.hasPrefix("less often than a thousand times in a million schedules: "))
    #expect(line.contains("payloadResized (0)") || exploration.counts[.payloadResized].hitCount > 0)
  }

  /// Breaks a rule of the engine's once a client has two subflows: a window moves back.
  private static func breakWindow(_ simulation: Simulation) {
    simulation.observer = { simulation in
      guard let client = simulation.talkers.first, client.subflowCount > 1, let id = client.connection,
        let connection = simulation.hosts[client.host].endpoint.connection(id)
      else { return }
      simulation.observer = nil
      connection.receiveWindowEdge -= 1
      connection.endpoint.touch(connection)
      simulation.check(client.host)
    }
  }

  @Test("An engine that breaks a rule is found, its scenario is made small, and what is written fails again")
  func brokenEngine() throws {
    var exploration = Exploration(generator)
    exploration.run(0..<6, prepare: Self.breakWindow)
    let failure = try #require(exploration.failures.first)
    #expect(failure.problem.contains("its window moved back"))
    #expect(exploration.counts.failureCount == exploration.failures.count)
    var shrinker = Shrinker(runLimit: 120, prepare: Self.breakWindow)
    let small = shrinker.shrink(failure.scenario, problem: failure.problem)
    #expect(small.problem.contains("its window moved back"))
    #expect(shrinker.runCount <= 120)
    #expect(small.scenario.events.isEmpty)
    #expect(small.scenario.transfers.count == 1)
    #expect(ScenarioGenerator.faults(of: small.scenario).count < 3)
    let written = try JSONEncoder().encode(small.scenario)
    let read = try JSONDecoder().decode(Scenario.self, from: written)
    #expect(try ScenarioRun(read, prepare: Self.breakWindow).failure == small.problem)
    #expect(try ScenarioRun(read).failure == nil)
  }

  @Test("A connection that was ended by force, and whose DATA_FIN nobody acknowledged, is not taken for acknowledged")
  func endedByForce() throws {
    let scenario = try SmallScenarios.parse(
      """
      {
        "seed": 2996085448060770,
        "duration": "900s",
        "sample": "0",
        "paths": [{"name": "a", "between": ["client.a", "server.a"], "link": "34mbit,5100us"}],
        "transfers": [{"client": "client", "server": "server", "upload": "14812B", "options": {"keepAlive": "5s"}}],
        "events": [
          {"at": "20ms", "hostPaused": "client", "for": "293ms"},
          {"at": "225ms", "interfaceRemoved": "client.a"}
        ]
      }
      """)
    #expect(try ScenarioRun(scenario).failure == nil)
  }

  @Test("A shrinker runs no more often than it may")
  func shrinkerIsBounded() {
    var shrinker = Shrinker(runLimit: 3) { $0.fail("always") }
    let scenario = generator.scenario(0)
    let small = shrinker.shrink(scenario, problem: "always")
    #expect(shrinker.runCount == 3)
    #expect(small.problem == "always")
  }

  @Test("A connection that ends though nothing on the way explains it is a failure", arguments: [true, false])
  func needlessEnd(isExplained: Bool) throws {
    var scenario = try SmallScenarios.twoPaths()
    if isExplained { scenario.paths[0].boxes = [.drop(SegmentDropping(on: [.syn], answersWithReset: true))] }
    var resetCount = 0
    let failure = try ScenarioRun(scenario) { simulation in
      simulation.observer = { simulation in
        // As an engine would that ends connections for no reason.
        guard !isExplained, let id = simulation.talkers[1].connection, simulation.talkers[1].received > 0,
          resetCount == 0
        else { return }
        resetCount = 1
        simulation.hosts[simulation.talkers[1].host].endpoint.abort(id, at: simulation.now)
        simulation.release(1)
      }
    }.failure
    #expect((failure == nil) == isExplained)
    if !isExplained { #expect(failure == "transfer 0: ended as reset, and nothing on the way explains it") }
  }

  @Test("A rule that is broken often does not hide one that is broken seldom")
  func rulesKept() {
    var exploration = Exploration(generator)
    exploration.run(0..<40) { simulation in
      let isLast = simulation.scenario.title.hasSuffix("number 39")
      simulation.fail(isLast ? "seldom (b7)" : "often (\(String(simulation.scenario.seed, radix: 16)))")
    }
    #expect(exploration.failures.count == Exploration.failureLimit + 1)
    #expect(Set(exploration.failures.map(\.rule)) == ["often ", "seldom "])
    #expect(exploration.failures.last?.number == 39)
  }

  @Test("A connection that is not over in time is a failure")
  func unfinished() throws {
    var scenario = try SmallScenarios.twoPaths()
    scenario.duration = .milliseconds(50)
    #expect(try ScenarioRun(scenario).failure?.contains("not over in time") == true)
  }

  @Test(
    "What a checksum of 16 bits misses by chance is told apart from what fails with any data", arguments: [true, false])
  func chanceIsNoViolation(isChance: Bool) throws {
    var scenario = generator.scenario(1)
    scenario.paths[0].boxes = [.changePayload(PayloadChange())]
    for index in scenario.transfers.indices { scenario.transfers[index].clientOptions.checksum = true }
    var runCount = 0
    let run = try ScenarioRun(scenario) { simulation in
      runCount += 1
      guard !isChance || simulation.dataSeed == scenario.seed else { return }
      simulation.fail("transfer 1 server: wrong byte at 5")
      simulation.isAboutData = true
    }
    #expect(runCount == (isChance ? 3 : 2))
    #expect((run.failure == nil) == isChance)
    #expect(run.counts.chanceCount == (isChance ? 1 : 0))
    #expect(run.counts.failureCount == (isChance ? 0 : 1))
    // What is not about data that a box has changed is no chance.
    let plain = try ScenarioRun(scenario) {
      if $0.dataSeed == scenario.seed { $0.fail("transfer 1 server: wrong byte at 5") }
    }
    #expect(plain.failure != nil)
  }
}
