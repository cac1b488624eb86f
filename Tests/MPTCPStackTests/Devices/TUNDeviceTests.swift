import Glibc
import Foundation
import MPTCPCore
import MPTCPWire
import Testing

@testable import MPTCPStack

@Suite(.needsTUN, .timeLimit(.minutes(5)))
struct TUNDeviceTests {
  static let networks = [("10.91.0.2/24", "10.91.0.1"), ("fd91::2/64", "fd91::1")]

  @Test("Packets cross a TUN device both ways", arguments: networks)
  func bothWays(ours: String, kernel: String) async throws {
    try await NetworkNamespace.withNew {
      let prefix = try #require(IPPrefix(ours)), host = try #require(IPAddress(kernel))
      let device = try TUNDevice(name: "ours", addresses: [prefix], hosts: [host])
      #expect(device.configuration.maximumTransmissionUnit == 1_500)
      let our = TransportAddress(prefix.address, 4_000), their = TransportAddress(host, 5_000)
      let socket = try KernelSocket(their)
      try socket.send([1, 2, 3], to: our)
      let payload = try device.receive { packet, _ in try udpPayload(packet.bytes, from: their, to: our) }
      #expect(payload == [1, 2, 3])
      let packet = try udpPacket(from: our, to: their, [4, 5])
      #expect(packet.withUnsafeBytes { device.send(whole: $0, offload: .none, at: .zero) } == .sent)
      #expect(socket.receive() == [4, 5])
    }
  }

  @Test("A burst that comes while nobody reads is kept")
  func burst() async throws {
    try await NetworkNamespace.withNew {
      let prefix = try #require(IPPrefix("10.94.0.2/24")), host = try #require(IPAddress("10.94.0.1"))
      let device = try TUNDevice(name: "burst", addresses: [prefix], hosts: [host])
      let socket = try KernelSocket(TransportAddress(host, 5_000))
      for _ in 0..<1_500 { try socket.send([7], to: TransportAddress(prefix.address, 4_000)) }
      var count = 0
      _ = try device.receive(at: .zero, limit: 4_000) { packet, _ in
        if (try? IPHeader(parsing: packet.bytes))?.protocolNumber == IPProtocol.udp { count += 1 }
      }
      #expect(count == 1_500)
    }
  }

  @Test("An existing device is left as it was", arguments: [false, true], [false, true])
  func restored(hasInformation: Bool, hasHeader: Bool) async throws {
    try await NetworkNamespace.withNew {
      let name = "theirs"
      var options = ["tuntap", "add", name, "mode", "tun"]
      if hasInformation { options.append("pi") }
      if hasHeader { options.append("vnet_hdr") }
      try ip(options)
      let routes = try RouteSocket()
      let before = try routes.link(name)
      #expect(before.tunMode == TUNMode(hasPacketInformation: hasInformation, hasVirtioHeader: hasHeader))
      do {
        let device = try TUNDevice(name: name, addresses: [try #require(IPPrefix("10.95.0.2/24"))])
        #expect(try routes.link(name).tunMode == TUNMode(hasPacketInformation: false, hasVirtioHeader: true))
        _ = device
      }
      #expect(try routes.link(name).tunMode == before.tunMode)
    }
  }

  @Test("An existing device is put back once a process that just started lets go of its descriptor")
  func restoredLater() async throws {
    try await NetworkNamespace.withNew {
      let name = "theirs"
      try ip(["tuntap", "add", name, "mode", "tun"])
      let routes = try RouteSocket()
      do {
        let device = try TUNDevice(name: name, addresses: [try #require(IPPrefix("10.96.0.2/24"))])
        let copy = dup(device.descriptor)
        try #require(copy >= 0)
        Thread.detachNewThread {
          usleep(50_000)
          close(copy)
        }
      }
      #expect(try routes.link(name).tunMode == TUNMode(hasPacketInformation: false, hasVirtioHeader: false))
    }
  }

  private func ip(_ arguments: [String]) throws {
    let command = Process()
    command.executableURL = URL(filePath: "/usr/bin/env")
    command.arguments = ["ip"] + arguments
    try command.run()
    command.waitUntilExit()
    try #require(command.terminationStatus == 0)
  }

  @Test("A device that was made goes with its descriptor")
  func goes() async throws {
    try await NetworkNamespace.withNew {
      let routes = try RouteSocket()
      do {
        let device = try TUNDevice(
          name: "gone", addresses: [try #require(IPPrefix("10.92.0.2/24"))],
          hosts: [try #require(IPAddress("10.92.0.1"))], maximumTransmissionUnit: 1_400)
        #expect(device.configuration.maximumTransmissionUnit == 1_400)
        #expect(try routes.link("gone").isRunning)
      }
      // A process that another test starts has our descriptors for the moment before it runs its program.
      for _ in 0..<200 where (try? routes.link("gone")) != nil { usleep(5_000) }
      #expect(throws: SystemError.self) { try routes.link("gone") }
    }
  }

  @Test("The kernel's segment with an open checksum counts as valid")
  func openChecksum() async throws {
    try await NetworkNamespace.withNew {
      let prefix = try #require(IPPrefix("10.93.0.2/24")), host = try #require(IPAddress("10.93.0.1"))
      let device = try TUNDevice(name: "ours", addresses: [prefix], hosts: [host])
      let socket = try KernelSocket(TransportAddress(host, 5_000))
      try socket.send([9], to: TransportAddress(prefix.address, 4_000))
      let offload = try device.receive { packet, offload in
        try IPHeader(parsing: packet.bytes).protocolNumber == IPProtocol.udp ? offload : nil
      }
      #expect(offload?.checksum == .valid)
    }
  }

  @Test("host= for an existing device is refused with the reason")
  func existing() async throws {
    try await NetworkNamespace.withNew {
      let prefix = try #require(IPPrefix("10.94.0.2/24"))
      let error = #expect(throws: DeviceError.self) {
        try TUNDevice(name: "lo", addresses: [prefix], hosts: [IPAddress(v4: 0x0A5E_0001)])
      }
      #expect(error?.description.contains("exists already") == true)
      let other = #expect(throws: SystemError.self) { try TUNDevice(name: "lo", addresses: [prefix]) }
      #expect(other?.description.contains("not a TUN device") == true)
    }
  }

  @Test("A kernel address outside of our network is refused")
  func wrongHost() async throws {
    try await NetworkNamespace.withNew {
      #expect(throws: DeviceError.self) {
        try TUNDevice(
          name: "ours", addresses: [try #require(IPPrefix("10.95.0.2/24"))],
          hosts: [try #require(IPAddress("10.96.0.1"))])
      }
    }
  }
}
