import Foundation
import Glibc
import Testing

extension InteropSuite {
  /// What is left when a command is stopped in the middle of its work: nothing.
  @Suite("Clean-up", .serialized, .enabled(if: Machine.obstacle == nil, "\(Machine.obstacle ?? "")"))
  struct CleanUpTests {
    /// A signal, and the status by which scripts see that it came.
    static let signals: [(Int32, Int32)] = [(SIGINT, 130), (SIGTERM, 143), (SIGKILL, 137)]

    /// Whatever a command could leave in a namespace, and the processes there.
    private static let state = """
      ip -details link; ip -br address; ip rule; ip -6 rule; ip route show table all; ip -6 route show table all
      ip mptcp endpoint; ip mptcp limits; tc qdisc show; nft list ruleset 2>/dev/null || true
      ls /run/netns 2>/dev/null || true; ls -d /tmp/mptcp-demo-* 2>/dev/null || true
      own=$(readlink /proc/self/ns/net)
      for entry in /proc/[0-9]*; do
        [ "$(readlink $entry/ns/net 2>/dev/null)" = "$own" ] && tr '\\0' ' ' < $entry/cmdline | grep -o 'mptcp [a-z]*' || true
      done
      """

    /// The kernel takes a killed process's devices away a moment later; after two seconds that moment has passed.
    private func expect(
      _ namespaces: [NetworkNamespace], toBe before: [String], location: SourceLocation = #_sourceLocation
    ) async throws {
      var after = try await states(of: namespaces)
      for _ in 0..<40 where after != before {
        try await Task.sleep(for: .milliseconds(50))
        after = try await states(of: namespaces)
      }
      for (now, then) in zip(after, before) {
        let (now, then) = (now.split(separator: "\n"), then.split(separator: "\n"))
        let differences =
          now.filter { !then.contains($0) }.map { "+ \($0)" } + then.filter { !now.contains($0) }.map { "- \($0)" }
        #expect(differences == [], sourceLocation: location)
      }
    }

    /// The states once the kernel has given the interfaces their own addresses.
    private func settledStates(of namespaces: [NetworkNamespace]) async throws -> [String] {
      for namespace in namespaces {
        while try await !namespace.run("ip", "-6", "-o", "address", "show", "tentative").isEmpty {
          try await Task.sleep(for: .milliseconds(50))
        }
      }
      return try await states(of: namespaces)
    }

    private func states(of namespaces: [NetworkNamespace]) async throws -> [String] {
      var states: [String] = []
      for namespace in namespaces { states.append(try await namespace.run(script: Self.state)) }
      return states
    }

    private func netcat(_ arena: Arena) -> String {
      ([Machine.mptcp, "nc"] + arena.pathArguments).joined(separator: " ")
    }

    @Test(
      "A netcat that is stopped while it sends leaves nothing", .timeLimit(.minutes(5)), arguments: signals,
      Arena.Device.allCases)
    func sendingNetcat(signal: (number: Int32, status: Int32), device: Arena.Device) async throws {
      guard Arena.Device.available.contains(device) else { return }
      let arena = try await Arena(device)
      let before = try await settledStates(of: [arena.ours])
      let server = try await arena.kernelServer("--receive", "1g", "--report-every", "1m")
      let client = try arena.ours.start(script: "exec \(netcat(arena)) -v \(arena.kernelAddress(1)) 5000 < /dev/zero")
      try await client.waits(for: "subflow 1")
      try await Task.sleep(for: .milliseconds(300))
      client.send(signal.number)
      #expect(try await client.finish(within: 5).status == signal.status)
      server.send(SIGTERM)
      _ = try await server.finish(within: 10)
      try await expect([arena.ours], toBe: before)
    }

    @Test(
      "A netcat that waits for its input, or for a reader of its output, ends at a signal", .timeLimit(.minutes(5)),
      arguments: [SIGINT, SIGTERM])
    func waitingNetcat(signal: Int32) async throws {
      let arena = try await Arena(Arena.Device.available[0])
      let before = try await settledStates(of: [arena.ours])
      let scratch = try Scratch()
      try await run("mkfifo", scratch.file("in"), scratch.file("out"))
      // It holds both ends of both pipes itself: no input and no end of it, and a full output.
      for streams in [
        "0<> \(scratch.file("in"))", "1<> \(scratch.file("out")) < /dev/null", "0<> \(scratch.file("in")) -w 1",
      ] {
        let server = try await arena.kernelServer("--connections", "1", "--send", "10m", "--keep-writing-open")
        let client = try arena.ours.start(script: "exec \(netcat(arena)) -v \(arena.kernelAddress(1)) 5000 \(streams)")
        try await client.waits(for: "subflow 0")
        if streams.hasSuffix("-w 1") {
          #expect(try await client.finish(within: 8).status == 3)
        } else {
          try await Task.sleep(for: .milliseconds(300))
          client.send(signal)
          #expect(try await client.finish(within: 5).status == 128 + signal, "\(streams)")
        }
        server.send(SIGTERM)
        _ = try await server.finish(within: 10)
        try await expect([arena.ours], toBe: before)
      }
    }

