import MPTCPLink
import MPTCPWire
import Testing

@testable import MPTCPSimulator

/// The three goals of RFC 6356 §2 on small paths, with bounds that uncoupled windows miss. `coupled-bench` has the
/// figures on larger ones, with their spread (docs/congestion.md).
@Suite struct CoupledTests {
  /// Transfers that last as long as the run; the first is Multipath TCP, and those behind it have one path each.
  private struct Flows {
    /// The bottlenecks' rates in kbit/s.
    var trunks: [Int]
    /// Over which bottleneck each path of the first flow leads.
    var paths: [Int]
    /// How many flows of one path each bottleneck carries besides.
    var rivals: [Int]

    /// The congestion control of these.
    var rival = "newreno"
    /// How many round trips' worth each bottleneck's queue holds.
    var queueDepth = 1
    var duration = Nanoseconds.seconds(70)

    static let roundTrip = Nanoseconds.milliseconds(40)

    func scenario(_ control: String, isMultipath: Bool) -> Scenario {
      var scenario = Scenario()
      scenario.seed = 7
      scenario.duration = duration
      scenario.sampleInterval = nil
      for (number, rate) in trunks.enumerated() {
        let forward = LinkConfiguration(
          bitsPerSecond: rate * 1000, delay: Self.roundTrip / 2, jitter: .milliseconds(2),
          queueByteCount: rate * 5 * queueDepth)
        scenario.links.append(
          Scenario.SharedLink(
            name: "trunk\(number)",
            Scenario.DuplexLink(forward, back: LinkConfiguration(delay: Self.roundTrip / 2))))
      }
      func add(_ client: String, over paths: [Int], _ control: String) {
        for (number, trunk) in paths.enumerated() {
          scenario.paths.append(
            Scenario.Path(
              between: "\(client).path\(number)", "server", link: Scenario.DuplexLink(LinkConfiguration()),
              shared: ["trunk\(trunk)"]))
        }
        var transfer = Scenario.Transfer(client: "\(client).path0", server: "server")
        transfer.name = client
        transfer.uploadByteCount = 1 << 40
        transfer.clientOptions.multipath = isMultipath && client == "first"
        transfer.clientOptions.congestionControl = control
        transfer.serverOptions = transfer.clientOptions
        transfer.start = .milliseconds(Int64(scenario.transfers.count) * 130)
        scenario.transfers.append(transfer)
      }
      add("first", over: isMultipath ? paths : Array(paths.prefix(1)), control)
      for (trunk, count) in rivals.enumerated() {
        for number in 0..<count { add("rival\(trunk)x\(number)", over: [trunk], rival) }
      }
      return scenario
    }

    /// What each flow, each path and each bottleneck carried after the first ten seconds, in octets.
    func run(_ control: String, isMultipath: Bool = true) throws -> (flows: [Int], paths: [Int], trunks: [Int]) {
      let simulation = try Simulation(scenario(control, isMultipath: isMultipath))
      simulation.run(until: .seconds(10))
      let before = simulation.results
      simulation.run()
      let after = simulation.results
      #expect(after.failure == nil)
      func carried(_ results: SimulationResults) -> [Int] {
        results.links.filter { $0.name.hasPrefix("trunk") && !$0.isBack }.map(\.delivered.byteCount)
      }
      return (
        zip(before.connections, after.connections).map { $1.uploaded - $0.uploaded },
        zip(before.paths, after.paths).map { $1.delivered[0].byteCount - $0.delivered[0].byteCount },
        zip(carried(before), carried(after)).map { $1 - $0 }
      )
    }
  }

  /// Two subflows and one TCP over one bottleneck: both flows have about the same, and together all of it.
  // Requirement 6356-2-02, 8684-3.3.7-02
  @Test(arguments: ["lia", "olia", "balia"])
  func aSharedBottleneckIsSharedAsWithOneTCP(control: String) throws {
    let carried = try Flows(trunks: [2000], paths: [0, 0], rivals: [1]).run(control)
    let ratio = Double(carried.flows[0]) / Double(carried.flows[1])
    #expect((0.6...1.5).contains(ratio), "\(ratio)")
    #expect(carried.trunks[0] > 2_000_000 / 8 * 60 * 9 / 10)
  }

