import MPTCPPolicy
import MPTCPWire

/// Puts IPv4 and IPv6 fragments together again (RFC 791 §3.2, RFC 8200 §4.5).
///
/// Bounded in datagrams, in bytes and in time; beyond a bound the oldest datagram gives way, since a sound one is
/// complete within moments. Fragments that overlap spoil their datagram (RFC 5722), in IPv4 too.
struct IPReassembler {
  /// How many datagrams may be under way at once.
  static let largestCount = 64
  /// How many bytes they may take together.
  static let largestMemoryByteCount = 4 << 20
  /// How long a datagram may take, the time that Linux gives it; RFC 8200 §4.5 sets the end at 60 s.
  static let lifetime = Nanoseconds.seconds(30)

  /// In the order of their deadlines.
  private var datagrams: [FragmentedDatagram] = []

  /// The memory that the datagrams under way take.
  private(set) var memoryByteCount = 0
  /// How many fragments were refused, or belonged to datagrams that were given up.
  private(set) var droppedCount = 0

  init() {}

  /// How many datagrams are under way.
  var count: Int { datagrams.count }

  /// When ``expire(at:)`` has something to do.
  var nextDeadline: Instant? { datagrams.first?.deadline }

  /// Takes in a fragment, and returns the whole packet, with a plain header, if that was the last of it.
  ///
  /// - Parameters:
  ///   - header: what was parsed from `packet`; its `fragment` is not nil.
  ///   - packet: the packet as it came.
  mutating func insert(header: IPHeader, packet: ByteSlice, on path: PathID, at: Instant) -> ByteSlice? {
    expire(at: at)
    let payload = packet.dropFirst(header.headerByteCount).prefix(header.payloadByteCount)
    guard let place = header.fragment, payload.count == header.payloadByteCount, !payload.isEmpty,
      place.offset >= 0, place.offset & 7 == 0, !place.hasMore || payload.count & 7 == 0
    else {
      droppedCount += 1
      return nil
    }
    let index = indexOfDatagram(header, identification: place.identification, on: path, at: at)
    guard !datagrams[index].isDropped else {
      droppedCount += 1
      return nil
    }

    let before = datagrams[index].memoryByteCount
    let outcome = datagrams[index].insert(payload, header: header, place: place)
    memoryByteCount += datagrams[index].memoryByteCount - before
    switch outcome {
    case .waiting:
      shedMemory(except: datagrams[index].identity)
      return nil
    case .complete(let whole):
      remove(at: index)
      return whole
    case .contradictory:
      memoryByteCount -= datagrams[index].memoryByteCount
      datagrams[index].drop()
      droppedCount += 1
      return nil
    }
  }

  /// Gives up the datagrams whose time is over.
  mutating func expire(at: Instant) {
    while let oldest = datagrams.first, oldest.deadline <= at {
      droppedCount += 1
      remove(at: 0)
    }
  }

  private mutating func indexOfDatagram(
    _ header: IPHeader, identification: UInt32, on path: PathID, at: Instant
  ) -> Int {
    let identity = FragmentedDatagram.Identity(
      path: path, source: header.source, destination: header.destination, identification: identification,
      protocolNumber: header.source.family == .v4 ? header.protocolNumber : 0)
    if let index = datagrams.firstIndex(where: { $0.identity == identity }) { return index }
    if datagrams.count >= Self.largestCount {
      droppedCount += 1
      remove(at: 0)
    }
    datagrams.append(FragmentedDatagram(identity: identity, deadline: at + Self.lifetime))
    return datagrams.count - 1
  }

  private mutating func shedMemory(except current: FragmentedDatagram.Identity) {
    var index = 0
    while memoryByteCount > Self.largestMemoryByteCount, index < datagrams.count {
      if datagrams[index].identity == current || datagrams[index].isDropped {
        index += 1
      } else {
        droppedCount += 1
        remove(at: index)
      }
    }
  }

  private mutating func remove(at index: Int) {
    memoryByteCount -= datagrams[index].memoryByteCount
    datagrams.remove(at: index)
    // Fragments are rare: between them the reassembler owns nothing.
    if datagrams.isEmpty { datagrams = [] }
  }
}
