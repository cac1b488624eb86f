import Foundation
import MPTCPTools
import Testing

@testable import MPTCPSimulator

@Suite("The scenarios that come with the tool")
struct ShippedScenarioTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Scenarios")

  static let names: [String] =
    (try? FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".json") }.sorted()) ?? []

  static func scenario(_ name: String) throws -> Scenario {
    try SmallScenarios.parse(String(contentsOf: folder.appending(path: name), encoding: .utf8))
  }

  /// What each gave. They run once, for all tests.
  private static let all = Dictionary(
    uniqueKeysWithValues: names.map { name in (name, Result { try run(scenario(name)) }) })

  private static func results(_ name: String) throws -> SimulationResults { try #require(all[name]).get() }

  @Test("There are some")
  func some() { #expect(Self.names.count >= 3) }

  @Test("Each runs to its end, breaks no rule, and can be reported and drawn", arguments: names)
  func runs(name: String) throws {
    let results = try Self.results(name)
    #expect(results.isFinished)
    for connection in results.connections { #expect(connection.outcome == "complete") }
    let lines = SimulationReport(results).lines
    for connection in results.connections { #expect(lines.contains { $0.hasPrefix(connection.name) }) }
    for path in results.paths { #expect(lines.contains { $0.hasPrefix(path.name) }) }
    let svg = SimulationPicture(results).svg
    #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
    for path in results.paths { #expect(svg.contains(">\(path.name)</text>")) }
    #expect(svg.contains("<polyline points="))
    let parser = XMLCheck()
    #expect(parser.isBalanced(svg))
    let json = try JSONEncoder().encode(results)
    #expect(try JSONDecoder().decode(SimulationResults.self, from: json) == results)
  }

  @Test("Two paths carry more than the better one alone")
  func wifiAndLTE() throws {
    let results = try Self.results("wifi-lte.json")
    #expect(results.connections[0].downloadRate > 42e6, "\(results.connections[0].downloadRate)")
  }

  @Test("Two coupled subflows take no more of a shared bottleneck than one TCP, and the bottleneck is full")
  func sharedBottleneck() throws {
    let results = try Self.results("shared-bottleneck.json")
    let ratio = results.connections[0].uploadRate / results.connections[1].uploadRate
    #expect(ratio > 0.6 && ratio < 1.6, "\(ratio)")
    let last = results.connections.compactMap(\.lastByte).max() ?? 0
    // 30 MB through 20 Mbit/s.
    #expect(last < 13.6, "\(last)")
  }

  @Test("A dead path stalls the stream for less than a second")
  func pathDeath() throws {
    let results = try Self.results("path-death.json")
    #expect(results.connections[0].longestStall < 1, "\(results.connections[0].longestStall)")
    #expect(results.paths[0].dropped.packetCount > 0)
  }
}

/// Whether the tags of a small document open and close in order.
struct XMLCheck {
  func isBalanced(_ text: String) -> Bool {
    var open: [Substring] = []
    var rest = text[...]
    while let start = rest.firstIndex(of: "<"), let end = rest[start...].firstIndex(of: ">") {
      let tag = rest[rest.index(after: start)..<end]
      rest = rest[rest.index(after: end)...]
      if tag.hasPrefix("/") {
        guard open.popLast() == tag.dropFirst() else { return false }
      } else if !tag.hasSuffix("/") {
        open.append(tag.prefix { $0 != " " })
      }
    }
    return open.isEmpty
  }
}
