/// Two namespaces, each with the kernel's stack, joined by `mptcp-peer relay` over pairs of TUN devices.
///
/// Path `i` is 10.0.i.1 (server) to 10.0.i.2 (client), and fd00:i::1 to fd00:i::2.
struct RelayedPair {
  let server, client: NetworkNamespace
  let relay: ChildProcess

  init(paths: Int) async throws {
    server = try await NetworkNamespace()
    client = try await NetworkNamespace(sharingUserNamespaceOf: server)
    var devices: [String] = []
    for path in 0..<paths { devices += ["tun\(path)@\(server.path)", "tun\(path)@\(client.path)"] }
    relay = try ChildProcess([Machine.peer, "relay"] + devices)
    try await relay.waits(for: "ready")
    for path in 0..<paths {
      for (namespace, host) in [(server, 1), (client, 2)] {
        try await namespace.run(
          script: """
            ip address add 10.0.\(path).\(host)/24 dev tun\(path)
            ip address add fd00:\(path)::\(host)/64 dev tun\(path) nodad
            ip link set tun\(path) up
            """)
      }
    }
    for path in 0..<paths {
      // What comes from a path's address leaves on that path, whatever it is for.
      try await client.run(
        script: """
          ip rule add from 10.0.\(path).2 table \(path + 1)
          ip route add default dev tun\(path) table \(path + 1)
          ip -6 rule add from fd00:\(path)::2 table \(path + 1)
          ip -6 route add default dev tun\(path) table \(path + 1)
          """)
    }
    try await client.run(script: "ip mptcp limits set subflow 8 add_addr_accepted 8")
    try await server.run(script: "ip mptcp limits set subflow 8 add_addr_accepted 8")
  }
}
