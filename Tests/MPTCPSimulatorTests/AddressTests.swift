import MPTCPWire
import Testing

@testable import MPTCPSimulator

@Suite("Each address is one interface's")
struct AddressTests {
  private func host(_ name: String, _ interfaces: String...) -> String {
    let interfaces = interfaces.map { "{\($0)}" }.joined(separator: ", ")
    return #"{"name": "\#(name)", "interfaces": [\#(interfaces)]}"#
  }

  private func problem(_ hosts: String..., paths: String = "") -> String? {
    SmallScenarios.problem(#"{"hosts": [\#(hosts.joined(separator: ", "))], "paths": [\#(paths)]}"#)
  }

  @Test(
    "What is no address of one host is refused",
    arguments: ["0.0.0.0", "224.0.0.1", "255.255.255.255", "127.0.0.1", "::", "ff02::1", "::1", "::ffff:10.0.0.1"])
  func notOfOneHost(text: String) {
    #expect(
      problem(host("a", #""name": "x", "addresses": ["192.0.2.1", "\#(text)"]"#))
        == "hosts[0].interfaces[0].addresses[1]: '\(text)': expected an address that one host can have, such as "
        + "192.0.2.1 or 2001:db8::1")
  }

  @Test("An address that another interface has is refused")
  func twice() {
    let x = #""name": "x", "addresses": ["192.0.2.1"]"#
    #expect(
      problem(host("a", x, #""name": "y", "addresses": ["192.0.2.1"]"#))
        == "hosts[0].interfaces[1].addresses[0]: '192.0.2.1' is the address of a.x; give each interface its own")
    #expect(
      problem(host("a", x), host("b", #""name": "y", "addresses": ["192.0.2.2", "192.0.2.1"]"#))
        == "hosts[1].interfaces[0].addresses[1]: '192.0.2.1' is the address of a.x; give each interface its own")
    #expect(
      problem(host("a", #""name": "x", "addresses": ["192.0.2.1", "192.0.2.1"]"#))
        == "hosts[0].interfaces[0].addresses[1]: '192.0.2.1' is the address of a.x; give each interface its own")
  }

  @Test("One that would be given out is nobody else's")
  func givenOut() {
    let x = #""name": "x", "addresses": ["10.0.0.2"]"#
    #expect(
      problem(host("a", x, #""name": "y""#))
        == "hosts[0].interfaces[1]: 10.0.0.2 would be given out to a.y, but is the address of a.x; give it others")
    // It does not matter which of them comes first.
    #expect(
      problem(host("a", #""name": "x""#), host("b", #""name": "y", "addresses": ["10.0.0.1"]"#))
        == "hosts[0].interfaces[0]: 10.0.0.1 would be given out to a.x, but is the address of b.y; give it others")
    #expect(
      problem(
        host("a", #""name": "x", "addresses": ["10.0.1.1"]"#), paths: #"{"between": ["a.x", "b"], "link": "1ms"}"#)
        == "paths[0].between: 10.0.1.1 would be given out to b.eth0, but is the address of a.x; give it others")
    #expect(
      problem(host("a", #""name": "x", "addresses": ["fd00::1"]"#, #""name": "y", "family": "ipv6""#)) == nil)
    #expect(
      problem(host("a", #""name": "x", "addresses": ["fd00::2"]"#, #""name": "y", "family": "ipv6""#))
        == "hosts[0].interfaces[1]: fd00::2 would be given out to a.y, but is the address of a.x; give it others")
  }

  @Test("More interfaces than there are addresses to give out are refused")
  func room() throws {
    func scenario(_ count: Int) -> String {
      let paths = (0..<count).map { #"{"between": ["a.i\#($0)", "b"], "link": "1ms"}"# }
      return #"{"paths": [\#(paths.joined(separator: ", "))]}"#
    }
    #expect(
      SmallScenarios.problem(scenario(300))
        == "paths[255].between: 'a' has more interfaces than there are addresses 10.0.0.1 to 10.0.0.255; give this one "
        + "addresses of its own, in hosts")
    #expect(SmallScenarios.problem(scenario(255)) == nil)
    // Beyond 256 hosts the second octet counts on.
    let many = (0..<300).map { #"{"between": ["h\#($0)", "s"], "link": "1ms"}"# }.joined(separator: ", ")
    let plan = try Plan(SmallScenarios.parse(#"{"paths": [\#(many)]}"#))
    #expect(Set(plan.hosts.flatMap(\.interfaces).flatMap(\.addresses)).count == 301)
    #expect(plan.hosts[300].interfaces[0].addresses == [IPAddress("10.1.44.1")])
  }
}
