/// What part a TCP segment has in its connection, as far as a box in the middle can tell. Each segment is of one kind.
public enum SegmentKind: String, CaseIterable, Codable, Hashable, Sendable {
  /// A SYN without ACK, with or without data.
  case syn
  /// A SYN with ACK.
  case synAck
  /// The opener's ACK of the SYN with ACK, without data: on a joining subflow it carries the sender's HMAC
  /// (RFC 8684 §3.2).
  case thirdAck
  /// A segment with data, with or without FIN.
  case data
  /// A segment without data: an acknowledgment.
  case ack
  /// A FIN without data.
  case fin
  /// An RST.
  case reset
}

extension SegmentKind {
  /// Reads a kind by its name.
  public init(from decoder: any Decoder) throws { self = try decoder.choice() }
}
