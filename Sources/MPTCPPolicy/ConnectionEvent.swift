import MPTCPWire

/// What happened to a connection, as the engine, the kernel backend and the API all say it.
public enum ConnectionEvent: Sendable, Hashable {
  /// The handshake is done: data may flow. `isMultipath` is false where the peer or the network made it plain TCP.
  case established(isMultipath: Bool)
  /// There is something to read: bytes, the end of the stream, or an error that the next read reports.
  case readable
  /// The send buffer, which refused bytes, takes some again.
  case writable
  /// The connection is over; nothing more comes of it.
  case closed(CloseReason)
  /// A subflow is fully established (RFC 8684 §3.2).
  case subflowEstablished(SubflowDescription)
  /// A subflow is gone.
  case subflowClosed(SubflowDescription, SubflowCloseReason)
  /// The peer announced an address (ADD_ADDR, RFC 8684 §3.4.1).
  case addressAnnounced(AddressID, TransportAddress)
  /// The peer took an address back (REMOVE_ADDR, RFC 8684 §3.4.2).
  case addressRemoved(AddressID)
  /// The peer asks to use this subflow as a backup, or as a regular one (MP_PRIO, RFC 8684 §3.3.8).
  case priorityChanged(SubflowID, isBackup: Bool)
  /// Nothing has been acknowledged on this subflow for a probe time-out: its data goes over the others.
  case pathStalled(SubflowID)
  /// A stalled subflow has acknowledged again.
  case pathRecovered(SubflowID)
  /// The connection became plain TCP for good (RFC 8684 §3.7).
  case fellBack(FallbackReason)
  /// Something is amiss on the way of a subflow and may pass: nothing ends by it (RFC 9293 §3.9.1.8). Each kind is told
  /// once until the peer acknowledges again, however many messages routers send.
  case softError(SubflowID, SoftError)
}

/// What is amiss on the way of a subflow (RFC 9293 §3.8.3, §3.9.2.2).
/// Requirement 9293-3.9.1-06
public enum SoftError: Sendable, Hashable {
  /// Three retransmissions in a row went unanswered: the bound R1 of RFC 9293 §3.8.3.
  case retransmissions
  /// A router or the peer's host says that it cannot be reached (ICMP destination unreachable), with the code of the
  /// address family.
  case unreachable(code: UInt8)
  /// A router dropped a segment whose hops were used up, or fragments did not all come (ICMP time exceeded).
  case timeExceeded(code: UInt8)
  /// Somebody on the way makes no sense of a header (ICMP parameter problem).
  case parameterProblem(code: UInt8)
}

/// Why a connection ended.
public enum CloseReason: Sendable, Hashable {
  /// Both directions were closed and everything arrived.
  case finished
  /// The application aborted it.
  case aborted
  /// The peer aborted it (MP_FASTCLOSE, RFC 8684 §3.5, or RST on the only subflow).
  case resetByPeer
  /// Nobody answered the SYN in time.
  case connectTimedOut
  /// The peer's host answered the SYN with RST.
  case refused
  /// The user time-out passed without an acknowledgement (RFC 9293 §3.9.1.8), or no subflow came back.
  case timedOut
  /// The last subflow failed, and no path is left.
  case noSubflows
  /// ICMP said that the destination cannot be reached while connecting (RFC 9293 §3.9.2.2).
  case unreachable
  /// The engine's limits left no room for it.
  case lackOfResources
  /// The peer broke the protocol beyond what RFC 8684 lets a host repair.
  case protocolError
}

/// Why a subflow ended.
public enum SubflowCloseReason: Sendable, Hashable {
  /// FIN both ways.
  case finished
  /// The peer sent RST, with this reason where MP_TCPRST said one (RFC 8684 §3.6). `isTransient` is its flag T, true
  /// where there was none: a new subflow over the path may work later.
  case resetByPeer(ResetReasonCode?, isTransient: Bool)
  /// We sent RST, for this reason, with flag T where a new subflow over the path may work later.
  case reset(ResetReasonCode, isTransient: Bool)
  /// Retransmissions went unanswered.
  case timedOut
  /// Nobody answered the SYN.
  case connectTimedOut
  /// The peer answered the join with RST or without MP_JOIN.
  case refused
  /// The address or the path is gone.
  case pathRemoved
  /// The application or the policy closed it.
  case closedByPolicy
  /// The connection ended.
  case connectionClosed
}

/// The reason codes of MP_TCPRST as a plain number (RFC 8684 §3.6); unknown codes survive.
public struct ResetReasonCode: Hashable, Sendable {
  /// The code on the wire.
  public var rawValue: UInt8
  /// Makes a reason from its code.
  public init(_ rawValue: UInt8) { self.rawValue = rawValue }
}

/// What made a connection plain TCP.
public enum FallbackReason: Sendable, Hashable {
  /// The peer's SYN or SYN/ACK carried no MP_CAPABLE.
  case peerWithoutMultipath
  /// The SYN/ACK carried an MP_CAPABLE that we may not accept (version or flags, RFC 8684 §3.1).
  case unacceptableCapability
  /// The third ACK carried no MP_CAPABLE.
  case optionMissingOnThirdAck
  /// The first data, or its acknowledgement, came without a DSS (RFC 8684 §3.7).
  case optionMissingOnData
  /// A DSS checksum failed on the only subflow (RFC 8684 §3.7).
  case checksumFailed
  /// The peer sent an infinite mapping (RFC 8684 §3.7).
  case infiniteMapping
  /// The peer sent MP_FAIL (RFC 8684 §3.7).
  case peerSignalledFailure
  /// SYNs with MP_CAPABLE went unanswered (RFC 8684 §3.9.3).
  case synsLost
  /// MP_CAPABLE was not offered, for it failed with the destination, or over the path, before (RFC 8684 §3.9.3).
  case withheld
}
