import Foundation

/// The commands that the documents show, so that tests can hold them to their word.
enum Documents {
  /// A command, or a block of commands that belong together.
  struct Passage: CustomStringConvertible, Sendable {
    var file: String
    /// Counted from 1.
    var line: Int
    var text: String

    var description: String { "\(file):\(line): \(text)" }

    /// The commands: lines without comments and prompts, continued lines joined.
    var commands: [String] {
      text.replacing("\\\n", with: " ").split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        .filter { !$0.isEmpty && !$0.hasPrefix("#") }
    }
  }

  /// The files that tell people what to type.
  static let files: [String] = {
    let inDocs = (try? FileManager.default.contentsOfDirectory(atPath: Machine.root.appending(path: "docs").path)) ?? []
    return ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
      + inDocs.filter { $0.hasSuffix(".md") }.sorted().map { "docs/\($0)" }
  }()

  /// The blocks marked as `sh`.
  static func blocks(in file: String) throws -> [Passage] {
    var passages: [Passage] = []
    var block: Passage?
    for (index, line) in try lines(of: file).enumerated() {
      switch (block, line) {
      case (nil, "```sh"): block = Passage(file: file, line: index + 2, text: "")
      case (nil, _): continue
      case (let passage?, "```"):
        passages.append(passage)
        block = nil
      case (_?, _): block?.text += line + "\n"
      }
    }
    return passages
  }

  /// What stands in `code` in running text, outside of blocks.
  static func spans(in file: String) throws -> [Passage] {
    var passages: [Passage] = []
    var isInside = false
    for (index, line) in try lines(of: file).enumerated() {
      if line.hasPrefix("```") { isInside.toggle() }
      guard !isInside else { continue }
      for (place, span) in line.split(separator: "`", omittingEmptySubsequences: false).enumerated()
      where place % 2 == 1 {
        passages.append(Passage(file: file, line: index + 1, text: String(span)))
      }
    }
    return passages
  }

  private static func lines(of file: String) throws -> [String] {
    try String(contentsOf: Machine.root.appending(path: file), encoding: .utf8).components(separatedBy: "\n")
  }
}
