import Foundation
import MPTCPStack
import Multipath
import Testing

@Suite(
  .enabled(
    if: NetworkNamespace.isAdministrator && FileManager.default.isWritableFile(atPath: "/dev/net/tun"),
    "these tests make network namespaces and TUN devices: run them as root where /dev/net/tun exists"),
  .timeLimit(.minutes(5)))
struct StackTests {
  /// The stack's namespace from outside.
  private struct Network: @unchecked Sendable {
    // Used by one test at a time.
    let routes: RouteSocket
    let stack: MultipathStack
  }

  private static func network(capture: String? = nil) async throws -> Network {
    try await NetworkNamespace.withNew {
      let routes = try RouteSocket()
      try routes.addEthernetPair("ours", "theirs")
      try routes.setLink("ours", isUp: true)
      try routes.setLink("theirs", isUp: true)
      let stack = try MultipathStack(
        paths: [
          .tun(
            "mp0", addresses: [IPPrefix(IPAddress(v4: 0x0A09_0102), length: 24)], hosts: [IPAddress(v4: 0x0A09_0101)]),
          .packet("ours", addresses: [IPPrefix(IPAddress(v4: 0x0A09_0202), length: 24)]),
        ], capture: capture)
      return Network(routes: routes, stack: stack)
    }
  }

  private static func wait(_ condition: () async -> Bool) async throws {
    while await !condition() { try await Task.sleep(for: .milliseconds(2)) }
  }

  @Test("A path is down while its link is, and up again when the link is")
  func followsLinks() async throws {
    let network = try await Self.network()
    #expect(await network.stack.paths.map(\.isUp) == [true, true])
    try network.routes.setLink("theirs", isUp: false)
    try await Self.wait { await network.stack.paths.map(\.isUp) == [true, false] }
    try network.routes.setLink("mp0", isUp: false)
    try await Self.wait { await network.stack.paths.map(\.isUp) == [false, false] }
    try network.routes.setLink("theirs", isUp: true)
    try network.routes.setLink("mp0", isUp: true)
    try await Self.wait { await network.stack.paths.map(\.isUp) == [true, true] }
    await network.stack.shutdown()
  }

  @Test("A path goes with its device")
  func vanishes() async throws {
    let network = try await Self.network()
    try network.routes.removeLink("theirs")
    try await Self.wait { await network.stack.paths.map(\.name) == ["mp0"] }
    try network.routes.removeLink("mp0")
    try await Self.wait { await network.stack.paths.isEmpty }
    await network.stack.shutdown()
  }

  @Test("A path that is removed takes the device that was made for it along")
  func removes() async throws {
    let network = try await Self.network()
    let path = try #require(await network.stack.paths.first)
    await network.stack.removePath(path.id)
    #expect(await network.stack.paths.count == 1)
    // A process that another test starts has our descriptors for the moment before it runs its program.
    for _ in 0..<200 where (try? network.routes.link("mp0")) != nil { try await Task.sleep(for: .milliseconds(5)) }
    #expect(throws: SystemError.self) { try network.routes.link("mp0") }
    await network.stack.shutdown()
  }

  @Test("A capture names each path and holds what was sent, while the stack still runs")
  func captures() async throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "capture-\(UUID()).pcapng")
    defer { try? FileManager.default.removeItem(at: file) }
    let network = try await Self.network(capture: file.path)
    // Nobody listens: the kernel answers the SYN with RST.
    await #expect(throws: MultipathError.self) {
      try await MultipathConnection.connect(to: "10.9.1.1", port: 9, on: network.stack)
    }
    let bytes = try Data(contentsOf: file)
    #expect(bytes.prefix(4) == Data([0x0A, 0x0D, 0x0D, 0x0A]))
    #expect(bytes.range(of: Data("mp0".utf8)) != nil)
    #expect(bytes.range(of: Data("ours".utf8)) != nil)
    #expect(bytes.range(of: Data([10, 9, 1, 2, 10, 9, 1, 1])) != nil)
    await network.stack.shutdown()
  }

  @Test("A device that cannot be had is named with the way out")
  func refuses() async throws {
    try await NetworkNamespace.withNew {
      let address = IPPrefix(IPAddress(v4: 0x0A09_0302), length: 24)
      let missing = #expect(throws: MultipathError.self) {
        try MultipathStack(paths: [.packet("nonesuch0", addresses: [address])])
      }
      #expect(
        missing?.description
          == "cannot find the interface 'nonesuch0': No such device; 'ip link' lists those that exist")
      let loopback = #expect(throws: MultipathError.self) {
        try MultipathStack(paths: [.packet("lo", addresses: [address])])
      }
      #expect(loopback?.kind == .device)
      let file = #expect(throws: MultipathError.self) { try MultipathStack(capture: "/nonesuch/file") }
      #expect(file?.description.contains("/nonesuch/file") == true)
    }
  }
}
