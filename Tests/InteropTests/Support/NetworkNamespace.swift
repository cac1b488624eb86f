import Foundation
import Glibc

/// A network namespace that lives as long as this object, and no longer than this process.
///
/// A holder process keeps it open until its standard input ends; then it kills whatever still runs inside.
final class NetworkNamespace: @unchecked Sendable {
  private let holder: ChildProcess
  private let lifeline: Int32
  private let isUserNamespace: Bool

  /// Makes a namespace: as root a network namespace only, otherwise inside a user namespace.
  /// - Parameter parent: another namespace, whose user namespace the new one shares.
  init(sharingUserNamespaceOf parent: NetworkNamespace? = nil) async throws {
    isUserNamespace = geteuid() != 0
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0, ends.allSatisfy({ fcntl($0, F_SETFD, FD_CLOEXEC) == 0 }) else {
      throw ChildProcess.Failure(description: "no pipe")
    }
    let hold = """
      echo held; cat >/dev/null; own=$(readlink /proc/self/ns/net)
      for entry in /proc/[0-9]*; do
        pid=${entry#/proc/}
        [ "$pid" != $$ ] && [ "$(readlink $entry/ns/net 2>/dev/null)" = "$own" ] && kill -9 $pid 2>/dev/null
      done; true
      """
    let enter = parent?.entering ?? []
    let flags = isUserNamespace && parent == nil ? "-rn" : "-n"
    holder = try ChildProcess(enter + ["unshare", flags, "bash", "-c", hold], standardInput: ends[0])
    close(ends[0])
    lifeline = ends[1]
    try await holder.waits(for: "held")
    try await run("ip", "link", "set", "lo", "up")
  }

  deinit {
    close(lifeline)
    // The holder's own deinitialiser would kill it before it has cleared the namespace.
    for _ in 0..<5000 where holder.isRunning { usleep(1000) }
  }

  /// The file that names this namespace.
  var path: String { "/proc/\(holder.identifier)/ns/net" }

  /// The words in front of a command that make it run inside.
  private var entering: [String] {
    ["nsenter", "-t", "\(holder.identifier)"] + (isUserNamespace ? ["-U", "--preserve-credentials"] : []) + ["-n"]
  }

  /// Starts a program inside.
  func start(
    _ arguments: [String], standardInput: Int32? = nil, environment: [String: String] = [:]
  ) throws -> ChildProcess {
    try ChildProcess(entering + arguments, standardInput: standardInput, environment: environment)
  }

  /// Starts a `bash` script inside, for pipelines; a failure in any part of one is the script's failure.
  func start(
    script: String, standardInput: Int32? = nil, environment: [String: String] = [:]
  ) throws -> ChildProcess {
    try start(
      ["bash", "-o", "pipefail", "-c", script], standardInput: standardInput, environment: environment)
  }

  /// Runs a program inside to its end and throws unless it succeeds.
  @discardableResult
  func run(_ arguments: String..., within seconds: Double = 20) async throws -> String {
    try await InteropTests.run(entering + arguments, within: seconds)
  }

  /// Runs a `bash` script inside to its end and throws unless it succeeds.
  @discardableResult
  func run(script: String, within seconds: Double = 20) async throws -> String {
    try await InteropTests.run(entering + ["bash", "-e", "-o", "pipefail", "-c", script], within: seconds)
  }

  /// Moves an interface of this namespace into another.
  func move(_ interface: String, to other: NetworkNamespace) async throws {
    try await run("ip", "link", "set", interface, "netns", "\(other.holder.identifier)")
  }

  /// Bytes that an interface has carried so far; 0 for one that is not there.
  func byteCount(of interface: String) async throws -> (received: Int, sent: Int) {
    let text = try await run("cat", "/proc/net/dev")
    for line in text.split(separator: "\n") {
      let fields = line.split(whereSeparator: { $0 == " " || $0 == ":" }).map(String.init)
      if fields.first == interface, fields.count > 9 { return (Int(fields[1]) ?? 0, Int(fields[9]) ?? 0) }
    }
    return (0, 0)
  }

  /// The kernel's counters of this namespace, by name: those of Multipath TCP begin with `MPTcpExt`, of TCP with
  /// `TcpExt` or `Tcp`.
  func counters() throws -> Counters {
    var values: [String: Int] = [:]
    for file in ["netstat", "snmp"] {
      let text = try String(contentsOfFile: "/proc/\(holder.identifier)/net/\(file)", encoding: .utf8)
      let lines = text.split(separator: "\n").map { $0.split(separator: " ") }
      for (names, numbers) in zip(lines, lines.dropFirst()) where names.first == numbers.first {
        let prefix = names[0].dropLast()
        for (name, number) in zip(names.dropFirst(), numbers.dropFirst()) { values["\(prefix)\(name)"] = Int(number) }
      }
    }
    return Counters(values: values)
  }
}

/// The kernel's network counters at one moment.
struct Counters {
  let values: [String: Int]

  subscript(name: String) -> Int { values[name] ?? 0 }

  /// What was counted since an earlier moment.
  func since(_ earlier: Counters) -> Counters {
    Counters(values: values.merging(earlier.values) { $0 - $1 })
  }

  /// Counters that must stay at zero wherever nobody tampers with packets: bad checksums, HMACs, mappings, fallbacks.
  var troubles: [String: Int] {
    let names = [
      "MPTcpExtDSSCorruptionFallback", "MPTcpExtDSSCorruptionReset", "MPTcpExtDataCsumErr",
      "MPTcpExtMPJoinSynAckHMacFailure",
      "MPTcpExtMPJoinAckHMacFailure", "MPTcpExtDSSNotMatching", "MPTcpExtDSSNoMatchTCP", "MPTcpExtInfiniteMapTx",
      "MPTcpExtInfiniteMapRx", "MPTcpExtMPFailTx", "MPTcpExtMPFailRx", "MPTcpExtMPFallbackTokenInit",
      "MPTcpExtMPCapableFallbackACK", "MPTcpExtMPCapableFallbackSYNACK", "MPTcpExtMPCapableDataFallback",
      "MPTcpExtMD5SigFallback", "MPTcpExtDssFallback", "MPTcpExtSimultConnectFallback", "MPTcpExtFallbackFailed",
      "MPTcpExtMPJoinNoTokenFound", "MPTcpExtMismatchPortSynRx", "MPTcpExtMismatchPortAckRx",
      "TcpInCsumErrors",
    ]
    return values.filter { names.contains($0.key) && $0.value != 0 }
  }

  /// Counters that moved, one to a line, for messages.
  var summary: String {
    values.filter { $0.value != 0 && $0.key.hasPrefix("MPTcpExt") }.sorted { $0.key < $1.key }
      .map { "\($0.key) \($0.value)" }.joined(separator: "\n")
  }
}
