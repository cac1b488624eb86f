/// What a ``SegmentCoalescer`` gives out: a packet as it went in, or several TCP segments as one.
public struct CoalescedPacket: Hashable, Sendable {
  /// The whole IP packet.
  ///
  /// In a super-segment the TCP checksum field holds the sum of the pseudo-header, as devices with checksum offload
  /// take it; all other packets are as they came.
  public var bytes: [UInt8]
  /// The payload of each segment but the last in a super-segment; 0 for a packet that came alone.
  public var segmentByteCount: Int
  /// How many wire packets it stands for.
  public var wirePacketCount: Int
  /// Where the TCP header begins, in a super-segment.
  public var networkHeaderByteCount: Int
  /// Where the payload begins, in a super-segment.
  public var headerByteCount: Int
  /// Whether the checksums of all that it stands for are known to be right.
  public var isChecksumValid: Bool

  /// Whether the TCP checksum is left to a device, which is so in super-segments.
  public var isChecksumPartial: Bool { segmentByteCount > 0 }

  init(single bytes: [UInt8], isChecksumValid: Bool) {
    self.bytes = bytes
    segmentByteCount = 0
    wirePacketCount = 1
    networkHeaderByteCount = 0
    headerByteCount = 0
    self.isChecksumValid = isChecksumValid
  }
}
