import Foundation
import Testing

@Suite("Set-up")
struct SetupTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized

  /// Commands that a minimal Debian lacks and that scripts and tests of a project such as this come to use.
  private static let uncommon = [
    "awk", "bridge", "conntrack", "curl", "ethtool", "ip", "iperf3", "iptables", "jq", "ncat", "nft", "nsenter", "perf",
    "perl", "ping", "python3", "setpriv", "socat", "ss", "strace", "sysctl", "tc", "tcpdump", "tshark", "unshare",
    "valgrind",
  ]

  private func listed() throws -> [String: [String]] {
    let script = try String(contentsOf: Self.root.appending(path: "scripts/setup"), encoding: .utf8)
    let table = try #require(script.split(separator: "tools='\n").dropFirst().first?.split(separator: "\n'").first)
    var users: [String: [String]] = [:]
    for row in table.split(separator: "\n") {
      let fields = row.split(separator: " ").map(String.init)
      try #require(fields.count == 3, "\(row)")
      users[fields[0]] = fields[2].split(separator: ",").map(String.init)
    }
    return users
  }

  /// Whether a command is run in a text: at the beginning of a line or of a command, or as the first of a list of
  /// arguments. Comments do not count.
  private func runs(_ tool: String, in text: String) throws -> Bool {
    let starts = #"(^\s*|[;&|(`'"]\s*|"\$[a-z]+"\s+|\bsudo\s+|\b(do|then|if|exec)\s+)"#
    let pattern = try Regex(starts + tool + #"(\s|"|$)"#).anchorsMatchLineEndings()
    let comment = try Regex(#"^\s*(#|//).*$"#).anchorsMatchLineEndings()
    return text.replacing(comment, with: "").contains(pattern)
  }

  @Test(
    "scripts/setup names every command that is not on each machine",
    arguments: [("tests", ["Tests/InteropTests", "Tests/MPTCPStackTests"]), ("bench", ["scripts/bench"])])
  func completeness(user: String, places: [String]) throws {
    let listed = try listed()
    for place in places {
      let start = Self.root.appending(path: place)
      let inside = FileManager.default.enumerator(at: start, includingPropertiesForKeys: nil)?.allObjects as? [URL]
      for file in (inside ?? []) + [start] {
        guard let text = try? String(contentsOf: file, encoding: .utf8) else { continue }
        for tool in Self.uncommon where try runs(tool, in: text) {
          #expect(listed[tool]?.contains(user) == true, "\(tool), which \(file.lastPathComponent) runs")
        }
      }
    }
  }

  @Test("A command is found wherever one can stand")
  func recognition() throws {
    #expect(try runs("jq", in: "jq -rs 'x'"))
    #expect(try runs("jq", in: "cat a | jq ."))
    #expect(try runs("tc", in: #"in_ns "$client" tc qdisc del"#))
    #expect(try runs("nft", in: #"start(["nft", "list"])"#))
    #expect(try !runs("nft", in: "  // nft would do"))
    #expect(try !runs("ip", in: "the ip of ip packets"))
  }
}
