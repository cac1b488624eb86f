import MPTCPLink
import MPTCPWire

/// A packet that carries nothing but its number; links do not look inside.
func numbered(_ number: Int, byteCount: Int = 1500) -> [UInt8] {
  var packet = [UInt8](repeating: 0, count: max(byteCount, 8))
  for index in 0..<8 { packet[index] = UInt8(truncatingIfNeeded: number >> (8 * index)) }
  return packet
}

extension LinkPacket: Equatable {
  /// Wire packets are the same when their bytes and times are.
  public static func == (lhs: LinkPacket, rhs: LinkPacket) -> Bool {
    lhs.bytes == rhs.bytes && lhs.sent == rhs.sent && lhs.arrival == rhs.arrival
  }

  /// The number that ``numbered(_:byteCount:)`` put in.
  var number: Int { (0..<8).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) } }
}

extension Link {
  /// Everything that arrives from now on, each packet asked for at the link's own deadlines.
  mutating func drain() -> [LinkPacket] {
    var packets: [LinkPacket] = []
    while let deadline = nextDeadline {
      while let packet = receive(at: deadline) { packets.append(packet) }
    }
    return packets
  }

  /// Everything that has arrived at `time`.
  mutating func receiveAll(at time: Instant) -> [LinkPacket] {
    var packets: [LinkPacket] = []
    while let packet = receive(at: time) { packets.append(packet) }
    return packets
  }
}

func milliseconds(_ count: Int64) -> Instant { .zero + .milliseconds(count) }
