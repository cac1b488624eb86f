import Foundation
import Glibc
import Testing

extension InteropSuite {
  /// `mptcp` as scripts and people meet it.
  @Suite("Commands", .serialized, .enabled(if: Machine.obstacle == nil, "\(Machine.obstacle ?? "")"))
  struct CommandTests {
    @Test(
      "A missing permission is named, with the way to get it, and status 77", .enabled(if: geteuid() == 0),
      .timeLimit(.minutes(5)))
    func missingPermission() async throws {
      let arena = try await Arena(.packet, paths: 1)
      let scratch = try Scratch()
      let copy = try scratch.copyForOthers(of: Machine.mptcp)
      for (path, word) in [
        ("--tun t0=10.0.0.2/24,host=10.0.0.1", "/dev/net/tun"), ("--packet p1=10.0.1.2/24", "CAP_NET_RAW"),
      ] {
        let outcome = try await arena.ours.start(
          script: "exec setpriv --reuid=65534 --regid=65534 --clear-groups \(copy) nc \(path) 10.0.1.1 1"
        ).finish(within: 10)
        #expect(outcome.status == 77, "\(outcome.summary)")
        #expect(outcome.errors.split(separator: "\n").count == 1 && outcome.errors.contains(word), "\(outcome.errors)")
      }
    }

    @Test("Nobody listens: status 1 at once", .timeLimit(.minutes(5)), arguments: TransferTests.places)
    func refused(device: Arena.Device, family: Arena.Family) async throws {
      let arena = try await Arena(device, family)
      let outcome = try await arena.netcat("nc \(arena.kernelAddress(1)) 4999 < /dev/null").finish(within: 20)
      #expect(outcome.status == 1, "\(outcome.summary)")
      #expect(outcome.errors.contains("\(4999)"))
    }

    @Test("Nobody answers: -w ends it, status 1", .timeLimit(.minutes(5)))
    func unanswered() async throws {
      let arena = try await Arena()
      let outcome = try await arena.netcat("nc -w 1 10.0.1.77 5000 < /dev/null").finish(within: 20)
      #expect(outcome.status == 1, "\(outcome.summary)")
      #expect(outcome.seconds < 5)
    }

    @Test("Nothing moves: -w ends it, status 3", .timeLimit(.minutes(5)))
    func idle() async throws {
      let arena = try await Arena()
      let server = try await arena.kernelServer("--receive", "1g")
      let outcome = try await arena.netcat("sleep 5 | nc -w 1 \(arena.kernelAddress(1)) 5000").finish(within: 20)
      #expect(outcome.status == 3, "\(outcome.summary)")
      server.send(SIGTERM)
    }

    @Test("-z finds what listens, and says nothing else", .timeLimit(.minutes(5)))
    func scan() async throws {
      let arena = try await Arena()
      let server = try await arena.kernelServer("--echo")
      let found = try await arena.netcat("nc -z -v \(arena.kernelAddress(1)) 4999-5001").finish(within: 20)
      #expect(found.status == 0, "\(found.summary)")
      #expect(found.errors.contains("port 5000 answers, with Multipath TCP"), "\(found.errors)")
      let missed = try await arena.netcat("nc -z \(arena.kernelAddress(1)) 4999").finish(within: 20)
      #expect(missed.status == 1 && missed.errors.isEmpty, "\(missed.summary)")
      server.send(SIGTERM)
    }

    @Test("-k serves one connection after another", .timeLimit(.minutes(5)))
    func keepsListening() async throws {
      let arena = try await Arena()
      let listener = try arena.netcat("nc -l -k -d -v -p 5000")
      try await listener.waits(for: "listening")
      for _ in 0..<3 {
        let client = try await arena.kernelClient("--send", "1000").finish(within: 20)
        #expect(client.status == 0, "\(client.summary)")
      }
      listener.send(SIGINT)
      let outcome = try await listener.finish(within: 10)
      #expect(outcome.errors.components(separatedBy: "received 1000 bytes").count == 4, "\(outcome.errors)")
    }

    @Test(
      "A capture that cannot be written is said once, after the whole transfer, status 74", .timeLimit(.minutes(5)),
      arguments: ["/dev/full", "/dev/shm/capture"])
    func fullCapture(file: String) async throws {
      let arena = try await Arena(.packet)
      let scratch = try Scratch()
      let server = try await arena.kernelServer("--connections", "1", "--receive", "3m")
      let outcome = try await arena.netcat(
        """
        small() {
          mount -t tmpfs -o size=64k none /dev/shm
          status=0
          \(Machine.peer) pattern 3m | nc "$@" || status=$?
          if [ -f /dev/shm/capture ]; then cp /dev/shm/capture \(scratch.file("capture")); fi
          return $status
        }
        export -f small
        unshare -m bash -euc 'small "$@"' - --pcap \(file) \(arena.kernelAddress(1)) 5000
        """
      ).finish(within: 30)
      #expect(outcome.status == 74, "\(outcome.summary)")
      #expect(outcome.errors == "mptcp: cannot write the capture '\(file)': No space left on device\n")
      // It ends with the last packet that is whole.
      if file != "/dev/full" {
        let capture = try CaptureFile(scratch.file("capture"))
        #expect(capture.isWhole)
      }
      #expect(try await server.finish(within: 20).status == 0)
    }

    @Test("A subflow that the peer prohibits is told in words", .timeLimit(.minutes(5)))
    func prohibitedSubflow() async throws {
      let arena = try await Arena(.packet)
      try await arena.kernel.run(script: "ip mptcp limits set subflow 0")
      let server = try await arena.kernelServer("--connections", "1", "--receive", "3m")
      let outcome = try await arena.netcat(
        "\(Machine.peer) pattern 3m | nc -v \(arena.kernelAddress(1)) 5000"
      ).finish(within: 30)
      #expect(outcome.status == 0, "\(outcome.summary)")
      #expect(outcome.errors.contains("gone, reset by the peer (administratively prohibited); "), "\(outcome.errors)")
      #expect(try await server.finish(within: 20).status == 0)
    }

    @Test(
      "-v names each subflow, and --pcap has an interface for each path", .timeLimit(.minutes(5)),
      arguments: Arena.Device.available)
    func verboseAndCapture(device: Arena.Device) async throws {
      let arena = try await Arena(device)
      let file = FileManager.default.temporaryDirectory.appending(path: "mptcp-interop-\(UUID().uuidString).pcapng")
        .path
      defer { try? FileManager.default.removeItem(atPath: file) }
      let server = try await arena.kernelServer("--connections", "1", "--receive", "3m")
      let outcome = try await arena.netcat(
        "\(Machine.peer) pattern 3m | nc -v --pcap \(file) \(arena.kernelAddress(1)) 5000"
      ).finish(within: 30)
      #expect(outcome.status == 0, "\(outcome.summary)")
      #expect(try await server.finish(within: 20).status == 0)
      #expect(outcome.errors.contains("subflow 0") && outcome.errors.contains("subflow 1"), "\(outcome.errors)")
      #expect(outcome.errors.contains(arena.ourAddress(2)), "\(outcome.errors)")
      guard Machine.hasTShark else { return }
      let interfaces = try await run("tshark", "-r", file, "-T", "fields", "-e", "frame.interface_id", "-Y", "tcp")
      #expect(Set(interfaces.split(separator: "\n")) == ["0", "1"])
      let wrong = try await run(
        "tshark", "-r", file, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-d",
        "tcp.port==1-65535,data", "-Y", "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0")
      #expect(wrong == "")
    }
  }
}
