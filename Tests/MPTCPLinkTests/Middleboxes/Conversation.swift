import MPTCPWire
import PacketFactory

@testable import MPTCPLink

/// One TCP connection's packets as a box sees them, made one by one. Numbers are relative to the first octet of data.
struct Conversation {
  static let clientStart = SequenceNumber(0xffff_ff00)
  static let serverStart = SequenceNumber(700_001)

  var isIPv6 = false
  var clientPort: Port = 40_000

  static let capable = TCPOption.multipath(.capable(MPCapable(version: 1, flags: [.hmac])))
  static let join = TCPOption.multipath(
    .join(.syn(backup: false, addressID: AddressID(2), token: Token(0x1234_5678), nonce: 99)))
  static let usual: [TCPOption] = [
    .maximumSegmentSize(1460), .sackPermitted, .timestamps(TCPTimestamps(value: 10, echo: 0)), .windowScale(7),
  ]

  func packet(
    _ direction: PathDirection, _ flags: TCPFlags, at sequence: Int, ack: Int = 0, window: UInt16 = 1000,
    options: [TCPOption] = [], payload: [UInt8] = []
  ) -> [UInt8] {
    var template = SegmentTemplate(isIPv6: isIPv6)
    template.source.port = clientPort
    let starts = direction == .forward ? [Self.clientStart, Self.serverStart] : [Self.serverStart, Self.clientStart]
    if direction == .backward { (template.source, template.destination) = (template.destination, template.source) }
    template.sequenceNumber = starts[0] + sequence
    template.acknowledgmentNumber = flags.contains(.ack) ? starts[1] + ack : SequenceNumber(0)
    template.flags = flags
    template.window = window
    template.options = options
    template.payload = payload
    return template.packet()
  }

  func syn(_ options: [TCPOption] = usual + [capable], payload: [UInt8] = []) -> [UInt8] {
    packet(.forward, .syn, at: -1, options: options, payload: payload)
  }

  func synAck(_ options: [TCPOption] = usual + [capable]) -> [UInt8] {
    packet(.backward, [.syn, .ack], at: -1, options: options)
  }

  func thirdAck(_ options: [TCPOption] = [capable]) -> [UInt8] { packet(.forward, .ack, at: 0, options: options) }

  func data(
    _ payload: [UInt8], at sequence: Int, _ direction: PathDirection = .forward, flags: TCPFlags = .ack,
    options: [TCPOption] = []
  ) -> [UInt8] {
    packet(direction, flags, at: sequence, options: options, payload: payload)
  }

  func ack(
    _ number: Int, _ direction: PathDirection = .backward, window: UInt16 = 1000, options: [TCPOption] = []
  ) -> [UInt8] {
    packet(direction, .ack, at: 0, ack: number, window: window, options: options)
  }

  /// A SACK option about the client's data.
  static func sack(_ left: Int, _ right: Int) -> TCPOption {
    var blocks = SACKBlocks()
    blocks.append(SACKBlock(left: clientStart + left, right: clientStart + right))
    return .sack(blocks)
  }
}

/// The octets `0 ..< count` of a stream in which each differs from its neighbours.
func stream(_ range: Range<Int>) -> [UInt8] { range.map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) } }

extension Middlebox {
  /// What leaves the box for a packet.
  mutating func pass(
    _ bytes: [UInt8], _ direction: PathDirection = .forward, tag: UInt64 = 0, at time: Instant = .zero
  ) -> [MiddleboxPacket] {
    receive(MiddleboxPacket(bytes, direction, tag: tag), at: time)
    return drain()
  }

  mutating func drain() -> [MiddleboxPacket] {
    var packets: [MiddleboxPacket] = []
    while let packet = next() { packets.append(packet) }
    return packets
  }

  /// What leaves the box by itself until `time`.
  mutating func wait(until time: Instant) -> [MiddleboxPacket] {
    advance(to: time)
    return drain()
  }
}

extension MiddleboxPacket {
  /// The packet taken apart.
  var segment: EditableSegment? { EditableSegment(bytes) }

  /// Whether both checksums are right, found by adding them up.
  var isIntact: Bool {
    let packet = bytes.span.bytes
    guard let ip = try? IPHeader(parsing: packet), IPHeader.hasValidChecksum(packet), ip.totalByteCount == bytes.count
    else { return false }
    var checksum = InternetChecksum()
    checksum.add(
      pseudoHeader: ip.source, destination: ip.destination, protocol: ip.protocolNumber, length: ip.payloadByteCount)
    checksum.add(ip.payload(in: packet))
    return checksum.value == 0
  }

  var options: TCPOptions? {
    segment.map { TCPOptions(parsing: $0.options.span.bytes) }
  }

  /// The first octet of data, relative to the first that the client sends.
  var clientPlace: Int? { segment.map { $0.tcp.sequenceNumber - Conversation.clientStart } }

  /// What it acknowledges of the client's data.
  var acknowledged: Int? { segment.map { $0.tcp.acknowledgmentNumber - Conversation.clientStart } }
}
