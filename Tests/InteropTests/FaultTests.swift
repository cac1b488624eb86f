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

    /// A path that dies under a connection.
    struct Scene: Sendable, CustomTestStringConvertible {
      var place: Arena.Place
      var death: Death
      var path: Int

      var testDescription: String { "\(place), \(death), path \(path)" }

      /// The first path too over IPv4 only: an IPv6 address of the kernel is deaf while its own device is down,
      /// whatever the path that packets for it take.
      static let all: [Scene] = Arena.Place.all.flatMap { place in
        Death.allCases.filter { $0 == .deviceDown || Machine.hasNFTables }.flatMap { death in
          (place.family == .v4 ? [1, 2] : [2]).map { Scene(place: place, death: death, path: $0) }
        }
      }

      /// Whether it is for the kernel to open a new subflow: it decides by itself whether an invitation suits it.
      var needsTheKernelToJoin: Bool { place.role == .server && death == .resetInjected }
    }

    @Test(
      "A transfer both ways outlives a path, which is used again when it is back", .timeLimit(.minutes(10)),
      arguments: Scene.all)
    func outlives(scene: Scene) async throws {
      let arena = try await Arena(scene.place.device, scene.place.family, links: ["200mbit,5ms"])
      let before = try arena.kernel.counters()
      // What we send is faster at the start; so both directions end at about the same time.
      let pair = try await arena.pair(
        as: scene.place.role, ours: ["--send", "180m", "--receive", "110m", "--report-every", "1m"],
        kernel: ["--send", "110m", "--receive", "180m", "--report-every", "1m"])
      try await waitForProgress(pair.kernel, beyond: 20 << 20)
      try await waitForProgress(pair.ours, beyond: 2 << 20)
      try await arena.kernel.run(script: scene.death.kill(arena.kernelDevice(scene.path)))
      try await Task.sleep(for: .milliseconds(1200))
      try await arena.kernel.run(script: scene.death.revive(arena.kernelDevice(scene.path)))
      // A direction that is nearly through by now has no use for the path.
      let goesUp = received(pair.kernel) < 150 << 20
      let goesDown = received(pair.ours) < 80 << 20
      try #require(goesUp || goesDown)
      let isUsed = await isUsedAgain(scene.path, of: arena, up: goesUp, down: goesDown, while: pair)
      let (ours, kernel) = try await pair.finish()
      let up = try #require(try kernel.connection.longestGap)
      let down = try #require(try ours.connection.longestGap)
      print(
        "\(scene.testDescription): longest gap \(Int(up * 1000)) ms to the kernel, \(Int(down * 1000)) ms to us",
        isUsed ? "" : "(not used again)")
      if scene.needsTheKernelToJoin {
        let counted = try arena.kernel.counters().since(before)
        #expect(counted["MPTcpExtRmAddr"] >= 1 && counted["MPTcpExtAddAddr"] >= 2, "\(counted.summary)")
      } else {
        #expect(isUsed, "\(ours.summary)\n\(kernel.summary)")
      }
      #expect(up < 3, "what we sent stood still for \(up) s")
      // The kernel decides when it gives a path up; its own fail-over takes 0.1 to 0.5 s, its timer may double once.
      #expect(down < 4, "what the kernel sent stood still for \(down) s")
    }

    /// What the process has reported to have received.
    private func received(_ process: ChildProcess) -> Int {
      PeerReport.all(in: process.output).last { $0.event == "progress" }?.received ?? 0
    }

    /// Waits until the process has reported `count` bytes.
    private func waitForProgress(_ process: ChildProcess, beyond count: Int) async throws {
      let deadline = ContinuousClock.now + .seconds(30)
      while received(process) < count {
        try #require(process.isRunning && ContinuousClock.now < deadline, "\(process.output)\n\(process.errors)")
        try await Task.sleep(for: .milliseconds(5))
      }
    }

    /// Whether a path carries another 2 MiB to the kernel, and to us, before the processes end, who may take the device
    /// along.
    private func isUsedAgain(
      _ path: Int, of arena: Arena, up: Bool, down: Bool, while pair: Arena.Pair
    ) async -> Bool {
      let device = arena.kernelDevice(path)
      guard let start = try? await arena.kernel.byteCount(of: device) else { return false }
      while pair.ours.isRunning && pair.kernel.isRunning {
        guard let now = try? await arena.kernel.byteCount(of: device) else { return false }
        let isUp = !up || now.received > start.received + (2 << 20)
        let isDown = !down || now.sent > start.sent + (2 << 20)
        if isUp && isDown { return true }
        try? await Task.sleep(for: .milliseconds(20))
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
      "Loss, reordering and duplication change no byte, either way", .timeLimit(.minutes(10)),
      arguments: Arena.Place.all, faults.indices)
    func faultyLinks(place: Arena.Place, index: Int) async throws {
      let (links, byteCount) = Self.faults[index]
      let arena = try await Arena(place.device, place.family, links: links)
      let before = try arena.kernel.counters()
      let workload = ["--send", byteCount, "--receive", byteCount]
      let (ours, _) = try await arena.pair(as: place.role, ours: workload, kernel: workload).finish()
      print("\(place), \(links): \(byteCount) each way in \(ours.seconds) s")
      var troubles = try arena.kernel.counters().since(before).troubles
      // Where the first packets are lost, a listener may have to do without Multipath TCP: its peer's key came too
      // late.
      troubles["MPTcpExtMPCapableFallbackACK"] = nil
      #expect(troubles == [:])
    }
  }
}
