import ArgumentParser
import FoundationEssentials
import Glibc
import MPTCPCore
import MPTCPLab
import MPTCPSimulator
import MPTCPTools
import MPTCPWire

/// `mptcp sim`: the arguments.
struct SimulationCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sim",
    abstract: "Runs a scenario in virtual time: hosts, links, applications, and what goes wrong.",
    usage: """
      mptcp sim SCENARIO [--seed SEED] [--json] [--pcapng FILE] [--trace FILE] [--plot FILE]
      mptcp sim --explore N [--seed SEED] [--from NUMBER] [--jobs J] [--output DIR] [--json]
      """,
    discussion: """
      A scenario is a page of JSON; the same scenario with the same seed runs the same, packet for packet. After every \
      step the rules of the protocol are checked: bytes arrive as they were sent, nothing is acknowledged that the \
      receiver does not have, windows do not move back, every connection ends. Some scenarios come with the sources, in \
      the folder Scenarios: wifi-lte.json, shared-bottleneck.json, path-death.json.

      With --explore it runs random scenarios instead, each over two paths or more with three kinds of fault or more. It \
      prints how often it met what, and how often the engine went from one state to another; what breaks a rule is made \
      small and written to a file, which mptcp sim runs.

      Exit status: 0 everything was over in time and no rule was broken, 3 not everything was over in time, 4 a rule was \
      broken (with --explore, everything has to be over, too), 64 wrong arguments or a wrong scenario, 74 a file could \
      not be read or written.
      """)

  @Argument(help: ArgumentHelp("The scenario; - reads the standard input.", valueName: "scenario"))
  var file: String?
  @Option(
    parsing: .unconditional,
    help: "Where all chance comes from, in place of the scenario's seed; of random scenarios 1 if not given.",
    transform: { text throws(ArgumentProblem) in
      guard let seed = UInt64(text) else {
        throw ArgumentProblem("a seed is a whole number from 0 to \(UInt64.max)")
      }
      return seed
    })
  var seed: UInt64?
  @Flag(help: "Print the results as one JSON object, samples included.")
  var json = false
  @Option(help: ArgumentHelp("Write each packet at each interface as pcapng.", valueName: "file"))
  var pcapng: String?
  @Option(help: ArgumentHelp("Write each packet at each interface as a line of text.", valueName: "file"))
  var trace: String?
  @Option(help: ArgumentHelp("Write a picture in SVG: rates, round-trip times and windows by path.", valueName: "file"))
  var plot: String?
  @Option(parsing: .unconditional, help: ArgumentHelp("Run so many random scenarios.", valueName: "n"))
  var explore: Int?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The number of the first random scenario; 0 if not given.", valueName: "number"))
  var from: Int?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Run so many at the same time; one on each processor if not given.", valueName: "j"))
  var jobs: Int?
  @Option(
    help: ArgumentHelp(
      "Where to write what breaks a rule; the working directory if not given.", valueName: "directory"))
  var output: String?

  func run() async throws {
    if let explore { return try await runExploration(of: explore) }
    for (option, isGiven) in [("--from", from != nil), ("--jobs", jobs != nil), ("--output", output != nil)] {
      if isGiven { throw ArgumentProblem("\(option): goes with --explore; leave it out, or give --explore 1000") }
    }
    guard let file else {
      throw ArgumentProblem("no scenario; give one, such as Scenarios/wifi-lte.json, or --explore 1000")
    }
    try await runScenario(file)
  }

  private func runScenario(_ file: String) async throws {
    try refuseSameFiles([("scenario", file), ("--pcapng", pcapng), ("--trace", trace), ("--plot", plot)])
    for (option, path) in [("--pcapng", pcapng), ("--trace", trace), ("--plot", plot)] {
      if let path { try checkWritable(path, option) }
    }
    var scenario = try read(file)
    if let seed { scenario.seed = seed }
    let simulation: Simulation
    do throws(ScenarioError) {
      simulation = try Simulation(scenario)
    } catch {
      throw ArgumentProblem("\(file): \(error)")
    }
    simulation.checkInvariants()
    let recording = try SimulationRecording(of: simulation, pcapng: pcapng, trace: trace)
    runWithProgress(simulation)
    var results = simulation.results
    try recording.finish(at: simulation.now)
    if let plot { try RecordingFile.write(Array(SimulationPicture(results).svg.utf8), to: plot, "--plot") }
    if simulation.isFinished {
      simulation.recorder = nil
      simulation.settle()
      simulation.checkRest()
    }
    let isChance = try simulation.failedByChance(in: scenario)
    results.failure = isChance ? nil : simulation.failure
    try show(results, lines: SimulationReport(results).lines)
    if isChance {
      StandardError.say(
        "\(file): data that a box had changed passed a checksum, as one change in 65,536 does; with other data none does"
      )
    }
    if results.failure != nil { throw ExitCode(ExitStatus.unproven.rawValue) }
    // (It stopped there.)
    if isChance { return }
    if !results.isFinished {
      StandardError.say("\(file): not everything was over after the scenario's duration; give it a longer one")
      throw ExitCode(ExitStatus.idle.rawValue)
    }
  }

  private func read(_ file: String) throws -> Scenario {
    let text: [UInt8]
    do {
      text = JSONSyntax.withoutByteOrderMark(try InputText.read(file))
    } catch {
      StandardError.say("\(error); give a scenario, such as Scenarios/wifi-lte.json")
      throw ExitCode(ExitStatus.inputOutput.rawValue)
    }
    if let fault = JSONSyntax.fault(in: text) { throw ArgumentProblem("\(file): \(fault)") }
    do {
      return try JSONDecoder().decode(Scenario.self, from: Data(text))
    } catch let error as DecodingError {
      throw ArgumentProblem("\(file): \(ScenarioError(error))")
    } catch let error as ScenarioError {
      throw ArgumentProblem("\(file): \(error)")
    }
  }

  /// On a terminal, says how far it is.
  private func runWithProgress(_ simulation: Simulation) {
    guard StandardError.isTerminal else { return simulation.run() }
    let clock = ContinuousClock()
    var last = clock.now
    var count = 0
    while simulation.step() {
      count += 1
      guard count % 4096 == 0, clock.now - last > .milliseconds(200) else { continue }
      last = clock.now
      let time = (simulation.now - Simulation.start).seconds
      StandardError.draw(["\(text(seconds: time)) of virtual time, \(simulation.packetCount) packets"])
    }
    StandardError.clear()
  }

  /// Prints results: for programs where `--json` says so, otherwise `lines`.
  func show(_ results: some Encodable, lines: @autoclosure () -> [String]) throws {
    let text: [UInt8]
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys]
      text = try [UInt8](encoder.encode(results)) + [UInt8(ascii: "\n")]
    } else {
      text = lines().flatMap { Array(($0 + "\n").utf8) }
    }
    do {
      try writeAll(ByteSlice(text), to: STDOUT_FILENO)
    } catch {
      StandardError.say("\(error)")
      throw ExitCode(ExitStatus.inputOutput.rawValue)
    }
  }
}
