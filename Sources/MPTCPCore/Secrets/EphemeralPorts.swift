import MPTCPWire

/// Ports for connections of our own that a stranger cannot foretell: the double-hash algorithm of RFC 6056 §3.3.4.
///
/// Towards one destination they follow each other from where a keyed hash says, so that none comes again soon. Many
/// destinations share few counters, which of them the hash says too: from the steps between its own ports nobody learns
/// how many connections we open elsewhere.
/// Requirement 6056-3.3.4-01
struct EphemeralPorts {
  private static let counterBits: UInt64 = 6

  private let secret: (UInt64, UInt64)
  private var counters = InlineArray<64, UInt32>(repeating: 0)

  /// Makes the ports of a host. `secret` is drawn once when the host starts, and never leaves it.
  init(secret: (UInt64, UInt64)) { self.secret = secret }

  /// The next port of `range` towards `remote` that is free; nil when none is.
  mutating func next(
    from local: IPAddress, to remote: TransportAddress, in range: ClosedRange<UInt16>, isFree: (Port) -> Bool
  ) -> Port? {
    let hash = FourTuple(local: TransportAddress(local, Port(0)), remote: remote)
      .keyedHash(under: secret, purpose: .ephemeralPort)
    let index = Int(truncatingIfNeeded: hash >> (64 - Self.counterBits))
    let count = UInt32(range.count)
    let offset = UInt32(truncatingIfNeeded: hash) % count
    for _ in 0..<count {
      // Below the count, so that no overflow makes it skip ports.
      counters[index] = (counters[index] + 1) % count
      let port = Port(range.lowerBound + UInt16(truncatingIfNeeded: (offset + counters[index]) % count))
      if isFree(port) { return port }
    }
    return nil
  }
}
