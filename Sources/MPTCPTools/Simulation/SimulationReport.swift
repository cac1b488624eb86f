import MPTCPSimulator

/// What came of a simulation, in words and tables.
public struct SimulationReport: Sendable {
  private let results: SimulationResults

  /// Reports results.
  public init(_ results: SimulationResults) { self.results = results }

  /// Tables show so many connections and links.
  private static let rowLimit = 40

  /// The report for a terminal.
  public var lines: [String] {
    var lines: [String] = []
    if !results.title.isEmpty { lines.append(results.title) }
    lines.append(
      "\(text(seconds: results.time)) of virtual time, \(results.packetCount) packets, seed \(results.seed)"
        + (results.isFinished ? "" : "; not everything was over by then"))
    if let failure = results.failure { lines.append("FAILED: \(failure)") }
    lines.append("")
    lines += connectionTable + [""] + pathTable + [""] + linkTable
    return lines
  }

  /// A connection in one line.
  static func line(_ connection: SimulationResults.Connection) -> String {
    var parts = ["\(connection.name): \(connection.outcome)"]
    if connection.uploaded > 0 {
      parts.append("up \(text(byteCount: connection.uploaded)) at \(rate(connection.uploadRate) ?? "once")")
    }
    if connection.downloaded > 0 {
      parts.append("down \(text(byteCount: connection.downloaded)) at \(rate(connection.downloadRate) ?? "once")")
    }
    parts.append("longest stall \(text(seconds: connection.longestStall))")
    return parts.joined(separator: ", ")
  }

  /// The rate of bytes that arrived; nil where all of them did at the instant of the opening.
  private static func rate(_ bitsPerSecond: Double) -> String? {
    bitsPerSecond > 0 ? text(bitsPerSecond: bitsPerSecond) : nil
  }

  private static func rate(_ bitsPerSecond: Double, of byteCount: Int) -> String {
    byteCount > 0 ? rate(bitsPerSecond) ?? "–" : text(bitsPerSecond: 0)
  }

  private var connectionTable: [String] {
    var table = TextTable([
      ("connection", .left), ("outcome", .left), ("up", .right), ("rate", .right), ("down", .right), ("rate", .right),
      ("last byte", .right), ("longest stall", .right), ("subflows", .right), ("protocol", .left),
    ])
    for connection in results.connections.prefix(Self.rowLimit) {
      table.append([
        connection.name, connection.outcome, text(byteCount: connection.uploaded),
        Self.rate(connection.uploadRate, of: connection.uploaded), text(byteCount: connection.downloaded),
        Self.rate(connection.downloadRate, of: connection.downloaded),
        connection.lastByte.map { text(seconds: $0) } ?? "–", text(seconds: connection.longestStall),
        "\(connection.subflowCount)",
        connection.fallback.map { "TCP (\($0))" } ?? (connection.isMultipath ? "Multipath TCP" : "TCP"),
      ])
    }
    return table.lines + surplus(results.connections.count, "connections")
  }

  private var pathTable: [String] {
    var table = TextTable([
      ("path", .left), ("packets there", .right), ("bytes", .right), ("packets back", .right), ("bytes", .right),
      ("lost while down", .right), ("lost at paused hosts", .right),
    ])
    for path in results.paths.prefix(Self.rowLimit) {
      table.append([
        path.name, "\(path.delivered[0].packetCount)", text(byteCount: path.delivered[0].byteCount),
        "\(path.delivered[1].packetCount)", text(byteCount: path.delivered[1].byteCount),
        "\(path.dropped.packetCount)", "\(path.overflowed.packetCount)",
      ])
    }
    return table.lines + surplus(results.paths.count, "paths")
  }

  private var linkTable: [String] {
    var table = TextTable([
      ("link", .left), ("packets", .right), ("bytes", .right), ("used", .right), ("mean queue", .right),
      ("longest queue", .right), ("dropped", .left),
    ])
    for link in results.links.prefix(Self.rowLimit) {
      let drops = link.drops.keys.sorted().map { "\($0) \(link.drops[$0] ?? 0)" }
      table.append([
        link.name + (link.isBack ? " back" : " there"), "\(link.sent.packetCount)",
        text(byteCount: link.sent.byteCount),
        link.utilisation.map { "\(decimal($0 * 100, places: 1)) %" } ?? "–", text(seconds: link.meanQueueDelay),
        text(seconds: link.longestQueueDelay), drops.isEmpty ? "–" : drops.joined(separator: ", "),
      ])
    }
    return table.lines + surplus(results.links.count, "links")
  }

  private func surplus(_ count: Int, _ what: String) -> [String] {
    count > Self.rowLimit ? ["… and \(count - Self.rowLimit) \(what) more; --json has them all"] : []
  }
}
