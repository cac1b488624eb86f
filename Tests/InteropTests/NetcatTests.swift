import Foundation
import Glibc
import Testing

extension InteropSuite {
  /// `mptcp nc` where netcat's users have expectations: that what it read arrives, and that it ends in time.
  @Suite("Netcat", .serialized, .enabled(if: Machine.obstacle == nil, "\(Machine.obstacle ?? "")"))
  struct NetcatTests {
    /// Options of nc, the link, and how much goes through it.
    struct Slow: CustomStringConvertible, Sendable {
      var options: String
      var link: String
      var size: String
      var server: [String]

      var description: String { "nc \(options), \(link), \(size)" }
    }

    /// All of them take longer than any limit that nc itself could have for its end.
    static let slow = [
      Slow(options: "", link: "1mbit,20ms", size: "1200k", server: ["--send", "1"]),
      Slow(options: "-q 0", link: "1mbit,20ms", size: "900k", server: []),
      Slow(options: "-q 0 -w 2", link: "1mbit,20ms", size: "900k", server: ["--keep-writing-open"]),
      Slow(options: "-w 1", link: "1mbit,20ms", size: "400k", server: []),
    ]

    @Test("What nc has read it stays for until the peer has it", .timeLimit(.minutes(5)), arguments: slow)
    func backlog(transfer: Slow) async throws {
      let arena = try await Arena(.packet, paths: 1, links: [transfer.link])
      let server = try arena.kernel.start(
        [Machine.peer, "server", "--connections", "1", "--receive", transfer.size] + transfer.server
          + [arena.kernelListening])
      try await server.waits(for: "listening")
      let outcome = try await arena.netcat(
        "\(Machine.peer) pattern \(transfer.size) | nc \(transfer.options) \(arena.kernelAddress(1)) 5000 >/dev/null"
      ).finish(within: 40)
      #expect(outcome.status == 0, "\(outcome.summary)")
      let received = try await server.finish(within: 20)
      #expect(received.status == 0, "\(received.summary)")
    }

    @Test("An output that another program made non-blocking gets every byte", .timeLimit(.minutes(5)))
    func nonBlockingOutput() async throws {
      let arena = try await Arena(.packet, paths: 1)
      let server = try await arena.kernelServer("--connections", "1", "--send", "3m")
      var ends: [Int32] = [0, 0]
      #expect(pipe(&ends) == 0)
      for end in ends {
        _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        _ = fcntl(end, F_SETFL, O_NONBLOCK)
      }
      // nc's output is what this process hands out as the standard input.
      let command = ([Machine.mptcp, "nc"] + arena.pathArguments).joined(separator: " ")
      let script = "exec \(command) -d \(arena.kernelAddress(1)) 5000 >&0 </dev/null"
      let process = try arena.ours.start(script: script, standardInput: ends[1])
      close(ends[1])
      defer { close(ends[0]) }
      var buffer = [UInt8](repeating: 0, count: 30_000)
      var byteCount = 0
      for _ in 0..<2000 {
        let count = read(ends[0], &buffer, buffer.count)
        if count == 0 { break }
        byteCount += max(count, 0)
        try await Task.sleep(for: .milliseconds(5))
      }
      #expect(byteCount == 3 << 20)
      let outcome = try await process.finish(within: 20)
      #expect(outcome.status == 0, "\(outcome.summary)")
      #expect(try await server.finish(within: 20).status == 0)
    }

    @Test("On a terminal, nc ends when the peer has", .timeLimit(.minutes(5)))
    func terminal() async throws {
      let arena = try await Arena(.packet, paths: 1)
      let server = try await arena.kernelServer("--connections", "1", "--send", "10")
      let command = ([Machine.mptcp, "nc"] + arena.pathArguments).joined(separator: " ")
      let outcome = try await arena.ours.start(
        script: """
          sleep 5 | {
            script -qec '\(command) \(arena.kernelAddress(1)) 5000' /dev/null | wc -c
            [ $SECONDS -lt 3 ] && echo in time
          }
          """
      ).finish(within: 20)
      #expect(outcome.output == "10\nin time\n", "\(outcome.summary)")
      #expect(try await server.finish(within: 20).status == 0)
    }

    @Test(
      "A path whose address another host has ends, and the only one ends nc, with the reason", .timeLimit(.minutes(5)))
    func conflict() async throws {
      let arena = try await Arena(.packet, paths: 1)
      try await arena.kernel.run("ip", "address", "add", "10.0.1.2/24", "dev", "k1")
      let outcome = try await arena.netcat("nc -l -p 5000 </dev/null").finish(within: 20)
      #expect(outcome.status == 71, "\(outcome.summary)")
      #expect(
        outcome.errors.contains("uses our address 10.0.1.2 too; choose another")
          && outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
    }

