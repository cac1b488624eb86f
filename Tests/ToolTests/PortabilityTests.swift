import Foundation
import Testing

/// What only Linux has stays in the targets that only Linux builds, so that everything else builds on macOS too.
@Suite("Portability")
struct PortabilityTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized

  /// The manifest lists these for Linux alone.
  private static let linuxOnly = [
    "Sources/CLinux", "Sources/MPTCPStack", "Sources/Multipath", "Sources/mptcp", "Sources/KernelPeer",
    "Sources/StackPeer", "Sources/MPTCPLab", "Tests/MPTCPStackTests", "Tests/MultipathTests", "Tests/MPTCPLabTests",
    "Tests/InteropTests",
  ]

  /// The folders of targets: those with sources, so not the one of the mutants.
  private func folders() throws -> [String] {
    try ["Sources", "Tests"].flatMap { top in
      try FileManager.default.contentsOfDirectory(atPath: Self.root.appending(path: top).path).map { "\(top)/\($0)" }
    }.filter { folder in
      let files = FileManager.default.enumerator(atPath: Self.root.appending(path: folder).path)
      return files?.contains { ["swift", "c"].contains(($0 as? NSString)?.pathExtension) } ?? false
    }
  }

  @Test("Only targets for Linux import its modules without asking")
  func imports() throws {
    for folder in try folders() where !Self.linuxOnly.contains(folder) {
      let start = Self.root.appending(path: folder)
      let files = FileManager.default.enumerator(at: start, includingPropertiesForKeys: nil)?.allObjects as? [URL]
      for file in files ?? [] where file.pathExtension == "swift" {
        var depth = 0
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
          let words = line.split(separator: " ")
          if words.first == "#if" { depth += 1 }
          if words.first == "#endif" { depth -= 1 }
          guard depth == 0, let place = words.firstIndex(of: "import"), place < 2, place + 1 < words.count else {
            continue
          }
          let isLinux = ["Glibc", "CLinux", "MPTCPStack", "Multipath"].contains(words[place + 1])
          #expect(!isLinux, "\(folder)/\(file.lastPathComponent): \(line)")
        }
      }
    }
  }

  @Test("The manifest has the targets for Linux under a condition, and no others")
  func manifest() throws {
    let manifest = try String(contentsOf: Self.root.appending(path: "Package.swift"), encoding: .utf8)
    let halves = manifest.components(separatedBy: "\n#if os(Linux)\n  // The hosts")
    try #require(halves.count == 2)
    for folder in try folders() {
      let name = "name: \"\(folder.split(separator: "/")[1])\""
      #expect(halves[Self.linuxOnly.contains(folder) ? 1 : 0].contains(name), "\(folder)")
    }
  }
}
