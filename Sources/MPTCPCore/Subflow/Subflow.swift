import DequeModule
import MPTCPPolicy
import MPTCPWire

/// One subflow: a TCP connection (RFC 9293 and its companions) that carries a part of a connection's data.
///
/// Positions are offsets from the initial sequence numbers and never wrap: the SYN is 0 and the first octet of data 1,
/// which is also the relative subflow sequence number of RFC 8684 §3.3.1. `sequenceNumber(_:)` and `offset(…)` are the
/// only places where they meet the 32-bit numbers of the header.
///
/// The subflow decides nothing about data: the connection gives it mappings to send and takes what arrives.
final class Subflow {
  unowned let endpoint: Endpoint
  unowned let connection: Connection
  let id: SubflowID
  /// Where the endpoint keeps it; also its timer.
  let slot: Int32
  /// Requirement 9293-3.9.1-12
  let tuple: FourTuple
  var path: PathID
  /// Whether it was opened from here, which SYN-RECEIVED does not say.
  /// Requirement 9293-3.5-02
  let isInitiator: Bool
  let isInitial: Bool
  /// Requirement 8684-3.2-09
  var localAddressID: AddressID
  /// Requirement 8684-3.2-09
  var remoteAddressID: AddressID

  // RFC 9293 §3.3.1
  var state: SubflowState {
    didSet {
      guard state != oldValue else { return }
      endpoint.inspection?.note(
        .subflow, from: oldValue.number, to: state.number, isRight: oldValue.leads(to: state))
    }
  }
  let initialSendSequenceNumber: SequenceNumber
  var initialReceiveSequenceNumber = SequenceNumber(0)
  var sendUnacknowledged = 0
  var sendNext = 0
  /// The right edge of the peer's window, as an offset; Multipath TCP never moves it back.
  /// Requirement 9293-3.1-02, 8684-6-13
  var sendWindowEdge = 0
  var sendWindowUpdateSequence = 0
  var sendWindowUpdateAcknowledgment = 0
  var largestSendWindow = 0
  var receiveNext = 0
  /// The right edge of the window that this subflow advertised, as an offset.
  var receiveWindowEdge = 0

  // Negotiated on the SYN
  var sendWindowShift: UInt8 = 0
  var receiveWindowShift: UInt8 = 0
  var isSackPermitted = false
  var usesTimestamps = false
  var usesECN = false
  /// What the peer accepts in one segment, its options included (RFC 6691), bounded by the path's MTU.
  var peerMaximumSegmentByteCount = 536
  var pathMTU: Int
  /// The device's: what we can receive.
  let linkMTU: Int
  /// A larger MTU than the one in use, to be tried with a segment of data.
  var mtuProbe: MTUProbe?

  // Timestamps (RFC 7323)
  var recentTimestamp: UInt32 = 0
  var recentTimestampAt = Instant.zero
  /// Last.ACK.sent: what the peer was told last, as an offset.
  var lastSentAcknowledgment = 0
  let timestampOffset: UInt32

  // Sending
  var sentSegments = Deque<SentSegment>()
  var sentMappings = Deque<SentMapping>()
  var inFlightByteCount = 0
  var sackedByteCount = 0
  var lostByteCount = 0
  /// Whether congestion control wants to know of each transmission, delivery and loss.
  let samplesDelivery: Bool
  /// Which of the connection's congestion windows is this subflow's.
  var windowSlot = 0
  var roundTrip: RTTEstimator
  var recovery = Recovery()
  var rack = RACKState()
  /// When the next data segment may leave (pacing).
  var paceUntil = Instant.zero
  /// When data went out last; nil before the first.
  var lastDataSentAt: Instant?
  var isFinSent = false
  var isFinRequested = false
  var scheduling = SubflowScheduling()

