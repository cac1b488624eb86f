/// Packets that may arrive in another order than they were sent: a binary heap, earliest arrival first, ties in the
/// order of sending.
struct ArrivalHeap: Sendable {
  private var packets: [LinkPacket] = []

  var count: Int { packets.count }

  var first: LinkPacket? { packets.first }

  mutating func insert(_ packet: LinkPacket) {
    packets.append(packet)
    var child = packets.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard packets[child].arrivesBefore(packets[parent]) else { return }
      packets.swapAt(child, parent)
      child = parent
    }
  }

  mutating func popFirst() -> LinkPacket? {
    guard packets.count > 1 else { return packets.popLast() }
    packets.swapAt(0, packets.count - 1)
    let first = packets.popLast()
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < packets.count else { return first }
      if child + 1 < packets.count, packets[child + 1].arrivesBefore(packets[child]) { child += 1 }
      guard packets[child].arrivesBefore(packets[parent]) else { return first }
      packets.swapAt(child, parent)
      parent = child
    }
  }

}
