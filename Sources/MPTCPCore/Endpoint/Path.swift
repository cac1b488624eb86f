import DequeModule
import MPTCPPolicy
import MPTCPWire

/// A path as the endpoint keeps it.
struct Path {
  let id: PathID
  var configuration: PathConfiguration
  var isUp = true
  /// The first of the numbers that its addresses have among the endpoint's, for address IDs.
  let firstAddressNumber: Int
  /// What is known of smaller MTUs beyond the first hop (RFC 8201 §5.2), the most recent last.
  var discoveredMTUs: [(destination: IPAddress, byteCount: Int, at: Instant)] = []

  static let discoveredMTULimit = 64

  /// The MTU for new subflows. What was learnt longer ago than ``MTUProbe/interval`` may be true no more.
  func pathMTU(to destination: IPAddress, at now: Instant) -> Int {
    guard let known = discoveredMTUs.last(where: { $0.destination == destination }),
      now - known.at < MTUProbe.interval
    else { return configuration.maximumTransmissionUnit }
    return min(known.byteCount, configuration.maximumTransmissionUnit)
  }

  mutating func note(mtu: Int, to destination: IPAddress, at now: Instant) {
    discoveredMTUs.removeAll { $0.destination == destination }
    if discoveredMTUs.count >= Self.discoveredMTULimit { discoveredMTUs.removeFirst() }
    discoveredMTUs.append((destination, mtu, now))
  }
}

/// A listening port.
struct Listener {
  let id: ListenerID
  /// The address it is bound to; the wildcard address of a family takes every address of that family.
  let address: TransportAddress
  var options: ListenerOptions
  /// Connections that the application has not shown to know yet.
  var untakenCount = 0
  /// Connections whose SYN's data was taken, and whose third ACK is awaited.
  var pendingFastOpenCount = 0
  /// When such ended in a RST; they count for a while.
  var fastOpenResets = Deque<Instant>()

  /// How many places of ``ListenerOptions/fastOpenBacklog`` are taken.
  var fastOpenCount: Int { pendingFastOpenCount + fastOpenResets.count }

  mutating func forgetFastOpenResets(olderThan age: Nanoseconds, at now: Instant) {
    while let first = fastOpenResets.first, now - first >= age { fastOpenResets.removeFirst() }
  }

  func accepts(_ destination: TransportAddress) -> Bool {
    guard destination.port == address.port, destination.address.family == address.address.family else { return false }
    return address.address.isUnspecified || address.address == destination.address
  }
}
