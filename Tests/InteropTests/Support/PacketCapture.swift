import Foundation
import Glibc

/// A capture on interfaces of a namespace, for tshark's opinion of what crossed them.
final class PacketCapture {
  private let file: URL
  private let process: ChildProcess

  /// Starts to capture whole headers on an interface (`any` for all).
  init(on interface: String, in namespace: NetworkNamespace) async throws {
    file = FileManager.default.temporaryDirectory.appending(path: "mptcp-interop-\(UUID().uuidString).pcap")
    process = try namespace.start(
      ["tcpdump", "-i", interface, "-s", "200", "-B", "16384", "-U", "-Z", "root", "-w", file.path])
    try await process.waits(for: "listening on")
  }

  deinit { try? FileManager.default.removeItem(at: file) }

  /// Stops, and returns tshark's fields of the packets that match a display filter, a line for each.
  func packets(matching filter: String, fields: [String] = ["frame.number"]) async throws -> [String] {
    if process.isRunning {
      try await Task.sleep(for: .milliseconds(200))
      process.send(SIGINT)
      _ = try await process.finish()
    }
    // The payload is a pattern: no dissector is to guess at it.
    let output = try await run(
      [
        "tshark", "-r", file.path, "-o", "tcp.check_checksum:FALSE", "-d", "tcp.port==1-65535,data", "-Y", filter, "-T",
        "fields",
      ]
        + fields.flatMap { ["-e", $0] }, within: 120)
    return output.split(separator: "\n", omittingEmptySubsequences: true).map(String.init)
  }

  /// Packets in which tshark finds something malformed, or an option whose length is wrong.
  func malformed() async throws -> [String] {
    try await packets(
      matching:
        "_ws.malformed || tcp.option.len.invalid || tcp.bogus_header_length || tcp.options.wscale.shift.invalid",
      fields: ["frame.number", "_ws.col.Info"])
  }
}
