import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport

@testable import MPTCPCore

/// One random run: links, events of paths, and two applications, all from a seed.
final class HostileRun {
  let pair: Pair
  let seed: Int
  var story = ""
  private var random: SeededGenerator
  private let family: IPAddress.Family
  private var applications: [Application] = []
  private let patterns: [Pattern]
  private var linkEvents: [(at: Instant, side: Int, path: Int, isUp: Bool)] = []
  private var consumed = [0, 0]
  private(set) var failure: String?

  struct Application {
    var id: ConnectionID?
    var toSend = 0
    var sent = 0
    var received = 0
    var writeLimit = 65_536
    var readLimit = Int.max
    var isEager = true
    var finishesEarly = false
    var closesEarly = false
    var isEstablished = false
    var mayWrite = true
    var hasFinished = false
    var hasEnded = false
    var isReleased = false
    var closed: CloseReason?
  }

  private static let shared = [Pattern(seed: 7), Pattern(seed: 8)]

  init(seed: Int) throws {
    self.seed = seed
    var random = SeededGenerator(seed: UInt64(seed))
    family = random.chance(50) ? .v4 : .v6
    let pathCount = random.chance(75) ? 2 : 1
    let isMultipath = random.chance(80)
    // Drawn apart, so that a seed's links and events are what they were before there were versions.
    var versions = SeededGenerator(seed: ~UInt64(seed))
    let mode: MultipathMode =
      isMultipath ? [.enabled, .enabled, .version0, .version1Then0][versions.pick(0...3)] : .disabled
    let accepted: MultipathVersions = [[.v0, .v1], [.v0, .v1], .v0, .v1][versions.pick(0...3)]
    var configurations: [LinkConfiguration] = []
    let isHarsh = random.chance(30)
    for _ in 0..<(2 * pathCount) { configurations.append(Self.link(&random, isHarsh: isHarsh)) }
    let offload = random.chance(50)
    let mtu = random.chance(70) ? 1500 : random.pick(1280...9000)
    pair = Pair(
      Array(configurations[..<pathCount]), backward: Array(configurations[pathCount...]), seed: UInt64(seed),
      family: family, mtu: mtu, offload: offload)
    patterns = Self.shared
    var options: [ConnectionOptions] = []
    // Drawn apart: what a seed means otherwise stays as it was.
    var choices = SeededGenerator(seed: UInt64(seed) ^ 0x5c4e_d01e)
    let schedulers = Scheduler.allNames
    for side in 0..<2 {
      var option = ConnectionOptions()
      option.multipath = mode
      option.checksum = random.chance(30)
      option.noDelay = random.chance(40)
      option.explicitCongestionNotification = random.chance(30)
      option.congestionControl = CongestionAlgorithm.builtIn[random.pick(0...(CongestionAlgorithm.builtIn.count - 1))]
      if random.chance(30) { option.receiveBufferByteCount = random.pick(4096...100_000) }
      if random.chance(30) { option.sendBufferByteCount = random.pick(2000...100_000) }
      option.scheduler = Scheduler(name: schedulers.randomElement(using: &choices) ?? "") ?? .standard
      options.append(option)
      var application = Application()
      let isCrumbs = random.chance(20)
      application.toSend =
        random.chance(15) ? random.pick(0...1) : isCrumbs ? random.pick(1...1500) : random.pick(1...200_000)
      application.writeLimit = isCrumbs ? random.pick(1...3) : random.pick(1000...65_536)
      application.isEager = random.chance(60)
      if random.chance(30) { application.readLimit = random.pick(200...20_000) }
      application.closesEarly = random.chance(30)
      applications.append(application)
      story += "side \(side): \(application) checksum \(option.checksum) ecn \(option.explicitCongestionNotification)"
      story += " scheduler \(option.scheduler.name)"
      story += " buffers \(option.receiveBufferByteCount) \(option.sendBufferByteCount)\n"
    }
    if random.chance(35) {
      for _ in 0..<random.pick(1...3) {
        let at = Instant(nanoseconds: 1_000_000_000) + .milliseconds(Int64(random.pick(0...4000)))
        let side = random.pick(0...1)
        let path = random.pick(0...(pathCount - 1))
        linkEvents.append((at, side, path, false))
        linkEvents.append((at + .milliseconds(Int64(random.pick(10...8000))), side, path, true))
      }
      linkEvents.sort { $0.at < $1.at }
    }
    story += "\(family) paths \(pathCount) multipath \(mode) of \(accepted.rawValue) offload \(offload) mtu \(mtu)\n"
    for configuration in configurations { story += "\(configuration)\n" }
    story += "\(linkEvents)\n"
    self.random = random
    for endpoint in pair.endpoints { endpoint.inspect() }
    var listen = ListenerOptions()
    listen.connection = options[1]
    listen.versions = accepted
    // Drawn apart as well: a third of the runs has its first data on the SYN, most of them with a cookie that is right.
    var openings = SeededGenerator(seed: UInt64(seed) ^ 0xfa57_09e4)
    let isFast = openings.chance(33)
    if isFast { listen.fastOpenBacklog = 4 }
    _ = try pair.endpoints[1].listen(
      on: TransportAddress(family == .v4 ? .anyV4 : .anyV6, 80), options: listen, at: pair.now)
    let server = TransportAddress(Pair.address(0, 1, family), 80)
    guard isFast else {
      applications[0].id = try pair.endpoints[0].connect(to: server, options: options[0], at: pair.now)
      return
    }
    options[0].fastOpen = true
    let address = Pair.address(0, 0, family)
    let right = pair.endpoints[1].fastOpenCookies?.cookie(
      for: FourTuple(local: server, remote: TransportAddress(address, 0)))
    let cookie = [right, right, right?.prefix(6), FastOpenCookie(UInt64(seed)), nil][openings.pick(0...4)]
    if let cookie {
      pair.endpoints[0].fastOpenMemory = FastOpenMemory(
        cookies: [
          FastOpenMemory.Cookie(
            local: address, remote: server.address, cookie: cookie,
            maximumSegmentByteCount: openings.pick(88...(mtu - 40)), learntAt: pair.now)
        ], failures: [])
    }
    let first = patterns[0].slice(at: 0, count: min(applications[0].writeLimit, applications[0].toSend))
    let (id, taken) = try pair.endpoints[0].connect(to: server, sending: first, options: options[0], at: pair.now)
    (applications[0].id, applications[0].sent) = (id, taken)
    applications[0].mayWrite = taken == first.count
    story += "fast open with \(first.count), \(cookie.map { "\($0)" } ?? "no cookie")\n"
  }

