import Glibc
import MPTCPCore
import MPTCPWire
import Testing

@testable import MPTCPStack

@Suite(.needsNamespaces, .timeLimit(.minutes(5)))
struct PacketDeviceTests {
  private static func onPair<R>(
    _ kernel: String, _ body: (RouteSocket) throws -> R
  ) throws -> R {
    let routes = try RouteSocket()
    try routes.addEthernetPair("ours", "theirs")
    try routes.addAddress(try #require(IPPrefix(kernel)), to: "theirs")
    try routes.setLink("ours", isUp: true)
    try routes.setLink("theirs", isUp: true)
    try routes.waitUntilLocal(try #require(IPPrefix(kernel)).address)
    return try body(routes)
  }

  private static func device(_ ours: String, gateway: String? = nil) throws -> PacketDevice {
    try PacketDevice(
      name: "ours", addresses: [try #require(IPPrefix(ours))],
      gateways: gateway.flatMap { IPAddress($0) }.map { [$0] } ?? [],
      random: 0x1234_5678_9ABC, at: Instant(nanoseconds: MonotonicClock.now))
  }

  static let networks = [("10.81.0.2/24", "10.81.0.1/24"), ("fd81::2/64", "fd81::1/64")]

  @Test("The kernel finds us, and we find it, on an Ethernet link", arguments: networks)
  func bothWays(ours: String, kernel: String) async throws {
    try await NetworkNamespace.withNew {
      try Self.onPair(kernel) { _ in
        let device = try Self.device(ours)
        let our = TransportAddress(try #require(IPPrefix(ours)).address, 4_000)
        let their = TransportAddress(try #require(IPPrefix(kernel)).address, 5_000)
        let socket = try KernelSocket(their)
        // Ours first: it has to ask for the kernel's address, and holds the packet until the answer.
        let packet = try udpPacket(from: our, to: their, [4, 5])
        #expect(
          packet.withUnsafeBytes {
            device.send(whole: $0, offload: .none, at: Instant(nanoseconds: MonotonicClock.now))
          } == .sent)
        #expect(try device.deliver(to: socket) == [4, 5])
        try socket.send([1, 2, 3], to: our)
        let payload = try device.receive { packet, _ in try udpPayload(packet.bytes, from: their, to: our) }
        #expect(payload == [1, 2, 3])
      }
    }
  }

  @Test("Without a gateway the link's own networks are all that a device leads to", arguments: networks)
  func reach(ours: String, kernel: String) async throws {
    try await NetworkNamespace.withNew {
      try Self.onPair(kernel) { _ in
        let neighbor = try #require(IPPrefix(kernel)).address
        let far = try #require(IPAddress(neighbor.family == .v4 ? "192.0.2.1" : "2001:db8::1"))
        let near = try #require(IPAddress(neighbor.family == .v4 ? "169.254.7.7" : "fe80::7"))
        let alone = try Self.device(ours).configuration
        #expect(alone.leads(to: neighbor) && alone.leads(to: near) && !alone.leads(to: far))
        let routed = try Self.device(ours, gateway: "\(neighbor)").configuration
        #expect(routed.leads(to: neighbor) && routed.leads(to: near) && routed.leads(to: far))
      }
    }
  }

  @Test("We answer when the kernel asks first", arguments: networks)
  func kernelAsksFirst(ours: String, kernel: String) async throws {
    try await NetworkNamespace.withNew {
      try Self.onPair(kernel) { _ in
        let device = try Self.device(ours)
        let our = TransportAddress(try #require(IPPrefix(ours)).address, 4_000)
        let their = TransportAddress(try #require(IPPrefix(kernel)).address, 5_000)
        try KernelSocket(their).send([7], to: our)
        let payload = try device.receive { packet, _ in try udpPayload(packet.bytes, from: their, to: our) }
        #expect(payload == [7])
      }
    }
  }

  @Test(
    "Packets for an address that we have on another link are taken in",
    arguments: [("10.81.0.2/24", "10.81.0.3/24", "10.87.0.2"), ("fd81::2/64", "fd81::3/64", "fd87::2")],
    [false, true])
  func otherLinksAddress(link: (ours: String, theirs: String, other: String), isShared: Bool) async throws {
    try await NetworkNamespace.withNew {
      try Self.onPair("10.81.0.1/24") { _ in
        let now = Instant(nanoseconds: MonotonicClock.now)
        let device = try PacketDevice(
          name: "ours", addresses: [try #require(IPPrefix(link.ours))], gateways: [], random: 1,
          sharesHardwareAddress: isShared, at: now)
        let far = try PacketDevice(
          name: "theirs", addresses: [try #require(IPPrefix(link.theirs))],
          gateways: [try #require(IPPrefix(link.ours)).address], random: 2, at: now)
        let other = TransportAddress(try #require(IPAddress(link.other)), 4_000)
        let their = TransportAddress(far.configuration.addresses[0].address, 5_000)
        func arrives(_ octet: UInt8) throws -> Bool {
          let packet = try udpPacket(from: their, to: other, [octet])
          let outcome = packet.withUnsafeBytes {
            far.send(whole: $0, offload: .none, at: Instant(nanoseconds: MonotonicClock.now))
          }
          #expect(outcome == .sent)
          var payload: [UInt8]?
          for _ in 0..<100 where payload == nil {
            let now = Instant(nanoseconds: MonotonicClock.now)
            _ = try device.receive(at: now, limit: 8) { packet, _ in
              payload = (try? udpPayload(packet.bytes, from: their, to: other)) ?? payload
            }
            _ = try far.receive(at: now, limit: 8) { _, _ in }
            usleep(1_000)
          }
          return payload == [octet]
        }
        #expect(try !arrives(1))
        try device.accept(packetsTo: [other.address])
        #expect(try arrives(2))
      }
    }
  }

  @Test(
    "A host that nobody answers for is told of as unreachable, and what waited for it counts as lost",
    arguments: [("10.81.0.2/24", "10.81.0.1/24", "10.81.0.9"), ("fd81::2/64", "fd81::1/64", "fd81::9")])
  func silentNeighbor(ours: String, kernel: String, silent: String) async throws {
    try await NetworkNamespace.withNew {
      try Self.onPair(kernel) { _ in
        let device = try Self.device(ours)
        let our = TransportAddress(try #require(IPPrefix(ours)).address, 4_000)
        let packet = try udpPacket(from: our, to: TransportAddress(try #require(IPAddress(silent)), 5_000), [1])
        let start = Instant(nanoseconds: MonotonicClock.now)
        #expect(packet.withUnsafeBytes { device.send(whole: $0, offload: .none, at: start) } == .sent)
        var messages: [ICMPMessage] = []
        for second in 1...4 {
          device.advance(to: start + .seconds(Int64(second))) { packet, _ in
            if let ip = try? IPHeader(parsing: packet.bytes), ip.destination == our.address,
              let message = try? ICMPMessage(parsing: packet.bytes, header: ip)
            {
              messages.append(message)
            }
          }
        }
        #expect(messages.count == 1 && device.lostPackets == 1)
        guard case .destinationUnreachable(let code, _, let quotation)? = messages.first else {
          Issue.record("\(messages)")
          return
        }
        #expect(code == (our.address.family == .v4 ? 1 : 3))
        #expect(quotation.header.destination == IPAddress(silent))
      }
    }
  }

  @Test("Packets to other networks go by way of the gateway")
  func gateway() async throws {
    try await NetworkNamespace.withNew {
      try Self.onPair("10.82.0.1/24") { routes in
        try routes.addAddress(try #require(IPPrefix("10.83.0.1/32")), to: "theirs")
        let device = try Self.device("10.82.0.2/24", gateway: "10.82.0.1")
        let our = TransportAddress(IPAddress(v4: 0x0A52_0002), 4_000)
        let their = TransportAddress(IPAddress(v4: 0x0A53_0001), 5_000)
        let socket = try KernelSocket(their)
        let packet = try udpPacket(from: our, to: their, [6])
        #expect(
          packet.withUnsafeBytes {
            device.send(whole: $0, offload: .none, at: Instant(nanoseconds: MonotonicClock.now))
          } == .sent)
        #expect(try device.deliver(to: socket) == [6])
      }
    }
  }

  @Test("Without a gateway a packet to another network is dropped")
  func noGateway() async throws {
    try await NetworkNamespace.withNew {
      try Self.onPair("10.82.0.1/24") { routes in
        let device = try Self.device("10.82.0.2/24")
        let packet = try udpPacket(
          from: TransportAddress(IPAddress(v4: 0x0A52_0002), 1), to: TransportAddress(IPAddress(v4: 1), 1), [])
        #expect(packet.withUnsafeBytes { device.send(whole: $0, offload: .none, at: .zero) } == .dropped)
      }
    }
  }

  @Test("An address that the kernel owns is refused with the reason")
  func kernelAddress() async throws {
    try await NetworkNamespace.withNew {
      try Self.onPair("10.84.0.1/24") { routes in
        let error = #expect(throws: DeviceError.self) { try Self.device("10.84.0.1/24") }
        #expect(error?.description.contains("belongs to this host's kernel") == true)
      }
    }
  }

  @Test("An address that another host uses takes the device down")
  func duplicate() async throws {
    try await NetworkNamespace.withNew {
      let routes = try RouteSocket()
      try routes.addEthernetPair("ours", "theirs")
      try routes.setLink("ours", isUp: true)
      try routes.setLink("theirs", isUp: true)
      let now = Instant(nanoseconds: MonotonicClock.now)
      let prefix = try #require(IPPrefix("10.85.0.2/24"))
      let first = try PacketDevice(name: "theirs", addresses: [prefix], gateways: [], random: 1, at: now + .seconds(-9))
      let second = try PacketDevice(name: "ours", addresses: [prefix], gateways: [], random: 2, at: now)
      _ = try first.receive(at: now, limit: 8) { _, _ in }
      let error = #expect(throws: SystemError.self) { try second.receive(at: now, limit: 8) { _, _ in } }
      #expect(error?.description.contains("uses our address") == true)
    }
  }

  @Test(
    "Sharing the kernel's link-layer address beside a kernel that forwards, we get our packets and it keeps still",
    arguments: networks)
  func shared(ours: String, kernel: String) async throws {
    try await NetworkNamespace.withNew {
      let routes = try RouteSocket()
      try routes.addEthernetPair("ours", "theirs")
      // The kernel has an address of its own there, and would send our packets on, with a redirect to their sender.
      let ourPrefix = try #require(IPPrefix(ours))
      let beside =
        ourPrefix.address.family == .v4 ? IPAddress(v4: 0x0A51_0009) : IPAddress(v6High: ourPrefix.address.high, low: 9)
      try routes.addAddress(IPPrefix(beside, length: ourPrefix.length), to: "ours")
      try routes.setLink("ours", isUp: true)
      try routes.setLink("theirs", isUp: true)
      for path in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        let file = open("/proc/sys/net/\(path)", O_WRONLY)
        #expect(write(file, "1", 1) == 1)
        close(file)
      }
      let our = TransportAddress(try #require(IPPrefix(ours)).address, 4_000)
      let their = TransportAddress(try #require(IPPrefix(kernel)).address, 5_000)
      let now = Instant(nanoseconds: MonotonicClock.now)
      let near = try PacketDevice(
        name: "ours", addresses: [try #require(IPPrefix(ours))], gateways: [], random: 1, sharesHardwareAddress: true,
        at: now)
      let far = try PacketDevice(
        name: "theirs", addresses: [try #require(IPPrefix(kernel))], gateways: [], random: 2, at: now)
      let packet = try udpPacket(from: their, to: our, [1, 2])
      #expect(packet.withUnsafeBytes { far.send(whole: $0, offload: .none, at: now) } == .sent)
      var payload: [UInt8]?
      var strays = 0
      for _ in 0..<100 {
        let now = Instant(nanoseconds: MonotonicClock.now)
        _ = try near.receive(at: now, limit: 8) { packet, _ in
          payload = (try? udpPayload(packet.bytes, from: their, to: our)) ?? payload
        }
        _ = try far.receive(at: now, limit: 8) { _, _ in strays += 1 }
        usleep(1_000)
      }
      #expect(payload == [1, 2])
      #expect(strays == 0)
    }
  }

  @Test("An interface without a link layer is refused")
  func loopback() async throws {
    try await NetworkNamespace.withNew {
      #expect(throws: DeviceError.self) {
        try PacketDevice(
          name: "lo", addresses: [try #require(IPPrefix("10.86.0.2/24"))], gateways: [], random: 1, at: .zero)
      }
    }
  }
}
