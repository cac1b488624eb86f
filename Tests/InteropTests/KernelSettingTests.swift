import Foundation
import Testing

extension InteropSuite {
  /// The kernel in all its settings: checksums, no Multipath TCP, endpoints that come and go.
  @Suite(
    "Kernel settings", .serialized,
    .enabled(if: Machine.obstacle == nil, "\(Machine.obstacle ?? "")"))
  struct KernelSettingTests {
    /// Moves bytes both ways over a connection of ours and returns what the kernel said of it.
    @discardableResult
    private func exchange(
      _ arena: Arena, as role: Arena.Role = .client, byteCount: String = "20m", kernel: [String] = [],
      ours: [String] = [], location: SourceLocation = #_sourceLocation
    ) async throws -> PeerReport {
      let workload = ["--receive", byteCount, "--send", byteCount]
      let pair = try await arena.pair(as: role, ours: workload + ours, kernel: workload + kernel)
      return try await pair.finish(location: location).kernel.connection
    }

    /// Has what the kernel sends from its second address leave by its second device.
    private func routeSecondPath(_ arena: Arena) async throws {
      let ip = arena.family == .v6 ? "ip -6" : "ip"
      let gateway = arena.device == .packet ? "via \(arena.ourAddress(2))" : ""
      try await arena.kernel.run(
        script: """
          ip mptcp limits set subflow 8 add_addr_accepted 0
          \(ip) rule add from \(arena.kernelAddress(2)) table 2
          \(ip) route add default \(gateway) dev \(arena.kernelDevice(2)) table 2
          """)
    }

    /// What a connection is beside its Fast Open.
    enum Kind: CaseIterable, Sendable {
      case plain, multipath, checksummed
    }

    /// The first connection brings the cookie, the others have their first data on the SYN.
    @Test(
      "TCP Fast Open: plain, with Multipath TCP, and with its checksums", .timeLimit(.minutes(5)),
      arguments: Arena.Place.all, Kind.allCases)
    func fastOpen(place: Arena.Place, kind: Kind) async throws {
      let arena = try await Arena(place.device, place.family)
      try await arena.kernel.run("sysctl", "-q", "net.ipv4.tcp_fastopen=3")
      if kind == .checksummed { try await arena.kernel.run("sysctl", "-q", "net.mptcp.checksum_enabled=1") }
      let before = try arena.kernel.counters()
      let arguments = ["--fast-open", "--each", "--connections", "4"] + (kind == .plain ? ["--tcp"] : [])
      // A server of ours waits for all of the request, and so for the third ACK: see the next test.
      let patience = place.role == .server && kind != .plain ? ["--send-after-eof"] : []
      let pair = try await arena.pair(
        as: place.role, server: arguments + patience + ["--send", "40000", "--receive", "3000"],
        client: arguments + ["--send", "3000", "--receive", "40000"])
      let (ours, kernel) = try await pair.finish()
      let counted = try arena.kernel.counters().since(before)
      #expect(counted.troubles == [:])
      let opened = counted[place.role == .client ? "TcpExtTCPFastOpenPassive" : "TcpExtTCPFastOpenActive"]
      #expect(opened == 3, "\(counted.summary)\n\(ours.summary)\n\(kernel.summary)")
      for connection in ours.reports("connection") + kernel.reports("connection") {
        #expect(
          connection.succeeded == true && connection.multipath == (kind != .plain)
            && (connection.checksum ?? false) == (kind == .checksummed), "\(ours.summary)\n\(kernel.summary)")
      }
    }