  // Receiving
  // Requirement 8684-3.3.4-07
  var reassembly = ReassemblyQueue()
  /// Requirement 8684-3.3.1-02
  var receivedMappings = Deque<ReceivedMapping>()
  /// In-order bytes that no mapping covers yet, the last ones before `dataReceiveNext`.
  var unmapped = Deque<ByteSlice>()
  var unmappedByteCount = 0
  /// When the first of them has waited for long enough.
  var mappingDeadline = Instant.distantFuture
  /// Bytes of the current mapping that wait for its checksum, small ones gathered.
  var checksumHold = ReceiveQueue()
  var finOffset: Int?
  /// Whether the last that came was the peer's FIN.
  var isFinLatest = false
  /// The largest segment that the peer sends, as seen: every second one is acknowledged at once.
  var receiveSegmentByteCount = 536
  var unacknowledgedReceivedByteCount = 0
  var mustAcknowledge = false
  var quickAcknowledgmentsLeft = 16
  var duplicateRange: Range<Int>?
  /// When the next challenge ACK may leave.
  var nextChallenge = Instant.zero
  var echoesCongestion = false
  var announcesWindowReduction = false
  /// Acknowledgements that carry nothing but options wait until then: no more than two in a row (RFC 8684 §3).
  /// Requirement 8684-3-04
  var optionsHeldUntil = Instant.zero
  /// The data-level state that the last segment sent here carried: a repetition may leave the DATA_ACK out.
  var lastSentDataAck = -1
  /// How many segments have carried one so far, up to 255.
  var statedDataAckCount: UInt8 = 0
  var lastSentDataWindowEdge = -1
  /// Behind the first segment of new data that had a DATA_ACK for data of the peer's: once this is acknowledged, the
  /// peer knows it.
  var firstDataAckEnd = Int.max

  // Multipath TCP
  var join: JoinState?
  /// Whether data may be scheduled here: the initial subflow at once, a joined one after the fourth ACK.
  var isFullyEstablished = false
  /// A mapping, or any DSS, came on it: options survive on this path.
  var hasReceivedMapping = false
  var hasReceivedDSS = false
  /// Data of ours was acknowledged here with a DSS, or with the keys: options survive both ways.
  var isMappingAnswered = false
  var isBackup = false
  var isPeerBackup = false
  /// No acknowledgement for a probe time-out: the data goes over other subflows, this one is only probed.
  var isStalled = false
  var stalledAt = Instant.distantFuture
  /// A probe that must be answered soon, or the subflow goes (REMOVE_ADDR, RFC 8684 §3.4.2).
  /// Requirement 8684-3.4.2-05, 8684-3.4.2-06, 8684-3.4.2-10
  var removalDeadline = Instant.distantFuture
  var pendingOptions: [MultipathOption] = []
  /// The reason that our RST states, and what our application is told.
  var closeReason: SubflowCloseReason?
  /// The policy knows that it ends.
  var isEndTold = false

  // Timers; `.distantFuture` is off.
  var retransmitDeadline = Instant.distantFuture
  var probeDeadline = Instant.distantFuture
  /// When a silence is long enough to look whether other subflows are heard.
  var silenceDeadline = Instant.distantFuture
  /// Others were heard in it when it was looked at before.
  var isConspicuouslySilent = false
  /// What it holds up has gone over another subflow since it was last heard.
  var hasProbedElsewhere = false
  var reorderDeadline = Instant.distantFuture
  var acknowledgmentDeadline = Instant.distantFuture
  var persistDeadline = Instant.distantFuture
  var keepAliveDeadline = Instant.distantFuture
  var paceDeadline = Instant.distantFuture
  var closeDeadline = Instant.distantFuture
  var synRetransmissions = 0
  var synSentAt = Instant.distantFuture
  /// Whether the SYNs agreed on window scaling.
  var sendsWindowShift = true
  var persistCount = 0
  var unansweredKeepAlives = 0
  /// Since when something sent is unacknowledged, for the user time-out.
  var unacknowledgedSince = Instant.distantFuture
  var lastReceivedAt = Instant.zero
  var consecutiveTimeouts = 0
  /// A bit for each kind of soft error that the application has heard of since the last progress.
  var toldSoftErrors: UInt8 = 0

  // Counters
  var sentByteCount = 0
  var acknowledgedByteCount = 0
  var receivedByteCount = 0
  var retransmittedByteCount = 0
  var reinjectedByteCount = 0
  var redundantByteCount = 0

  init(
    endpoint: Endpoint, connection: Connection, id: SubflowID, slot: Int32, tuple: FourTuple, path: PathID,
    pathMTU: Int, linkMTU: Int, isInitiator: Bool, isInitial: Bool, state: SubflowState,
    initialSequenceNumber: SequenceNumber,
    timestampOffset: UInt32
  ) {
    self.endpoint = endpoint
    self.connection = connection
    samplesDelivery = connection.congestion.samplesDelivery
    self.id = id
    self.slot = slot
    self.tuple = tuple
    self.path = path
    self.pathMTU = pathMTU
    self.linkMTU = linkMTU
    self.isInitiator = isInitiator
    self.isInitial = isInitial
    self.state = state
    initialSendSequenceNumber = initialSequenceNumber
    self.timestampOffset = timestampOffset
    localAddressID = .initial
    remoteAddressID = .initial
    roundTrip = RTTEstimator(minimumTimeout: endpoint.configuration.minimumRetransmissionTimeout)
  }

