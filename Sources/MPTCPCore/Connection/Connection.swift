import DequeModule
import MPTCPPolicy
import MPTCPWire

/// One connection: Multipath TCP (RFC 8684, or RFC 6824: see ``version``) over one or more subflows, or plain TCP over
/// one.
///
/// Positions in the data sequence space are offsets from the initial data sequence numbers and never wrap: the octet of
/// MP_CAPABLE is 0 and the first octet of data 1. A plain TCP connection uses the same offsets; they equal the offsets
/// of its only subflow.
final class Connection {
  /// What the connection knows of Multipath TCP (RFC 8684 §3.1, figure 3, and §3.7).
  enum Multipath: Equatable {
    /// Plain TCP was asked for.
    case off
    /// MP_CAPABLE went out (initiator), or came in and was answered (listener).
    case offered
    /// Listener, once it has taken the data of a SYN: MP_CAPABLE was answered, our data is mapped, and the third ACK
    /// will bring the peer's key or make it plain TCP (RFC 8684 appendix B.3).
    case early
    /// Initiator: both keys are known, and nothing of the peer proves yet that it knows ours.
    case keyed
    /// Both know that both speak it; joins are possible.
    case confirmed
    /// It was asked for, and the connection is plain TCP now.
    case fellBack(FallbackReason)
  }

  /// What the application, or the engine, has done with it.
  enum Phase {
    case opening
    case open
    /// Over: what is left are subflows that close.
    case closed
  }

  unowned let endpoint: Endpoint
  let id: ConnectionID
  let slot: Int32
  let listener: ListenerID?
  let isInitiator: Bool
  var options: ConnectionOptions
  var phase = Phase.opening {
    didSet {
      guard phase != oldValue else { return }
      endpoint.inspection?.note(
        .connection, from: oldValue.number, to: phase.number,
        isRight: Phase.leads(from: oldValue.number, to: phase.number))
    }
  }
  /// Where the streams stand; ``advance(_:)`` alone moves it.
  private(set) var dataState = DataState.established
  var isDirty = false
  /// When a subflow last received data in order.
  var lastPayloadAt = Instant.zero
  /// The host called `close` or `abort`: nobody reads any more, and nobody is told anything.
  var isReleased = false
  /// The application has shown that it knows the connection; until then it counts against the listener's backlog.
  var isTaken = false
  /// It is counted there.
  var isInBacklog = false
  /// The application was told of it: it waits for `close`.
  var hasBeenAnnounced = false

  // Multipath TCP
  var multipath: Multipath {
    didSet {
      endpoint.inspection?.note(
        .multipath, from: oldValue.number, to: multipath.number,
        isRight: Multipath.leads(from: oldValue.number, to: multipath.number))
    }
  }
  /// The version that is offered, or negotiated; it says nothing once the connection is plain TCP.
  private(set) var version: MPTCPVersion
  /// Listener: the versions that it may answer with.
  var acceptedVersions: MultipathVersions = []
  // Requirement 8684-C.1-01
  private(set) var localKey: Key
  private(set) var localToken = Token(0)
  var localInitialNumber = DataSequenceNumber(0)
  var remoteKey = Key(0)
  var remoteToken = Token(0)
  var remoteInitialNumber = DataSequenceNumber(0)
  /// Requirement 8684-C.1-01
  var usesChecksum = false
  /// Initiator: version 0 may be tried where the peer ignores version 1, and has been.
  var mayTryVersion0 = false
  var hasTriedVersion0 = false
  /// Listener: the latest SYN had an MP_CAPABLE.
  var answersWithCapable = true
  /// TCP Fast Open: what is under way, and how much data the SYN carried, how much of ours it acknowledged, and how
  /// much of the peer's was taken. The last two lie outside the data sequence space (RFC 8684 appendix B.2).
  var fastOpen = FastOpen.none
  var offeredOnSynByteCount: Int32 = 0
  var sentOnSynByteCount: Int32 = 0
  var receivedOnSynByteCount: Int32 = 0
  /// The peer set flag C: no joins to the address and port of the initial subflow.
  var peerRefusesInitialAddress = false
  var hasReceivedDSS = false
  /// A mapping of the peer came through: options survive in that direction.
  var hasReceivedMapping = false
  /// Initiator: the third ACK with the keys has left.
  var hasSentKeys = false
  /// Our DATA_ACKs have 8 octets: for good once the peer has sent an 8-octet data sequence number (RFC 8684 §3.3.2).
  /// Four leave each segment of one who sends only more room.
  /// Requirement 8684-3.3.2-02
  var answersWithEightOctets = false
  /// Both streams have run on the initial subflow alone, each octet once: plain TCP could go on from here (RFC 8684
  /// §3.7). A join, or data sent again on another subflow or under another subflow sequence number, ends that for good;
  /// so it does for Linux, which then answers a failure with RST.
  var isLinear = true
  /// A segment of the peer's with a DSS, or the keys, acknowledged our first octet: it knows its mapping, and does not
  /// fall back unsaid any more.
  var isMappingKnownToPeer = false
  /// Where our infinite mapping begins, as a data offset, which is the subflow offset too (RFC 8684 §3.7).
  /// Requirement 8684-3.7-19
  var infiniteMappingStart: Int?
  /// The subflow offset of the mapping that carried it, once sent.
  var infiniteMappingCarrier: Int?
  /// MP_FAIL, on every pure ACK until the peer shows that it got it: were an ACK without it to arrive, the peer would
  /// take the missing DATA_ACK for a loss and send the data again, which plain TCP could not tell from new data.
  var failureToSignal: MPFail?
  /// The peer's infinite mapping, or the plain TCP that follows a fallback: subflow offset and data offset that belong
  /// together from there on.
  var linearReceive: (subflowOffset: Int, dataOffset: Int)?

