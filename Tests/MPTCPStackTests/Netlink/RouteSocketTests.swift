import Glibc
import MPTCPWire
import Testing

@testable import MPTCPStack

@Suite(.needsNamespaces, .timeLimit(.minutes(5)))
struct RouteSocketTests {
  @Test("Links, addresses, routes and rules can be made and taken back")
  func changes() async throws {
    try await NetworkNamespace.withNew {
      let routes = try RouteSocket()
      try routes.addEthernetPair("one", "two")
      try routes.setLink("one", isUp: true, maximumTransmissionUnit: 1_300)
      let link = try routes.link("one")
      #expect(link.maximumTransmissionUnit == 1_300)
      #expect(link.isUp && !link.isRunning)
      #expect(link.hardwareType == 1)
      #expect(link.hardwareAddress.count == 6)
      for text in ["10.1.0.1/24", "fd01::1/64"] {
        let prefix = try #require(IPPrefix(text))
        try routes.addAddress(prefix, to: "one")
        #expect(try routes.addresses().contains { $0.address == prefix.address && $0.interfaceIndex == link.index })
        try routes.removeAddress(prefix, from: "one")
        #expect(try !routes.addresses().contains { $0.address == prefix.address })
      }
      try routes.addAddress(try #require(IPPrefix("10.1.0.1/24")), to: "one")
      try routes.addRoute(
        to: try #require(IPPrefix("10.2.0.0/16")), by: IPAddress("10.1.0.9"), on: "one", table: 1_000)
      let from = try #require(IPPrefix("10.1.0.1/32"))
      try routes.addRule(from: from, table: 1_000, priority: 100)
      try routes.removeRule(from: from, table: 1_000, priority: 100)
      #expect(throws: SystemError.self) { try routes.removeRule(from: from, table: 1_000, priority: 100) }
      try routes.removeLink("one")
      #expect(throws: SystemError.self) { try routes.link("two") }
    }
  }

  @Test("The monitor tells when a link goes down, comes up and is gone")
  func monitors() async throws {
    try await NetworkNamespace.withNew {
      let routes = try RouteSocket()
      try routes.addEthernetPair("one", "two")
      try routes.setLink("two", isUp: true)
      let monitor = try LinkMonitor(interfaceIndex: try routes.link("one").index)
      #expect(monitor.poll() == nil)
      try routes.setLink("one", isUp: true)
      #expect(monitor.poll() == .up)
      try routes.setLink("one", isUp: false)
      #expect(monitor.poll() == .down)
      try routes.removeLink("two")
      #expect(monitor.poll() == .gone)
    }
  }

  @Test("Of more news than its socket holds the monitor gives the last")
  func lostNews() async throws {
    try await NetworkNamespace.withNew {
      let routes = try RouteSocket()
      try routes.addEthernetPair("one", "two")
      try routes.setLink("two", isUp: true)
      let monitor = try LinkMonitor(interfaceIndex: try routes.link("one").index)
      for _ in 0..<400 {
        try routes.setLink("one", isUp: true)
        try routes.setLink("one", isUp: false)
      }
      try routes.setLink("one", isUp: true)
      #expect(monitor.poll() == .up)
      for _ in 0..<400 {
        try routes.setLink("one", isUp: false)
        try routes.setLink("one", isUp: true)
      }
      try routes.removeLink("one")
      #expect(monitor.poll() == .gone)
    }
  }

  @Test("An interface that leaves a bridge is not gone")
  func bridges() throws {
    func reply(_ type: UInt16, family: UInt8) throws -> NetlinkReply {
      let header = [family, 0, 1, 0] + Int32(7).nativeBytes + UInt32(0x1_0041).nativeBytes + [0, 0, 0, 0]
      let message = NetlinkMessage(type: type, flags: 0, sequence: 0, header: header)
      return try #require(NetlinkReply.parse(message.bytes[...]).first)
    }
    #expect(LinkMonitor.news(in: try reply(17, family: 7), of: 7) == nil)
    #expect(LinkMonitor.news(in: try reply(16, family: 7), of: 7) == nil)
    #expect(LinkMonitor.news(in: try reply(17, family: 0), of: 7) == .gone)
    #expect(LinkMonitor.news(in: try reply(16, family: 0), of: 7) == .up)
    #expect(LinkMonitor.news(in: try reply(16, family: 0), of: 8) == nil)
  }

  @Test("That IPv6 is switched off is said, with the way to switch it on")
  func withoutIPv6() async throws {
    try await NetworkNamespace.withNew {
      let routes = try RouteSocket()
      try routes.addEthernetPair("one", "two")
      let file = open("/proc/sys/net/ipv6/conf/one/disable_ipv6", O_WRONLY)
      try #require(file >= 0 && write(file, "1", 1) == 1)
      close(file)
      let error = #expect(throws: SystemError.self) {
        try routes.addAddress(try #require(IPPrefix("fd01::1/64")), to: "one")
      }
      #expect(error?.isPermission == false)
      #expect(error?.description.contains("net.ipv6.conf.one.disable_ipv6=0") == true, "\(error?.description ?? "")")
    }
  }

  @Test("A missing interface is named, with a way out")
  func missing() {
    let error = #expect(throws: SystemError.self) { try RouteSocket().link("nonesuch0") }
    #expect(error?.description.contains("nonesuch0") == true)
  }
}