    @Test(
      "A listening netcat that is stopped leaves nothing", .timeLimit(.minutes(5)), arguments: signals,
      Arena.Device.allCases)
    func listeningNetcat(signal: (number: Int32, status: Int32), device: Arena.Device) async throws {
      guard Arena.Device.available.contains(device) else { return }
      let arena = try await Arena(device)
      let before = try await settledStates(of: [arena.ours])
      let listener = try arena.ours.start(script: "exec \(netcat(arena)) -l -v -p 5000")
      try await listener.waits(for: "listening")
      listener.send(signal.number)
      #expect(try await listener.finish(within: 5).status == signal.status)
      try await expect([arena.ours], toBe: before)
    }

    @Test(
      "A TUN device that was there before stays exactly as it was", .enabled(if: Machine.hasTUN),
      .timeLimit(.minutes(5)), arguments: signals)
    func existingDevice(signal: (number: Int32, status: Int32)) async throws {
      let arena = try await Arena(.tun, paths: 1)
      try await arena.kernel.run(
        script: """
          ip tuntap add dev own mode tun vnet_hdr
          sysctl -q net.ipv6.conf.own.disable_ipv6=1
          ip link set own up mtu 1400
          ip address add 10.0.1.1/24 dev own
          """)
      let before = try await settledStates(of: [arena.kernel])
      let server = try await arena.kernelServer("--receive", "1g")
      let client = try arena.kernel.start(
        script: "exec \(Machine.mptcp) nc -v --tun own=10.0.1.2/24 10.0.1.1 5000 < /dev/zero")
      try await client.waits(for: "subflow 0")
      try await Task.sleep(for: .milliseconds(200))
      client.send(signal.number)
      #expect(try await client.finish(within: 5).status == signal.status)
      server.send(SIGTERM)
      _ = try await server.finish(within: 10)
      try await expect([arena.kernel], toBe: before)
    }

    @Test(
      "A demonstration that is stopped leaves no namespace, device, process or file, whoever ran it",
      .timeLimit(.minutes(10)), arguments: signals, [false, true])
    func demonstration(signal: (number: Int32, status: Int32), isOrdinary: Bool) async throws {
      // An ordinary user cannot become another one.
      guard !isOrdinary || geteuid() == 0 else { return }
      let scratch = try Scratch()
      let program = try scratch.copyForOthers(of: Machine.mptcp)
      let outside = try await NetworkNamespace()
      let before = try await settledStates(of: [outside])
      let command = (isOrdinary ? asOrdinaryUser : []) + [program, "demo", "--pcap", scratch.file("capture")]
      let demonstration = try outside.start(command)
      try await demonstration.waits(for: "Peer: Linux")
      try await Task.sleep(for: .seconds(1))
      let inside = try FileManager.default.destinationOfSymbolicLink(
        atPath: "/proc/\(demonstration.identifier)/ns/net")
      let number = try #require(inside.split(whereSeparator: { "[]".contains($0) }).dropFirst().first)
      #expect(try await run("lsns", "-t", "net", "-n", "-o", "NS").contains(number))
      demonstration.send(signal.number)
      #expect(try await demonstration.finish(within: 5).status == signal.status)
      try await expect([outside], toBe: before)
      for _ in 0..<40 where try await run("lsns", "-t", "net", "-n", "-o", "NS").contains(number) {
        try await Task.sleep(for: .milliseconds(50))
      }
      #expect(try await run("lsns", "-t", "net", "-n", "-o", "NS").contains(number) == false)
      #expect(kill(-demonstration.identifier, 0) == -1 && errno == ESRCH)
      if signal.number != SIGKILL { #expect(try CaptureFile(scratch.file("capture")).isWhole) }
      if Machine.hasTShark && signal.number != SIGKILL {
        try await run("tshark", "-r", scratch.file("capture"), "-c", "5000", "-Y", "tcp.flags.syn == 1")
      }
    }
  }
}
