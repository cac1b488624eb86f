import MPTCPCore
import MPTCPWire
import TestSupport

/// Spoils packets, from a seed: some in ways that any line may, most in ways that get through all checksums.
struct PacketMutator {
  var random: SeededGenerator
  /// Options that were seen, to be put where they do not belong.
  private var seenOptions: [[UInt8]] = []
  private var seenPackets: [[UInt8]] = []

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  mutating func note(_ packet: [UInt8]) {
    if seenPackets.count < 200 { seenPackets.append(packet) } else { seenPackets[random.pick(0...199)] = packet }
    guard let segment = SeenSegment(packet) else { return }
    var options: [[UInt8]] = []
    var offset = 0
    let bytes = segment.optionBytes
    while offset < bytes.count {
      let kind = bytes[offset]
      if kind <= 1 {
        offset += 1
        continue
      }
      guard offset + 1 < bytes.count, bytes[offset + 1] >= 2, offset + Int(bytes[offset + 1]) <= bytes.count else {
        break
      }
      options.append(Array(bytes[offset..<offset + Int(bytes[offset + 1])]))
      offset += Int(bytes[offset + 1])
    }
    for option in options {
      if seenOptions.count < 200 { seenOptions.append(option) } else { seenOptions[random.pick(0...199)] = option }
    }
  }

  /// Something made of `packet`.
  mutating func mutate(_ packet: [UInt8]) -> [UInt8] {
    var bytes = packet
    for _ in 0...random.pick(0...2) { bytes = once(bytes) }
    return random.chance(95) ? withChecksums(bytes) : bytes
  }

  private mutating func once(_ packet: [UInt8]) -> [UInt8] {
    guard var segment = SeenSegment(packet) else { return flip(packet) }
    switch random.pick(0...13) {
    case 0: return flip(packet)
    case 1: return Array(packet.prefix(random.pick(0...packet.count)))
    case 2: return packet + (0..<random.pick(1...40)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    case 3:
      // Options of other packets in front of, or instead of, its own.
      var options: [UInt8] = []
      for _ in 0...random.pick(0...3) {
        if let option = seenOptions.randomElement(using: &random) { options += option }
      }
      return segment.bytes(options: random.chance(50) ? options : options + segment.optionBytes)
    case 4:
      var options = segment.optionBytes
      if !options.isEmpty {
        for _ in 0...random.pick(0...2) {
          options[random.pick(0...options.count - 1)] = UInt8(truncatingIfNeeded: random.next())
        }
      }
      return segment.bytes(options: options)
    case 5:
      segment.tcp.flags = TCPFlags(rawValue: UInt16(truncatingIfNeeded: random.next()) & 0x1ff)
      return segment.bytes()
    case 6:
      segment.tcp.sequenceNumber = segment.tcp.sequenceNumber + distance()
      return segment.bytes()
    case 7:
      segment.tcp.acknowledgmentNumber = segment.tcp.acknowledgmentNumber + distance()
      return segment.bytes()
    case 8:
      segment.tcp.window = random.chance(30) ? 0 : UInt16(truncatingIfNeeded: random.next())
      return segment.bytes()
    case 9:
      let payload = (0..<random.pick(0...1400)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      return segment.bytes(payload: payload)
    case 10:
      segment.tcp.flags.formUnion([.fin, .rst, .syn, .urg].randomElement(using: &random) ?? .fin)
      segment.tcp.urgentPointer = UInt16(truncatingIfNeeded: random.next())
      return segment.bytes()
    case 11: return message(about: packet)
    case 12: return segment.bytes(options: sack(segment))
    default: return segment.bytes(options: [])
    }
  }

  private mutating func flip(_ packet: [UInt8]) -> [UInt8] {
    var bytes = packet
    guard !bytes.isEmpty else { return [UInt8(truncatingIfNeeded: random.next())] }
    for _ in 0...random.pick(0...7) { bytes[random.pick(0...bytes.count - 1)] ^= 1 << UInt8(random.pick(0...7)) }
    return bytes
  }

  private mutating func distance() -> Int {
    switch random.pick(0...4) {
    case 0: random.pick(-3...3)
    case 1: random.pick(-3000...3000)
    case 2: random.pick(-70_000...70_000)
    case 3: random.pick(-(1 << 24)...(1 << 24))
    default: Int(Int32(truncatingIfNeeded: random.next()))
    }
  }

  private mutating func sack(_ segment: SeenSegment) -> [UInt8] {
    var blocks = SACKBlocks()
    for _ in 0..<random.pick(1...4) {
      let left = segment.tcp.acknowledgmentNumber + distance()
      _ = blocks.append(SACKBlock(left: left, right: left + random.pick(-10...5000)))
    }
    var block = TCPOptionBlock()
    if let timestamps = segment.options.timestamps { _ = block.append(.timestamps(timestamps)) }
    _ = block.append(.sack(blocks))
    return block.withBytes { Array($0) }
  }

  /// An ICMP message that quotes a packet that went the other way, or this one.
  private mutating func message(about packet: [UInt8]) -> [UInt8] {
    guard let quoted = seenPackets.randomElement(using: &random), let first = packet.first,
      let ip = try? IPHeader(parsing: packet.span.bytes)
    else { return packet }
    let isV4 = first >> 4 == 4
    let types: [UInt8] = isV4 ? [3, 11, 8, 12, 5] : [1, 2, 3, 4, 128, 135]
    let type = types.randomElement(using: &random) ?? 3
    var body: [UInt8] = [type, UInt8(random.pick(0...6)), 0, 0, 0, 0]
    let mtu = UInt16(random.pick(0...1600))
    body += [UInt8(mtu >> 8), UInt8(mtu & 255)]
    body += quoted.prefix(random.pick(0...120))
    var header = ip
    header.protocolNumber = isV4 ? IPProtocol.icmp : IPProtocol.icmpv6
    header.payloadByteCount = body.count
    header.headerByteCount = isV4 ? 20 : 40
    var bytes = [UInt8](repeating: 0, count: 128)
    let count = bytes.withUnsafeMutableBytes { (try? header.write(into: $0)) ?? 0 }
    return Array(bytes.prefix(count)) + body
  }
}