  private static func link(_ random: inout SeededGenerator, isHarsh: Bool) -> LinkConfiguration {
    var link = LinkConfiguration(delay: .microseconds(Int64(random.pick(100...80_000))))
    if random.chance(80) {
      link.bitsPerSecond = random.pick(500_000...100_000_000)
      link.queueByteCount = random.pick(20_000...300_000)
      if random.chance(30) { link.markingByteCount = random.pick(5_000...30_000) }
    }
    if random.chance(50) {
      link.jitter = .microseconds(Int64(random.pick(0...20_000)))
      link.jitterReorders = random.chance(50)
    }
    if random.chance(50) { link.lossRate = .percent(Double(random.pick(0...(isHarsh ? 200 : 30))) / 10) }
    if random.chance(30) { link.duplicationRate = .percent(Double(random.pick(0...100)) / 10) }
    if random.chance(40) {
      link.reorderRate = .percent(Double(random.pick(0...200)) / 10)
      link.reorderDelay = .microseconds(Int64(random.pick(0...50_000)))
    }
    if random.chance(25) {
      let down = Int64(random.pick(0...3000))
      link.schedule = [
        LinkEvent(after: .milliseconds(down), .down),
        LinkEvent(after: .milliseconds(down + Int64(random.pick(10...6000))), .up),
      ]
    }
    return link
  }

  var isDone: Bool { applications.allSatisfy { ($0.closed != nil && $0.hasEnded) || $0.isReleased } }

  private var hasBroken: Bool {
    applications.contains { $0.closed.map { $0 != .finished } ?? false }
  }

