import MPTCPSimulator

/// What came of an exploration, for programs.
public struct ExplorationResults: Hashable, Sendable, Codable {
  /// Something that was counted.
  public struct Count: Hashable, Sendable, Codable {
    /// What it is.
    public var name: String
    /// How often it happened.
    public var hits: Int
    /// In how many schedules.
    public var schedules: Int
  }

  /// A scenario that broke a rule.
  public struct Failure: Hashable, Sendable, Codable {
    /// Its number.
    public var number: Int
    /// The rule.
    public var problem: String
    /// Where it was written to, made small; nil if it was not.
    public var file: String?
  }

  /// Where the scenarios come from.
  public var seed: UInt64
  /// The first number.
  public var from: Int
  /// How many were run.
  public var schedules: Int
  /// How many broke a rule.
  public var violations: Int
  /// How many did so by chance alone, and did not with other data: a checksum has 16 bits. They are no violations.
  public var chances: Int
  /// The first violations.
  public var failures: [Failure]
  /// The time that it took, in seconds.
  public var seconds: Double
  /// The time that processors spent on it, all threads together, in seconds.
  public var processorSeconds: Double
  /// The instants at which the rules were checked.
  public var steps: Int
  /// Wire packets.
  public var packets: Int
  /// Bytes that applications read.
  public var bytes: Int
  /// Connections that were opened.
  public var connections: Int
  /// Those that became plain TCP, or were it from the start.
  public var plainConnections: Int
  /// Schedules in which a connection had a second subflow.
  public var joinedSchedules: Int
  /// Schedules in which two paths or more carried data.
  public var sharedSchedules: Int
  /// The fewest kinds of fault that a schedule asked for.
  public var fewestFaultKinds: Int
  /// The fewest paths that a schedule had.
  public var fewestPaths: Int
  /// The fewest bytes that the applications of a schedule were to send.
  public var leastBytes: Int
  /// What became of connections.
  public var outcomes: [String: Int]
  /// What went wrong on the way.
  public var faults: [Count]
  /// The transitions of the engine's machines, those that never happened included.
  public var transitions: [Count]

  /// Puts together what was counted.
  ///
  /// - Parameters:
  ///   - exploration: What was run.
  ///   - from: The first number.
  ///   - seconds: The time that it took.
  ///   - processorSeconds: The time that processors spent on it.
  public init(_ exploration: Exploration, from: Int, seconds: Double, processorSeconds: Double) {
    let counts = exploration.counts
    seed = exploration.generator.seed
    self.from = from
    schedules = counts.scheduleCount
    violations = counts.failureCount
    chances = counts.chanceCount
    failures = exploration.failures.map { Failure(number: $0.number, problem: $0.problem) }
    self.seconds = seconds
    self.processorSeconds = processorSeconds
    steps = counts.stepCount
    packets = counts.packetCount
    bytes = counts.byteCount
    connections = counts.connectionCount
    plainConnections = counts.fallbackCount
    joinedSchedules = counts.joinedScheduleCount
    sharedSchedules = counts.sharedScheduleCount
    fewestFaultKinds = counts.scheduleCount > 0 ? counts.fewestFaultKinds : 0
    fewestPaths = counts.scheduleCount > 0 ? counts.fewestPaths : 0
    leastBytes = counts.scheduleCount > 0 ? counts.leastByteCount : 0
    outcomes = [:]
    for outcome in ConnectionOutcome.allCases { outcomes[outcome.name] = counts[outcome] }
    faults = FaultKind.allCases.map {
      Count(name: $0.name, hits: counts[$0].hitCount, schedules: counts[$0].scheduleCount)
    }
    var found: [Count] = []
    counts.forEachTransition {
      found.append(Count(name: "\($0): \($1) → \($2)", hits: $3.hitCount, schedules: $3.scheduleCount))
    }
    transitions = found
  }

  /// What happened less often than a thousand times in a million schedules, the rarest first.
  public var rarities: [Count] {
    (faults + transitions).filter { $0.hits * 1000 < schedules }.sorted { ($0.hits, $0.name) < ($1.hits, $1.name) }
  }

  /// Schedules in a second of one processor.
  public var rate: Double { processorSeconds > 0 ? Double(schedules) / processorSeconds : 0 }
}
