import ArgumentParser
import FoundationEssentials
import Glibc
import MPTCPCore
import MPTCPSimulator
import MPTCPTools
import MPTCPWire
import Synchronization

// `mptcp sim --explore`: random scenarios.
extension SimulationCommand {
  func runExploration(of count: Int) async throws {
    let numbers = try explorationNumbers(count)
    let generator = ScenarioGenerator(seed: seed ?? 1)
    let jobs = self.jobs ?? max(Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))), 1)
    let progress = ExplorationProgress(of: numbers.count)
    let (start, processorStart) = (ContinuousClock.now, Self.processorSeconds)
    let work = Task { await Exploration.run(generator, numbers, jobs: jobs) { progress.add($0, $1) } }
    // What was done by then is worth telling.
    let interruption = Task {
      let status = await Interruption().status()
      if status != nil { work.cancel() }
      return status
    }
    let exploration = await work.value
    interruption.cancel()
    let status = await interruption.value
    progress.clear()
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    var results = ExplorationResults(
      exploration, from: numbers.lowerBound, seconds: seconds,
      processorSeconds: Self.processorSeconds - processorStart)
    if status == nil { try writeFailures(of: exploration, into: &results) }
    try show(results, lines: ExplorationReport(results).lines)
    if let status { throw ExitCode(status.rawValue) }
    if results.violations > 0 { throw ExitCode(ExitStatus.unproven.rawValue) }
  }

  private func explorationNumbers(_ count: Int) throws -> Range<Int> {
    let others = [("the scenario", file), ("--pcapng", pcapng), ("--trace", trace), ("--plot", plot)]
    for (option, value) in others where value != nil {
      throw ArgumentProblem("\(option): not with --explore; leave one of them out")
    }
    guard count > 0 else { throw ArgumentProblem("--explore \(count): expected 1 or more; give a number such as 1000") }
    let first = from ?? 0
    let (end, overflow) = first.addingReportingOverflow(count)
    guard first >= 0, !overflow else {
      throw ArgumentProblem("--from \(first): expected the number of a random scenario; give 0 or more")
    }
    if let jobs, !(1...1024).contains(jobs) {
      throw ArgumentProblem("--jobs \(jobs): expected 1 to 1024; leave --jobs out for one on each processor")
    }
    if let output, access(output, W_OK | X_OK) != 0 {
      throw ArgumentProblem("--output '\(output)': no directory to write to; give one that exists")
    }
    return first..<end
  }

  /// The time that processors have spent on this process.
  private static var processorSeconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// Makes the first failure of each rule small, and writes it, as well as what it was made of.
  private func writeFailures(of exploration: Exploration, into results: inout ExplorationResults) throws {
    var rules: Set<String> = []
    for (index, failure) in exploration.failures.enumerated() where rules.insert(failure.rule).inserted {
      let name = "explored-\(exploration.generator.seed)-\(failure.number)"
      _ = try write(failure.scenario, as: name + "-whole.json")
      var shrinker = Shrinker()
      let small = shrinker.shrink(failure.scenario, problem: failure.problem)
      results.failures[index].file = try write(small.scenario, as: name + ".json")
    }
  }

  /// Writes a scenario to the directory of `--output`, and says where it is.
  private func write(_ scenario: Scenario, as name: String) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let path = output.map { $0.hasSuffix("/") ? $0 + name : "\($0)/\(name)" } ?? name
    try RecordingFile.write([UInt8](encoder.encode(scenario)) + [UInt8(ascii: "\n")], to: path, "--output")
    return path
  }
}

/// On a terminal, says how far an exploration is.
private final class ExplorationProgress: Sendable {
  private struct State {
    var count = 0
    var failureCount = 0
    var drawnAt: ContinuousClock.Instant?
  }

  private let total: Int
  private let start = ContinuousClock.now
  private let isShown = StandardError.isTerminal
  private let state = Mutex(State())

  init(of total: Int) { self.total = total }

  func add(_ count: Int, _ failureCount: Int) {
    guard isShown else { return }
    state.withLock { state in
      state.count += count
      state.failureCount += failureCount
      let now = ContinuousClock.now
      if let drawnAt = state.drawnAt, now - drawnAt < .milliseconds(200) { return }
      state.drawnAt = now
      let done = decimal(Double(state.count) / Double(total) * 100, places: 1)
      let seconds = max((now - start) / .seconds(1), 0.001)
      let rate = decimal(Double(state.count) / seconds, places: 0)
      StandardError.draw(["\(done) %, \(state.count) schedules, \(rate)/s, \(state.failureCount) broke a rule"])
    }
  }

  func clear() { if isShown { StandardError.clear() } }
}
