import MPTCPWire
import PacketFactory
import Testing

@testable import MPTCPLink

@Suite struct AddressTranslatorTests {
  private let outerV4 = IPAddress(v4: 0xc000_0207)
  private let outerV6 = IPAddress(v6High: 0x2001_0db8_0000_0007, low: 9)

  /// The server's answer to a packet, addressed to whom it saw.
  private func answer(_ packet: MiddleboxPacket, _ talk: Conversation) -> [UInt8] {
    guard let seen = packet.segment else { return [] }
    var template = SegmentTemplate(payloadByteCount: 33, isIPv6: talk.isIPv6)
    template.source = seen.destination
    template.destination = seen.source
    return template.packet()
  }

  @Test(arguments: [false, true]) func aFlowHasOneOuterAddressAndTheWayBackLeadsToTheClient(isIPv6: Bool) throws {
    let talk = Conversation(isIPv6: isIPv6)
    var box = Middlebox(.nat(AddressTranslation(addresses: [outerV4, outerV6])), seed: 8, at: .zero)
    let inner = try #require(MiddleboxPacket(talk.syn(), .forward).segment)
    let out = try #require(box.pass(talk.syn()).first)
    let seen = try #require(out.segment)
    #expect(out.isIntact && seen.source.address == (isIPv6 ? outerV6 : outerV4))
    #expect(seen.source.port != inner.source.port && seen.source.port >= 1024)
    #expect(seen.destination == inner.destination)
    #expect(seen.options == inner.options)
    let data = try #require(box.pass(talk.data(stream(0..<77), at: 0)).first)
    #expect(data.segment?.source == seen.source && data.isIntact)
    let back = try #require(box.pass(answer(out, talk), .backward).first)
    #expect(back.segment?.destination == inner.source && back.isIntact)
    #expect(back.segment?.payload.count == 33)
    #expect(box.counters[.addressTranslated] == 3)
  }

  @Test func withoutAnAddressOnlyThePortChanges() throws {
    let talk = Conversation()
    var box = Middlebox(.nat(AddressTranslation()), seed: 8, at: .zero)
    let seen = try #require(box.pass(talk.syn()).first?.segment)
    #expect(seen.source.address == IPAddress(v4: 0x0a00_0001) && seen.source.port != 40_000)
  }

  @Test func nobodyElseReachesTheClient() throws {
    let talk = Conversation()
    var box = Middlebox(.nat(AddressTranslation(addresses: [outerV4])), seed: 8, at: .zero)
    let out = try #require(box.pass(talk.syn()).first)
    var template = SegmentTemplate()
    template.source = TransportAddress(IPAddress(v4: 0x0a00_0063), 443)
    template.destination = try #require(out.segment).source
    #expect(box.pass(template.packet(), .backward).isEmpty)
    #expect(box.counters[.unmappedDropped] == 1)
  }

  @Test func rebindingGivesANewAddressAndTheOldOneIsDead() throws {
    let talk = Conversation()
    let other = IPAddress(v4: 0xc000_0208)
    var box = Middlebox(
      .nat(AddressTranslation(addresses: [outerV4, other], rebind: [.seconds(5)])), seed: 8, at: .zero)
    let before = try #require(box.pass(talk.syn()).first)
    #expect(box.nextDeadline == milliseconds(5000))
    let late = box.pass(answer(before, talk), .backward, at: milliseconds(5001))
    #expect(late.isEmpty && box.nextDeadline == nil)
    let after = try #require(box.pass(talk.data(stream(0..<9), at: 0), at: milliseconds(5002)).first)
    #expect(after.segment?.source.address == other && after.isIntact)
    #expect(after.segment?.source != before.segment?.source)
    #expect(box.pass(answer(after, talk), .backward, at: milliseconds(5003)).count == 1)
    #expect(box.counters[.mappingForgotten] == 1)
  }

  @Test func silenceEndsAMappingAndPacketsKeepIt() throws {
    let talk = Conversation()
    var box = Middlebox(.nat(AddressTranslation(idle: .seconds(10))), seed: 8, at: .zero)
    let first = try #require(box.pass(talk.syn()).first)
    _ = box.pass(answer(first, talk), .backward, at: milliseconds(9000))
    #expect(box.nextDeadline == milliseconds(19_000))
    #expect(box.pass(answer(first, talk), .backward, at: milliseconds(18_999)).count == 1)
    #expect(box.pass(answer(first, talk), .backward, at: milliseconds(28_999)).isEmpty)
    let again = try #require(box.pass(talk.data([1], at: 0), at: milliseconds(29_000)).first)
    #expect(again.segment?.source != first.segment?.source)
  }

  @Test(arguments: [false, true]) func datagramsAreTranslatedToo(isIPv6: Bool) throws {
    let tcp = Conversation(isIPv6: isIPv6).syn([])
    // A UDP datagram of 4 octets behind the IP header of a TCP segment.
    let header = isIPv6 ? 40 : 20
    var packet = Array(tcp[..<(header + 12)])
    packet[isIPv6 ? 6 : 9] = IPProtocol.udp
    packet[isIPv6 ? 5 : 3] = isIPv6 ? 12 : 32
    packet.replaceSubrange(header + 4..<header + 8, with: [0, 12, 0, 0])
    try packet.withUnsafeMutableBytes { try Segmentation.fillChecksums(in: $0) }
    var box = Middlebox(.nat(AddressTranslation(addresses: [outerV4, outerV6])), seed: 8, at: .zero)
    let out = try #require(box.pass(packet).first)
    #expect(out.isIntact && out.bytes != packet)
    // No checksum stays none (RFC 768).
    packet[header + 6] = 0
    packet[header + 7] = 0
    let bare = try #require(box.pass(packet).first)
    #expect(bare.bytes[header + 6] == 0 && bare.bytes[header + 7] == 0)
    #expect(bare.bytes[header..<header + 2] == out.bytes[header..<header + 2])
  }

  @Test func flowsBeyondTheLimitTakeThePlaceOfTheOldest() throws {
    var box = Middlebox(.nat(AddressTranslation(addresses: [outerV4])), seed: 8, flowLimit: 10, at: .zero)
    var outs: [MiddleboxPacket] = []
    for port in 0..<30 { outs += box.pass(Conversation(clientPort: Port(UInt16(30_000 + port))).syn()) }
    #expect(Set(outs.compactMap { $0.segment?.source }).count == 30)
    #expect(box.heldCount.flows == 10)
    let talk = Conversation()
    #expect(box.pass(answer(outs[19], talk), .backward).isEmpty)
    #expect(box.pass(answer(outs[20], talk), .backward).count == 1)
  }
}