    /// Before the third ACK a listener does not know the peer's key, and maps its data without a DATA_ACK (RFC 8684
    /// §B.3, erratum 6609). This kernel as client wants one on the first data and goes back to TCP: nothing may be lost
    /// by that, and both ends must see it the same way.
    @Test(
      "An answer to a Fast Open before the third ACK: Multipath TCP or TCP, and both ends agree",
      .enabled(if: Machine.hasTUN), .timeLimit(.minutes(5)), arguments: Arena.Family.allCases, [false, true])
    func earlyAnswer(family: Arena.Family, checksum: Bool) async throws {
      let arena = try await Arena(.tun, family, links: ["20ms"])
      try await arena.kernel.run("sysctl", "-q", "net.ipv4.tcp_fastopen=3")
      if checksum { try await arena.kernel.run("sysctl", "-q", "net.mptcp.checksum_enabled=1") }
      let before = try arena.kernel.counters()
      let arguments = ["--fast-open", "--each", "--connections", "4"]
      // More than is buffered: what a connection is, is asked when the last of it is written.
      let pair = try await arena.pair(
        as: .server, server: arguments + ["--send", "4m", "--receive", "3000"],
        client: arguments + ["--send", "3000", "--receive", "4m"])
      let (ours, kernel) = try await pair.finish()
      let counted = try arena.kernel.counters().since(before)
      #expect(counted["TcpExtTCPFastOpenActive"] == 3, "\(counted.summary)")
      let fallbacks = counted["MPTcpExtMPCapableDataFallback"]
      let expected = fallbacks == 0 ? [:] : ["MPTcpExtMPCapableDataFallback": fallbacks]
      #expect(counted.troubles == expected && fallbacks <= 3)
      for side in [ours, kernel] {
        let connections = side.reports("connection")
        #expect(connections.count == 4 && connections.allSatisfy { $0.succeeded == true }, "\(side.summary)")
        #expect(connections.count { $0.multipath != true } == fallbacks, "\(side.summary)")
      }
    }

