import MPTCPLink
import MPTCPWire
import Testing

@testable import MPTCPSimulator

@Suite("Connections of a scenario open with data on the SYN, and what boxes do to it is told")
struct FastOpenScenarioTests {
  /// Two connections, of which the first brings the cookie for the second.
  private func scenario(boxes: [MiddleboxConfiguration] = []) throws -> Scenario {
    var scenario = try SmallScenarios.parse(
      """
      {
        "sample": "0",
        "paths": [{"between": ["phone.a", "server.a"], "link": "30mbit,10ms"},
                  {"between": ["phone.b", "server.b"], "link": "30mbit,10ms"}],
        "transfers": [
          {"client": "phone", "server": "server", "upload": "2KB", "download": "30KB",
           "options": {"fastOpen": true, "keepAlive": "10s"},
           "serverOptions": {"fastOpenBacklog": 8, "keepAlive": "10s"}},
          {"client": "phone", "server": "server", "upload": "2KB", "download": "30KB", "start": "100ms",
           "options": {"fastOpen": true, "keepAlive": "10s"},
           "serverOptions": {"fastOpenBacklog": 8, "keepAlive": "10s"}}
        ]
      }
      """)
    scenario.paths[0].boxes = boxes
    return scenario
  }

  private func transitions(_ counts: ExplorationCounts) -> [String: Int] {
    var found: [String: Int] = [:]
    counts.forEachTransition { machine, from, to, tally in
      if machine == "multipath" { found["\(from) \(to)"] = tally.hitCount }
    }
    return found
  }

  @Test("The second connection opens with the first one's cookie, and its listener has data before the third ACK")
  func withCookie() throws {
    let run = try ScenarioRun(scenario())
    #expect(run.failure == nil)
    let found = transitions(run.counts)
    #expect(found["offered early"] == 1 && found["early confirmed"] == 1 && found["early fellBack"] == 0)
    #expect(run.counts[.complete] == 2)
  }

  @Test("A listener that takes no data of SYNs gives out no cookie")
  func withoutBacklog() throws {
    var scenario = try scenario()
    for index in 0..<2 { scenario.transfers[index].serverOptions.fastOpenBacklog = 0 }
    let run = try ScenarioRun(scenario)
    #expect(run.failure == nil && transitions(run.counts)["offered early"] == 0)
    #expect(run.counts[.complete] == 2)
  }

  @Test("A box that takes data off SYNs is counted, and the data comes after the handshake")
  func strippedData() throws {
    let run = try ScenarioRun(scenario(boxes: [.stripSYNData]))
    #expect(run.failure == nil && transitions(run.counts)["offered early"] == 0)
    #expect(run.counts[.synDataRemoved].hitCount == 1)
    #expect(run.counts[.complete] == 2)
  }

  @Test("A third ACK without the keys makes the early connection plain TCP")
  func strippedKeys() throws {
    let box = MiddleboxConfiguration.strip(OptionStripping(option: .multipath, on: [.thirdAck, .data, .ack, .fin]))
    let run = try ScenarioRun(scenario(boxes: [box]))
    #expect(run.failure == nil)
    let found = transitions(run.counts)
    #expect(found["offered early"] == 1 && found["early fellBack"] == 1)
    #expect(run.counts[.complete] == 2)
  }

  @Test("Only where a box on its own path changes data is what plain TCP brings beyond proof")
  func proofByPath() throws {
    var scenario = try scenario(boxes: [.changePayload(PayloadChange())])
    for index in 0..<2 { scenario.transfers[index].clientOptions.multipath = false }
    scenario.transfers[1].client = "phone.b"
    let simulation = try Simulation(scenario)
    simulation.run(until: .milliseconds(150))
    #expect((0..<4).map { simulation.isBeyondProof($0, at: 0) } == [true, true, false, false])
  }

  @Test("Of Multipath TCP only what came with the SYN is beyond proof, for no checksum covers it")
  func proofOfSynData() throws {
    var scenario = try scenario()
    scenario.paths[0].boxes = [.changePayload(PayloadChange(after: 3000))]
    for index in 0..<2 { scenario.transfers[index].clientOptions.checksum = true }
    let simulation = try Simulation(scenario)
    simulation.run(until: .milliseconds(45))
    #expect(!simulation.isBeyondProof(1, at: 0))
    simulation.run(until: .milliseconds(145))
    #expect(simulation.isBeyondProof(3, at: 0) && !simulation.isBeyondProof(3, at: 1999))
  }
}
