import Foundation
import Testing

extension InteropSuite {
  /// Paths that die and come back, and links that lose, reorder and double packets.
  @Suite(
    "Faults", .serialized,
    .enabled(if: Machine.obstacle == nil, "\(Machine.obstacle ?? "")"))
  struct FaultTests {
    /// How a path dies and comes back, on the kernel's side of it.
    enum Death: String, CaseIterable, Sendable {
      case deviceDown, packetsDropped, resetInjected

      func kill(_ device: String) -> String {
        switch self {
        case .deviceDown: "ip link set \(device) down"
        case .packetsDropped:
          """
          nft 'add table inet death; add chain inet death in { type filter hook input priority 0; }
          add chain inet death out { type filter hook output priority 0; }
          add rule inet death in iifname \(device) drop; add rule inet death out oifname \(device) drop'
          """
        case .resetInjected:
          // A middlebox that has lost its state: it answers what comes with RST.
          """
          nft 'add table inet death; add chain inet death in { type filter hook input priority 0; }
          add rule inet death in iifname \(device) meta l4proto tcp reject with tcp reset'
          """
        }
      }

      func revive(_ device: String) -> String {
        self == .deviceDown ? "ip link set \(device) up" : "nft delete table inet death"
      }
    }

    static let deaths: [(Death, Int)] = Death.allCases.filter { $0 == .deviceDown || Machine.hasNFTables }.flatMap {
      death in
      [1, 2].map { (death, $0) }
    }

    /// Waits until the process has reported `count` bytes.
    private func waitForProgress(_ process: ChildProcess, beyond count: Int) async throws {
      let deadline = ContinuousClock.now + .seconds(30)
      while (PeerReport.all(in: process.output).last { $0.event == "progress" }?.received ?? 0) < count {
        try #require(process.isRunning && ContinuousClock.now < deadline, "\(process.output)\n\(process.errors)")
        try await Task.sleep(for: .milliseconds(5))
      }
    }

    @Test(
      "An upload outlives a path, which is used again when it is back", .timeLimit(.minutes(2)), arguments: deaths)
    func uploadOutlives(death: Death, path: Int) async throws {
      let arena = try await Arena(links: ["200mbit,5ms"])
      let server = try await arena.kernelServer("--connections", "1", "--receive", "160m", "--report-every", "1m")
      let client = try arena.client("--send", "160m")
      try await waitForProgress(server, beyond: 20 << 20)
      try await arena.kernel.run(script: death.kill(arena.kernelDevice(path)))
      try await Task.sleep(for: .milliseconds(1500))
      try await arena.kernel.run(script: death.revive(arena.kernelDevice(path)))
      let isUsed = try await isUsedAgain(arena.kernelDevice(path), in: arena.kernel, sent: false, while: client)
      let outcome = try await client.finish(within: 60)
      #expect(outcome.status == 0, "\(outcome.summary)")
      let received = try await server.finish(within: 20)
      #expect(received.status == 0, "\(received.summary)")
      let connection = try received.connection
      let gap = try #require(connection.longestGap)
      print("upload, \(death), path \(path): longest gap \(Int(gap * 1000)) ms")
      #expect(gap < 3, "the transfer stood still for \(gap) s")
      #expect(isUsed, "\(outcome.summary)")
    }

    @Test(
      "A download outlives a path, which is used again when it is back", .timeLimit(.minutes(2)), arguments: deaths)
    func downloadOutlives(death: Death, path: Int) async throws {
      let arena = try await Arena(links: ["200mbit,5ms"])
      let server = try await arena.kernelServer("--connections", "1", "--send", "160m")
      let client = try arena.client("--receive", "160m", "--report-every", "1m")
      try await waitForProgress(client, beyond: 20 << 20)
      try await arena.kernel.run(script: death.kill(arena.kernelDevice(path)))
      try await Task.sleep(for: .milliseconds(1500))
      try await arena.kernel.run(script: death.revive(arena.kernelDevice(path)))
      let isUsed = try await isUsedAgain(arena.kernelDevice(path), in: arena.kernel, sent: true, while: client)
      let outcome = try await client.finish(within: 60)
      #expect(outcome.status == 0, "\(outcome.summary)")
      #expect(try await server.finish(within: 20).status == 0)
      let gap = try #require(try outcome.connection.longestGap)
      print("download, \(death), path \(path): longest gap \(Int(gap * 1000)) ms")
      // The kernel decides when it gives a path up; its own fail-over takes 0.1 to 0.5 s, its timer may double once.
      #expect(gap < 4, "the transfer stood still for \(gap) s")
      #expect(isUsed, "\(outcome.summary)")
    }

    /// Whether a device carries another 2 MiB before the process ends and takes the device along.
    private func isUsedAgain(
      _ device: String, in namespace: NetworkNamespace, sent: Bool, while process: ChildProcess
    ) async throws -> Bool {
      func carried() async throws -> Int {
        let count = try await namespace.byteCount(of: device)
        return sent ? count.sent : count.received
      }
      let start = try await carried()
      while process.isRunning {
        if try await carried() > start + (2 << 20) { return true }
        try await Task.sleep(for: .milliseconds(20))
      }
      return false
    }

    /// What a link does, on one path and on both; megabytes that suit it.
    static let faults: [(links: [String], byteCount: String)] = [
      (["200mbit,5ms,loss=1%,seed=1", "200mbit,5ms"], "24m"),
      (["200mbit,5ms,loss=1%,seed=2"], "12m"),
      (["200mbit,5ms,loss=5%,seed=3", "200mbit,5ms"], "16m"),
      (["200mbit,5ms,loss=5%,seed=4"], "4m"),
      (["200mbit,5ms,reorder=5%:3ms,seed=5", "200mbit,5ms"], "24m"),
      (["200mbit,5ms,reorder=5%:3ms,seed=6"], "24m"),
      (["200mbit,5ms,dup=5%,seed=7", "200mbit,5ms"], "24m"),
      (["200mbit,5ms,dup=5%,seed=8"], "24m"),
      (["100mbit,5ms,jitter=4ms:reorder,loss=1%,dup=1%,seed=9"], "8m"),
    ]

    @Test(
      "Loss, reordering and duplication change no byte, either way", .timeLimit(.minutes(2)), arguments: faults.indices)
    func faultyLinks(index: Int) async throws {
      let (links, byteCount) = Self.faults[index]
      let arena = try await Arena(links: links)
      let before = try arena.kernel.counters()
      let server = try await arena.kernelServer("--connections", "1", "--receive", byteCount)
      let client = try arena.client("--send", byteCount)
      let outcome = try await client.finish(within: 60)
      #expect(outcome.status == 0, "\(links) \(outcome.summary)")
      let received = try await server.finish(within: 20)
      #expect(received.status == 0, "\(received.summary)")
      let sender = try await arena.kernelServer("--connections", "1", "--send", byteCount)
      let receiver = try await arena.client("--receive", byteCount).finish(within: 60)
      #expect(receiver.status == 0, "\(links) \(receiver.summary)")
      #expect(try await sender.finish(within: 20).status == 0)
      print("\(links): up \(outcome.seconds) s, down \(receiver.seconds) s")
      var troubles = try arena.kernel.counters().since(before).troubles
      // Where the first packets are lost, a listener may have to do without Multipath TCP: its peer's key came too late.
      troubles["MPTcpExtMPCapableFallbackACK"] = nil
      #expect(troubles == [:])
    }
  }
}