  // MARK: Numbers

  func sequenceNumber(_ offset: Int) -> SequenceNumber { initialSendSequenceNumber + offset }
  func receiveSequenceNumber(_ offset: Int) -> SequenceNumber { initialReceiveSequenceNumber + offset }

  /// The offset of a number that the peer sent, the one nearest to what is expected.
  func receiveOffset(_ number: SequenceNumber) -> Int {
    receiveNext + (number - receiveSequenceNumber(receiveNext))
  }

  /// The offset of a number that the peer acknowledges, the one nearest to what is outstanding.
  func sendOffset(_ number: SequenceNumber) -> Int {
    sendUnacknowledged + (number - sequenceNumber(sendUnacknowledged))
  }

  /// The peer's FIN is here with everything before it, and counted in `receiveNext`.
  var hasTakenFin: Bool { finOffset.map { receiveNext > $0 } ?? false }

  /// The offset behind the last octet of data that is here in order: a FIN that was taken is none.
  var dataReceiveNext: Int { hasTakenFin ? receiveNext - 1 : receiveNext }

  // MARK: Sizes

  private var ipHeaderByteCount: Int { tuple.remote.address.family == .v4 ? 20 : 40 }

  /// What our SYN announces (RFC 9293 §3.7.1): the device's MTU without fixed headers. What the path towards the peer
  /// carries says nothing of the other direction.
  /// Requirement 9293-3.7.1-07
  var announcedMaximumSegmentByteCount: Int { max(linkMTU - ipHeaderByteCount - 20, Limits.leastSegmentByteCount) }

  /// Payload and TCP options of a segment towards the peer.
  /// Requirement 9293-3.7.1-05, 4821-7.1-01
  var maximumSegmentByteCount: Int {
    max(min(peerMaximumSegmentByteCount, largestSegmentByteCount), Limits.leastSegmentByteCount)
  }

  /// The most that the path towards the peer carries, payload and TCP options.
  var largestSegmentByteCount: Int { max(pathMTU - ipHeaderByteCount - 20, Limits.leastSegmentByteCount) }

  /// Payload of a full segment that carries `optionByteCount` octets of options.
  /// Requirement 9293-3.7.1-05
  func payloadByteCount(optionByteCount: Int) -> Int { max(maximumSegmentByteCount - optionByteCount, 48) }

  /// Payload of a full segment as data is sent now: timestamps and a mapping deducted.
  /// Requirement 9293-3.9.1-05
  var fullPayloadByteCount: Int {
    var options = usesTimestamps ? 12 : 0
    if connection.mapsData { options += connection.mappingOptionByteCount }
    return payloadByteCount(optionByteCount: options)
  }

  /// Payload of the fullest segments that may be outstanding. Those that left before our DATA_ACKs grew to eight octets
  /// are four longer than what is sent now. They are repeated as they were, without a DATA_ACK: cut anew, each would
  /// leave a crumb. Those without a mapping of their own are longer still.
  var fullestSentPayloadByteCount: Int {
    guard connection.isMultipath else { return fullPayloadByteCount }
    return max(fullestMappedPayloadByteCount, omitsMappings ? barePayloadByteCount : 0)
  }

  private var fullestMappedPayloadByteCount: Int {
    fullPayloadByteCount + (connection.isMultipath && connection.answersWithEightOctets ? 4 : 0)
  }

  /// How much of a segment that is repeated goes into one wire packet.
  func repeatedPayloadByteCount(of segment: SentSegment) -> Int {
    let bare = payloadByteCount(at: segment.start, of: mapping(covering: segment.start))
    if segment.count <= max(bare, fullestMappedPayloadByteCount) { return segment.count }
    return bare
  }

  /// The most payload that a super-segment may hold: its IP length is at most 65,535.
  var largestSuperSegmentByteCount: Int { 65_535 - ipHeaderByteCount - 60 }

  // MARK: State

  var isOpen: Bool {
    switch state {
    case .established, .closeWait, .finWait1, .finWait2: true
    case .synSent, .synReceived, .closing, .lastAck, .timeWait, .closed: false
    }
  }

  /// Whether new data may go out on it as far as TCP is concerned.
  /// Behind a SYN whose data was taken that is so before the third ACK (RFC 7413 §4.2.2).
  var acceptsData: Bool {
    (state == .established || state == .closeWait || state == .synReceived) && isFullyEstablished && !isFinRequested
  }

