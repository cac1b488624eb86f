import Foundation
import MPTCPWire

@testable import MPTCPSimulator

/// Scenarios that several tests use.
enum SmallScenarios {
  /// Two paths between a phone and a server; faults where asked for.
  static func twoPaths(_ first: String = "30mbit,10ms,queue=100KB", _ second: String = "12mbit,15ms,queue=200KB")
    throws -> Scenario
  {
    try parse(
      """
      {
        "paths": [
          {"between": ["phone.wifi", "server"], "link": "\(first)"},
          {"between": ["phone.lte", "server"], "link": "\(second)"}
        ],
        "transfers": [{"client": "phone", "server": "server", "upload": "200KB", "download": "300KB"}]
      }
      """)
  }

  static func parse(_ json: String) throws -> Scenario {
    do {
      return try JSONDecoder().decode(Scenario.self, from: Data(json.utf8))
    } catch let error as DecodingError {
      throw ScenarioError(error)
    }
  }

  /// What stands in the way of a scenario, in words; nil if it is a good one.
  static func problem(_ json: String) -> String? {
    do {
      _ = try Simulation(parse(json))
      return nil
    } catch {
      return "\(error)"
    }
  }
}

/// Runs to the end and further, until nothing is left.
func run(_ scenario: Scenario) throws -> SimulationResults {
  let simulation = try Simulation(scenario)
  simulation.checkInvariants()
  simulation.run()
  let results = simulation.results
  simulation.settle()
  simulation.checkRest()
  if let failure = simulation.failure { throw ScenarioError("", failure) }
  return results
}