  // Subflows
  var subflows: [Subflow] = []
  var nextSubflowNumber: Int32 = 0
  let congestion: CongestionController
  var scheduler: SchedulerState

  // Sending
  var sendBuffer = SendBuffer()
  var sendUnacknowledged = 1
  var sendNext = 1
  /// Requirement 8684-C.1-02
  var sendWindowEdge = 1
  var finishRequested = false
  /// The DATA_FIN has to go out again.
  var resendsDataFin = false
  /// Bytes have waited for a mapping in vain where no other subflow brings data: something on the way takes some away.
  var isMappingTakenAway = false
  /// No DATA_ACK came for it: the FIN of the last subflow tells the end.
  var isEndLeftToFin = false
  /// Which subflow carries the DATA_FIN alone in its next acknowledgement.
  var dataFinCarrier: SubflowID?
  var reinjections = Deque<Reinjection>()
  var wantsWritable = false
  var writtenByteCount = 0

  // Receiving
  // Requirement 8684-C.1-03
  var receiveNext = 1
  var receiveWindowEdge = 1
  var receiveLimit: Int
  var reassembly = ReassemblyQueue()
  var receiveQueue = ReceiveQueue()
  /// Bytes that subflows hold: out of order, unmapped, or waiting for a checksum.
  var pendingByteCount = 0
  var remoteFinOffset: Int?
  var wantsReadable = true
  var receivedByteCount = 0
  var duplicateByteCount = 0
  /// What the application read since `readRoundStart`, to size the window.
  var readInRound = 0
  var readRoundStart = Instant.zero
  var closeReason: CloseReason?

  // Addresses
  var policy: Policy
  var initialPath: PathID
  var initialTuple: FourTuple
  /// Requirement 8684-3.2-08, 8684-3.4.1-05
  var remoteAddresses: [RemoteAddress] = []
  var announcements: [Announcement] = []
  /// What the peer may still have us do in this second.
  var signalBudget = RateBudget()
  var joinBudget = RateBudget()
  /// Version 0: when an address was taken back last.
  var addressesChangedAt: Instant?
  /// Options about addresses that no subflow was there to carry.
  var waitingOptions: [MultipathOption] = []

  // Timers
  var dataRetransmitDeadline = Instant.distantFuture
  var dataRetransmissions = 0
  /// When the application opened it.
  let openedAt: Instant
  /// When the peer last acknowledged more data, or data became outstanding.
  var dataProgressAt = Instant.zero
  var policyDeadline = Instant.distantFuture
  var announceDeadline = Instant.distantFuture
  /// No subflow is left: how long to wait for another (break before make, RFC 8684 §3.3.3 calls for a time-out).
  var orphanDeadline = Instant.distantFuture
  /// The application is gone; the peer has this long to finish.
  var lingerDeadline = Instant.distantFuture
  /// MP_FASTCLOSE on an ACK has not been answered: when it goes again, and how often still (RFC 8684 §3.5, option A).
  var fastCloseDeadline = Instant.distantFuture
  var fastClosesLeft = 0

