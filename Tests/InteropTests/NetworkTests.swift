import Foundation
import Testing

extension InteropSuite {
  /// What lies between: small hops, address translation, hosts that forward.
  @Suite(
    "Networks", .serialized,
    .enabled(if: Machine.obstacle == nil, "\(Machine.obstacle ?? "")"))
  struct NetworkTests {
    @Test(
      "A hop of 1,280 bytes, with ICMP and with ICMP dropped", .enabled(if: Machine.hasTUN && Machine.hasNFTables),
      .timeLimit(.minutes(10)), arguments: [true, false])
    func smallHop(hasICMP: Bool) async throws {
      let network = try await Routed(hopMTU: 1280)
      try await network.routeBack()
      if !hasICMP {
        try await network.dropICMP()
        // How the kernel finds its way through a black hole is not ours to test: it probes from the start.
        try await network.peer.run("sysctl", "-q", "net.ipv4.tcp_mtu_probing=2", "net.ipv4.tcp_base_mss=1000")
      }
      let (ours, peers) = try await network.exchange("8m")
      #expect(ours.status == 0, "\(ours.summary)")
      #expect(peers.status == 0, "\(peers.summary)")
    }

    @Test(
      "Two masqueraded paths through a router: the recipe for Wi-Fi and LTE",
      .enabled(if: Machine.hasTUN && Machine.hasNFTables), .timeLimit(.minutes(5)))
    func masquerade() async throws {
      let network = try await Routed()
      try await network.masquerade()
      let before = try network.peer.counters()
      let (ours, peers) = try await network.exchange("32m")
      #expect(ours.status == 0, "\(ours.summary)")
      #expect(peers.status == 0, "\(peers.summary)")
      // Each path's translated packets left by the device that goes with it.
      for device in ["w1", "w2"] {
        let carried = try await network.router.byteCount(of: device).sent
        #expect(carried > 2 << 20, "\(device)")
      }
      #expect(try network.peer.counters().since(before)["MPTcpExtMPJoinAckRx"] == 1)
      let troubles = try network.peer.counters().since(before).troubles
      #expect(troubles == [:])
    }

    @Test(
      "A host that forwards, beside our packet socket, does not disturb it", .timeLimit(.minutes(5)),
      arguments: Arena.Family.allCases)
    func forwardingHost(family: Arena.Family) async throws {
      let arena = try await Arena(.packet, family)
      // The host on whose interfaces we listen has addresses of its own there, and forwards.
      try await arena.ours.run(
        script: """
          for path in 1 2; do
            ip address add 10.0.$path.9/24 dev p$path
            ip address add fd00:$path::9/64 dev p$path nodad
          done
          sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
          """)
      let before = try arena.kernel.counters()
      let server = try await arena.kernelServer("--connections", "1", "--receive", "64m", "--send", "64m")
      let client = try arena.client("--receive", "64m", "--send", "64m")
      let outcome = try await client.finish(within: 60)
      #expect(outcome.status == 0, "\(outcome.summary)")
      #expect(try await server.finish(within: 20).status == 0)
      let counted = try arena.kernel.counters().since(before)
      #expect(counted["MPTcpExtMPJoinAckRx"] == 1, "\(counted.summary)")
      #expect(counted.troubles == [:])
      #expect(counted["IcmpInRedirects"] == 0 && counted["IcmpInDestUnreachs"] == 0)
    }

    @Test("An existing TUN device is used as it is, and stays", .enabled(if: Machine.hasTUN), .timeLimit(.minutes(5)))
    func existingDevice() async throws {
      let arena = try await Arena(paths: 1)
      try await arena.kernel.run(
        script: "ip tuntap add dev own mode tun; ip address add 10.0.1.1/24 dev own; ip link set own up")
      let server = try await arena.kernelServer("--connections", "1", "--receive", "5m")
      let client = try arena.kernel.start(
        script: "\(Machine.peer) pattern 5m 1 | \(Machine.mptcp) nc --tun own=10.0.1.2/24 10.0.1.1 5000")
      let outcome = try await client.finish(within: 30)
      #expect(outcome.status == 0, "\(outcome.summary)")
      #expect(try await server.finish(within: 20).status == 0)
      let device = try await arena.kernel.run("ip", "address", "show", "own")
      #expect(device.contains("10.0.1.1/24"))
    }
  }
}
