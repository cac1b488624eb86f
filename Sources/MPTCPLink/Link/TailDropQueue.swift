/// Packets that wait for the line, first come, first served; what finds no room is turned away.
struct TailDropQueue: Sendable {
  private let byteLimit: Int
  private let packetLimit: Int
  private var packets = Ring<LinkPacket>()
  private(set) var byteCount = 0
  private(set) var packetCount = 0

  init(_ configuration: LinkConfiguration) {
    byteLimit = configuration.queueByteCount ?? .max
    packetLimit = configuration.queuePacketCount ?? .max
  }

  var first: LinkPacket? { packets.first }

  func hasRoom(for packet: LinkPacket) -> Bool {
    packet.wirePacketCount <= packetLimit &- packetCount && packet.wireByteCount <= byteLimit &- byteCount
  }

  mutating func append(_ packet: LinkPacket) {
    byteCount &+= packet.wireByteCount
    packetCount &+= packet.wirePacketCount
    packets.append(packet)
  }

  mutating func popFirst() -> LinkPacket? {
    guard let packet = packets.popFirst() else { return nil }
    byteCount &-= packet.wireByteCount
    packetCount &-= packet.wirePacketCount
    return packet
  }
}
