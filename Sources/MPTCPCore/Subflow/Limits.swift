/// Bounds on what one subflow keeps, whatever its peer does.
enum Limits {
  /// The smallest segment that is sent, headers of IP and TCP not counted, whatever a peer or a router asks for: less
  /// leaves no payload beside full options, and a flood of packets is what a few octets each are good for.
  static let leastSegmentByteCount = 88
  /// Segments in flight; no new ones leave beyond it, and SACK splits stop at twice as many.
  static let sentSegments = 8192
  /// Mappings that the peer declared ahead of their data.
  static let receivedMappings = 4096
  /// Octets that arrived in order with no mapping (RFC 8684 §3.3.1): beyond it the subflow is reset.
  /// Requirement 8684-3.3.1-16, 8684-3.3.1-17
  static let unmappedByteCount = 256 << 10
  /// The pieces in which they came.
  static let unmappedSlices = 4096
  /// Pieces of data behind holes, on a subflow and in the connection; more where the window is large
  /// (``Connection/pieceLimit``).
  static let pieces = 16_384
  /// The least that a SACK block may cut off the front of a segment: reports of crumbs would make lists long.
  static let sackedPiece = 48
  /// Announcements of the peer that a connection keeps.
  static let remoteAddresses = 32
  /// Announcements, removals and priorities of the peer that are looked at in a second; more than it can mean.
  static let signalsPerSecond = 64
  /// Subflows that a policy opens in a second: what an announcement can aim at somebody.
  static let joinsPerSecond = 16
  /// Addresses of ours that the peer is told of.
  static let announcements = 32
  /// One-shot options that wait for a pure ACK.
  static let pendingOptions = 32
  /// Ranges of data that wait to be sent again on another subflow.
  static let reinjections = 4096
}
