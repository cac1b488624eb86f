import Foundation
import Testing

@testable import MPTCPSimulator

/// Scenarios that exploration found, made small: `Tests/FoundScenarios`, which `mptcp sim` runs too.
@Suite("Scenarios that broke a rule once break none")
struct FoundScenarioTests {
  private static let folder = URL(filePath: #filePath).appending(path: "../../../FoundScenarios").standardized
  private static let found = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
    .filter { $0.hasSuffix(".json") }.sorted()

  @Test func thereAreSome() { #expect(Self.found.count >= 29) }

  @Test("A scenario that broke a rule once", arguments: found)
  func replayed(_ name: String) throws {
    let scenario = try SmallScenarios.parse(String(contentsOf: Self.folder.appending(path: name), encoding: .utf8))
    #expect(!scenario.title.isEmpty, "what it was")
    let failure = try ScenarioRun(scenario).failure
    #expect(failure == nil)
  }
}
