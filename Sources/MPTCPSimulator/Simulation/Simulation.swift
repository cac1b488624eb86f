import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire

/// Runs a scenario: hosts with the engine, links and applications, in virtual time.
///
/// The clock jumps from one thing that happens to the next. The same scenario with the same seed does the same, packet
/// for packet and nanosecond for nanosecond, on every machine.
///
/// ```swift
/// let simulation = try Simulation(scenario)
/// simulation.run()
/// print(simulation.results.connections)
/// ```
///
/// ``step()`` does what is due at one instant, so that a caller may look at everything in between; ``observer`` is
/// called after each. A simulation belongs to one thread.
public final class Simulation {
  /// What is simulated.
  public let scenario: Scenario
  /// The time now; the simulation begins at ``start``.
  public private(set) var now: Instant
  /// How many instants were looked at so far.
  public private(set) var stepCount = 0
  /// How many wire packets hosts have sent.
  public internal(set) var packetCount = 0
  /// The first thing that must never happen and did: a wrong byte, a connection that ended otherwise than its
  /// applications meant it to, or what an observer found.
  public private(set) var failure: String?
  /// Called after each step.
  public var observer: ((Simulation) -> Void)?
  /// Is shown each wire packet at each interface.
  public var recorder: (any PacketRecorder)?

  /// When all simulations begin. It is not zero: to the engine that is the time before everything.
  public static let start = Instant(nanoseconds: 1_000_000_000)

