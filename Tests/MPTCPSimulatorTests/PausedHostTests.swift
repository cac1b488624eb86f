import MPTCPTools
import MPTCPWire
import Testing

@testable import MPTCPSimulator

@Suite("A host that is off its processor")
struct PausedHostTests {
  @Test("keeps 4096 packets; those that it has no room for are counted, and did not come out")
  func overflow() throws {
    // An octet in each packet, and each packet twice.
    let scenario = try SmallScenarios.parse(
      """
      {"paths": [{"between": ["a", "b"], "link": "1ms,dup=100%"}],
       "transfers": [{"client": "a", "server": "b", "upload": "10KB",
                      "options": {"multipath": false, "noDelay": true},
                      "clientApplication": {"write": "1B", "pause": "1us"}}],
       "events": [{"at": "3ms", "hostPaused": "b", "for": "1s"}]}
      """)
    let simulation = try Simulation(scenario)
    simulation.run(until: .milliseconds(500))
    let host = try #require(simulation.hosts.first { $0.name == "b" })
    #expect(host.inbox.count == 4096)
    let path = simulation.results.paths[0]
    #expect(path.overflowed.packetCount > 1000, "\(path.overflowed)")
    #expect(path.delivered[0].packetCount + path.overflowed.packetCount == simulation.wires[0].deliveredPacketCount)
    simulation.run()
    simulation.settle()
    #expect(simulation.failure == nil && simulation.isFinished)
    let lines = SimulationReport(simulation.results).lines
    #expect(lines.contains { $0.contains("lost at paused hosts") })
  }

  @Test("takes what waits before what comes at the instant of its return")
  func order() throws {
    func simulation(_ events: String) throws -> Simulation {
      try Simulation(
        SmallScenarios.parse(
          """
          {"paths": [{"between": ["a", "b"], "link": "10ms"}],
           "transfers": [{"client": "a", "server": "b", "upload": "60KB",
                          "options": {"multipath": false, "noDelay": true},
                          "clientApplication": {"write": "1000B", "pause": "5ms", "ending": "abort",
                                                "abortAfter": "20KB"}}],
           "events": [\(events)]}
          """))
    }
    // When the client's RST comes; those who take it before the data that waits have to ask whether it is meant.
    let first = try simulation("")
    while first.talkers[1].closeReason == nil, first.step() {}
    let time = (first.now - Simulation.start).milliseconds
    let second = try simulation(#"{"at": "\#(time - 15)ms", "hostPaused": "b", "for": "15ms"}"#)
    second.run()
    let host = try #require(second.hosts.first { $0.name == "b" })
    #expect(host.endpoint.statistics.challengeAcknowledgments == 0)
    #expect(second.isFinished && second.failure == nil)
    #expect(second.talkers[1].overAt == first.now)
  }
}