    @Test("When the last device goes nc says so and ends", .timeLimit(.minutes(5)))
    func lastDevice() async throws {
      let arena = try await Arena(.packet, paths: 1)
      let server = try await arena.kernelServer("--receive", "1g")
      let client = try arena.netcat("sleep 5 | nc -v \(arena.kernelAddress(1)) 5000")
      try await client.waits(for: "subflow 0")
      try await arena.ours.run("ip", "link", "delete", "p1")
      let outcome = try await client.finish(within: 20)
      #expect(outcome.status == 71, "\(outcome.summary)")
      #expect(outcome.errors.contains("cannot use p1"), "\(outcome.errors)")
      server.send(SIGTERM)
    }

    @Test(
      "A host in another network without a gateway, and a host on the link that is not there, are told soon",
      .timeLimit(.minutes(5)))
    func unreachable() async throws {
      let arena = try await Arena(.packet, paths: 1)
      let other = try await arena.ours.start([Machine.mptcp, "nc", "--packet", "p1=10.0.1.2/24", "10.9.9.9", "80"])
        .finish(within: 20)
      #expect(other.status == 1 && other.errors.contains("gateway=ADDRESS"), "\(other.summary)")
      let silent = try await arena.netcat("nc 10.0.1.77 80 </dev/null").finish(within: 20)
      #expect(silent.status == 1 && silent.seconds < 10, "\(silent.summary)")
    }

    @Test("-l --fast-open takes the data of the kernel's SYNs", .timeLimit(.minutes(5)))
    func fastOpen() async throws {
      let arena = try await Arena(.packet, paths: 1)
      try await arena.kernel.run("sysctl", "-q", "net.ipv4.tcp_fastopen=1")
      let before = try arena.kernel.counters()
      let listener = try arena.netcat(
        "nc -l -k -d -v --fast-open -p 5000 | head -c 1001 | tail -c 1000 | \(Machine.peer) check 1000; exit ${PIPESTATUS[3]}"
      )
      try await listener.waits(for: "listening")
      // The first brings the cookie, the second its data.
      for size in ["1", "1000"] {
        let client = try await arena.kernelClient("--fast-open", "--send", size).finish(within: 20)
        #expect(client.status == 0, "\(client.summary)")
      }
      let counted = try arena.kernel.counters().since(before)
      #expect(counted["TcpExtTCPFastOpenActive"] == 1 && counted.troubles == [:], "\(counted.summary)")
      // The third finds nobody who reads, which ends nc.
      let last = try arena.kernelClient("--send", "1")
      let outcome = try await listener.finish(within: 10)
      #expect(outcome.status == 0, "\(outcome.summary)")
      last.send(SIGTERM)
    }

    @Test("A FIFO takes a capture", .timeLimit(.minutes(5)))
    func capturePipe() async throws {
      let arena = try await Arena(.packet, paths: 1)
      let scratch = try Scratch()
      let server = try await arena.kernelServer("--connections", "1", "--receive", "10k")
      let outcome = try await arena.netcat(
        """
        mkfifo \(scratch.file("fifo")); cat \(scratch.file("fifo")) > \(scratch.file("capture")) & reader=$!
        \(Machine.peer) pattern 10k | nc --pcap \(scratch.file("fifo")) \(arena.kernelAddress(1)) 5000 && wait $reader
        """
      ).finish(within: 20)
      #expect(outcome.status == 0, "\(outcome.summary)")
      #expect(try Data(contentsOf: URL(filePath: scratch.file("capture"))).count > 10_000)
      #expect(try await server.finish(within: 20).status == 0)
      let failed = try await arena.ours.start(
        [Machine.mptcp, "nc", "--pcap", scratch.file("none"), "--packet", "nonesuch=10.0.9.2/24", "10.0.9.1", "80"]
      ).finish(within: 20)
      #expect(failed.status == 71 && access(scratch.file("none"), F_OK) != 0, "\(failed.summary)")
    }

    @Test(
      "-k ends with its output, and a signal ends nc in order unless it was ignored", .timeLimit(.minutes(5))
    )
    func endings() async throws {
      let arena = try await Arena(.packet, paths: 1)
      let listener = try arena.netcat("nc -l -k -d -v -p 5000 | head -c1 >/dev/null; exit ${PIPESTATUS[0]}")
      try await listener.waits(for: "listening")
      let client = try arena.kernelClient("--send", "300k")
      #expect(try await listener.finish(within: 10).status == 74)
      client.send(SIGTERM)
      // SIGINT was ignored from the start: it stays so, and SIGHUP ends nc in order.
      let stubborn = try arena.netcat("trap '' INT; nc -l -v -p 5000 </dev/null")
      try await stubborn.waits(for: "listening")
      stubborn.send(SIGINT)
      try await Task.sleep(for: .milliseconds(300))
      #expect(stubborn.isRunning)
      stubborn.send(SIGHUP)
      let outcome = try await stubborn.finish(within: 10)
      #expect(outcome.status == 129, "\(outcome.summary)")
    }
  }
}
