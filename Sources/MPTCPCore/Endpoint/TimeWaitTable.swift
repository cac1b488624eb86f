import DequeModule
import MPTCPWire

/// What is left of a subflow in TIME-WAIT (RFC 9293 §3.3.2): enough to acknowledge a FIN that comes again, and a
/// DATA_FIN.
struct TimeWaitEntry {
  var tuple: FourTuple
  var path: Int32
  /// What we would send next, and what we expect.
  var sendNext: SequenceNumber
  var receiveNext: SequenceNumber
  var usesTimestamps: Bool
  var recentTimestamp: UInt32
  var timestampOffset: UInt32
  var deadline: Instant
  /// The connection's TIME-WAIT (RFC 8684 §3.3.3): what a DATA_FIN that comes again is DATA_ACKed with, though the
  /// connection is gone. nil for plain TCP.
  var dataAck: UInt64?
  /// Not TIME-WAIT, but the end by MP_FASTCLOSE, whose RST may have missed the number that the peer expects: what still
  /// comes is answered with it, and this key of the peer's.
  var fastCloseKey: Key?
}

/// All of TIME-WAIT: entries leave in the order in which they came.
struct TimeWaitTable {
  private var entries: [TimeWaitEntry?] = []
  private var free: [Int32] = []
  private var order = Deque<(slot: Int32, deadline: Instant)>()
  private(set) var count = 0

  var nextDeadline: Instant { order.first?.deadline ?? .distantFuture }

  subscript(slot: Int32) -> TimeWaitEntry? { entries.indices.contains(Int(slot)) ? entries[Int(slot)] : nil }

  mutating func insert(_ entry: TimeWaitEntry) -> Int32 {
    count += 1
    order.append((0, entry.deadline))
    let slot: Int32
    if let reused = free.popLast() {
      entries[Int(reused)] = entry
      slot = reused
    } else {
      entries.append(entry)
      slot = Int32(truncatingIfNeeded: entries.count - 1)
    }
    order[order.count - 1].slot = slot
    return slot
  }

  /// Lets the wait begin anew (RFC 9293 §3.10.7.4, eighth check).
  /// Requirement 9293-3.10.7-10
  mutating func restart(_ slot: Int32, deadline: Instant) {
    guard entries.indices.contains(Int(slot)), let entry = entries[Int(slot)], entry.deadline < deadline else { return }
    entries[Int(slot)]?.deadline = deadline
    order.append((slot, deadline))
  }

  mutating func remove(_ slot: Int32) {
    guard entries.indices.contains(Int(slot)), entries[Int(slot)] != nil else { return }
    entries[Int(slot)] = nil
    free.append(slot)
    count -= 1
  }

  /// The next entry that is over at `now`, or the oldest when there are more than `limit`; removed.
  mutating func popExpired(at now: Instant, limit: Int) -> TimeWaitEntry? {
    while let first = order.first {
      guard let entry = self[first.slot], entry.deadline == first.deadline else {
        order.removeFirst()
        continue
      }
      guard first.deadline <= now || count > limit else { return nil }
      order.removeFirst()
      remove(first.slot)
      return entry
    }
    return nil
  }
}
