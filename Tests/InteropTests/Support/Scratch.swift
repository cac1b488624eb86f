import Foundation
import Glibc

/// A folder that goes with its last reference.
final class Scratch: Sendable {
  let folder: String

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "mptcp-interop-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  /// The path of a file in it.
  func file(_ name: String) -> String { "\(folder)/\(name)" }

  /// A copy of a program that every user may run: where the build is may be closed to others.
  func copyForOthers(of program: String) throws -> String {
    let copy = file(URL(filePath: program).lastPathComponent)
    try FileManager.default.copyItem(atPath: program, toPath: copy)
    chmod(folder, 0o777)
    chmod(copy, 0o755)
    return copy
  }
}

/// The words in front of a command that make an ordinary user of root.
let asOrdinaryUser = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
