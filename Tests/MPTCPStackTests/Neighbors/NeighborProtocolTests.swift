import MPTCPWire
import Testing

@testable import MPTCPStack

struct NeighborProtocolTests {
  private let ours = MACAddress(0x0200_0000_0001)
  private let theirs = MACAddress(0x0200_0000_0002)
  private let our = IPAddress(v4: 0x0A00_0001)
  private let their = IPAddress(v4: 0x0A00_0002)
  private let our6 = IPAddress(v6High: 0xFD00_0000_0000_0000, low: 1)
  private let their6 = IPAddress(v6High: 0xFD00_0000_0000_0000, low: 2)

  private func machine() -> NeighborProtocol<Int> {
    NeighborProtocol(
      hardwareAddress: ours, addresses: [IPPrefix(our, length: 24), IPPrefix(our6, length: 64)],
      gateways: [IPAddress(v4: 0x0A00_00FE)], at: .zero)
  }

  private func arp(_ packet: ARPPacket) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: ARPPacket.byteCount)
    _ = try bytes.withUnsafeMutableBytes { try packet.write(into: $0) }
    return bytes
  }

  private func content(_ frame: [UInt8]) -> [UInt8] { Array(frame.dropFirst(EthernetHeader.byteCount)) }

  @Test("It starts with a probe for each address and announces them a second later")
  func starts() throws {
    var machine = machine()
    #expect(machine.frames.count == 3)
    #expect(content(machine.frames[0])[48] == 143)
    let probe = try ARPPacket(parsing: content(machine.frames[1]).span.bytes)
    #expect(probe.senderAddress == .anyV4)
    #expect(probe.targetAddress == our)
    machine.frames = []
    #expect(machine.nextDeadline == .zero + .seconds(1))
    _ = machine.advance(to: .zero + .seconds(1))
    #expect(machine.frames.count == 3)
    #expect(content(machine.frames[0])[48] == 143)
    let announcement = try ARPPacket(parsing: content(machine.frames[1]).span.bytes)
    #expect(announcement.senderAddress == our)
    #expect(announcement.targetAddress == our)
    #expect(machine.nextDeadline == nil)
  }

  @Test("A router's query is answered with our solicited-node groups")
  func reports() throws {
    var machine = machine()
    _ = machine.advance(to: .zero + .seconds(1))
    machine.frames = []
    machine.receiveGroupQuery(at: .zero + .seconds(5))
    let due = try #require(machine.nextDeadline)
    #expect(due >= .zero + .seconds(5) && due < .zero + .seconds(6))
    _ = machine.advance(to: due)
    #expect(machine.nextDeadline == nil)
    let frame = try #require(machine.frames.first)
    #expect(machine.frames.count == 1)
    // 33:33:00:00:00:16, and what RFC 3810 §5.2 lays out.
    #expect(Array(frame.prefix(6)) == [0x33, 0x33, 0, 0, 0, 0x16])
    let packet = content(frame)
    let header = try IPHeader(parsing: packet.span.bytes)
    #expect(header.source == .anyV6)
    #expect(header.hopLimit == 1)
    #expect(header.headerByteCount == 48)
    #expect(Array(packet[40..<48]) == [58, 0, 5, 2, 0, 0, 1, 0])
    #expect(packet.count == 48 + 8 + 20)
    #expect(Array(packet[48..<50]) == [143, 0])
    #expect(Array(packet[52..<60]) == [0, 0, 0, 1, 2, 0, 0, 0])
    #expect(Array(packet[60...]) == our6.solicitedNodeMulticast.octets)
    var sum = InternetChecksum()
    sum.add(
      pseudoHeader: header.source, destination: header.destination, protocol: IPProtocol.icmpv6, length: 28)
    sum.add(Array(packet[48...]).span.bytes)
    #expect(sum.value == 0)
  }

  @Test("Only a query is taken for one")
  func queries() {
    var query: [UInt8] = [0x60, 0, 0, 0, 0, 36, 0, 1] + [UInt8](repeating: 0, count: 32)
    query += [58, 0, 5, 2, 0, 0, 1, 0, 130, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 20)
    func isQuery(_ bytes: [UInt8]) -> Bool { MulticastListenerReport.isQuery(bytes.span.bytes) }
    #expect(isQuery(query))
    for (offset, value) in [(6, 58), (7, 64), (40, 6), (41, 1), (48, 143)] as [(Int, UInt8)] {
      var other = query
      other[offset] = value
      #expect(!isQuery(other))
    }
    #expect(!isQuery(Array(query.prefix(60))))
  }

  @Test("A question for our address is answered to the asker, who is remembered")
  func answers() throws {
    var machine = machine()
    machine.frames = []
    let question = try arp(
      ARPPacket(operation: .request, senderHardware: theirs, senderAddress: their, targetAddress: our))
    let released = machine.receive(arp: question.span.bytes, at: .zero)
    #expect(released.isEmpty)
    #expect(machine.frames.count == 1)
    let frame = machine.frames[0]
    let ethernet = try EthernetHeader(parsing: frame.span.bytes)
    #expect(ethernet.destination == theirs)
    let reply = try ARPPacket(parsing: content(machine.frames[0]).span.bytes)
    #expect(reply.operation == .reply)
    #expect(reply.senderHardware == ours)
    #expect(reply.senderAddress == our)
    #expect(machine.resolve(their, at: .zero)?.resolution == .known(theirs))
  }

  @Test("A question for another's address is not answered")
  func keepsStill() throws {
    var machine = machine()
    machine.frames = []
    let question = try arp(
      ARPPacket(
        operation: .request, senderHardware: theirs, senderAddress: their, targetAddress: IPAddress(v4: 0x0A00_0003)))
    _ = machine.receive(arp: question.span.bytes, at: .zero)
    #expect(machine.frames.isEmpty)
  }

  @Test("A packet waits for the answer, and one to another network asks for the gateway")
  func asks() throws {
    var machine = machine()
    machine.frames = []
    let resolved = machine.resolve(IPAddress(v4: 0x0B00_0001), at: .zero)
    let far = try #require(resolved)
    #expect(far.hop == IPAddress(v4: 0x0A00_00FE))
    #expect(far.resolution == .pending(solicit: true))
    #expect(machine.hold(7, for: far.hop) == nil)
    let reply = try arp(
      ARPPacket(
        operation: .reply, senderHardware: theirs, senderAddress: far.hop, targetHardware: ours, targetAddress: our))
    let released = machine.receive(arp: reply.span.bytes, at: .zero)
    #expect(released.map(\.packet) == [7])
    #expect(released.map(\.destination) == [theirs])
    #expect(machine.resolve(IPAddress(v6High: 1, low: 1), at: .zero) == nil)
  }

  @Test("IPv6: a solicitation is answered, an advertisement releases what waited")
  func discovers() throws {
    var machine = machine()
    machine.frames = []
    _ = machine.receive(
      .neighborSolicitation(target: our6, sourceLinkLayer: theirs), from: their6, hardware: theirs, at: .zero)
    let answer = content(machine.frames[0])
    let header = try IPHeader(parsing: answer.span.bytes)
    #expect(header.hopLimit == 255)
    #expect(header.destination == their6)
    let message = try ICMPMessage(parsing: answer.span.bytes, header: header)
    #expect(
      message
        == .neighbor(
          .neighborAdvertisement(
            target: our6, isRouter: false, isSolicited: true, isOverride: true, targetLinkLayer: ours)))
    let other = IPAddress(v6High: 0xFD00_0000_0000_0000, low: 3)
    #expect(machine.resolve(other, at: .zero)?.resolution == .pending(solicit: true))
    #expect(machine.hold(3, for: other) == nil)
    let released = machine.receive(
      .neighborAdvertisement(
        target: other, isRouter: false, isSolicited: true, isOverride: true, targetLinkLayer: theirs),
      from: other, hardware: theirs, at: .zero)
    #expect(released.map(\.packet) == [3])
  }

  @Test("Somebody else with our address is a conflict at the start, and is defended against later, at intervals")
  func conflicts() throws {
    let claim = try arp(
      ARPPacket(operation: .request, senderHardware: theirs, senderAddress: our, targetAddress: their))
    var young = machine()
    _ = young.receive(arp: claim.span.bytes, at: .zero + .seconds(1))
    #expect(young.conflict == .init(address: our, holder: theirs))
    var old = machine()
    old.frames = []
    for second in [60, 61, 71] as [Int64] { _ = old.receive(arp: claim.span.bytes, at: .zero + .seconds(second)) }
    #expect(old.conflict == nil)
    #expect(old.frames.count == 2)
  }

  @Test("Bytes that are no ARP packet change nothing")
  func ignoresNoise() {
    var machine = machine()
    machine.frames = []
    for count in 0..<60 {
      let noise = [UInt8](repeating: 0xA5, count: count)
      let released = machine.receive(arp: noise.span.bytes, at: .zero)
      #expect(released.isEmpty)
    }
    #expect(machine.frames.isEmpty)
  }
}