  let plan: Plan
  /// Whether a box on any of the paths translates addresses.
  let hasTranslator: Bool
  let hosts: [SimulatedHost]
  var wires: [SimulatedWire]
  var paths: [SimulatedPath]
  var talkers: [Talker]
  var samples: [Sample] = []
  /// How many talkers are not over, of those that have a connection or are going to open one.
  var openTalkerCount: Int
  var agenda = TimerQueue()
  var busyHosts: [Int] = []
  var changes: [(at: Nanoseconds, change: Plan.Change)]
  /// The connection of each address that clients' SYNs come from, as servers see it.
  var connectionOfClient: [ClientAddress: Int] = [:]
  /// A packet on its way from the engine's slices to the wire.
  let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536 + 256, alignment: 16)
  var checksInvariants = false
  /// Data is not what was sent, where a box has changed some.
  var isAboutData = false
  /// What the data depends on.
  let dataSeed: UInt64
  /// Lines without delay let steps follow one another at one instant, as many as applications have bytes; but so many
  /// without one of these arriving no honest run has.
  var mostStepsAtOneInstant = 100_000
  /// More samples than any plot shows; from here on only the end is one.
  var mostSamples = 100_000
  private var stepsAtThisInstant = 0
  private var progressAtLastCheck = -1

  /// Who connects, and to which transfer's server.
  struct ClientAddress: Hashable {
    var transfer: Int
    var address: TransportAddress
  }

  /// Sets everything up; nothing has happened yet.
  ///
  /// - Parameter dataSeed: where in the run of bytes its streams begin; nil takes the scenario's own seed. With another
  ///   one everything happens at the same times, to other data.
  /// - Throws: what is wrong with the scenario, and where.
  public init(_ scenario: Scenario, dataSeed: UInt64? = nil) throws(ScenarioError) {
    self.scenario = scenario
    self.dataSeed = dataSeed ?? scenario.seed
    let plan = try Plan(scenario)
    self.plan = plan
    hasTranslator = plan.paths.contains { $0.hasTranslator }
    now = Self.start
    hosts = plan.hosts.enumerated().map { index, host in
      SimulatedHost(host, seed: scenario.seed &* 0x1_0001 &+ UInt64(index), at: Self.start)
    }
    wires = plan.wires.map { SimulatedWire(Link($0.configuration, at: Self.start)) }
    paths = plan.paths.enumerated().map { index, path in
      let seed = scenario.seed &* 0x9e37_79b9 &+ UInt64(index)
      return SimulatedPath(MiddleboxChain(path.boxes, seed: seed, flowLimit: Self.flowLimit, at: Self.start))
    }
    talkers = []
    talkers.reserveCapacity(2 * plan.connectionCount)
    changes = plan.changes
    openTalkerCount = plan.connectionCount
    for index in plan.transfers.indices { addTalkers(of: index) }
    for index in plan.transfers.indices { listen(index) }
    openTalkerCount = talkers.count { $0.connects }
    for (index, talker) in talkers.enumerated() where talker.connects {
      agenda.schedule(Self.number(firstTalker + index), at: talker.nextWrite)
    }
    if let change = changes.last { agenda.schedule(Self.number(script), at: Self.start + change.at) }
    if let interval = scenario.sampleInterval { agenda.schedule(Self.number(sampler), at: Self.start + interval) }
    for index in paths.indices { reschedule(boxes: index) }
    for index in hosts.indices { markBusy(index) }
  }

  /// How many flows a box remembers.
  private static let flowLimit = 4096

  deinit { scratch.deallocate() }

  // MARK: Running

  /// Whether everything is over: each application is done and no connection is left, ``failure`` says that going on is
  /// of no use, or the scenario's duration has passed.
  public var isDone: Bool { failure != nil || now >= end || isFinished }

  /// Whether each application is done and no connection is left.
  public var isFinished: Bool { openTalkerCount == 0 && hosts.allSatisfy { $0.endpoint.connectionCount == 0 } }

  /// When the scenario ends at the latest.
  public var end: Instant { Self.start + scenario.duration }

  /// Does what is due at the next instant at which something is; false when everything is over.
  @discardableResult
  public func step() -> Bool {
    guard !isDone else { return false }
    return step(until: end)
  }

  /// Runs to the end.
  public func run() { while step() {} }

  /// Runs until a time since the start, or to the end.
  public func run(until time: Nanoseconds) {
    let limit = min(Self.start + time, end)
    while !isDone, now < limit { step(until: limit) }
  }

  /// After the end: lets connections that are left die, TIME-WAIT pass and links run empty.
  ///
  /// What is on a link or waits for a host that is off its processor may take as long as the scenario has it; after the
  /// last of it, hosts get 600 s beyond their TIME-WAIT to come to rest.
  public func settle() {
    for index in talkers.indices where !talkers[index].isOver { release(index) }
    agenda.cancel(Self.number(sampler))
    let patience = hosts.reduce(Nanoseconds.zero) { max($0, $1.endpoint.configuration.timeWait) } + Self.restTime
    // Hosts that answer each other for ever must not have for ever.
    let mostPackets = packetCount + Self.mostPacketsAfterEnd
    var last = now + patience
    while failure == nil, now < last, agenda.next != nil || !busyHosts.isEmpty {
      if let next = agenda.next, packetCount < mostPackets, wires.contains(where: { $0.link.packetCount > 0 }) {
        last = max(last, next + patience)
      }
      last = hosts.reduce(last) { max($0, $1.pausedUntil + patience) }
      step(until: last)
    }
  }

  private static let restTime = Nanoseconds.seconds(600)
  private static let mostPacketsAfterEnd = 1_000_000

  /// Notes what must never happen; the first time counts.
  public func fail(_ problem: String) { if failure == nil { failure = problem } }

  /// The same of data that is not what was sent, or not as much.
  func failOnData(_ problem: String) {
    guard failure == nil else { return }
    fail(problem)
    isAboutData = paths.contains { path in
      path.boxes.boxes.contains { $0.counters[.payloadChanged] > 0 || $0.counters[.payloadResized] > 0 }
    }
  }

  /// Whether ``failure`` is wrong data that passed a checksum by chance: a box changed data, and with other data at the
  /// same times the scenario breaks no rule.
  ///
  /// - Throws: what is wrong with the scenario.
  public func failedByChance(in scenario: Scenario) throws(ScenarioError) -> Bool {
    guard failure != nil, isAboutData else { return false }
    return try ScenarioRun.isChance(scenario, mustFinish: false)
  }

  @discardableResult
  private func step(until limit: Instant) -> Bool {
    if busyHosts.isEmpty {
      guard let next = agenda.next, next <= limit else {
        now = max(now, limit)
        return false
      }
      stepsAtThisInstant = next > now ? 0 : stepsAtThisInstant + 1
      now = max(now, next)
    }
    stepCount += 1
    if stepsAtThisInstant > mostStepsAtOneInstant { checkProgressAtThisInstant() }
    while let number = agenda.popDue(now) { fire(Int(number)) }
    // Hosts that are woken by others' applications would join the list while it is walked.
    var index = 0
    while index < busyHosts.count {
      let host = busyHosts[index]
      hosts[host].isBusy = false
      serve(host)
      index += 1
    }
    if checksInvariants { for host in busyHosts { check(host) } }
    busyHosts.removeAll(keepingCapacity: true)
    observer?(self)
    return true
  }

  private func checkProgressAtThisInstant() {
    let progress = talkers.reduce(0) { $0 + $1.received + ($1.isEstablished ? 1 : 0) + ($1.isOver ? 1 : 0) }
    guard progress > progressAtLastCheck else { return fail("time stands still: something is due again and again") }
    progressAtLastCheck = progress
    stepsAtThisInstant = 0
  }

  // MARK: Who is due

  private var firstWire: Int { hosts.count }
  private var firstBoxes: Int { hosts.count + wires.count }
  private var script: Int { firstBoxes + paths.count }
  private var sampler: Int { script + 1 }
  var firstTalker: Int { script + 2 }
  static func number(_ number: Int) -> Int32 { Int32(truncatingIfNeeded: number) }

  private func fire(_ number: Int) {
    if number < firstWire {
      markBusy(number)
    } else if number < firstBoxes {
      arrive(number - firstWire)
    } else if number < script {
      paths[number - firstBoxes].boxes.advance(to: now)
      drainBoxes(of: number - firstBoxes)
    } else if number == script {
      runScript()
    } else if number == sampler {
      takeSample()
      if let interval = scenario.sampleInterval { agenda.schedule(Self.number(sampler), at: now + interval) }
    } else {
      wake(number - firstTalker)
    }
  }

  /// The host has something to do at this instant.
  func markBusy(_ host: Int) {
    guard !hosts[host].isBusy else { return }
    hosts[host].isBusy = true
    busyHosts.append(host)
  }

  func reschedule(wire: Int) { reschedule(firstWire + wire, wires[wire].link.nextDeadline) }

  func reschedule(boxes path: Int) {
    if !paths[path].boxes.isEmpty { reschedule(firstBoxes + path, paths[path].boxes.nextDeadline) }
  }

  private func reschedule(_ number: Int, _ deadline: Instant?) {
    let known = agenda.deadline(of: Self.number(number))
    guard known != deadline else { return }
    if let deadline {
      agenda.schedule(Self.number(number), at: deadline)
    } else {
      agenda.cancel(Self.number(number))
    }
  }

  // MARK: Hosts

  /// Lets a host do what is due and say what it has to say.
  private func serve(_ index: Int) {
    let host = hosts[index]
    guard host.pausedUntil <= now else {
      reschedule(index, host.pausedUntil)
      return
    }
    if !host.inbox.isEmpty {
      let waiting = host.inbox
      host.inbox.removeAll()
      for packet in waiting { take(packet.bytes, host, packet.interface) }
    }
    if let deadline = host.endpoint.nextDeadline, deadline <= now { host.endpoint.advance(to: now) }
    var isTalking = true
    while isTalking {
      isTalking = false
      while let packet = host.endpoint.nextPacket() {
        isTalking = true
        send(packet, from: index)
      }
      while let event = host.endpoint.nextEvent() {
        isTalking = true
        hear(event, on: index)
      }
    }
    reschedule(index, host.endpoint.nextDeadline)
  }

  private func runScript() {
    while let next = changes.last, Self.start + next.at <= now {
      changes.removeLast()
      switch next.change {
      case .path(let path, let isUp): paths[path].isUp = isUp
      case .interface(let host, let interface, let isUp):
        hosts[host].set(interface, isUp: isUp, at: now)
        markBusy(host)
      case .presence(let host, let interface, let isThere):
        if isThere { hosts[host].add(interface, at: now) } else { hosts[host].remove(interface, at: now) }
        markBusy(host)
      case .pause(let host, let time):
        hosts[host].pausedUntil = max(hosts[host].pausedUntil, now + time)
        markBusy(host)
      }
    }
    if let next = changes.last { agenda.schedule(Self.number(script), at: Self.start + next.at) }
  }
}
