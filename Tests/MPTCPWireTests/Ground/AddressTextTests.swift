import Testing

@testable import MPTCPWire

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

@Suite struct AddressTextTests {
  @Test(arguments: [
    ("2001:db8::1", "2001:db8::1"), ("2001:0DB8:0:0:0:0:2:1", "2001:db8::2:1"),
    ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
    ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("::", "::"), ("::1", "::1"), ("1::", "1::"),
    ("::ffff:192.0.2.1", "::ffff:192.0.2.1"), ("::FFFF:c000:201", "::ffff:192.0.2.1"), ("::192.0.2.1", "::c000:201"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("64:ff9b::10.0.0.1", "64:ff9b::a00:1"), ("10.0.0.1", "10.0.0.1"),
    ("255.255.255.255", "255.255.255.255"),
  ])
  func addressesPrintInTheirCanonicalForm(text: String, canonical: String) {
    #expect(IPAddress(text)?.description == canonical)
  }

  @Test(arguments: [
    "", ".", ":", ":::", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.", "+1.2.3.4", "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "::g", "fe80::1%eth0", "1:2:3:4:5:6:7:8::", ":1:2:3:4:5:6:7",
    "1.2.3.4::",
    "::1.2.3.4:5", "[::1]", " ::1", "::1.2.3",
  ])
  func otherTextsAreNoAddresses(text: String) { #expect(IPAddress(text) == nil) }

  @Test func everyAddressReadsBackFromItsText() {
    var random = SeededGenerator(seed: 70)
    for _ in 0..<5_000 {
      // Zero groups in random places make `::` fall everywhere.
      let mask = (0..<8).reduce(UInt64(0)) { mask, _ in mask << 8 | (random.flag() ? 0xff : 0) }
      let address =
        random.flag()
        ? IPAddress(v4: random.number())
        : IPAddress(
          v6High: random.number(UInt64.self) & mask & (mask << 8 | mask >> 8), low: random.number(UInt64.self) & mask)
      #expect(IPAddress(address.description) == address)
    }
  }

  @Test func theSystemAcceptsTheSameTexts() {
    var random = SeededGenerator(seed: 71)
    let pieces = ["1", "0", "ff", "::", ":", ".", "12", "255", "1.2.3.4", "abcd", "00", "256", "1:2:3"]
    for _ in 0..<50_000 {
      let text = (0...random.below(9)).map { _ in pieces[random.below(pieces.count)] }.joined()
      var v4 = in_addr()
      var v6 = in6_addr()
      let isAddress = inet_pton(AF_INET, text, &v4) == 1 || inet_pton(AF_INET6, text, &v6) == 1
      #expect((IPAddress(text) != nil) == isAddress, "\(text)")
    }
  }

  @Test func endsCarryTheirPort() throws {
    let v6 = TransportAddress(try #require(IPAddress("2001:db8::1")), 443)
    let v4 = TransportAddress(try #require(IPAddress("10.0.0.1")), 80)
    #expect(v6.description == "[2001:db8::1]:443")
    #expect(v4.description == "10.0.0.1:80")
    #expect(TransportAddress(v6.description) == v6)
    #expect(TransportAddress(v4.description) == v4)
    for text in ["10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:+1", "::1:80", "[10.0.0.1]:80", "[::1]", ":80"] {
      #expect(TransportAddress(text) == nil, "\(text)")
    }
  }

  @Test func prefixesContainTheirOwnNetworkOnly() throws {
    var random = SeededGenerator(seed: 72)
    for _ in 0..<5_000 {
      let address = random.address()
      let bits = address.family == .v4 ? 32 : 128
      let prefix = IPPrefix(address, length: random.below(bits + 1))
      let flipped = random.below(bits)
      let other =
        address.family == .v4
        ? IPAddress(v4: address.v4 ^ (1 << UInt32(31 - flipped)))
        : IPAddress(
          v6High: address.high ^ (flipped < 64 ? 1 << UInt64(63 - flipped) : 0),
          low: address.low ^ (flipped < 64 ? 0 : 1 << UInt64(127 - flipped)))
      #expect(prefix.contains(address))
      #expect(prefix.contains(other) == (flipped >= prefix.length))
      #expect(IPPrefix(prefix.description) == prefix)
    }
    #expect(IPPrefix("10.0.0.1") == IPPrefix(IPAddress(v4: 0x0a00_0001), length: 32))
    #expect(!(try #require(IPPrefix("0.0.0.0/0"))).contains(.anyV6))
    for text in ["10.0.0.1/33", "10.0.0.1/", "10.0.0.1/-1", "10.0.0.1/+8", "::/129", "/8", "10.0.0.0/8/8"] {
      #expect(IPPrefix(text) == nil, "\(text)")
    }
  }

  @Test func addressesKnowWhatTheyAreFor() throws {
    func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }
    #expect(try address("127.0.0.2").isLoopback && address("::1").isLoopback && !address("::2").isLoopback)
    #expect(try address("224.0.0.1").isMulticast && address("ff02::1").isMulticast && !address("fe80::1").isMulticast)
    #expect(try address("169.254.1.1").isLinkLocal && address("febf::1").isLinkLocal && !address("fec0::1").isLinkLocal)
    #expect(try !address("255.255.255.255").isUnicast && !IPAddress.anyV4.isUnicast && address("10.0.0.1").isUnicast)
    #expect(try address("::ffff:10.0.0.1").unmappedV4 == address("10.0.0.1"))
    #expect(try address("::10.0.0.1").unmappedV4 == nil)
  }
}
