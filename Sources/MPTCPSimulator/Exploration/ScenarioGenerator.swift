import MPTCPCore
import MPTCPLink
import MPTCPWire

/// Random scenarios: a seed and a number give one, the same on every machine.
///
/// Each moves at least ``leastByteCount`` bytes between two hosts over two paths or three and asks for at least three
/// kinds of fault. Round trips are short against the transfer, so that most connections have a second subflow that
/// carries data. Everything that goes down comes back, so that each connection can end by itself: one that does not has
/// met an error.
public struct ScenarioGenerator: Hashable, Sendable {
  /// Where all scenarios come from.
  public let seed: UInt64

  /// The least that a scenario's applications send.
  public static let leastByteCount = 200_000
  /// The fewest paths of a scenario.
  public static let leastPathCount = 2
  /// The fewest kinds of fault that a scenario asks for.
  public static let leastFaultCount = 3
  /// The longest that a scenario lasts: more than everything that goes wrong in it can take.
  public static let duration = Nanoseconds.seconds(1800)
  /// The same where a box acknowledges what it then loses. Beside a path that takes no data, that can be a network in
  /// which no subflow sends more than its first window, and this only when the one before it has had its user time-out
  /// of five minutes: 8 KiB of the 212 KB each time.
  public static let durationBehindEarlyAcknowledgment = Nanoseconds.seconds(3 * 3600)

  /// The scenarios of a seed.
  public init(seed: UInt64) { self.seed = seed }

  /// The scenario of a number.
  public func scenario(_ number: Int) -> Scenario {
    var dice = Dice(seed: seed, number: UInt64(truncatingIfNeeded: number))
    var scenario = Scenario()
    scenario.title = "explored: seed \(seed), number \(number)"
    scenario.seed = dice.bits() >> 12
    scenario.duration = Self.duration
    scenario.sampleInterval = nil
    addPaths(to: &scenario, &dice)
    addTransfers(to: &scenario, &dice)
    addFaults(to: &scenario, &dice)
    if scenario.paths.contains(where: { $0.boxes.contains { $0.kind == .acknowledgeEarly } }) {
      scenario.duration = Self.durationBehindEarlyAcknowledgment
    }
    return scenario
  }

  /// What the applications of a scenario are to send, all together.
  static func byteCount(of scenario: Scenario) -> Int {
    scenario.transfers.reduce(0) {
      $0 + ($1.uploadByteCount + $1.downloadByteCount) * ($1.rounds ?? 1) * $1.connectionCount
    }
  }

  /// Whether a scenario asks for less than this page promises.
  static func isSlight(_ scenario: Scenario) -> Bool {
    scenario.paths.count < leastPathCount || byteCount(of: scenario) < leastByteCount
      || faults(of: scenario).count < leastFaultCount
  }

  // MARK: Hosts and paths

  private func addPaths(to scenario: inout Scenario, _ dice: inout Dice) {
    var client = Scenario.Host(name: "client")
    var server = Scenario.Host(name: "server")
    client.offload = dice.happens(75)
    server.offload = dice.happens(75)
    client.timeWait = .seconds(dice.pick([1, 60]))
    server.timeWait = client.timeWait
    let count = dice.happens(15) ? 3 : 2
    // With one server address the second subflow joins it; with several, ADD_ADDR tells of them.
    let hasOneServerAddress = dice.happens(45)
    let family: IPAddress.Family = dice.happens(30) ? .v6 : .v4
    for index in 0..<count {
      let name = ["a", "b", "c"][index]
      var interface = Scenario.Interface(name: name)
      interface.family = hasOneServerAddress || dice.happens(70) ? family : dice.pick([.v4, .v6])
      interface.isBackup = index > 0 && dice.happens(8)
      client.interfaces.append(interface)
      interface.isBackup = false
      if !hasOneServerAddress || index == 0 { server.interfaces.append(interface) }
      var path = Scenario.Path(between: "client.\(name)", "server.\(hasOneServerAddress ? "a" : name)")
      path.name = name
      path.link = .init(link(&dice), back: dice.happens(50) ? link(&dice) : nil)
      scenario.paths.append(path)
    }
    scenario.hosts = [client, server]
  }

  private func link(_ dice: inout Dice) -> LinkConfiguration {
    var link = LinkConfiguration(
      bitsPerSecond: dice.number(2...40) * 1_000_000, delay: .microseconds(Int64(dice.number(1...60) * 100)))
    link.queueByteCount = dice.number(20...120) * 1000
    return link
  }

