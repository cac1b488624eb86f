import Testing

@testable import MPTCPSimulator

@Suite("What a NAT makes of addresses leads back over its own path")
struct OuterAddressTests {
  private func problem(_ first: String, _ second: String, _ secondEnds: String = #""c.y", "s""#) -> String? {
    SmallScenarios.problem(
      """
      {"paths": [{"between": ["a.x", "s"], "link": "10mbit,5ms", "boxes": [\(first)]},
                 {"between": [\(secondEnds)], "link": "10mbit,5ms", "boxes": [\(second)]}]}
      """)
  }

  private func nat(_ addresses: String...) -> String {
    #"{"nat": {"addresses": [\#(addresses.map { "\"\($0)\"" }.joined(separator: ", "))]}}"#
  }

  @Test("Two NATs before one interface have addresses of their own")
  func twoPaths() {
    #expect(
      problem(nat("192.0.2.1"), nat("192.0.2.2", "192.0.2.1"))
        == "paths[1].boxes[0].nat.addresses[1]: from s.eth0, 192.0.2.1 leads back over another path; give this NAT others"
    )
    #expect(problem(nat("192.0.2.1"), nat("192.0.2.2")) == nil)
    // Another interface of the server's has a way of its own.
    #expect(problem(nat("192.0.2.1"), nat("192.0.2.1"), #""a.y", "s.eth1""#) == nil)
  }

  @Test("One NAT behind another may have the same address")
  func onePath() { #expect(problem(nat("192.0.2.1", "192.0.2.1") + ", " + nat("192.0.2.1"), "") == nil) }

  @Test("They are not other interfaces' addresses")
  func interfaces() {
    // Of the other client, of the server, and of the host behind it itself.
    #expect(
      problem(nat("10.0.2.1"), "")
        == "paths[0].boxes[0].nat.addresses[0]: 10.0.2.1 is the address of c.y; give this NAT others")
    #expect(
      problem("", "{\"stripSYNData\": {}}, " + nat("10.0.1.1"))
        == "paths[1].boxes[1].nat.addresses[0]: 10.0.1.1 is the address of s.eth0; give this NAT others")
    #expect(problem(nat("10.0.0.1"), "") == nil)
  }

  @Test("They are addresses that one host can have", arguments: ["0.0.0.0", "224.0.0.1", "ff02::1"])
  func kind(text: String) {
    #expect(
      problem(nat(text), "")
        == "paths[0].boxes[0].nat.addresses[0]: '\(text)': expected an address that one host can have, such as 192.0.2.1 "
        + "or 2001:db8::1")
  }
}
