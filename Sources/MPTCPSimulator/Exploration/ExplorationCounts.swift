import MPTCPCore

/// What many scenarios ran into, as plain numbers that can be added.
public struct ExplorationCounts: Sendable {
  /// How often something happened, and in how many schedules.
  public struct Tally: Hashable, Sendable {
    /// How often.
    public var hitCount = 0
    /// In how many schedules.
    public var scheduleCount = 0
  }

  /// How many schedules were run.
  public var scheduleCount = 0
  /// How many of them broke a rule.
  public var failureCount = 0
  /// How many broke one by chance alone: data that a box had changed has the DSS checksum of what was sent, and with
  /// other data the same schedule breaks none.
  public var chanceCount = 0
  /// The wire packets that hosts sent.
  public var packetCount = 0
  /// The instants at which the rules were checked.
  public var stepCount = 0
  /// The bytes that applications read.
  public var byteCount = 0
  /// The connections that were opened.
  public var connectionCount = 0
  /// What became of the connections.
  private var outcomes = [Int](repeating: 0, count: ConnectionOutcome.allCases.count)
  /// The connections that became plain TCP.
  public var fallbackCount = 0
  /// The schedules in which a connection had a second subflow.
  public var joinedScheduleCount = 0
  /// The schedules in which two paths carried data: each at least ``dataByteCount`` bytes in one direction.
  public var sharedScheduleCount = 0
  /// The fewest kinds of fault that a schedule asked for.
  public var fewestFaultKinds = Int.max
  /// The fewest paths that a schedule had.
  public var fewestPaths = Int.max
  /// The fewest bytes that the applications of a schedule were to send.
  public var leastByteCount = Int.max
  private var faults = [Tally](repeating: Tally(), count: FaultKind.allCases.count)
  /// How often each machine of the engine went from one state to another.
  package private(set) var transitions = TransitionCounters()
  private var transitionSchedules = TransitionCounters()

  /// What a path has carried that carried data, and not only handshakes.
  public static let dataByteCount = 5000

  /// Nothing was run.
  public init() {}

  /// How often there was a kind of fault.
  public subscript(kind: FaultKind) -> Tally { faults[kind.rawValue] }

  /// How many connections came to an end of a kind.
  public subscript(outcome: ConnectionOutcome) -> Int { outcomes[outcome.rawValue] }

  mutating func note(_ outcome: ConnectionOutcome) { outcomes[outcome.rawValue] += 1 }

  /// Counts the transitions of one schedule.
  mutating func note(_ found: TransitionCounters) {
    transitions.add(found)
    transitionSchedules.addPresence(of: found)
  }

  /// Counts what happened in one schedule.
  mutating func note(_ kind: FaultKind, _ count: Int) {
    guard count > 0 else { return }
    faults[kind.rawValue].hitCount += count
    faults[kind.rawValue].scheduleCount += 1
  }

  /// Adds what others counted.
  public mutating func add(_ other: ExplorationCounts) {
    scheduleCount += other.scheduleCount
    failureCount += other.failureCount
    chanceCount += other.chanceCount
    packetCount += other.packetCount
    stepCount += other.stepCount
    byteCount += other.byteCount
    connectionCount += other.connectionCount
    for index in outcomes.indices { outcomes[index] += other.outcomes[index] }
    fallbackCount += other.fallbackCount
    joinedScheduleCount += other.joinedScheduleCount
    sharedScheduleCount += other.sharedScheduleCount
    fewestFaultKinds = min(fewestFaultKinds, other.fewestFaultKinds)
    fewestPaths = min(fewestPaths, other.fewestPaths)
    leastByteCount = min(leastByteCount, other.leastByteCount)
    for index in faults.indices {
      faults[index].hitCount += other.faults[index].hitCount
      faults[index].scheduleCount += other.faults[index].scheduleCount
    }
    transitions.add(other.transitions)
    transitionSchedules.add(other.transitionSchedules)
  }

  /// Calls `body` for each transition that a machine of the engine has, in the order of machines and states, whether it
  /// happened or not.
  public func forEachTransition(_ body: (_ machine: String, _ from: String, _ to: String, _ tally: Tally) -> Void) {
    var schedules: [Int] = []
    transitionSchedules.forEachPossible { _, _, _, count, _ in schedules.append(count) }
    var index = 0
    // The same transitions in the same order: one that no machine has is in both, or in neither.
    transitions.forEachPossible { machine, from, to, count, _ in
      body("\(machine)", from, to, Tally(hitCount: count, scheduleCount: schedules[index]))
      index += 1
    }
  }
}