    @Test("The kernel asks for DSS checksums", .timeLimit(.minutes(5)), arguments: Arena.Place.all)
    func kernelChecksums(place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family)
      try await arena.kernel.run("sysctl", "-q", "net.mptcp.checksum_enabled=1")
      try await expectChecksums(arena, as: place.role, ours: [])
    }

    @Test("We ask for DSS checksums", .timeLimit(.minutes(5)), arguments: Arena.Place.all)
    func ourChecksums(place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family)
      try await expectChecksums(arena, as: place.role, ours: ["--checksum"])
    }

    private func expectChecksums(_ arena: Arena, as role: Arena.Role, ours: [String]) async throws {
      let before = try arena.kernel.counters()
      let connection = try await exchange(arena, as: role, ours: ours)
      #expect(connection.checksum == true && connection.multipath == true)
      let counted = try arena.kernel.counters().since(before)
      #expect(counted["MPTcpExtMPJoinAckRx"] + counted["MPTcpExtMPJoinSynAckRx"] == 1, "\(counted.summary)")
      #expect(counted.troubles == [:])
    }

    @Test(
      "A kernel without Multipath TCP gets plain TCP from us, data intact", .timeLimit(.minutes(5)),
      arguments: TransferTests.places)
    func switchedOff(device: Arena.Device, family: Arena.Family) async throws {
      let arena = try await Arena(device, family)
      try await arena.kernel.run("sysctl", "-q", "net.mptcp.enabled=0")
      let connection = try await exchange(arena, kernel: ["--tcp"])
      #expect(connection.multipath == false)
      // And as server.
      let server = try await arena.server("--connections", "1", "--receive", "20m", "--send", "20m")
      let client = try await arena.kernelClient("--tcp", "--receive", "20m", "--send", "20m").finish()
      #expect(client.status == 0, "\(client.summary)")
      #expect(try await server.finish(within: 20).status == 0)
    }

    @Test("Plain TCP on our side", .timeLimit(.minutes(5)), arguments: TransferTests.places)
    func plainTCP(device: Arena.Device, family: Arena.Family) async throws {
      let arena = try await Arena(device, family)
      let connection = try await exchange(arena, ours: ["--tcp"])
      #expect(connection.multipath == false)
      let server = try await arena.server("--tcp", "--connections", "1", "--receive", "20m", "--send", "20m")
      let client = try await arena.kernelClient("--receive", "20m", "--send", "20m").finish()
      #expect(client.status == 0, "\(client.summary)")
      #expect(try client.connection.multipath == false)
      #expect(try await server.finish(within: 20).status == 0)
    }

    @Test(
      "The kernel announces its second address, and we join there", .timeLimit(.minutes(5)),
      arguments: TransferTests.places)
    func announced(device: Arena.Device, family: Arena.Family) async throws {
      let arena = try await Arena(device, family)
      try await arena.kernel.run("ip", "mptcp", "endpoint", "add", arena.kernelAddress(2), "signal")
      let before = try arena.kernel.counters()
      let connection = try await exchange(arena)
      let counted = try arena.kernel.counters().since(before)
      #expect(counted["MPTcpExtAddAddrTx"] >= 1 && counted["MPTcpExtEchoAdd"] >= 1, "\(counted.summary)")
      #expect(
        connection.subflows?.contains { $0.local?.contains(arena.kernelAddress(2)) == true } == true, "\(connection)")
      #expect(counted.troubles == [:])
    }

    /// Over IPv4: with a port an IPv6 address finds no room beside the timestamps, and the kernel drops it
    /// (AddAddrTxDrop).
    @Test("The kernel announces an address with a port, and we join there", .timeLimit(.minutes(5)))
    func announcedWithPort() async throws {
      // Its listener needs the address at once: on Ethernet it is there before us.
      let arena = try await Arena(.packet)
      try await arena.kernel.run("ip", "mptcp", "endpoint", "add", arena.kernelAddress(1), "signal", "port", "6000")
      let before = try arena.kernel.counters()
      try await exchange(arena)
      let counted = try arena.kernel.counters().since(before)
      #expect(counted["MPTcpExtMPJoinPortAckRx"] >= 1, "\(counted.summary)")
      #expect(counted.troubles == [:])
    }

    @Test(
      "The kernel joins our first address over its second path", .timeLimit(.minutes(5)),
      arguments: TransferTests.places)
    func joinOnSecondPath(device: Arena.Device, family: Arena.Family) async throws {
      let arena = try await Arena(device, family, links: ["200mbit,5ms"])
      let server = try await arena.server("--connections", "1", "--receive", "20m", "--send", "20m")
      try await routeSecondPath(arena)
      try await arena.kernel.run(
        "ip", "mptcp", "endpoint", "add", arena.kernelAddress(2), "dev", arena.kernelDevice(2), "subflow")
      let client = try await arena.kernelClient("--receive", "20m", "--send", "20m").finish()
      #expect(client.status == 0, "\(client.summary)")
      let served = try await server.finish(within: 20)
      #expect(served.status == 0, "\(served.summary)")
      let subflows = try client.connection.subflows ?? []
      #expect(
        subflows.contains {
          $0.local?.contains(arena.kernelAddress(2)) == true && $0.remote?.contains(arena.ourAddress(1)) == true
        },
        "\(client.summary)")
      #expect(subflows.allSatisfy { $0.bytesReceived > 0 }, "\(client.summary)")
    }

    @Test(
      "An announced address is taken back while the transfer runs", .timeLimit(.minutes(5)),
      arguments: ["delete", "flush"], Arena.Place.all.filter { $0.role == .client })
    func takenBack(how: String, place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family, links: ["100mbit,5ms"])
      try await arena.kernel.run("ip", "mptcp", "endpoint", "add", arena.kernelAddress(2), "id", "7", "signal")
      let before = try arena.kernel.counters()
      let server = try await arena.kernelServer("--connections", "1", "--receive", "30m", "--report-every", "1m")
      let client = try arena.client("--send", "30m")
      try await server.waits(for: "progress")
      try await Task.sleep(for: .milliseconds(500))
      try await arena.kernel.run(script: how == "flush" ? "ip mptcp endpoint flush" : "ip mptcp endpoint delete id 7")
      let outcome = try await client.finish(within: 40)
      #expect(outcome.status == 0, "\(outcome.summary)")
      let received = try await server.finish(within: 20)
      #expect(received.status == 0, "\(received.summary)")
      let counted = try arena.kernel.counters().since(before)
      #expect(counted["MPTcpExtRmAddrTx"] >= 1, "\(counted.summary)")
      #expect(counted.troubles == [:])
    }

    @Test(
      "A backup of the kernel's stays idle while another path works", .timeLimit(.minutes(5)),
      arguments: TransferTests.places)
    func backup(device: Arena.Device, family: Arena.Family) async throws {
      let arena = try await Arena(device, family, links: ["100mbit,5ms"])
      let server = try await arena.server("--connections", "1", "--receive", "16m", "--send", "16m")
      try await routeSecondPath(arena)
      try await arena.kernel.run(
        "ip", "mptcp", "endpoint", "add", arena.kernelAddress(2), "dev", arena.kernelDevice(2), "subflow", "backup")
      let client = try await arena.kernelClient("--receive", "16m", "--send", "16m").finish()
      #expect(client.status == 0, "\(client.summary)")
      #expect(try await server.finish(within: 20).status == 0)
      let second = try client.connection.subflows?.first { $0.local?.contains(arena.kernelAddress(2)) == true }
      let idle = try #require(second, "\(client.summary)").bytesReceived
      #expect(idle < 1 << 20, "\(client.summary)")
    }

    /// Over IPv4: an IPv6 address of the kernel is deaf while its own device is down.
    @Test(
      "Our backup path stays idle, and takes over when the other dies", .timeLimit(.minutes(5)),
      arguments: Arena.Device.available)
    func ourBackup(device: Arena.Device) async throws {
      let arena = try await Arena(device, links: ["100mbit,5ms", "100mbit,5ms,backup"])
      let server = try await arena.kernelServer("--connections", "1", "--receive", "24m", "--report-every", "1m")
      let client = try arena.client("--send", "24m")
      while (PeerReport.all(in: server.output).last?.received ?? 0) < 8 << 20 {
        try await Task.sleep(for: .milliseconds(5))
      }
      let idle = try await arena.kernel.byteCount(of: arena.kernelDevice(2)).received
      #expect(idle < 1 << 20)
      try await arena.kernel.run("ip", "link", "set", arena.kernelDevice(1), "down")
      let outcome = try await client.finish(within: 40)
      #expect(outcome.status == 0, "\(outcome.summary)")
      #expect(try await server.finish(within: 20).status == 0)
    }

    @Test(
      "The kernel refuses joins to its first address (flag C); we join the one it announces", .timeLimit(.minutes(5)),
      arguments: TransferTests.places)
    func noJoinToInitialAddress(device: Arena.Device, family: Arena.Family) async throws {
      let arena = try await Arena(device, family)
      try await arena.kernel.run("sysctl", "-q", "net.mptcp.allow_join_initial_addr_port=0")
      let before = try arena.kernel.counters()
      let lonely = try await exchange(arena)
      #expect(lonely.multipath == true)
      #expect(try arena.kernel.counters().since(before)["MPTcpExtMPJoinSynRx"] == 0)
      try await arena.kernel.run("ip", "mptcp", "endpoint", "add", arena.kernelAddress(2), "signal")
      try await exchange(arena)
      let counted = try arena.kernel.counters().since(before)
      #expect(counted["MPTcpExtMPJoinAckRx"] >= 1, "\(counted.summary)")
      #expect(counted.troubles == [:])
    }

    @Test("Eight subflows share a connection", .timeLimit(.minutes(5)), arguments: Arena.Place.all)
    func eightSubflows(place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family, paths: 8)
      let before = try arena.kernel.counters()
      try await exchange(arena, as: place.role, byteCount: "64m")
      let counted = try arena.kernel.counters().since(before)
      #expect(counted["MPTcpExtMPJoinAckRx"] + counted["MPTcpExtMPJoinSynAckRx"] == 7, "\(counted.summary)")
      #expect(counted.troubles == [:])
    }
  }
}