  // MARK: Applications

  private func addTransfers(to scenario: inout Scenario, _ dice: inout Dice) {
    // The first connection brings the cookie that the second one opens with.
    let isFastOpen = dice.happens(20)
    let count = dice.happens(12) || isFastOpen ? 2 : 1
    for index in 0..<count {
      var transfer = Scenario.Transfer(client: "client", server: "server")
      let total = (Self.leastByteCount + dice.number(1...12) * 1000) / count
      let upload = dice.pick([0, total / 10, total / 2, total, total])
      transfer.uploadByteCount = upload
      transfer.downloadByteCount = total - upload
      transfer.start = .milliseconds(Int64(index * dice.number(0...50)))
      if dice.happens(8) {
        let rounds = dice.number(2...6)
        transfer.rounds = rounds
        transfer.uploadByteCount = max(upload / rounds, 100)
        transfer.downloadByteCount = (total - upload) / rounds + 1000
      }
      transfer.clientOptions = options(&dice)
      transfer.serverOptions = options(&dice)
      if isFastOpen {
        if index > 0 { transfer.start = .milliseconds(Int64(dice.number(10...250))) }
        transfer.clientOptions.fastOpen = true
        transfer.serverOptions.fastOpenBacklog = dice.happens(90) ? dice.number(1...8) : 0
      }
      // Where there is more than one address, the server has to tell of the others.
      let isAlone = scenario.hosts.last?.interfaces.count == 1
      if dice.happens(isAlone ? 50 : 5) { transfer.serverOptions.policy = "passive" }
      if dice.happens(2) { transfer.clientOptions.multipath = false }
      transfer.clientApplication = application(&dice)
      transfer.serverApplication = application(&dice)
      scenario.transfers.append(transfer)
    }
    if isFastOpen, dice.happens(10) { addForcefulEnd(to: &scenario.transfers[1], &dice) }
    if count == 1, dice.happens(2) { scenario.transfers[0].isSimultaneous = true }
    if count == 1, dice.happens(15) { addForcefulEnd(to: &scenario.transfers[0], &dice) }
  }

  private func addForcefulEnd(to transfer: inout Scenario.Transfer, _ dice: inout Dice) {
    let isClient = dice.happens(50)
    let ending: Scenario.Ending
    switch dice.number(0...9) {
    case 0...2: ending = .abort(afterByteCount: Self.leastByteCount / dice.number(1...3))
    case 3...4: ending = .leave
    default:
      // An MP_FASTCLOSE that meets the last states of a connection has a round trip's time to do so.
      let longest = dice.pick([0, 100, 1500])
      ending = .abortAtEnd(after: .microseconds(Int64(dice.number(0...longest) * 100)))
      if isClient { transfer.clientOptions.fastClose = "acknowledged" }
      if !isClient { transfer.serverOptions.fastClose = "acknowledged" }
    }
    if isClient { transfer.clientApplication.ending = ending } else { transfer.serverApplication.ending = ending }
  }

  private func options(_ dice: inout Dice) -> Scenario.Options {
    var options = Scenario.Options()
    options.congestionControl = dice.pick(CongestionAlgorithm.allNames)
    options.scheduler = dice.pick(Scheduler.allNames)
    options.version = dice.pick(["1", "1", "1", "1", "0", "1-then-0"])
    if dice.happens(4) { options.acceptedVersions = [dice.number(0...1)] }
    if dice.happens(50) { options.fastClose = "acknowledged" }
    options.checksum = dice.happens(35)
    options.noDelay = dice.happens(25)
    options.explicitCongestionNotification = dice.happens(25)
    options.refusesJoinsToInitialAddress = dice.happens(3)
    if dice.happens(25) { options.sendBufferByteCount = dice.number(8...128) * 1024 }
    if dice.happens(25) { options.receiveBufferByteCount = dice.number(8...128) * 1024 }
    return options
  }

  private func application(_ dice: inout Dice) -> Scenario.Application {
    var application = Scenario.Application()
    if dice.happens(25) { application.writeByteCount = dice.pick([1000, 1460, 4000, 16_000]) }
    if dice.happens(10) { application.writePause = .microseconds(Int64(dice.number(1...20) * 100)) }
    if dice.happens(12) { application.readBitsPerSecond = dice.number(4...40) * 1_000_000 }
    if dice.happens(20) { application.ending = .close }
    return application
  }
}
