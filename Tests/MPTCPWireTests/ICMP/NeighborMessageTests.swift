import Testing

@testable import MPTCPWire

@Suite struct NeighborMessageTests {
  let ours = IPAddress(v6High: 0xfe80_0000_0000_0000, low: 0x0200_00ff_fe00_0001)
  let theirs = IPAddress(v6High: 0xfe80_0000_0000_0000, low: 0x0200_00ff_fe00_0002)
  let mac = MACAddress(0x0200_0000_0001)

  func parse(_ packet: [UInt8]) throws(WireError) -> ICMPMessage {
    let bytes = packet.span.bytes
    return try ICMPMessage(parsing: bytes, header: try IPHeader(parsing: bytes))
  }

  func packet(_ message: NeighborMessage, from source: IPAddress, to destination: IPAddress) throws -> [UInt8] {
    try written { buffer throws(WireError) in try message.write(from: source, to: destination, into: buffer) }
  }

  @Test func everyMessageComesBackAsItWasWritten() throws {
    var random = SeededGenerator(seed: 4)
    for _ in 0..<5_000 {
      let address = random.maybe { MACAddress($0.number()) }
      let target = IPAddress(v6High: random.number(UInt64.self) >> 1, low: random.number())
      let message: NeighborMessage =
        switch random.below(4) {
        case 0: .routerSolicitation(sourceLinkLayer: address)
        case 1:
          .routerAdvertisement(
            RouterAdvertisement(
              hopLimit: random.number(), isManaged: random.flag(), hasOtherConfiguration: random.flag(),
              lifetimeSeconds: random.number(), reachableMilliseconds: random.number(),
              retransmissionMilliseconds: random.number(), sourceLinkLayer: address, mtu: random.maybe { $0.number() },
              onLinkPrefix: random.maybe { IPPrefix(target, length: $0.below(129)) }))
        case 2: .neighborSolicitation(target: target, sourceLinkLayer: address)
        default:
          .neighborAdvertisement(
            target: target, isRouter: random.flag(), isSolicited: random.flag(), isOverride: random.flag(),
            targetLinkLayer: address)
        }
      #expect(try parse(packet(message, from: ours, to: theirs)) == .neighbor(message))
    }
  }

  @Test func aMessageFromBeyondARouterIsRefused() throws {
    let message = NeighborMessage.neighborSolicitation(target: theirs, sourceLinkLayer: mac)
    var bytes = try packet(message, from: ours, to: theirs.solicitedNodeMulticast)
    bytes[7] = 254
    #expect(throws: WireError(.neighborHopLimit, .badValue, at: 7)) { try parse(bytes) }
  }

  @Test func aSearchForDuplicatesGoesToTheSolicitedNodeGroupWithoutLinkLayerAddress() throws {
    let probe = NeighborMessage.neighborSolicitation(target: theirs, sourceLinkLayer: nil)
    #expect(try parse(packet(probe, from: .anyV6, to: theirs.solicitedNodeMulticast)) == .neighbor(probe))
    #expect(throws: WireError.self) { try parse(packet(probe, from: .anyV6, to: theirs)) }
    let named = NeighborMessage.neighborSolicitation(target: theirs, sourceLinkLayer: mac)
    #expect(throws: WireError.self) { try parse(packet(named, from: .anyV6, to: theirs.solicitedNodeMulticast)) }
  }

  @Test func anAnswerToAGroupClaimsNoSolicitation() throws {
    let answer = NeighborMessage.neighborAdvertisement(
      target: ours, isRouter: false, isSolicited: true, isOverride: true, targetLinkLayer: mac)
    #expect(throws: WireError(.neighborMessage, .badValue, at: 4)) {
      try parse(packet(answer, from: ours, to: .allNodes))
    }
  }

  @Test func anOptionOfLengthZeroIsRefused() throws {
    let message = NeighborMessage.neighborSolicitation(target: theirs, sourceLinkLayer: mac)
    var bytes = try packet(message, from: ours, to: theirs)
    bytes[40 + 25] = 0
    try fillChecksums(&bytes)
    #expect(throws: WireError(.neighborOption, .badLength, at: 25)) { try parse(bytes) }
  }
}
