import Foundation
import Testing

@Suite("How tests are run")
struct SuiteScriptTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized

  /// Runs scripts/suite with a `swift` that writes `log` and ends with `status`.
  private func run(log: String, status: Int32) throws -> (status: Int32, errors: String) {
    let stand = FileManager.default.temporaryDirectory.appending(path: "swift-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: stand) }
    try "#!/bin/sh\ncat <<'END'\n\(log)\nEND\nexit \(status)\n".write(to: stand, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: stand.path)
    let process = Process()
    process.executableURL = Self.root.appending(path: "scripts/suite")
    process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT": stand.path]) { $1 }
    let errors = Pipe()
    process.standardOutput = FileHandle.nullDevice
    process.standardError = errors
    try process.run()
    let said = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, said)
  }

  @Test("A run that fails says once more at its end what failed, and nothing of what passed")
  func failure() throws {
    let (status, said) = try run(
      log: """
        ✔ Test "One" passed after 0.1 seconds.
        ✘ Test "Two" recorded an issue at Two.swift:65:7: Expectation failed: isUsed
        ↳ the reason
        ◇ Test "Three" started.
        ✔ Test "Three" passed after 0.1 seconds.
        ✘ Test "Two" failed after 3.0 seconds with 1 issue.
        """, status: 1)
    #expect(status == 1)
    #expect(said.contains("Two.swift:65:7") && said.contains("the reason") && said.contains("failed after 3.0 seconds"))
    #expect(!said.contains("One") && !said.contains("Three"))
  }

  @Test("A run that succeeds adds nothing")
  func success() throws {
    let (status, said) = try run(log: #"✔ Test "One" passed after 0.1 seconds."#, status: 0)
    #expect(status == 0 && said.isEmpty)
  }
}
