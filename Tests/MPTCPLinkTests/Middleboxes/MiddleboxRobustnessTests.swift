import MPTCPWire
import PacketFactory
import Testing

@testable import MPTCPLink

/// What holds for every kind of box.
@Suite struct MiddleboxRobustnessTests {
  /// Boxes that do as much as they can.
  static let eager: [MiddleboxConfiguration] =
    MiddleboxConfiguration.Kind.allCases.map { MiddleboxConfiguration($0) } + [
      .strip(OptionStripping(option: .unknown, shortensHeader: true)),
      .cut(SegmentCutting(byteCount: 1, copiesOptions: false)),
      .clampSegmentSize(SegmentSizeClamping(byteCount: 1)),
      .changePayload(PayloadChange(find: "a", replace: "b", after: 3)),
      .resizePayload(PayloadResizing(find: "a", replace: "", direction: .backward)),
      .resizePayload(PayloadResizing(at: 3, by: -5)),
      .drop(SegmentDropping(option: nil, on: SegmentKind.allCases, answersWithReset: true, chance: .percent(30))),
      .acknowledgeEarly(EarlyAcknowledgment(byteCount: 4000, timeout: .milliseconds(1))),
      .nat(
        AddressTranslation(
          addresses: [IPAddress(v4: 7), IPAddress(v6High: 1, low: 2)], rebind: [.seconds(1), .seconds(2)],
          idle: .milliseconds(300))),
      .firewall(Firewalling(answersWithReset: true, idle: .milliseconds(100))),
      .reset(ResetInjection(at: [.seconds(1)], afterByteCount: 3000)),
      .replay(SegmentReplay(chance: .percent(50), limit: 9)),
    ]

