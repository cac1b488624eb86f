import MPTCPTools
import MPTCPWire
import Testing

@Suite("Path options")
struct PathOptionTests {
  @Test("A TUN path has a name, our address, and the kernel's")
  func tun() throws {
    let option = try PathOption(.tun, parsing: "tun0=10.0.1.2/24,host=10.0.1.1")
    #expect(option.interface == "tun0")
    #expect(option.addresses == [.init(local: try #require(IPPrefix("10.0.1.2/24")), other: IPAddress("10.0.1.1"))])
    #expect(option.link == nil)
    #expect(!option.isBackup)
  }

  @Test("A packet path has a gateway, IPv6 included")
  func packet() throws {
    let option = try PathOption(.packet, parsing: "eth0=2001:db8::7/64,gateway=2001:db8::1")
    #expect(option.addresses[0].other == IPAddress("2001:db8::1"))
  }

  @Test("What is neither an address nor backup describes the link")
  func link() throws {
    let option = try PathOption(.tun, parsing: "t=10.0.1.2/24,40mbit,20ms,host=10.0.1.1,loss=1%,backup,seed=7")
    #expect(option.link?.bitsPerSecond == 40_000_000)
    #expect(option.link?.delay == .milliseconds(20))
    #expect(option.link?.seed == 7)
    #expect(option.isBackup)
    #expect(option.addresses[0].other == IPAddress("10.0.1.1"))
  }

  @Test("Paths and directions of the same text have chance of their own")
  func chance() throws {
    let option = try PathOption(.tun, parsing: "t=10.0.1.2/24,loss=5%")
    let links = try (0..<3).map { try #require(option.links(index: $0)) }
    #expect(Set(links.flatMap { [$0.outgoing.seed, $0.incoming.seed] }).count == 6)
    #expect(try PathOption(.tun, parsing: "t=10.0.1.2/24").links(index: 0) == nil)
  }

  @Test(
    "A wrong path is refused in one line that names the wrong part",
    arguments: [
      ("tun0", "'='"), ("=10.0.1.2/24", "''"), ("a-name-that-is-too-long=10.0.1.2/24", "'a-name-that-is-too-long'"),
      ("tun0=10.0.1.2", "'10.0.1.2'"), ("tun0=10.0.1.300/24", "'10.0.1.300/24'"), ("tun0=10.0.1.2/33", "'10.0.1.2/33'"),
      ("tun0=10.0.1.2/24,host=nonsense", "'nonsense'"), ("tun0=10.0.1.2/24,host=10.0.9.1", "'host=10.0.9.1'"),
      ("tun0=10.0.1.2/24,host=10.0.1.2", "'host=10.0.1.2'"),
      ("tun0=10.0.1.2/24,gateway=10.0.1.1", "'gateway=10.0.1.1'"),
      ("tun0=10.0.1.2/24,", "commas"), ("tun0=10.0.1.2/24,,backup", "commas"), ("..=10.0.1.2/24", "'..'"),
      ("a:b=10.0.1.2/24", "'a:b'"), ("t%d=10.0.1.2/24", "'t%d'"), ("all=10.0.1.2/24", "'all'"),
      ("tun0=127.0.0.1/8", "127.0.0.1"), ("tun0=10.0.1.0/24", "10.0.1.0"), ("tun0=10.0.1.255/24", "10.0.1.255"),
      ("tun0=10.0.1.2/24,loss=lots", "'loss=lots'"), ("tun0=224.0.0.1/24", "224.0.0.1"), ("tun0=0.0.0.0/0", "0.0.0.0"),
      ("tun0=fd00::/64", "fd00::"), ("tun0=fd00:0:0:1::/65", "fd00:0:0:1::"), ("tun0=fd00::/48", "fd00::"),
      ("tun0=10.0.1.2/24,host=10.0.1.1,host=10.0.1.3", "twice"), ("tun0=fd00::2/64,host=fe80::1", "'host=fe80::1'"),
      ("tun0=10.0.1.2/32,host=fd00::1", "'host=fd00::1'"), ("tun0=10.0.1.2/32,host=10.0.1.2", "'host=10.0.1.2'"),
    ])
  func refusal(text: String, named: String) {
    let problem = #expect(throws: ArgumentProblem.self) { try PathOption(.tun, parsing: text) }
    #expect(problem?.description.contains(named) == true, "\(problem?.description ?? "")")
    #expect(problem?.description.contains("\n") == false)
    #expect(problem?.description.hasPrefix("--tun \(text)") == true)
  }

  @Test(
    "A router of IPv6 may have a link-local address, and beside an address without a network stands any other",
    arguments: [
      ("eth0=fd00::2/64,gateway=fe80::1", PathOption.Kind.packet), ("eth0=10.0.1.2/32,gateway=10.9.9.1", .packet),
      ("tun0=10.0.1.2/32,host=10.0.1.1", .tun), ("tun0=fd00::2/128,host=fd00:9::1", .tun), ("tun0=fd00::/127", .tun),
    ])
  func others(text: String, kind: PathOption.Kind) {
    #expect(throws: Never.self) { try PathOption(kind, parsing: text) }
  }

  @Test("Where a network has but two addresses, or one, each is a host's", arguments: [30, 31, 32])
  func smallNetworks(length: Int) throws {
    let addresses = length == 30 ? ["10.0.1.1", "10.0.1.2"] : ["10.0.1.0", "10.0.1.1"]
    for address in addresses {
      #expect(throws: Never.self) { try PathOption(.tun, parsing: "tun0=\(address)/\(length)") }
    }
  }

  @Test("One device named twice is one path with two addresses")
  func joining() throws {
    let paths = try PathOption.joined([
      PathOption(.tun, parsing: "tun0=10.0.1.2/24,host=10.0.1.1"), PathOption(.tun, parsing: "tun1=10.0.2.2/24"),
      PathOption(.tun, parsing: "tun0=fd00:1::2/64,host=fd00:1::1"),
    ])
    #expect(paths.map(\.interface) == ["tun0", "tun1"])
    #expect(paths[0].addresses.count == 2)
  }

  @Test("A link that is described twice is refused")
  func twoLinks() throws {
    let first = try PathOption(.tun, parsing: "tun0=10.0.1.2/24,20ms")
    #expect(throws: ArgumentProblem.self) {
      try PathOption.joined([first, PathOption(.tun, parsing: "tun0=fd00::2/64,40ms")])
    }
    #expect(try PathOption.joined([first, PathOption(.tun, parsing: "tun0=fd00::2/64")])[0].link != nil)
  }

  @Test("The same address on two paths, or two kinds for one device, is refused")
  func conflicts() throws {
    let first = try PathOption(.tun, parsing: "tun0=10.0.1.2/24")
    #expect(throws: ArgumentProblem.self) {
      try PathOption.joined([first, PathOption(.tun, parsing: "tun1=10.0.1.2/24")])
    }
    #expect(throws: ArgumentProblem.self) {
      try PathOption.joined([first, PathOption(.packet, parsing: "tun0=10.0.1.3/24")])
    }
  }
}
