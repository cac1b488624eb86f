import MPTCPWire

/// A super-segment on its way through a link, as the host keeps it: the link needs to know only what wire packets it
/// stands for, and so need not copy it.
public struct PacketRun: Sendable {
  /// What the host gets back at the other end.
  public let content: any Sendable
  /// How many wire packets it stands for.
  public let wirePacketCount: Int
  /// How many bytes these have, headers included.
  public let wireByteCount: Int

  /// Describes a super-segment.
  ///
  /// - Parameters:
  ///   - content: the super-segment, in whatever form.
  ///   - headerByteCount: its IP and TCP header, which each wire packet repeats.
  ///   - payloadByteCount: its payload.
  ///   - segmentByteCount: the payload of each wire packet but the last; 0 for a single one.
  public init(_ content: any Sendable, headerByteCount: Int, payloadByteCount: Int, segmentByteCount: Int) {
    self.content = content
    let isCut = segmentByteCount > 0 && payloadByteCount > segmentByteCount
    wirePacketCount = isCut ? (payloadByteCount + segmentByteCount - 1) / segmentByteCount : 1
    wireByteCount = payloadByteCount + wirePacketCount * headerByteCount
  }
}
