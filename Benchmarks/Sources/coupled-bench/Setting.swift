import MPTCPLink
import MPTCPSimulator
import MPTCPWire

/// A controller, and the TCP that it is measured against.
struct Contestant {
  var name: String
  /// The congestion control of "one TCP": NewReno, which RFC 6356 means and LIA, OLIA and BALIA build upon; for a
  /// controller that goes by another sign, itself on one path, too.
  var rival: String
  /// How many round trips' worth each bottleneck's queue holds. Ten segments of each flow, which is what wVegas aims
  /// at, are more than one round trip's where five flows meet.
  var queueDepth = 1

  static let all = [
    Contestant(name: "lia", rival: "newreno"), Contestant(name: "olia", rival: "newreno"),
    Contestant(name: "balia", rival: "newreno"), Contestant(name: "wvegas", rival: "wvegas"),
    Contestant(name: "wvegas", rival: "wvegas", queueDepth: 4), Contestant(name: "wvegas", rival: "newreno"),
    Contestant(name: "newreno", rival: "newreno"),
    Contestant(name: "cubic", rival: "cubic"),
    Contestant(name: "bbr", rival: "bbr"),
  ]
}

/// What share of time and rate the flows of one run had.
struct Outcome {
  /// Goodput by transfer in bits a second, while it was measured.
  var rates: [Double]
  /// What came out of each path then, in bits a second.
  var pathRates: [Double]
  /// The bottlenecks' use: what came out of them, as a share of their rate.
  var use: [Double]
}

/// One arrangement of paths and flows; transfer 0 is the one that is looked at.
struct Setting {
  /// The rates of the bottlenecks in Mbit/s.
  var trunks: [Int]
  /// Over which trunk each of the first flow's paths leads.
  var paths: [Int]
  /// How many TCP flows each trunk carries besides.
  var rivals: [Int]
  /// Whether the first flow is Multipath TCP; if not it is one TCP on its first path.
  var isMultipath = true

  /// A round trip without queues.
  static let roundTrip = Nanoseconds.milliseconds(40)

  private func scenario(_ contestant: Contestant, seed: UInt64, duration: Nanoseconds) -> Scenario {
    var scenario = Scenario()
    scenario.seed = seed
    scenario.duration = duration
    scenario.sampleInterval = nil
    for (number, rate) in trunks.enumerated() {
      let bitsPerSecond = rate * 1_000_000
      let queue = Int(Int64(bitsPerSecond) * Self.roundTrip.count / 8_000_000_000) * contestant.queueDepth
      scenario.links.append(
        Scenario.SharedLink(
          name: "trunk\(number)",
          Scenario.DuplexLink(
            LinkConfiguration(
              bitsPerSecond: bitsPerSecond, delay: Self.roundTrip / 2 - .milliseconds(1), queueByteCount: queue),
            back: LinkConfiguration(delay: Self.roundTrip / 2 - .milliseconds(1)))))
    }
    // A host's processor and card: a little of chance, so that flows do not lose in step for ever.
    let access = Scenario.DuplexLink(
      LinkConfiguration(bitsPerSecond: 1_000_000_000, delay: .microseconds(500), jitter: .milliseconds(1)),
      back: LinkConfiguration(bitsPerSecond: 1_000_000_000, delay: .microseconds(500)))
    func add(_ client: String, path: Int, trunk: Int) {
      scenario.paths.append(
        Scenario.Path(between: "\(client).path\(path)", "server", link: access, shared: ["trunk\(trunk)"]))
    }
    func send(_ client: String, _ control: String, isMultipath: Bool) {
      var transfer = Scenario.Transfer(client: "\(client).path0", server: "server")
      transfer.name = client
      transfer.uploadByteCount = 1 << 40
      transfer.clientOptions.multipath = isMultipath
      transfer.clientOptions.congestionControl = control
      transfer.serverOptions = transfer.clientOptions
      // Flows begin within a second of each other, in an order that the seed chooses.
      let mixed = (seed &* 31 &+ UInt64(scenario.transfers.count)) &* 0x9e37_79b9_7f4a_7c15
      transfer.start = .milliseconds(Int64((mixed >> 33) % 1000))
      scenario.transfers.append(transfer)
    }
    for (number, trunk) in paths.enumerated() where isMultipath || number == 0 {
      add("first", path: number, trunk: trunk)
    }
    send("first", isMultipath ? contestant.name : contestant.rival, isMultipath: isMultipath)
    for (trunk, count) in rivals.enumerated() {
      for number in 0..<count {
        add("rival\(trunk)-\(number)", path: 0, trunk: trunk)
        send("rival\(trunk)-\(number)", contestant.rival, isMultipath: false)
      }
    }
    return scenario
  }

  /// Runs it: `warmUp` seconds, and then `seconds` that are measured.
  func run(_ contestant: Contestant, seed: UInt64, warmUp: Int, seconds: Int) throws -> Outcome {
    let simulation = try Simulation(
      scenario(contestant, seed: seed, duration: .seconds(Int64(warmUp + seconds))))
    simulation.run(until: .seconds(Int64(warmUp)))
    let before = simulation.results
    simulation.run()
    let after = simulation.results
    guard after.failure == nil else { throw Failed(problem: after.failure ?? "") }
    func rate(_ earlier: Int, _ later: Int) -> Double { Double(later - earlier) * 8 / Double(seconds) }
    return Outcome(
      rates: zip(before.connections, after.connections).map { rate($0.uploaded, $1.uploaded) },
      pathRates: zip(before.paths, after.paths).map { rate($0.delivered[0].byteCount, $1.delivered[0].byteCount) },
      use: trunks.indices.map { trunk in
        let index = after.links.firstIndex { $0.name == "trunk\(trunk)" && !$0.isBack } ?? 0
        return rate(before.links[index].delivered.byteCount, after.links[index].delivered.byteCount)
          / Double(trunks[trunk] * 1_000_000)
      })
  }

  /// A run in which an invariant did not hold.
  struct Failed: Error { var problem: String }
}
