import MPTCPLink
import MPTCPTools
import MPTCPWire
import Testing

@testable import MPTCPSimulator

@Suite("The picture of a simulation says what it shows and what it does not")
struct PictureTests {
  private func results(_ json: String) throws -> SimulationResults {
    let simulation = try Simulation(SmallScenarios.parse(json))
    simulation.run()
    return simulation.results
  }

  private func short(sample: String = "100ms", link: String = "10mbit,5ms") throws -> SimulationResults {
    try results(
      """
      {"sample": "\(sample)", "paths": [{"between": ["a", "b"], "link": "\(link)"}],
       "transfers": [{"client": "a", "server": "b", "upload": "100KB"}]}
      """)
  }

  @Test("The last sample is of the end", arguments: ["100ms", "7ms", "30s"])
  func end(sample: String) throws {
    let results = try short(sample: sample)
    let last = try #require(results.samples.last)
    #expect(last.time == results.time)
    #expect(last.pathByteCounts[0].reduce(0, +) == results.paths[0].delivered.reduce(0) { $0 + $1.byteCount })
    #expect(zip(results.samples, results.samples.dropFirst()).allSatisfy { $0.time < $1.time })
  }

  @Test("No samples are none, at the end too")
  func none() throws {
    let results = try short(sample: "0")
    #expect(results.samples.isEmpty)
    #expect(SimulationPicture(results).svg.contains("no samples were taken"))
  }

  @Test("A run of less than a sample's time is drawn")
  func shortRun() throws {
    let results = try short(sample: "10s")
    #expect(results.samples.count == 1)
    let svg = SimulationPicture(results).svg
    #expect(svg.contains(">eth0</text>") && svg.contains(">rate there</text>"))
    // The axes, and the rates in both directions.
    #expect(svg.split(separator: "<polyline").count - 1 >= 3)
    #expect(!svg.contains("not drawn"))
  }

  @Test("Paths beyond the eighth are named as left out")
  func paths() throws {
    let paths = (0..<10).map { #"{"between": ["a.i\#($0)", "b"], "link": "10mbit,5ms"}"# }.joined(separator: ", ")
    let svg = SimulationPicture(
      try results(
        #"{"paths": [\#(paths)], "transfers": [{"client": "a", "server": "b", "upload": "100KB"}]}"#)
    ).svg
    #expect(svg.contains("not drawn: 2 of 10 paths"))
  }

  @Test("So are subflows of a path beyond the eighth, and connections beyond the sixteenth")
  func connections() throws {
    let svg = SimulationPicture(
      try results(
        """
        {"sample": "10ms", "paths": [{"between": ["a", "b"], "link": "10mbit,5ms"}],
         "transfers": [{"client": "a", "server": "b", "upload": "20KB", "connections": 20}]}
        """)
    ).svg
    #expect(svg.contains("not drawn: 8 of 16 subflows of eth0"))
    #expect(svg.contains("not drawn: round trips and windows of 4 of 20 connections"))
  }

  @Test("So is what comes behind the last sample that is kept")
  func samples() throws {
    let simulation = try Simulation(
      SmallScenarios.parse(
        """
        {"sample": "1ms", "paths": [{"between": ["a", "b"], "link": "10mbit,5ms"}],
         "transfers": [{"client": "a", "server": "b", "upload": "100KB"}]}
        """))
    simulation.mostSamples = 20
    simulation.run()
    let results = simulation.results
    #expect(results.samples.count == 21 && results.samples.last?.time == results.time)
    #expect(SimulationPicture(results).svg.contains("20.0 ms and the end: no more than 20 samples are taken"))
  }

  @Test("What is over at the instant at which it began has no rate")
  func instant() throws {
    let results = try short(link: "")
    #expect(results.connections[0].outcome == "complete" && results.connections[0].uploaded == 100_000)
    let lines = SimulationReport(results).lines
    let row = try #require(lines.first { $0.hasPrefix("transfer 0") })
    #expect(row.contains("–") && !row.contains("100 kB    0 bit/s"), "\(row)")
    let svg = SimulationPicture(results).svg
    #expect(svg.contains("up 100 kB at once") && !svg.contains("0 bit/s"))
    #expect(svg.contains("over at the instant at which it began"))
  }
}
