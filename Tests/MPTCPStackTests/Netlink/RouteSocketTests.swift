import MPTCPWire
import Testing

@testable import MPTCPStack

@Suite(.needsNamespaces, .timeLimit(.minutes(1)))
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

  @Test("A missing interface is named, with a way out")
  func missing() {
    let error = #expect(throws: SystemError.self) { try RouteSocket().link("nonesuch0") }
    #expect(error?.description.contains("nonesuch0") == true)
  }
}
