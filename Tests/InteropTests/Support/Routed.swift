/// Our stack on TUN devices of a router, the kernel's peer behind another one: how it is used on real Wi-Fi and LTE.
///
/// Our addresses are 10.0.1.2 and 10.0.2.2 on TUN devices t1 and t2 of the first router. Its outer devices w1 and w2
/// are 10.2.1.2 and 10.2.2.2, and lead to the second router (10.2.1.1, 10.2.2.1). The peer behind that one has 10.1.1.1
/// and 10.1.2.1 on k1 and k2.
struct Routed {
  let router, hop, peer: NetworkNamespace

  /// - Parameter hopMTU: the MTU of the links between the routers, in bytes; all others have 1,500.
  init(hopMTU: Int = 1500) async throws {
    router = try await NetworkNamespace()
    hop = try await NetworkNamespace(sharingUserNamespaceOf: router)
    peer = try await NetworkNamespace(sharingUserNamespaceOf: router)
    for path in 1...2 {
      try await hop.run("ip", "link", "add", "h\(path)", "type", "veth", "peer", "name", "w\(path)")
      try await hop.move("w\(path)", to: router)
      try await hop.run("ip", "link", "add", "f\(path)", "type", "veth", "peer", "name", "k\(path)")
      try await hop.move("k\(path)", to: peer)
      try await hop.run(
        script: """
          ip address add 10.2.\(path).1/24 dev h\(path); ip link set h\(path) up mtu \(hopMTU)
          ip address add 10.1.\(path).2/24 dev f\(path); ip link set f\(path) up
          """)
      // What comes from an address on one path leaves by the device that goes with it.
      try await router.run(
        script: """
          ip address add 10.2.\(path).2/24 dev w\(path); ip link set w\(path) up mtu \(hopMTU)
          ip rule add from 10.0.\(path).2 table \(100 + path)
          ip route add default via 10.2.\(path).1 dev w\(path) table \(100 + path)
          """)
      try await peer.run(
        script: """
          ip address add 10.1.\(path).1/24 dev k\(path); ip link set k\(path) up
          ip route add 10.2.\(path).0/24 via 10.1.\(path).2
          """)
    }
    for namespace in [router, hop] { try await namespace.run("sysctl", "-q", "net.ipv4.ip_forward=1") }
    try await peer.run("ip", "mptcp", "limits", "set", "subflow", "8", "add_addr_accepted", "8")
  }

  /// Everybody knows the way back to our addresses: no translation is needed.
  func routeBack() async throws {
    for path in 1...2 {
      try await hop.run("ip", "route", "add", "10.0.\(path).0/24", "via", "10.2.\(path).2")
      try await peer.run("ip", "route", "add", "10.0.\(path).0/24", "via", "10.1.\(path).2")
    }
  }

  /// The recipe of docs/real-networks.md: each device translates what leaves by it.
  func masquerade() async throws {
    try await router.run(
      script: """
        nft 'add table ip multipath
        add chain ip multipath out { type nat hook postrouting priority srcnat; }
        add rule ip multipath out ip saddr 10.0.0.0/16 oifname { w1, w2 } masquerade'
        """)
  }

  /// The routers keep it to themselves when a packet is too big.
  func dropICMP() async throws {
    for namespace in [router, hop] {
      try await namespace.run(
        script: """
          nft 'add table ip quiet
          add chain ip quiet out { type filter hook output priority 0; }
          add rule ip quiet out icmp type destination-unreachable drop'
          """)
    }
  }

  var pathArguments: [String] {
    ["--tun", "t1=10.0.1.2/24,host=10.0.1.1", "--tun", "t2=10.0.2.2/24,host=10.0.2.1"]
  }

  /// Moves bytes both ways between our client on the router and the peer.
  func exchange(_ byteCount: String) async throws -> (ours: ChildProcess.Outcome, peers: ChildProcess.Outcome) {
    let server = try peer.start(
      [Machine.peer, "server", "--connections", "1", "--receive", byteCount, "--send", byteCount, "0.0.0.0:5000"])
    try await server.waits(for: "listening")
    let client = try router.start(
      [Machine.stackPeer, "client"] + pathArguments + ["--receive", byteCount, "--send", byteCount, "10.1.1.1:5000"])
    let ours = try await client.finish(within: 60)
    return (ours, try await server.finish(within: 20))
  }
}
