import MPTCPWire

/// Puts wire packets together again, as the receive offload of a device does: TCP segments of a flow that follow each
/// other become one super-segment, so that a host need not take a bulk transfer in pieces of 1,500 bytes.
///
/// Cutting what comes out gives what went in (`Segmentation`), byte for byte but for the identification of IPv4 packets
/// that are never fragmented. Hence segments are merged only when their headers agree in all that cutting repeats, all
/// TCP options included, so that no mapping, acknowledgment or time stamp is lost (RFC 8684 §3.3.1 wants every mapping
/// to arrive). The packets of a flow stay in their order; those of different flows may not.
///
/// A segment with a wrong checksum is never merged, since the super-segment would hide it.
///
/// A host calls ``add(_:isChecksumValid:)`` for each packet that is there now, then ``flush()``, and takes what
/// ``next()`` gives, until `nil`.
public struct SegmentCoalescer: Sendable {
  private let maximumByteCount: Int
  private let flowLimit: Int
  // Few flows at a time, oldest first: searching them in turn is faster than hashing.
  private var runs: [SegmentRun] = []
  private var finished = Ring<CoalescedPacket>()

  /// Makes a coalescer that holds nothing.
  ///
  /// - Parameters:
  ///   - maximumByteCount: The longest IP packet that comes out, at most 65,535.
  ///   - flowLimit: How many flows are put together at a time; beyond it the oldest goes out.
  public init(maximumByteCount: Int = 65_535, flowLimit: Int = 8) {
    self.maximumByteCount = min(maximumByteCount, 65_535)
    self.flowLimit = max(flowLimit, 1)
    runs.reserveCapacity(self.flowLimit)
  }

  /// Takes a wire packet.
  ///
  /// - Parameters:
  ///   - packet: The whole IP packet.
  ///   - isChecksumValid: Whether its checksums are known to be right; when not, they are verified.
  public mutating func add(_ packet: [UInt8], isChecksumValid: Bool = false) {
    guard let segment = CoalescableSegment(packet.span.bytes) else {
      return finished.append(CoalescedPacket(single: packet, isChecksumValid: isChecksumValid))
    }
    let index = runs.firstIndex { $0.tuple == segment.tuple }
    guard segment.mayMerge, isChecksumValid || segment.hasValidChecksums(packet.span.bytes) else {
      if let index { finish(index) }
      return finished.append(CoalescedPacket(single: packet, isChecksumValid: isChecksumValid))
    }
    if let index {
      if runs[index].append(segment, packet, maximumByteCount: maximumByteCount) {
        if runs[index].isComplete { finish(index) }
        return
      }
      finish(index)
    }
    if segment.endsRun {
      return finished.append(CoalescedPacket(single: packet, isChecksumValid: true))
    }
    if runs.count == flowLimit { finish(0) }
    runs.append(SegmentRun(segment, packet))
  }

  /// Lets out everything that waited for more.
  public mutating func flush() {
    while !runs.isEmpty { finish(0) }
  }

  /// The next packet that is complete, or `nil`.
  public mutating func next() -> CoalescedPacket? { finished.popFirst() }

  private mutating func finish(_ index: Int) { finished.append(runs.remove(at: index).finish()) }
}
