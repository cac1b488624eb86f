import MPTCPPolicy
import MPTCPWire

// What becomes of data that was sent: the peer's DATA_ACKs and window, and what goes out again where those do not come.
extension Connection {
  // MARK: Acknowledgements of data

  /// DATA_ACK: everything before `offset` arrived at the peer's connection (RFC 8684 §3.3.2).
  /// Requirement 8684-3.3.2-07, 8684-4-02
  func dataAcknowledged(upTo offset: Int, now: Instant) {
    guard offset > sendUnacknowledged || (isDataFinSent && offset == dataEnd + 1 && finishRequested) else { return }
    guard offset <= sendNext + (isDataFinSent ? 1 : 0) else { return }
    let data = min(offset, dataEnd)
    if data > sendUnacknowledged {
      sendUnacknowledged = data
      sendBuffer.release(upTo: data - 1)
      dataRetransmissions = 0
    }
    dataProgressAt = now
    if finishRequested, isDataFinSent, offset > dataEnd { noteEndAcknowledged() }
    dataRetransmitDeadline = .distantFuture
    markDirty()
    checkFinished(now: now)
  }

  /// A mapping is acknowledged by its subflow. For plain TCP that is all there is.
  /// Requirement 8684-3.7-25
  func subflowAcknowledged(_ mapping: SentMapping, on subflow: Subflow) {
    guard isFallback else { return }
    dataAcknowledged(upTo: mapping.dataOffset + mapping.count, now: endpoint.now)
  }

  /// The same for a mapping of which the peer has only the front.
  /// Requirement 8684-3.7-25
  func subflowAcknowledgedPart(of mapping: SentMapping, upTo acknowledgment: Int) {
    guard isFallback else { return }
    dataAcknowledged(upTo: mapping.dataOffset + (acknowledgment - mapping.subflowOffset), now: endpoint.now)
  }

  /// RFC 8684 §3.3.4: the connection's right edge is the DATA_ACK plus the window of the same segment.
  /// Requirement 8684-3.3.2-05, 8684-3.3.4-02, 8684-3.3.5-01, 8684-3.3.5-02
  func peerWindow(_ window: Int, on subflow: Subflow, segment: Segment) {
    guard isMultipath, let acknowledgment = segment.options.multipath.dss?.dataAck,
      let offset = sendDataOffset(acknowledgment), offset <= sendNext + 1
    else { return }
    if offset + window > sendWindowEdge {
      sendWindowEdge = offset + window
      markDirty()
    }
  }

  func isBlockedByWindow(_ subflow: Subflow) -> Bool {
    guard phase == .open, subflow.isOpen, subflow.sentSegments.isEmpty, !subflow.isStalled else { return false }
    let isClosed = subflow.sendWindowEdge <= subflow.sendNext
    if subflow.reservedByteCount > 0 { return isClosed }
    // What is sent again lies within the connection's window, but not within each subflow's.
    guard sendNext < dataEnd else { return isClosed && !reinjections.isEmpty }
    if isFallback { return isClosed }
    guard sendUnacknowledged == sendNext || isClosed else { return false }
    return sendWindowEdge <= sendNext || isClosed
  }

  // MARK: Reinjection (RFC 8684 §3.3.6)

  /// Queues what `subflow` holds and the peer has not DATA_ACKed for other subflows.
  func reinject(from subflow: Subflow) { reinject(from: [subflow]) }