  init(
    endpoint: Endpoint, id: ConnectionID, slot: Int32, listener: ListenerID?, isInitiator: Bool,
    options: ConnectionOptions, version: MPTCPVersion, key: Key, tuple: FourTuple, path: PathID
  ) {
    self.endpoint = endpoint
    self.id = id
    self.slot = slot
    self.listener = listener
    self.isInitiator = isInitiator
    self.options = options
    openedAt = endpoint.now
    self.version = version
    localKey = key
    multipath = options.multipath == .disabled ? .off : .offered
    if options.multipath != .disabled { (localToken, localInitialNumber) = key.derived(version) }
    congestion = options.congestionControl.makeController(seed: endpoint.entropy.next())
    scheduler = SchedulerState(options.scheduler)
    receiveLimit = min(256 << 10, max(options.receiveBufferByteCount, 4096))
    policy = options.policy
    initialPath = path
    initialTuple = tuple
  }

  /// Before anything of the peer counts: from here on the connection goes by `version` and `key`.
  func take(_ version: MPTCPVersion, _ key: Key) {
    self.version = version
    localKey = key
    (localToken, localInitialNumber) = key.derived(version)
  }

  // MARK: Numbers

  func sendDataNumber(_ offset: Int) -> DataSequenceNumber { localInitialNumber + offset }
  func receiveDataNumber(_ offset: Int) -> DataSequenceNumber { remoteInitialNumber + offset }

  /// The offset of a data sequence number of the peer; nil for one that lies absurdly far away.
  /// Requirement 8684-3.3.1-20
  func receiveDataOffset(_ number: DSSMapping.Number) -> Int? {
    let expected = receiveDataNumber(receiveNext)
    let full =
      switch number {
      case .four(let low): DataSequenceNumber(low32: low, near: expected)
      case .eight(let all): DataSequenceNumber(all)
      }
    return Self.offset(receiveNext, full - expected)
  }

  /// The offset that a DATA_ACK names.
  /// Requirement 8684-3.3.2-03
  func sendDataOffset(_ acknowledgment: DataAck) -> Int? {
    let expected = sendDataNumber(sendUnacknowledged)
    let full =
      switch acknowledgment {
      case .four(let low): DataSequenceNumber(low32: low, near: expected)
      case .eight(let all): DataSequenceNumber(all)
      }
    return Self.offset(sendUnacknowledged, full - expected)
  }

  private static func offset(_ base: Int, _ distance: Int) -> Int? {
    // Nothing honest is further away than a terabyte.
    guard distance.magnitude < 1 << 40 else { return nil }
    return base + distance
  }

  // MARK: State

  /// Whether DSS options are sent: both keys are known and nothing has made it plain TCP.
  var isMultipath: Bool { multipath == .keyed || multipath == .confirmed }
  var isConfirmed: Bool { multipath == .confirmed }
  /// Whether our data is mapped: also before the peer's key is known, which only a DATA_ACK needs.
  var mapsData: Bool { isMultipath || multipath == .early }
  /// Whether a reset may carry Multipath TCP options.
  var mayUseMultipathOptions: Bool { isMultipath }

  /// The only place where the data-level state changes.
  func advance(_ signal: DataState.Signal) {
    let before = dataState
    dataState = before.after(signal)
    guard dataState != before else { return }
    endpoint.inspection?.note(.streams, from: before.number, to: dataState.number, isRight: true)
  }

  /// Our DATA_FIN, or the FIN of plain TCP, has been sent.
  var isDataFinSent: Bool { dataState.isEndSent }
  /// It has been acknowledged, or no longer can be.
  var isDataFinAcknowledged: Bool { dataState.isEndAcknowledged }
  /// The peer's stream is here to its end, or nothing more of it is taken.
  var isRemoteFinished: Bool { dataState.isPeerEnded }
  /// The peer's stream is here to its end, whatever became of the connection.
  var hasWholeStream: Bool { remoteFinOffset.map { receiveNext >= $0 } ?? false }

  var isFallback: Bool {
    if case .fellBack = multipath { return true }
    return multipath == .off
  }

  /// Whether data of the peer's is here that a DATA_ACK speaks of.
  var hasReceivedMappedData: Bool { receiveNext > 1 + Int(receivedOnSynByteCount) }

  /// What a mapping and its DATA_ACK take of the option space.
  var mappingOptionByteCount: Int {
    let ack = answersWithEightOctets ? 8 : 4
    return (4 + ack + 14 + (usesChecksum ? 2 : 0) + 3) & ~3
  }

  var dataEnd: Int { sendBuffer.end + 1 }

