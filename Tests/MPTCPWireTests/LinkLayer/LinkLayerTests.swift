import Testing

@testable import MPTCPWire

@Suite struct LinkLayerTests {
  @Test func arpPacketsComeBackAsTheyWereWritten() throws {
    var random = SeededGenerator(seed: 5)
    for _ in 0..<1_000 {
      let packet = ARPPacket(
        operation: random.flag() ? .request : .reply, senderHardware: MACAddress(random.number()),
        senderAddress: IPAddress(v4: random.number()), targetHardware: MACAddress(random.number()),
        targetAddress: IPAddress(v4: random.number()))
      let bytes = try written { buffer throws(WireError) in try packet.write(into: buffer) }
      #expect(bytes.count == 28)
      // Behind an Ethernet frame's minimum length there is padding.
      #expect(try ARPPacket(parsing: (bytes + [0, 0, 0]).span.bytes) == packet)
    }
  }

  @Test func anARPRequestIsLaidOutAsInRFC826() throws {
    let packet = ARPPacket(
      operation: .request, senderHardware: MACAddress(0x0200_0000_0001), senderAddress: IPAddress(v4: 0x0a00_0001),
      targetAddress: IPAddress(v4: 0x0a00_0002))
    let bytes = try written { buffer throws(WireError) in try packet.write(into: buffer) }
    #expect(
      bytes == [
        0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
      ])
  }

  @Test func arpOfOtherKindsAndCutPacketsNameTheField() throws {
    let good = try written { buffer throws(WireError) in
      try ARPPacket(
        operation: .reply, senderHardware: .zero, senderAddress: .anyV4, targetAddress: .anyV4
      ).write(into: buffer)
    }
    for count in 0..<28 {
      #expect(throws: WireError(.arpPacket, .truncated, at: 0)) {
        try ARPPacket(parsing: Array(good[..<count]).span.bytes)
      }
    }
    for index in 0..<6 {
      var bad = good
      bad[index] ^= 0x10
      #expect(throws: WireError(.arpAddressType, .badValue, at: 0)) { try ARPPacket(parsing: bad.span.bytes) }
    }
    var bad = good
    bad[7] = 9
    #expect(throws: WireError(.arpOperation, .badValue, at: 6)) { try ARPPacket(parsing: bad.span.bytes) }
  }

  @Test func ethernetHeadersComeBackAsTheyWereWritten() throws {
    let header = EthernetHeader(destination: .broadcast, source: MACAddress(0x0203_0405_0607), type: .arp)
    let bytes = try written { buffer throws(WireError) in try header.write(into: buffer) }
    #expect(bytes == [255, 255, 255, 255, 255, 255, 2, 3, 4, 5, 6, 7, 8, 6])
    #expect(try EthernetHeader(parsing: bytes.span.bytes) == header)
    #expect(throws: WireError(.ethernetHeader, .truncated, at: 0)) {
      try EthernetHeader(parsing: Array(bytes[..<13]).span.bytes)
    }
  }

  @Test func groupsHaveLinkLayerAddressesOfTheirOwn() throws {
    let node = try #require(IPAddress("fe80::1:ff12:3456"))
    #expect(node.solicitedNodeMulticast.description == "ff02::1:ff12:3456")
    #expect(MACAddress(multicast: node.solicitedNodeMulticast)?.description == "33:33:ff:12:34:56")
    #expect(MACAddress(multicast: IPAddress(v4: 0xe080_0102))?.description == "01:00:5e:00:01:02")
    #expect(MACAddress(multicast: node) == nil)
  }

  @Test(arguments: ["02:00:5e:10:00:ff", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"])
  func linkLayerAddressesReadAndPrintTheSameText(text: String) throws {
    #expect(MACAddress(text)?.description == text)
  }

  @Test(arguments: [
    "", "02:00:5e:10:00", "02:00:5e:10:00:ff:01", "2:0:5e:10:00:ff", "02:00:5e:10:00:fg", "+2:00:5e:10:00:ff",
  ])
  func otherTextsAreNoLinkLayerAddresses(text: String) { #expect(MACAddress(text) == nil) }
}
