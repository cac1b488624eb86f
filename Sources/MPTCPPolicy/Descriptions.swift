import MPTCPWire

/// A subflow as it was at one moment. Counters are bytes of payload since its start.
public struct SubflowDescription: Sendable, Hashable {
  /// Its number within the connection.
  public var id: SubflowID
  /// The path that carries it.
  public var path: PathID
  /// Both ends.
  public var tuple: FourTuple
  /// The ID of our address (RFC 8684 §3.4).
  public var localAddressID: AddressID
  /// The ID of the peer's address.
  public var remoteAddressID: AddressID
  /// Whether it is the initial subflow.
  public var isInitial: Bool
  /// Whether this host opened it.
  public var isInitiator: Bool
  /// Whether either side asks to use it only when no other works.
  public var isBackup: Bool
  /// The state of its TCP machine.
  public var state: SubflowState
  /// Whether it has stopped acknowledging (its data goes over the others).
  public var isStalled: Bool
  /// Smoothed round-trip time (RFC 6298); nil before the first sample.
  public var smoothedRoundTripTime: Nanoseconds?
  /// Least round-trip time of the last 10 seconds.
  public var minimumRoundTripTime: Nanoseconds?
  /// Congestion window in bytes.
  public var congestionWindowByteCount: Int
  /// Bytes in flight.
  public var inFlightByteCount: Int
  /// Maximum segment size towards the peer, options not deducted.
  public var maximumSegmentByteCount: Int
  /// Payload sent, retransmissions not counted.
  public var sentByteCount: Int
  /// Payload acknowledged.
  public var acknowledgedByteCount: Int
  /// Payload received in order on this subflow.
  public var receivedByteCount: Int
  /// Payload sent again on this subflow.
  public var retransmittedByteCount: Int
  /// Payload sent here that had been sent on another subflow before.
  public var reinjectedByteCount: Int
  /// Payload sent here by a redundant scheduler that had been sent on another subflow before.
  public var redundantByteCount: Int

  /// Makes a description; see the properties.
  public init(
    id: SubflowID, path: PathID, tuple: FourTuple, localAddressID: AddressID, remoteAddressID: AddressID,
    isInitial: Bool, isInitiator: Bool, isBackup: Bool, state: SubflowState, isStalled: Bool,
    smoothedRoundTripTime: Nanoseconds?, minimumRoundTripTime: Nanoseconds?, congestionWindowByteCount: Int,
    inFlightByteCount: Int, maximumSegmentByteCount: Int, sentByteCount: Int, acknowledgedByteCount: Int,
    receivedByteCount: Int, retransmittedByteCount: Int, reinjectedByteCount: Int, redundantByteCount: Int = 0
  ) {
    self.id = id
    self.path = path
    self.tuple = tuple
    self.localAddressID = localAddressID
    self.remoteAddressID = remoteAddressID
    self.isInitial = isInitial
    self.isInitiator = isInitiator
    self.isBackup = isBackup
    self.state = state
    self.isStalled = isStalled
    self.smoothedRoundTripTime = smoothedRoundTripTime
    self.minimumRoundTripTime = minimumRoundTripTime
    self.congestionWindowByteCount = congestionWindowByteCount
    self.inFlightByteCount = inFlightByteCount
    self.maximumSegmentByteCount = maximumSegmentByteCount
    self.sentByteCount = sentByteCount
    self.acknowledgedByteCount = acknowledgedByteCount
    self.receivedByteCount = receivedByteCount
    self.retransmittedByteCount = retransmittedByteCount
    self.reinjectedByteCount = reinjectedByteCount
    self.redundantByteCount = redundantByteCount
  }
}

/// The states of RFC 9293 §3.3.2; LISTEN belongs to listeners, and CLOSED is the absence of a subflow.
public enum SubflowState: String, Sendable, Hashable {
  /// SYN sent.
  case synSent
  /// SYN received, SYN/ACK sent.
  case synReceived
  /// Open both ways.
  case established
  /// FIN sent, not acknowledged.
  case finWait1
  /// FIN sent and acknowledged.
  case finWait2
  /// FIN received.
  case closeWait
  /// FINs crossed.
  case closing
  /// FIN received, then sent, not acknowledged.
  case lastAck
  /// Both FINs acknowledged; stray segments are still answered.
  case timeWait
  /// Gone.
  case closed
}

/// A connection as it was at one moment.
public struct ConnectionDescription: Sendable, Hashable {
  /// Its number.
  public var id: ConnectionID
  /// Whether it speaks Multipath TCP (false: plain TCP, from the start or after a fallback).
  public var isMultipath: Bool
  /// The version of Multipath TCP that it speaks; nil for plain TCP.
  public var version: MPTCPVersion?
  /// The ends of the initial subflow, also when that is gone: what an application that knows nothing of subflows takes
  /// for the connection's (RFC 8684 §4).
  /// Requirement 8684-4-10
  public var initialTuple: FourTuple
  /// Why it is plain TCP, where it asked for Multipath TCP.
  public var fallback: FallbackReason?
  /// Our token.
  public var localToken: Token?
  /// The peer's token.
  public var remoteToken: Token?
  /// Whether DSS checksums are in use (RFC 8684 §3.3.1).
  public var usesChecksum: Bool
  /// Bytes that the application wrote and the peer acknowledged at the data level.
  public var acknowledgedByteCount: Int
  /// Bytes that the application wrote.
  public var writtenByteCount: Int
  /// Bytes that arrived in order at the data level.
  public var receivedByteCount: Int
  /// Bytes that arrived again at the data level.
  public var duplicateByteCount: Int
  /// The live subflows, in the order of their IDs.
  public var subflows: [SubflowDescription]

  /// Makes a description; see the properties.
  public init(
    id: ConnectionID, isMultipath: Bool, version: MPTCPVersion? = nil, initialTuple: FourTuple,
    fallback: FallbackReason?, localToken: Token?, remoteToken: Token?, usesChecksum: Bool, acknowledgedByteCount: Int,
    writtenByteCount: Int, receivedByteCount: Int,
    duplicateByteCount: Int, subflows: [SubflowDescription]
  ) {
    self.id = id
    self.isMultipath = isMultipath
    self.version = version
    self.initialTuple = initialTuple
    self.fallback = fallback
    self.localToken = localToken
    self.remoteToken = remoteToken
    self.usesChecksum = usesChecksum
    self.acknowledgedByteCount = acknowledgedByteCount
    self.writtenByteCount = writtenByteCount
    self.receivedByteCount = receivedByteCount
    self.duplicateByteCount = duplicateByteCount
    self.subflows = subflows
  }
}
