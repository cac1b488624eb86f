import MPTCPLink
import MPTCPWire

/// Makes a scenario that breaks a rule smaller for as long as it breaks the same rule.
///
/// It leaves out events, transfers, paths, properties of links, options and what applications do, and halves sizes.
/// What still fails is kept, and it begins again until nothing can go, or it has run for as often as it may.
public struct Shrinker {
  /// The most scenarios that are tried.
  public var runLimit: Int
  /// How many were tried so far.
  public private(set) var runCount = 0
  private let prepare: (Simulation) -> Void

  /// - Parameter prepare: is called with each simulation before its first step.
  public init(runLimit: Int = 400, prepare: @escaping (Simulation) -> Void = { _ in }) {
    self.runLimit = runLimit
    self.prepare = prepare
  }

  /// A small scenario that fails as this one does, and what is told of it.
  public mutating func shrink(_ scenario: Scenario, problem: String) -> (scenario: Scenario, problem: String) {
    var best = (scenario: scenario, problem: problem)
    let rule = Self.rule(problem)
    var hasShrunk = true
    while hasShrunk {
      hasShrunk = false
      // Steps are taken by their number, so that the ones after a success go on where it was.
      var steps = Self.steps(of: best.scenario)
      var number = 0
      while number < steps.count {
        var candidate = best.scenario
        steps[number](&candidate)
        number += 1
        guard candidate != best.scenario else { continue }
        guard runCount < runLimit else { return best }
        runCount += 1
        guard let found = try? ScenarioRun(candidate, prepare: prepare).failure, Self.rule(found) == rule else {
          continue
        }
        best = (candidate, found)
        hasShrunk = true
        number -= 1
        steps = Self.steps(of: candidate)
      }
    }
    return best
  }

  /// A failure without its numbers, and without what stands in brackets: the same rule is broken where only these
  /// differ.
  static func rule(_ problem: String) -> String {
    var depth = 0
    return problem.filter { character in
      if character == "(" { depth += 1 }
      defer { if character == ")" { depth -= 1 } }
      return depth == 0 && !character.isNumber
    }
  }

  // MARK: Steps

  /// What may make a scenario smaller, or leave it as it is.
  private typealias Step = (inout Scenario) -> Void

  private static func steps(of scenario: Scenario) -> [Step] {
    removals(scenario) + simplifications(scenario) + links(scenario)
  }

  private static func removals(_ scenario: Scenario) -> [Step] {
    var all: [Step] = [{ $0.events = [] }]
    for index in scenario.events.indices {
      // What went down comes back: alone, neither of the two leaves.
      let event = scenario.events[index]
      let pair = scenario.events.indices.filter {
        $0 != index && scenario.events[$0].at >= event.at && mends(scenario.events[$0].change, event.change)
      }.min { scenario.events[$0].at < scenario.events[$1].at }
      let isMending = scenario.events.contains { mends(event.change, $0.change) }
      guard !isMending else { continue }
      all.append {
        if let pair { $0.events.remove(at: max(pair, index)) }
        $0.events.remove(at: pair.map { min($0, index) } ?? index)
      }
    }
    for index in scenario.transfers.indices { all.append { $0.transfers.remove(at: index) } }
    for index in scenario.paths.indices { all.append { $0.paths.remove(at: index) } }
    for index in scenario.paths.indices {
      for place in scenario.paths[index].boxes.indices {
        all.append { $0.paths[index].boxes.remove(at: place) }
      }
    }
    return all
  }

  private static func mends(_ change: Scenario.Change, _ other: Scenario.Change) -> Bool {
    switch (change, other) {
    case (.pathUp(let name), .pathDown(let broken)): name == broken
    case (.interfaceUp(let name), .interfaceDown(let broken)): name == broken
    case (.interfaceAdded(let name), .interfaceRemoved(let broken)): name == broken
    default: false
    }
  }

  private static func simplifications(_ scenario: Scenario) -> [Step] {
    var all: [Step] = []
    for index in scenario.transfers.indices {
      func add(_ change: @escaping (inout Scenario.Transfer) -> Void) {
        all.append { change(&$0.transfers[index]) }
      }
      add { $0.connectionCount = 1 }
      add { $0.rounds = nil }
      add { $0.isSimultaneous = false }
      add { $0.uploadByteCount = 0 }
      add { $0.downloadByteCount = 0 }
      add { $0.uploadByteCount /= 2 }
      add { $0.downloadByteCount /= 2 }
      add { $0.start = .zero }
      add { $0.clientApplication = Scenario.Application() }
      add { $0.serverApplication = Scenario.Application() }
      let usual = Scenario.Options()
      for isClient in [true, false] {
        func set<Value>(_ path: WritableKeyPath<Scenario.Options, Value>) {
          add { transfer in
            if isClient {
              transfer.clientOptions[keyPath: path] = usual[keyPath: path]
            } else {
              transfer.serverOptions[keyPath: path] = usual[keyPath: path]
            }
          }
        }
        set(\.version)
        set(\.multipath)
        set(\.keepAlive)
        set(\.userTimeout)
        set(\.acceptedVersions)
        set(\.fastClose)
        set(\.congestionControl)
        set(\.scheduler)
        set(\.policy)
        set(\.checksum)
        set(\.noDelay)
        set(\.explicitCongestionNotification)
        set(\.fastOpen)
        set(\.fastOpenBacklog)
        set(\.refusesJoinsToInitialAddress)
        set(\.sendBufferByteCount)
        set(\.receiveBufferByteCount)
      }
    }
    all.append { $0.hosts = [] }
    for index in scenario.hosts.indices {
      all.append { $0.hosts[index] = Scenario.Host(name: $0.hosts[index].name) }
      for place in scenario.hosts[index].interfaces.indices {
        all.append {
          $0.hosts[index].interfaces[place] = Scenario.Interface(name: $0.hosts[index].interfaces[place].name)
        }
      }
    }
    return all
  }

  private static func links(_ scenario: Scenario) -> [Step] {
    var all: [Step] = []
    for index in scenario.paths.indices {
      for side in [\Scenario.DuplexLink.there, \Scenario.DuplexLink.back] {
        guard let link = scenario.paths[index].link?[keyPath: side] else { continue }
        func add(_ change: @escaping (inout LinkConfiguration) -> Void) {
          all.append {
            var link = link
            change(&link)
            $0.paths[index].link?[keyPath: side] = link
          }
        }
        let perfect = LinkConfiguration(bitsPerSecond: link.bitsPerSecond, delay: link.delay)
        add { $0 = perfect }
        add { $0.schedule = [] }
        for event in link.schedule.indices where link.schedule[event].mayGoAlone {
          add { $0.schedule.remove(at: event) }
        }
        add { $0.lossRate = .never }
        add { $0.burstLoss = nil }
        add { $0.corruptionRate = .never }
        add { $0.duplicationRate = .never }
        add { $0.reorderRate = .never }
        add { $0.jitter = .zero }
        add { $0.jitterReorders = false }
        add { $0.queueDiscipline = .tailDrop }
        add { $0.queueByteCount = nil }
        add { $0.queuePacketCount = nil }
        add { $0.markingByteCount = nil }
      }
    }
    return all
  }
}

extension LinkEvent {
  /// Without it the others lead to the same end.
  fileprivate var mayGoAlone: Bool {
    switch change {
    case .rate, .maximumTransmissionUnit: true
    case .down, .up, .delay, .loss: false
    }
  }
}
