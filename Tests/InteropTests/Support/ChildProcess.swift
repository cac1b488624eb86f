import Foundation
import Glibc

/// A child process with its own process group, whose output goes to files.
///
/// Files rather than pipes: nothing has to be read while the process runs, and after a failure they can be looked at.
final class ChildProcess: @unchecked Sendable {
  let name: String
  let identifier: pid_t
  private let directory: URL
  private var status: Int32?

  /// How a process ended.
  struct Outcome {
    let name: String
    /// The exit status, or 128 plus the number of the signal that ended it.
    let status: Int32
    let output: String
    let errors: String
    let seconds: Double

    var summary: String {
      "\(name) ended with \(status)\n--- output\n\(output.suffix(4000))\n--- errors\n\(errors.suffix(4000))"
    }
  }

  /// A process that could not be started, or did not end in time.
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private let started = ContinuousClock.now

  init(_ arguments: [String], standardInput: Int32? = nil, environment: [String: String] = [:]) throws {
    name = arguments.joined(separator: " ")
    directory = FileManager.default.temporaryDirectory.appending(path: "mptcp-interop-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let standardInput {
      posix_spawn_file_actions_adddup2(&actions, standardInput, 0)
    } else {
      posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    }
    let create = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND
    posix_spawn_file_actions_addopen(&actions, 1, directory.appending(path: "output").path, create, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, directory.appending(path: "errors").path, create, 0o600)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // Its own group, so that one signal reaches a shell and what it runs; default signals, whatever ours are.
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigaddset(&signals, SIGPIPE)
    sigaddset(&signals, SIGINT)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    var variables = ProcessInfo.processInfo.environment
    variables["SWIFT_BACKTRACE"] = "enable=no"
    variables.merge(environment) { $1 }
    var argumentPointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    var variablePointers: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0)=\($1)") }
    argumentPointers.append(nil)
    variablePointers.append(nil)
    defer { (argumentPointers + variablePointers).forEach { free($0) } }
    var child: pid_t = 0
    let error = posix_spawnp(&child, arguments[0], &actions, &attributes, argumentPointers, variablePointers)
    guard error == 0 else { throw Failure(description: "\(name): \(String(cString: strerror(error)))") }
    identifier = child
  }

  deinit {
    if status == nil {
      kill(-identifier, SIGKILL)
      var ignored: Int32 = 0
      waitpid(identifier, &ignored, 0)
    }
    try? FileManager.default.removeItem(at: directory)
  }

  /// What the process has written to its standard output so far.
  var output: String { (try? String(contentsOf: directory.appending(path: "output"), encoding: .utf8)) ?? "" }
  /// What the process has written to its standard error so far.
  var errors: String { (try? String(contentsOf: directory.appending(path: "errors"), encoding: .utf8)) ?? "" }

  /// Whether the process still runs.
  var isRunning: Bool {
    if status != nil { return false }
    var raw: Int32 = 0
    guard waitpid(identifier, &raw, WNOHANG) == identifier else { return true }
    let signal = raw & 0x7f
    status = signal == 0 ? (raw >> 8) & 0xff : 128 + signal
    return false
  }

  /// Sends a signal to the process and what it started.
  func send(_ signal: Int32) {
    if status == nil { kill(-identifier, signal) }
  }

  /// Waits for the end; at the deadline the process is killed and the outcome so far is thrown.
  func finish(within seconds: Double = 60) async throws -> Outcome {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while isRunning {
      if ContinuousClock.now > deadline {
        send(SIGKILL)
        throw Failure(
          description: "\(name) did not end within \(seconds) s\n\(output.suffix(2000))\n\(errors.suffix(4000))")
      }
      try await Task.sleep(for: .milliseconds(5))
    }
    let elapsed = started.duration(to: .now)
    return Outcome(
      name: name, status: status ?? -1, output: output, errors: errors, seconds: elapsed / .seconds(1))
  }

  /// Waits until the process has written `text`, to either stream.
  func waits(for text: String, within seconds: Double = 20) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while true {
      if output.contains(text) || errors.contains(text) { return }
      if !isRunning { throw Failure(description: "\(name) ended before it wrote “\(text)”:\n\(output)\n\(errors)") }
      if ContinuousClock.now > deadline {
        throw Failure(description: "\(name) did not write “\(text)” within \(seconds) s:\n\(output)\n\(errors)")
      }
      try await Task.sleep(for: .milliseconds(5))
    }
  }
}

/// Runs a program to its end and throws unless it succeeds.
@discardableResult
func run(_ arguments: String..., within seconds: Double = 20) async throws -> String {
  try await run(arguments, within: seconds)
}

/// Runs a program to its end and throws unless it succeeds.
@discardableResult
func run(_ arguments: [String], within seconds: Double = 20) async throws -> String {
  let outcome = try await ChildProcess(arguments).finish(within: seconds)
  guard outcome.status == 0 else { throw ChildProcess.Failure(description: outcome.summary) }
  return outcome.output
}