  /// The same for all of `silent`, in the order of the data; what several of them hold is queued once.
  func reinject(from silent: [Subflow]) {
    guard !isFallback else { return }
    var held: [Reinjection] = []
    for subflow in silent {
      for mapping in subflow.sentMappings {
        if mapping.hasDataFin, !isDataFinAcknowledged { resendsDataFin = true }
        let start = max(mapping.dataOffset, sendUnacknowledged)
        let end = mapping.dataOffset + mapping.count
        guard start < end else { continue }
        held.append(Reinjection(range: start..<end, origin: subflow.id))
      }
    }
    markDirty()
    // Under redundant scheduling the others carry it anyway, or have.
    guard scheduler.kind != .redundant else { return }
    var end = sendUnacknowledged
    for piece in held.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) where piece.range.upperBound > end {
      guard reinjections.count < Limits.reinjections else { break }
      reinjections.append(
        Reinjection(range: max(piece.range.lowerBound, end)..<piece.range.upperBound, origin: piece.origin))
      end = piece.range.upperBound
    }
  }

  /// Sends what is queued to go over other subflows, as far as these have room.
  /// Requirement 8684-3.3.1-04, 8684-3.3.6-01
  func sendReinjections(now: Instant) {
    // The timer decides, not a path that comes back.
    if !reinjections.isEmpty, mayPeerBePlain { return reinjections.removeAll() }
    while let next = reinjections.first {
      var range = next.range
      if range.lowerBound < sendUnacknowledged { range = min(sendUnacknowledged, range.upperBound)..<range.upperBound }
      guard !range.isEmpty else {
        reinjections.removeFirst()
        continue
      }
      if let origin = subflow(next.origin), !origin.isStalled, origin.acceptsData,
        !next.isProbe || !mayProbe(for: origin) || !Self.carries(origin, range.lowerBound)
      {
        // It came back: its own retransmissions do.
        reinjections.removeFirst()
        continue
      }
      guard let (subflow, room) = leastRoundTrip(now: now, wanted: range.count, avoiding: next.origin) else { return }
      let mss = subflow.fullPayloadByteCount
      var length = min(range.count, min(room, subflow.largestSuperSegmentByteCount / mss * mss))
      if !endpoint.offersSegmentation(subflow.path) { length = min(length, mss) }
      if length < range.count, length > mss { length = length / mss * mss }
      let sent = transmit(at: range.lowerBound, count: length, on: subflow, isReinjection: true, now: now)
      guard sent > 0 else { return }
      if sent == range.count {
        reinjections.removeFirst()
      } else {
        reinjections[0].range = (range.lowerBound + sent)..<range.upperBound
      }
    }
  }

  /// `silent` tells nothing for as long as a probe would wait, which is too early to leave it: a peer that is away for
  /// a moment looks the same. If it alone has the window's head, one segment of that is sent on another subflow
  /// meanwhile. It repairs what everything else waits for, and where the others are idle its answer tells whether the
  /// peer is there.
  func probeElsewhere(for silent: Subflow) {
    let head = sendUnacknowledged
    guard phase == .open, isMultipath, scheduler.kind != .redundant, head < sendNext, mayProbe(for: silent),
      Self.carries(silent, head), !subflows.contains(where: { $0 !== silent && Self.carries($0, head) }),
      reinjections.count < Limits.reinjections
    else { return }
    let end = min(sendNext, head + silent.fullPayloadByteCount)
    reinjections.prepend(Reinjection(range: head..<end, origin: silent.id, isProbe: true))
    markDirty()
  }

  /// Whether another subflow works that data may go over while `silent` is only suspected: no backup, if that is none
  /// (RFC 8684 §3.3.8).
  private func mayProbe(for silent: Subflow) -> Bool {
    hasOtherUsableSubflow(than: silent)
      && (silent.isBackup || silent.isPeerBackup || !usesBackups(avoiding: silent.id))
  }

  // MARK: Data-level retransmission

  /// Guards data that subflows acknowledged and the connection has not, and a DATA_FIN that travelled alone.
  /// Requirement 8684-6-06
  func armDataRetransmission(now: Instant) {
    guard phase == .open, isMultipath, sendUnacknowledged < sendNext || (isDataFinSent && !isDataFinAcknowledged) else {
      dataRetransmitDeadline = .distantFuture
      return
    }
    guard dataRetransmitDeadline == .distantFuture else { return }
    if dataRetransmissions == 0 { dataProgressAt = now }
    let factor = Int64(1) << Int64(min(dataRetransmissions, 6))
    dataRetransmitDeadline = now + min(dataRetransmissionInterval * factor, .seconds(60))
  }

  /// The peer has reset a subflow: what that had acknowledged, and its connection has not, does not wait for the end of
  /// a time-out that has been doubled.
  func hastenDataRetransmission(now: Instant) {
    guard dataRetransmitDeadline != .distantFuture else { return }
    dataRetransmitDeadline = min(dataRetransmitDeadline, now + dataRetransmissionInterval)
  }

  /// How long a DATA_ACK may take: as long as the slowest subflow at work takes to repeat, and twice that for data.
  private var dataRetransmissionInterval: Nanoseconds {
    var longest = Nanoseconds.milliseconds(200)
    for subflow in subflows where subflow.isOpen && !subflow.isStalled {
      longest = max(longest, subflow.roundTrip.retransmissionTimeout)
    }
    return sendUnacknowledged < sendNext ? longest * 2 : longest
  }

  /// Requirement 8684-6-06
  func dataRetransmissionTimeout(now: Instant) {
    dataRetransmitDeadline = .distantFuture
    guard isMultipath else { return }
    guard now - dataProgressAt < options.userTimeout else {
      // Subflows acknowledge, and the peer's connection takes nothing (RFC 9293 §3.9.1.8).
      // Requirement 8684-3.3.6-04
      abort(reason: .timedOut, now: now)
      return
    }
    dataRetransmissions += 1
    if isDataFinSent, !isDataFinAcknowledged, sendUnacknowledged == dataEnd, dataRetransmissions > 3,
      givesUpOnDataFin(now: now)
    {
      return
    }
    if isDataFinSent, !isDataFinAcknowledged, sendUnacknowledged == dataEnd { resendsDataFin = true }
    guard sendUnacknowledged < sendNext else { return }
    // While a subflow still has the head in flight, its own timers repair it. A stalled one is relieved by others;
    // where it is the only one, it would send its own data anew when it is back, which a peer that is plain TCP takes
    // for more.
    let head = sendUnacknowledged
    let isInFlight = subflows.contains { subflow in
      (!subflow.isStalled || isOnlySubflow(subflow)) && subflow.isOpen
        && subflow.sentMappings.contains { $0.dataOffset <= head && head < $0.dataOffset + $0.count }
    }
    guard !isInFlight, reinjections.isEmpty else { return }
    if mayPeerBePlain, let only = subflows.first(where: \.isInitial) {
      // It never says that it has our data as Multipath TCP.
      if canFallBack(on: only) {
        fallBack(.optionMissingOnData, now: now)
      } else {
        resetSubflow(only, reason: .middleboxInterference, isTransient: true, now: now)
      }
      return
    }
    let end = min(sendNext, head + 65_000)
    reinjections.append(Reinjection(range: head..<end, origin: SubflowID(-1)))
  }

  /// A DATA_FIN that nobody acknowledges though all data is: something on the way removes options. True if the end is
  /// told without it.
  private func givesUpOnDataFin(now: Instant) -> Bool {
    guard subflows.count == 1, let only = subflows.first else { return false }
    if !hasReceivedDSS, canFallBack(on: only) {
      fallBack(.optionMissingOnData, now: now)
      return true
    }
    // The peer's FIN is here, with nothing of ours outstanding: it has closed, and speaks TCP only. Ours tells it the
    // end, and what it acknowledges is that.
    guard isRemoteFinished, only.state == .closeWait else { return false }
    isEndLeftToFin = true
    only.requestFin(now: now)
    return true
  }
}