  /// A bottleneck of its own for each of the two paths, with a TCP on each: not less than the better path alone gives.
  // Requirement 6356-2-01
  @Test(arguments: ["lia", "olia", "balia"])
  func twoPathsAreWorthTheBetterOneAtLeast(control: String) throws {
    let worth = try Double(Self.unlike.run(control).flows[0]) / Double(Self.alone.get())
    #expect(worth > 0.85, "\(worth)")
  }

  private static let unlike = Flows(trunks: [2000, 800], paths: [0, 1], rivals: [1, 1])
  /// What the better path alone gives there: the same for whoever is held against it.
  private static let alone = Result { try unlike.run("newreno", isMultipath: false).flows[0] }

  /// Three TCPs on the first path and one on the second: the data goes over the second.
  // Requirement 6356-2-03
  @Test(arguments: ["lia", "olia", "balia"])
  func dataMovesOffTheCongestedPath(control: String) throws {
    // Rates at which a fourth of the bottleneck is a window of several segments: with two or three nothing can move.
    var flows = Flows(trunks: [4000, 4000], paths: [0, 1], rivals: [3, 1])
    flows.duration = .seconds(40)
    let carried = try flows.run(control)
    let rivals = carried.flows[1...3].reduce(0, +) / 3
    #expect(Double(carried.paths[0]) < 0.6 * Double(rivals), "\(carried.paths[0]) \(rivals)")
    // What the rivals have there tells: uncoupled flows have more on the free path as well.
    #expect(carried.paths[1] > carried.paths[0])
  }

  // wVegas goes by delay, and yields where a queue is kept full: its TCP is itself on one path, and the queues have
  // room for the ten segments that each flow wants there.

  /// Of flows that go by delay the one that began first has less (docs/congestion.md): two subflows take what one flow
  /// takes in their place.
  // Requirement 6356-2-02, 8684-3.3.7-02
  @Test func weightedVegasSharesABottleneckAsOneFlowOfItsKind() throws {
    let flows = Flows(
      trunks: [4000], paths: [0, 0], rivals: [1], rival: "wvegas", queueDepth: 4, duration: .seconds(40))
    let (carried, single) = try (flows.run("wvegas"), flows.run("wvegas", isMultipath: false))
    let ratio = Double(carried.flows[0]) / Double(single.flows[0])
    #expect((0.75...1.25).contains(ratio), "\(carried.flows) \(single.flows)")
    #expect(carried.trunks[0] > 4_000_000 / 8 * 30 * 9 / 10)
  }

  // Requirement 6356-2-01
  @Test func weightedVegasIsWorthTheBetterPathAtLeast() throws {
    let flows = Flows(
      trunks: [4000, 1600], paths: [0, 1], rivals: [1, 1], rival: "wvegas", queueDepth: 4, duration: .seconds(40))
    let worth = try Double(flows.run("wvegas").flows[0]) / Double(flows.run("wvegas", isMultipath: false).flows[0])
    #expect(worth > 0.85, "\(worth)")
  }

  // Requirement 6356-2-03
  @Test func weightedVegasMovesOffTheCongestedPath() throws {
    let carried = try Flows(
      trunks: [3000, 3000], paths: [0, 1], rivals: [3, 1], rival: "wvegas", queueDepth: 4, duration: .seconds(40)
    ).run("wvegas")
    let rivals = carried.flows[1...3].reduce(0, +) / 3
    #expect(Double(carried.paths[0]) < 0.6 * Double(rivals), "\(carried.paths[0]) \(rivals)")
    // What the rivals have there tells: uncoupled flows have more on the free path as well.
    #expect(carried.paths[1] > carried.paths[0])
  }
}