  var isSynchronized: Bool {
    switch state {
    case .synSent, .synReceived, .closed: false
    case .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck, .timeWait: true
    }
  }

  /// What was sent and is not cumulatively acknowledged (RFC 5681 §2).
  var flightByteCount: Int { sendNext - sendUnacknowledged }

  /// What is believed to be in the network (RFC 6675's pipe).
  /// Requirement 6675-5-01
  var pipeByteCount: Int { max(inFlightByteCount - recovery.presumedByteCount, 0) }

  var congestionWindow: Int { connection.congestion.windows[windowSlot].congestionWindowByteCount }

  var description: SubflowDescription {
    SubflowDescription(
      id: id, path: path, tuple: tuple, localAddressID: localAddressID, remoteAddressID: remoteAddressID,
      isInitial: isInitial, isInitiator: isInitiator, isBackup: isBackup || isPeerBackup, state: state,
      isStalled: isStalled, smoothedRoundTripTime: roundTrip.smoothed, minimumRoundTripTime: roundTrip.minimum,
      congestionWindowByteCount: congestionWindow, inFlightByteCount: inFlightByteCount,
      maximumSegmentByteCount: maximumSegmentByteCount, sentByteCount: sentByteCount,
      acknowledgedByteCount: acknowledgedByteCount, receivedByteCount: receivedByteCount,
      retransmittedByteCount: retransmittedByteCount, reinjectedByteCount: reinjectedByteCount,
      redundantByteCount: redundantByteCount)
  }

  /// The timestamp clock: milliseconds, offset by a secret so that it tells nothing (RFC 7323 §5.4).
  /// Requirement 7323-5-04, 7323-5-05
  func timestamp(_ now: Instant) -> UInt32 {
    timestampOffset &+ UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000)
  }
}

/// What a join is waiting for (RFC 8684 §3.2).
struct JoinState {
  /// Our nonce.
  var localNonce: UInt32
  /// The peer's nonce, once known.
  var remoteNonce: UInt32 = 0
  /// Flag B of our SYN or SYN/ACK, in each repetition of it too.
  var isBackup: Bool
}

/// Loss recovery of one subflow (RFC 6675's frame, RFC 6937's rate).
struct Recovery {
  enum Phase {
    /// Nothing is lost as far as we know.
    case open
    /// Segments were found lost; ends when `end` is acknowledged.
    case fast
    /// A retransmission time-out happened; ends when `end` is acknowledged.
    case timeout
  }
  var phase = Phase.open
  /// What had been sent when recovery began.
  var end = 0
  var reduction = ProportionalRateReduction(inFlightAtRecovery: 0, slowStartThreshold: 0)
  /// The value of our timestamp clock when the first retransmission left: an echo of an earlier one proves the
  /// retransmission needless (Eifel, RFC 3522). nil before it has, and once an acknowledgement has been judged by it.
  var firstRetransmissionTimestamp: UInt32?
  /// Nothing has been retransmitted since recovery began.
  var awaitsFirstRetransmission = false
  /// After an ECN echo no further reduction until more than this offset is acknowledged (RFC 3168 §6.1.2).
  var congestionEchoEnd = 0
  /// The acknowledgement in hand reports a segment that came twice (RFC 2883).
  var hasDuplicateReport = false
  /// Duplicate acknowledgements in a row, for peers without SACK (RFC 5681 §3.2).
  var duplicateAcknowledgments = 0
  /// What they say has arrived behind the hole: a segment each (RFC 6937 §3.1). It is still counted as in flight.
  var presumedByteCount = 0
  /// Something that was sent after recovery began is lost as well.
  var hasLaterLoss = false
  /// The next lost segment goes out whatever the window says: a partial acknowledgement (RFC 6582 §3.2 step 3).
  var mustRetransmit = false
  /// The window field of the last acknowledgement: one that changes it is no duplicate (RFC 5681 §2).
  var lastWindow: UInt16 = 0
}

/// RACK-TLP state (RFC 8985 §5.2, §7).
struct RACKState {
  var sentAt = Instant.zero
  var end = 0
  var roundTripTime = Nanoseconds.zero
  var forwardAcknowledgment = 0
  var hasSeenReordering = false
  var windowMultiplier: Int64 = 1
  var windowPersistence = 16
  var duplicateRound: Int?
  /// The end of what was outstanding when the last probe left; nil when none is out.
  var probeEnd: Int?
  var probeIsRetransmission = false
  /// A round trip has been measured since the last probe left.
  var hasSampleSinceProbe = true
}
