/// Runs random scenarios, one after the other, and adds up what they ran into.
///
/// Several explorations may share the work: each takes numbers of its own, and their ``counts`` are added.
public struct Exploration: Sendable {
  /// A scenario that broke a rule.
  public struct Failure: Sendable {
    /// Its number; with the exploration's seed it gives the scenario.
    public var number: Int
    /// The scenario.
    public var scenario: Scenario
    /// What is told of it.
    public var problem: String
    /// The rule: what is told without its numbers.
    public var rule: String { Shrinker.rule(problem) }
  }

  /// Where the scenarios come from.
  public let generator: ScenarioGenerator
  /// What all of them ran into.
  public private(set) var counts = ExplorationCounts()
  /// The first failures, and the first of each rule; ``ExplorationCounts/failureCount`` counts all.
  public private(set) var failures: [Failure] = []

  /// How many failures are kept whatever they broke.
  public static let failureLimit = 32
  /// How many are kept in all.
  static let ruleLimit = 256

  /// An exploration of the scenarios of a generator; none has run.
  public init(_ generator: ScenarioGenerator) { self.generator = generator }

  /// Runs the scenarios of some numbers.
  ///
  /// - Parameter prepare: is called with each simulation before its first step.
  public mutating func run(_ numbers: some Sequence<Int>, prepare: (Simulation) -> Void = { _ in }) {
    for number in numbers {
      let scenario = generator.scenario(number)
      let problem: String?
      do throws(ScenarioError) {
        let run = try ScenarioRun(scenario, prepare: prepare)
        counts.add(run.counts)
        problem =
          run.failure ?? (ScenarioGenerator.isSlight(scenario) ? "less than every scenario should ask for" : nil)
        if run.failure == nil, problem != nil { counts.failureCount += 1 }
      } catch {
        counts.scheduleCount += 1
        counts.failureCount += 1
        problem = "no scenario: \(error)"
      }
      if let problem {
        failures = Self.kept(failures + [Failure(number: number, scenario: scenario, problem: problem)])
      }
    }
  }

  /// Adds what another one did.
  public mutating func add(_ other: Exploration) {
    counts.add(other.counts)
    failures = Self.kept((failures + other.failures).sorted { $0.number < $1.number })
  }

  /// A rule that is broken often does not hide one that is broken seldom.
  private static func kept(_ failures: [Failure]) -> [Failure] {
    var rules: Set<String> = []
    var kept: [Failure] = []
    for (place, failure) in failures.enumerated() where kept.count < ruleLimit {
      if rules.insert(failure.rule).inserted || place < failureLimit { kept.append(failure) }
    }
    return kept
  }
}
