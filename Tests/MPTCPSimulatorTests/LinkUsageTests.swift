import Testing

@testable import MPTCPSimulator

@Suite("How much a line was used")
struct LinkUsageTests {
  /// Three megabytes take the line with its queue full to the end.
  private func link(_ link: String, duration: String = "60s", events: String = "") throws -> SimulationResults.Link {
    let scenario = try SmallScenarios.parse(
      """
      {"duration": "\(duration)", "paths": [{"between": ["a", "b"], "link": "\(link)"}],
       "transfers": [{"client": "a", "server": "b", "upload": "3MB"}], "events": [\(events)]}
      """)
    let simulation = try Simulation(scenario)
    simulation.run()
    return simulation.results.links[0]
  }

  @Test("is the share of the time in which it sent, at whatever rate")
  func changedRate() throws {
    let slower = try #require(try link("10mbit,5ms,queue=100ms,change=1s rate 1mbit").utilisation)
    #expect(slower > 0.9 && slower <= 1, "\(slower)")
    let later = try #require(try link("5ms,queue=30KB,change=0s rate 1mbit").utilisation)
    #expect(later > 0.9 && later <= 1, "\(later)")
  }

  @Test("is nothing that can be told of a line without a rate")
  func unlimited() throws { #expect(try link("5ms").utilisation == nil) }

  @Test("does not count what was lost because it was down")
  func down() throws {
    // Half of the time it sends at most; and what is on it when it is cut does not count to its end.
    let share = try #require(try link("1mbit,5ms,queue=10KB,down=1s", duration: "2s").utilisation)
    #expect(share > 0.45 && share <= 0.5, "\(share)")
    let slow = try #require(try link("1kbit,down=100ms", duration: "1s").utilisation)
    #expect(abs(slow - 0.1) < 1e-9, "\(slow)")
  }

  @Test("counts what is on it as far as it is, and what has followed it by then")
  func underWay() throws {
    // A SYN of 60 bytes takes 480 ms, and the next one waits for it.
    let first = try #require(try link("1kbit", duration: "240ms").utilisation)
    #expect(abs(first - 1) < 1e-9, "\(first)")
    let far = try #require(try link("1mbit,10s,queue=1MB", duration: "900ms").utilisation)
    #expect(far < 0.01, "\(far)")
  }

  @Test("A line that becomes shorter makes nobody wait")
  func shorterDelay() throws {
    let results = try run(
      SmallScenarios.parse(
        """
        {"duration": "20s", "paths": [{"between": ["a", "b"], "link": "10mbit,500ms,change=3s delay 5ms"}],
         "transfers": [{"client": "a", "server": "b", "upload": "300KB",
                        "clientApplication": {"write": "1000B", "pause": "20ms"}}]}
        """))
    #expect(results.links[0].longestQueueDelay < 0.05, "\(results.links[0].longestQueueDelay)")
    #expect(results.links[1].longestQueueDelay < 0.05, "\(results.links[1].longestQueueDelay)")
  }

  @Test("A line that becomes longer does not hide who waits")
  func longerDelay() throws {
    let link = try link("1mbit,1ms,queue=100ms,change=10s delay 200ms")
    #expect(link.longestQueueDelay > 0.1 && link.longestQueueDelay < 0.13, "\(link.longestQueueDelay)")
    #expect(link.meanQueueDelay > 0.05, "\(link.meanQueueDelay)")
  }
}
