import MPTCPPolicy
import MPTCPWire

/// One datagram that is arriving in fragments.
///
/// Fragments are copied to their places in one chunk, so that small ones cannot pin large chunks, and a bitmap with a
/// bit for eight octets knows which are there. 64 KiB and the bitmap are the most that a datagram takes.
struct FragmentedDatagram {
  /// What the fragments of one datagram have in common (RFC 791 §3.2, RFC 8200 §4.5).
  struct Identity: Equatable {
    var path: PathID
    var source: IPAddress
    var destination: IPAddress
    var identification: UInt32
    /// IPv4 only: in IPv6 the first fragment alone says what the payload is.
    var protocolNumber: UInt8
  }

  /// What became of a fragment.
  enum Outcome {
    case waiting
    case complete(ByteSlice)
    /// The datagram is contradictory: it and all that may still arrive of it are to be dropped (RFC 5722 §4).
    case contradictory
  }

  /// Room for the largest plain header in front of the payload.
  private static let headroom = 40
  private static let smallestCapacity = 4_096
  private static let largestPayload = 65_535

  let identity: Identity
  let deadline: Instant
  /// Set once the datagram is known to be bad; it then holds no memory.
  private(set) var isDropped = false

  private var chunk: Chunk?
  private var present: [UInt64] = []
  private var receivedByteCount = 0
  private var reach = 0
  private var totalByteCount: Int?
  /// The header of the first fragment.
  private var header: IPHeader?
  private var hasCongestionMark = false
  private var hasNonCapable = false

  init(identity: Identity, deadline: Instant) {
    self.identity = identity
    self.deadline = deadline
  }

  /// The memory that the datagram takes.
  var memoryByteCount: Int { (chunk?.capacity ?? 0) + present.count * 8 }

  /// Frees the memory, and remembers that nothing good comes of this datagram.
  mutating func drop() {
    isDropped = true
    chunk = nil
    present = []
  }

  /// Takes in a fragment's payload.
  mutating func insert(_ payload: ByteSlice, header: IPHeader, place: IPFragment) -> Outcome {
    let end = place.offset + payload.count
    let limit = header.source.family == .v4 ? Self.largestPayload - 20 : Self.largestPayload
    guard end <= limit, totalByteCount.map({ end <= $0 }) ?? true else { return .contradictory }
    if !place.hasMore {
      guard end >= reach, totalByteCount ?? end == end else { return .contradictory }
      totalByteCount = end
    }

    let blocks = place.offset / 8..<(end + 7) / 8
    reserve(end, isExact: !place.hasMore)
    guard let chunk else { return .contradictory }
    let destination = chunk.base + Self.headroom + place.offset
    let known = countPresent(in: blocks)
    if known > 0 {
      // A copy of what is here already is the network's doing, anything else an attack (RFC 8200 §4.5).
      return known == blocks.count && isEqual(payload, to: destination) ? .waiting : .contradictory
    }
    payload.withUnsafeBytes { source in
      if let address = source.baseAddress { destination.copyMemory(from: address, byteCount: source.count) }
    }
    mark(blocks)
    receivedByteCount += payload.count
    reach = max(reach, end)

    switch header.trafficClass & 3 {
    case 0: hasNonCapable = true
    case 3: hasCongestionMark = true
    default: break
    }
    if place.offset == 0 { self.header = header }
    return receivedByteCount == totalByteCount ? finish() : .waiting
  }

  private func finish() -> Outcome {
    guard var whole = header, let chunk, let totalByteCount else { return .contradictory }
    // Requirement 3168-5-01
    if hasCongestionMark {
      // A mark must not be lost, and none belongs among fragments that do not speak ECN (RFC 3168 §5.3).
      guard !hasNonCapable else { return .contradictory }
      whole.trafficClass |= 3
    }
    whole.fragment = nil
    whole.dontFragment = false
    whole.payloadByteCount = totalByteCount
    let size = whole.source.family == .v4 ? 20 : 40
    let start = Self.headroom - size
    let room = UnsafeMutableRawBufferPointer(rebasing: chunk.storage[start..<Self.headroom])
    guard let written = try? whole.write(into: room), written == size else { return .contradictory }
    return .complete(ByteSlice(chunk, offset: start, count: size + totalByteCount))
  }

  /// Makes room for `end` octets of payload: exactly when the datagram's end is known, otherwise with some to spare.
  private mutating func reserve(_ end: Int, isExact: Bool) {
    guard end > (chunk?.capacity ?? 0) - Self.headroom else { return }
    let spare = isExact ? end : min(max(end * 2, Self.smallestCapacity), Self.largestPayload)
    let larger = Chunk(capacity: spare + Self.headroom)
    if let chunk { larger.base.copyMemory(from: chunk.base, byteCount: Self.headroom + reach) }
    chunk = larger
    let words = (spare + 511) / 512
    if words > present.count { present.append(contentsOf: repeatElement(0, count: words - present.count)) }
  }

  private func countPresent(in blocks: Range<Int>) -> Int {
    var count = 0
    forEachWord(of: blocks) { word, mask in count += (present[word] & mask).nonzeroBitCount }
    return count
  }

  private mutating func mark(_ blocks: Range<Int>) {
    forEachWord(of: blocks) { word, mask in present[word] |= mask }
  }

  private func forEachWord(of blocks: Range<Int>, _ body: (Int, UInt64) -> Void) {
    var block = blocks.lowerBound
    while block < blocks.upperBound {
      let first = block & 63
      let count = min(64 - first, blocks.upperBound - block)
      let ones = count == 64 ? .max : (1 as UInt64) << UInt64(count) - 1
      body(block >> 6, ones << UInt64(first))
      block += count
    }
  }

  private func isEqual(_ payload: ByteSlice, to stored: UnsafeMutableRawPointer) -> Bool {
    payload.withUnsafeBytes { $0.elementsEqual(UnsafeRawBufferPointer(start: stored, count: payload.count)) }
  }
}
