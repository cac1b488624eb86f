import MPTCPCapture
import MPTCPWire
import Synchronization
import Testing

@testable import MPTCPSimulator

@Suite("The same seed runs the same")
struct DeterminismTests {
  private static let faults = ("30mbit,10ms,queue=60KB,loss=1%,dup=1%,reorder=2%:5ms", "12mbit,40ms,jitter=3ms,loss=2%")

  private func trace(seed: UInt64) throws -> [String] {
    var scenario = try SmallScenarios.twoPaths(Self.faults.0, Self.faults.1)
    scenario.seed = seed
    let simulation = try Simulation(scenario)
    var lines: [String] = []
    simulation.recorder = TextTrace(of: simulation) { lines.append($0) }
    simulation.run()
    #expect(simulation.failure == nil)
    #expect(simulation.isFinished)
    return lines
  }

  private func capture(seed: UInt64) throws -> [UInt8] {
    var scenario = try SmallScenarios.twoPaths(Self.faults.0, Self.faults.1)
    scenario.seed = seed
    let simulation = try Simulation(scenario)
    let bytes = Mutex<[UInt8]>([])
    let capture = try PcapngTrace(of: simulation) { block in
      bytes.withLock { bytes in block.withUnsafeBytes { bytes.append(contentsOf: $0) } }
    }
    simulation.recorder = capture
    simulation.run()
    try capture.finish(at: simulation.now)
    return bytes.withLock { $0 }
  }

  @Test("A seed gives the same lines of trace each time, and another seed other ones")
  func textTraceFollowsTheSeed() throws {
    let first = try trace(seed: 1)
    #expect(first.count > 800)
    #expect(try trace(seed: 1) == first)
    #expect(try trace(seed: 2) != first)
  }

  @Test("A seed gives the same capture, byte for byte, and another seed another one")
  func captureFollowsTheSeed() throws {
    let first = try capture(seed: 1)
    #expect(first.count > 500_000)
    #expect(try capture(seed: 1) == first)
    #expect(try capture(seed: 2) != first)
  }

  @Test("A line of the trace says when, where, which way and what")
  func lineOfTrace() throws {
    let lines = try trace(seed: 1)
    #expect(lines[0].hasPrefix("0.000000000 phone.wifi out 10.0.0.1:"))
    #expect(lines[0].contains("> 10.0.1.1:5001 S seq "))
    #expect(lines[0].contains("<capable v1 1>"))
    #expect(lines.contains { $0.contains(" server.eth0 in ") && $0.contains("<join id ") })
    #expect(lines.contains { $0.contains("<dss ack") && $0.contains(" dsn") })
  }
}
