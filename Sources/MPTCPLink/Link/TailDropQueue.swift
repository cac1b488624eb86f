/// Packets that wait for the line, first come, first served; what finds no room is turned away.
struct TailDropQueue: Sendable {
  private let byteLimit: Int
  private let packetLimit: Int
  private var packets = Ring<LinkPacket>()
  private(set) var byteCount = 0

  init(_ configuration: LinkConfiguration) {
    byteLimit = configuration.queueByteCount ?? .max
    packetLimit = configuration.queuePacketCount ?? .max
  }

  var packetCount: Int { packets.count }

  var first: LinkPacket? { packets.first }

  func hasRoom(for packetByteCount: Int) -> Bool {
    packets.count < packetLimit && packetByteCount <= byteLimit &- byteCount
  }

  mutating func append(_ packet: LinkPacket) {
    byteCount &+= packet.bytes.count
    packets.append(packet)
  }

  mutating func popFirst() -> LinkPacket? {
    guard let packet = packets.popFirst() else { return nil }
    byteCount &-= packet.bytes.count
    return packet
  }
}