  /// A packet of a few flows: whole, or with octets changed, cut off or added.
  private static func packet(_ generator: inout SeededGenerator) -> MiddleboxPacket {
    let direction = Bool.random(using: &generator) ? PathDirection.forward : .backward
    var talk = Conversation(isIPv6: Bool.random(using: &generator))
    talk.clientPort = Port(UInt16.random(in: 1...40, using: &generator))
    var flags: TCPFlags = Int.random(in: 0..<4, using: &generator) == 0 ? .syn : .ack
    if Int.random(in: 0..<8, using: &generator) == 0 { flags.formUnion([.ack, .fin]) }
    if Int.random(in: 0..<30, using: &generator) == 0 { flags.insert(.rst) }
    let choices: [TCPOption] = [
      Conversation.capable, Conversation.join, .timestamps(TCPTimestamps(value: 1, echo: 2)), .windowScale(14),
      .maximumSegmentSize(1460), .sackPermitted,
    ]
    var options = choices.filter { _ in Int.random(in: 0..<3, using: &generator) == 0 }
    if options.count > 2 { options = Array(options[..<2]) }
    if options.isEmpty, Bool.random(using: &generator) { options = [Conversation.sack(10, 400)] }
    let count = [0, 0, 1, 40, 700, 1400][Int.random(in: 0..<6, using: &generator)]
    let start = Int.random(in: -3...4000, using: &generator)
    var bytes = talk.packet(
      direction, flags, at: start, ack: Int.random(in: -2...5000, using: &generator),
      window: UInt16.random(in: 0...65_535, using: &generator), options: options, payload: stream(start..<start + count)
    )
    switch Int.random(in: 0..<6, using: &generator) {
    case 0:
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        bytes[Int.random(in: 0..<min(bytes.count, 100), using: &generator)] = UInt8(
          truncatingIfNeeded: generator.next())
      }
    case 1: bytes.removeLast(Int.random(in: 0...bytes.count, using: &generator))
    case 2: bytes += stream(0..<Int.random(in: 0...50, using: &generator))
    case _: break
    }
    return MiddleboxPacket(bytes, direction, tag: generator.next())
  }

  private static func run(_ configuration: MiddleboxConfiguration, seed: UInt64, count: Int) -> [MiddleboxPacket] {
    var box = Middlebox(configuration, seed: seed, flowLimit: 16, at: .zero)
    var generator = SeededGenerator(seed: seed)
    var out: [MiddleboxPacket] = []
    var now = Instant.zero
    for _ in 0..<count {
      now = now + .microseconds(Int64.random(in: 0...2000, using: &generator))
      out += box.wait(until: now)
      box.receive(packet(&generator), at: now)
      out += box.drain()
      let held = box.heldCount
      // Both of TCP's and UDP's mappings count; a flow's copies are bounded by bytes.
      if held.flows > 64 || held.packets > 16 * 4000 { Issue.record("\(configuration.kind) holds \(held)") }
      if let deadline = box.nextDeadline, deadline < now { Issue.record("a deadline in the past") }
    }
    return out
  }

  @Test(arguments: eager.indices) func noPacketMakesABoxTrapOrGrow(index: Int) {
    _ = Self.run(Self.eager[index], seed: 1, count: 600)
  }

  @Test(arguments: eager.indices) func theSameSeedGivesTheSameBytes(index: Int) {
    let first = Self.run(Self.eager[index], seed: 77, count: 150)
    let second = Self.run(Self.eager[index], seed: 77, count: 150)
    #expect(first == second)
    #expect(!first.isEmpty)
  }

  /// What is no TCP segment; the last one is a fragment.
  private static let strangers: [[UInt8]] = {
    let whole = SegmentTemplate(payloadByteCount: 100).packet()
    let six = SegmentTemplate(payloadByteCount: 100, isIPv6: true).packet()
    var fragment = whole
    fragment[6] = 0x20
    var offset = whole
    offset[32] = 0x10
    return [[1], [0x45], Array(whole[..<19]), Array(whole[..<39]), Array(six[..<50]), offset, fragment]
  }()

  @Test(arguments: MiddleboxConfiguration.Kind.allCases)
  func whatIsNoWholeSegmentPassesAsItIs(kind: MiddleboxConfiguration.Kind) {
    // A NAT looks at no more than the ports, so that it takes a wrong data offset for what it is: none of its business.
    for (place, bytes) in Self.strangers.enumerated() where kind != .nat || place != 5 {
      for direction in PathDirection.allCases {
        var box = Middlebox(MiddleboxConfiguration(kind), at: .zero)
        #expect(box.pass(bytes, direction, tag: 3) == [MiddleboxPacket(bytes, direction, tag: 3)])
      }
    }
  }

  @Test(arguments: eager.indices) func whatABoxSendsHasRightChecksumsWhereWhatCameHad(index: Int) {
    var box = Middlebox(Self.eager[index], seed: 6, flowLimit: 16, at: .zero)
    var generator = SeededGenerator(seed: 5)
    var checkedCount = 0
    for number in 0..<500 {
      let packet = Self.packet(&generator)
      guard packet.isIntact else { continue }
      box.receive(packet, at: milliseconds(Int64(number)))
      for packet in box.drain() {
        checkedCount += 1
        if !packet.isIntact { Issue.record("\(Self.eager[index].kind) broke a checksum") }
      }
    }
    #expect(checkedCount > 20)
  }

  @Test func flowTablesForgetTheFlowThatWasSilentForLongest() {
    var box = Middlebox(.rewriteSequence(SequenceRewriting()), seed: 1, flowLimit: 3, at: .zero)
    let talks = (1...4).map { Conversation(clientPort: Port(UInt16($0))) }
    for talk in talks[..<3] { _ = box.pass(talk.syn()) }
    _ = box.pass(talks[0].thirdAck())
    _ = box.pass(talks[3].syn())
    #expect(box.heldCount.flows == 3)
    // The second is forgotten, the first is not.
    let isKnown = talks.map { box.pass($0.data([1], at: 0)).map(\.bytes) != [$0.data([1], at: 0)] }
    #expect(isKnown == [true, false, true, true])
  }
}