  func markDirty() {
    guard !isDirty else { return }
    isDirty = true
    endpoint.dirty.append(self)
  }

  func emit(_ event: ConnectionEvent) {
    guard !isReleased else { return }
    // A listener's connection that never opened is nothing that the application has heard of.
    if listener != nil, !hasBeenAnnounced {
      guard case .established = event else { return }
    }
    hasBeenAnnounced = true
    endpoint.events.append(EndpointEvent(connection: id, listener: listener, event: event, at: endpoint.now))
  }

  func subflow(_ id: SubflowID) -> Subflow? { subflows.first { $0.id == id } }

  /// Whether `subflow` is the only one, joins under way not counted.
  func isOnlySubflow(_ subflow: Subflow) -> Bool {
    subflows.allSatisfy { $0 === subflow || !$0.isFullyEstablished }
  }

  /// Whether the connection can go on as plain TCP on `subflow` (RFC 8684 §3.7).
  /// Requirement 8684-3.7-21
  func canFallBack(on subflow: Subflow) -> Bool { isLinear && subflow.isInitial && isOnlySubflow(subflow) }

  /// The peer has acknowledged our first data on the only subflow, and with neither a DSS nor the keys. It may have met
  /// them without their mapping and be plain TCP now, whatever DSSs it had sent before: sent again, the data would be
  /// new data to it.
  var mayPeerBePlain: Bool {
    guard !isMappingKnownToPeer, isMultipath, sendUnacknowledged == firstMappedOffset, sendNext > firstMappedOffset,
      let initial = subflows.first(where: \.isInitial), isOnlySubflow(initial)
    else { return false }
    return initial.sendUnacknowledged > initial.firstMappedOffset
  }

  func hasOtherUsableSubflow(than subflow: Subflow) -> Bool {
    subflows.contains { $0 !== subflow && $0.acceptsData && !$0.isStalled }
  }

  var description: ConnectionDescription {
    var fallback: FallbackReason?
    if case .fellBack(let reason) = multipath { fallback = reason }
    return ConnectionDescription(
      id: id, isMultipath: mapsData, version: mapsData ? version : nil, initialTuple: initialTuple,
      fallback: fallback, localToken: mapsData ? localToken : nil,
      remoteToken: isMultipath ? remoteToken : nil, usesChecksum: mapsData && usesChecksum,
      acknowledgedByteCount: min(sendUnacknowledged, dataEnd) - 1, writtenByteCount: writtenByteCount,
      receivedByteCount: receivedByteCount, duplicateByteCount: duplicateByteCount,
      subflows: subflows.filter { $0.state != .closed }.map(\.description))
  }

  var nextDeadline: Instant {
    min(
      min(min(dataRetransmitDeadline, policyDeadline), min(announceDeadline, orphanDeadline)),
      min(lingerDeadline, fastCloseDeadline))
  }

  /// Nothing is due any more.
  func stopTimers() {
    dataRetransmitDeadline = .distantFuture
    policyDeadline = .distantFuture
    announceDeadline = .distantFuture
    orphanDeadline = .distantFuture
    lingerDeadline = .distantFuture
    fastCloseDeadline = .distantFuture
  }

  /// Does what is due.
  func fire(now: Instant) {
    if dataRetransmitDeadline <= now { dataRetransmissionTimeout(now: now) }
    if policyDeadline <= now {
      policyDeadline = .distantFuture
      consult(.wake, now: now)
    }
    if announceDeadline <= now { sendAnnouncements(now: now) }
    if orphanDeadline <= now { orphanDeadlinePassed(now: now) }
    if lingerDeadline <= now { lingerDeadlinePassed(now: now) }
    if fastCloseDeadline <= now { fastCloseDeadlinePassed(now: now) }
    markDirty()
  }
}

/// Data that was sent on a subflow that does not answer, to be sent again on another.
struct Reinjection {
  /// Offsets in the data sequence space.
  var range: Range<Int>
  /// The subflow that has it already.
  var origin: SubflowID
  /// That one is only suspected: it goes out all the same.
  var isProbe = false
}

/// One of our addresses that the peer was told of (RFC 8684 §3.4.1).
struct Announcement {
  var id: AddressID
  var address: IPAddress
  var port: Port?
  var isEchoed = false
  var attempts = 0
  /// When it went out last; nil before the first time.
  var sentAt: Instant?
  /// It went out three times, and the peer has not echoed it.
  var isGivenUp: Bool { !isEchoed && attempts >= 3 }
}