  /// Runs to the end; nil if all was well, else what was not.
  func run() -> String? {
    pair.onStep = { [unowned self] in
      for side in 0..<2 {
        takeEvents(side)
        if applications[side].isEager { act(side) }
      }
    }
    if Seeds.traces {
      pair.onPacket = { [unowned self] side, path, bytes in
        print(side, path, pair.now.nanoseconds / 1000, packetLine(bytes))
        return bytes
      }
    }
    let end = pair.now + .seconds(600)
    while !isDone, !hasBroken, failure == nil, pair.now < end {
      while let event = linkEvents.first, event.at <= pair.now {
        linkEvents.removeFirst()
        pair.endpoints[event.side].setPath(PathID(Int32(event.path)), isUp: event.isUp, at: pair.now)
      }
      for side in 0..<2 { act(side) }
      pair.run(for: .milliseconds(Int64(random.pick(1...40))))
      checkBooks()
    }
    if failure == nil, !isDone, !hasBroken { failure = "not done after 600 s" }
    for event in linkEvents {
      pair.endpoints[event.side].setPath(PathID(Int32(event.path)), isUp: event.isUp, at: pair.now)
    }
    for side in 0..<2 {
      let application = applications[side]
      if failure == nil, let reason = application.closed, reason != .finished {
        failure = "side \(side) closed: \(reason)"
      }
      if failure == nil, application.received != applications[1 - side].toSend {
        failure = "side \(side) received \(application.received) of \(applications[1 - side].toSend)"
      }
      if let id = application.id { pair.endpoints[side].close(id, at: pair.now) }
    }
    if failure == nil {
      pair.run(for: .seconds(150))
      checkLeaks()
    }
    guard let failure else { return nil }
    return "seed \(seed) at \(pair.now): \(failure)\n\(story)\(applications)"
  }

  private func takeEvents(_ side: Int) {
    while consumed[side] < pair.events[side].count {
      let event = pair.events[side][consumed[side]]
      consumed[side] += 1
      switch event.event {
      case .established:
        // A SYN with data that comes again when its connection is over opens another, which nobody here wants.
        guard applications[side].id == nil || applications[side].id == event.connection else {
          pair.endpoints[side].abort(event.connection, at: pair.now)
          pair.endpoints[side].close(event.connection, at: pair.now)
          break
        }
        applications[side].id = event.connection
        applications[side].isEstablished = true
      case _ where applications[side].id != event.connection: break
      case .closed(let reason): applications[side].closed = reason
      case .writable: applications[side].mayWrite = true
      default: break
      }
    }
  }

  private func act(_ side: Int) {
    guard let id = applications[side].id, applications[side].isEstablished, !applications[side].isReleased else {
      return
    }
    let endpoint = pair.endpoints[side]
    while !applications[side].hasEnded {
      guard let slice = try? endpoint.read(from: id, upTo: applications[side].readLimit, at: pair.now) else { break }
      if slice.isEmpty {
        applications[side].hasEnded = true
        break
      }
      if failure == nil, let position = patterns[1 - side].mismatch(slice, at: applications[side].received) {
        failure = "side \(side): wrong byte at \(position)"
      }
      applications[side].received += slice.count
      if !applications[side].isEager { break }
    }
    while applications[side].mayWrite, applications[side].sent < applications[side].toSend {
      let count = min(applications[side].writeLimit, applications[side].toSend - applications[side].sent)
      let slice = patterns[side].slice(at: applications[side].sent, count: count)
      let taken = (try? endpoint.write(slice, to: id, at: pair.now)) ?? 0
      applications[side].sent += taken
      if taken < count { applications[side].mayWrite = false }
      if !applications[side].isEager { break }
    }
    if applications[side].sent == applications[side].toSend, !applications[side].hasFinished {
      applications[side].hasFinished = true
      endpoint.finish(id, at: pair.now)
    }
    if applications[side].closesEarly, applications[side].hasFinished, applications[side].hasEnded {
      applications[side].isReleased = true
      endpoint.close(id, at: pair.now)
    }
  }

  // MARK: Books

  private func checkBooks() {
    guard failure == nil else { return }
    for (side, endpoint) in pair.endpoints.enumerated() {
      if let problem = endpoint.violation() ?? endpoint.wholeViolation() { failure = "side \(side): \(problem)" }
    }
  }

  private func checkLeaks() {
    for (side, endpoint) in pair.endpoints.enumerated() {
      if let leak = endpoint.leak() { failure = "side \(side): \(leak)" }
    }
  }
}
