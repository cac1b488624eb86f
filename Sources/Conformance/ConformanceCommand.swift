import Foundation

/// Writes `docs/conformance.md`, and fails where a rule has neither a test nor a reason.
///
/// Rules that are known to be open stand in `docs/requirements/open.list`, one ID a line: the list may only shrink, so
/// a rule on it that has a test or a reason by now is a fault too.
///
/// - `--check` writes nothing, and fails too where the page on disk is not what would be written.
/// - `--report` writes nothing, and prints how far the documents are covered and which rules are open.
///
/// The package's root is the working directory, or the last argument.
@main
enum ConformanceCommand {
  private static let page = "docs/conformance.md"
  private static let openList = "docs/requirements/open.list"

  static func main() {
    var arguments = CommandLine.arguments.dropFirst()
    let mode = arguments.first.flatMap { $0.hasPrefix("--") ? $0 : nil }
    if mode != nil { arguments = arguments.dropFirst() }
    guard arguments.count <= 1, [nil, "--check", "--report"].contains(mode) else {
      return end(["usage: Conformance [--check | --report] [ROOT]"], status: 64)
    }
    let root = URL(filePath: arguments.first ?? FileManager.default.currentDirectoryPath, directoryHint: .isDirectory)
    do {
      try run(mode, in: root)
    } catch {
      end(["\(error)"], status: 74)
    }
  }

  private static func run(_ mode: String?, in root: URL) throws {
    let table = try table(in: root)
    let text = ConformancePage(table: table).text
    let url = root.appending(path: page)
    if mode == "--report" { return report(table) }

    var faults = table.faults
    let list = (try? self.text(of: openList, in: root)) ?? ""
    let known = Set(list.split(whereSeparator: \.isNewline).map(String.init))
    let open = table.open
    for requirement in open where !known.contains(requirement.id) {
      faults.append("\(requirement.id) has neither a test nor a reason: \(requirement.text)")
    }
    for id in known.subtracting(open.map(\.id)).sorted() {
      faults.append("\(id) is open no more: take it off \(openList)")
    }
    if mode == "--check" {
      let onDisk = (try? String(contentsOf: url, encoding: .utf8)) ?? ""
      if ConformancePage.withoutLineNumbers(onDisk) != ConformancePage.withoutLineNumbers(text) {
        faults.append("\(page) is not what the annotations say: make conformance writes it anew")
      }
    } else {
      try text.write(to: url, atomically: true, encoding: .utf8)
    }
    if !faults.isEmpty { end(faults, status: 1) }
  }

  private static func report(_ table: ConformanceTable) {
    for catalogue in table.catalogues {
      let states: [(ConformanceTable.Status, String)] = [
        (.tested, "tested"), (.departs, "depart"), (.reasoned, "reasoned"), (.open, "open"),
      ]
      let counts = states.map { "\(table.count($0.0, in: catalogue)) \($0.1)" }.joined(separator: ", ")
      print("RFC \(catalogue.document): \(catalogue.requirements.count), \(counts)")
    }
    for requirement in table.open { print("\(requirement.id) \(requirement.level.rawValue): \(requirement.text)") }
    for fault in table.faults { print("fault: \(fault)") }
    if !table.faults.isEmpty { exit(1) }
  }

  private static func table(in root: URL) throws -> ConformanceTable {
    var faults: [String] = []
    var catalogues: [Catalogue] = []
    for file in try files(below: "docs/requirements", in: root, type: "txt") {
      catalogues.append(Catalogue(parsing: try text(of: file, in: root), from: file, problems: &faults))
    }
    var annotations: [Annotation] = []
    for (folder, isTests) in [("Sources", false), ("Tests", true)] {
      // The generator's own comments and tests speak of annotations without being any.
      for file in try files(below: folder, in: root, type: "swift")
      where !file.hasPrefix("Sources/Conformance/") && !file.hasPrefix("Tests/ConformanceTests/") {
        annotations += SourceText(try text(of: file, in: root), file: file).annotations(inTests: isTests)
      }
    }
    return ConformanceTable(catalogues: catalogues, annotations: annotations, faults: faults)
  }

  private static func files(below folder: String, in root: URL, type: String) throws -> [String] {
    let start = root.appending(path: folder)
    let found = try FileManager.default.subpathsOfDirectory(atPath: start.resolvingSymlinksInPath().path)
    return found.filter { $0.hasSuffix(".\(type)") }.map { "\(folder)/\($0)" }.sorted()
  }

  private static func text(of file: String, in root: URL) throws -> String {
    try String(contentsOf: root.appending(path: file), encoding: .utf8)
  }

  private static func end(_ faults: [String], status: Int32) {
    for fault in faults { FileHandle.standardError.write(Data("\(fault)\n".utf8)) }
    exit(status)
  }
}
