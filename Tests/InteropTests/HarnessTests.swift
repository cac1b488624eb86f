import Foundation
import Testing

extension InteropSuite {
  /// The harness itself, with the kernel on both sides: what fails here is no fault of our stack.
  @Suite("Harness", .serialized, .enabled(if: Machine.obstacle == nil, "\(Machine.obstacle ?? "")"))
  struct HarnessTests {
    @Test("The kernel talks to itself over loopback, and every byte is checked", .timeLimit(.minutes(5)))
    func loopback() async throws {
      let namespace = try await NetworkNamespace()
      let before = try namespace.counters()
      let server = try namespace.start([
        Machine.peer, "server", "--connections", "1", "--send", "3m", "--receive", "5m", "127.0.0.1:5000",
      ])
      try await server.waits(for: "listening")
      let client = try namespace.start([Machine.peer, "client", "--send", "5m", "--receive", "3m", "127.0.0.1:5000"])
      let outcome = try await client.finish()
      #expect(outcome.status == 0, "\(outcome.summary)")
      #expect(try outcome.connection.multipath == true)
      #expect(try await server.finish().status == 0)
      let counted = try namespace.counters().since(before)
      #expect(counted["MPTcpExtMPCapableSYNRX"] == 1)
      #expect(counted.troubles == [:])
    }

    @Test("A byte that differs is found", .timeLimit(.minutes(5)))
    func differenceIsFound() async throws {
      let outcome = try await ChildProcess([
        "bash", "-o", "pipefail", "-c", "\(Machine.peer) pattern 100000 1 | \(Machine.peer) check 100000 2",
      ]).finish()
      #expect(outcome.status == 1)
      #expect(outcome.reports("checked").first?.firstDifference == 0)
    }

    @Test("The kernel joins a second path through the relay", .enabled(if: Machine.hasTUN), .timeLimit(.minutes(5)))
    func relayedJoin() async throws {
      let pair = try await RelayedPair(paths: 2)
      try await pair.client.run("ip", "mptcp", "endpoint", "add", "10.0.1.2", "dev", "tun1", "subflow")
      let capture = Machine.hasTShark ? try await PacketCapture(on: "any", in: pair.server) : nil
      let before = try pair.server.counters()
      let server = try pair.server.start([
        Machine.peer, "server", "--connections", "1", "--receive", "64m", "10.0.0.1:5000",
      ])
      try await server.waits(for: "listening")
      let client = try pair.client.start([Machine.peer, "client", "--send", "64m", "10.0.0.1:5000"])
      let outcome = try await client.finish()
      #expect(outcome.status == 0, "\(outcome.summary)")
      let received = try await server.finish()
      #expect(try received.connection.received == 64 << 20, "\(received.summary)")
      let counted = try pair.server.counters().since(before)
      #expect(counted["MPTcpExtMPJoinAckRx"] == 1, "\(counted.summary)")
      #expect(counted.troubles == [:])
      if let capture {
        let malformed = try await capture.malformed()
        #expect(malformed == [])
      }
    }

    @Test("A namespace takes what runs inside with it", .timeLimit(.minutes(5)))
    func nothingRemains() async throws {
      var namespace: NetworkNamespace? = try await NetworkNamespace()
      let sleeper = try #require(try namespace?.start(["sleep", "60"]))
      // nsenter becomes the program it starts: once it is named sleep, it is inside.
      while try String(contentsOfFile: "/proc/\(sleeper.identifier)/comm", encoding: .utf8) != "sleep\n" {
        try await Task.sleep(for: .milliseconds(1))
      }
      namespace = nil
      let outcome = try await sleeper.finish(within: 10)
      #expect(outcome.status == 128 + 9)
    }
  }
}
