import MPTCPPolicy
import MPTCPWire

// The receiving side: data in its order, one window for all subflows, the end of the peer's data.
extension Connection {
  // MARK: Data

  /// Takes bytes that a subflow has in order. What came before, on another subflow or this one, is dropped; what lies
  /// far beyond the window is dropped too and never DATA_ACKed (RFC 8684 §3.3.4). How far ahead it lies on its subflow
  /// does not count: the DATA_ACK may have passed what is missing there.
  /// Requirement 8684-3.3.4-04, 8684-3.3.4-05, 8684-3.8-02, 8684-3.3-01
  func receive(_ slice: ByteSlice, at offset: Int, on subflow: Subflow, now: Instant) {
    var slice = slice
    var offset = offset
    // Nothing follows the end, whatever the connection has become since.
    guard !isRemoteFinished else { return }
    // Requirement 8684-3.3.1-04, 8684-3.3.1-05, 8684-3.3.6-03
    if offset < receiveNext {
      let known = min(receiveNext - offset, slice.count)
      if !isFallback { isLinear = false }
      duplicateByteCount += known
      endpoint.statistics.duplicateByteCount += known
      slice = slice.dropFirst(known)
      offset += known
    }
    if !isFallback {
      // A sender keeps the larger of two windows on a subflow where nothing moved (RFC 9293 §3.10.7.4), and adds it to
      // the DATA_ACK of that subflow's next segment, as Linux does: it may honestly believe in an edge beyond ours.
      // Another window's worth is taken before anything is dropped; that bounds the memory. (As plain TCP the subflow
      // has acknowledged these bytes: its window is the only one.)
      let limit = receiveWindowEdge + receiveLimit
      // Requirement 8684-3.3.2-04, 8684-3.3.2-06, 8684-5-06
      if offset + slice.count > limit {
        slice = slice.prefix(limit - offset)
        // The subflow has these bytes acknowledged; they come again under other numbers.
        isLinear = false
      }
      // Nothing follows a DATA_FIN (RFC 8684 §3.3.3).
      // Requirement 8684-3.3.3-03
      if let fin = remoteFinOffset, offset + slice.count > fin { slice = slice.prefix(fin - offset) }
    }
    guard !slice.isEmpty else { return }
    if isReleased {
      // RFC 9293 §3.6, RFC 2525 §2.17: data for nobody is an error that the peer must hear of.
      // Requirement 8684-3.5-04, 9293-3.6.1-02
      abort(reason: .aborted, now: now)
      return
    }
    // Requirement 8684-3.3.4-06
    guard offset == receiveNext else {
      guard !isFallback else {
        // A hole that no other subflow can fill any more.
        abort(reason: .protocolError, now: now)
        return
      }
      // Requirement 8684-3.3.2-06
      guard reassembly.pieceCount < pieceLimit else { return }
      // Requirement 8684-3.3.4-06
      let fresh = reassembly.insert(at: offset, slice)
      duplicateByteCount += slice.count - fresh
      endpoint.statistics.duplicateByteCount += slice.count - fresh
      return
    }
    accept(slice)
    while let next = reassembly.pop(at: receiveNext) { accept(next) }
    if wantsReadable {
      wantsReadable = false
      emit(.readable)
    }
    takeRemoteFin(now: now)
  }

  /// How many pieces may wait behind holes. A window that is larger than so many full segments holds more of them:
  /// where one path is seconds behind another, all of it waits. Less than a thousand octets each on average are not
  /// honest then.
  var pieceLimit: Int { max(Limits.pieces, receiveLimit / 1024) }

  /// Requirement 8684-3.3.2-04
  private func accept(_ slice: ByteSlice) {
    receiveQueue.append(slice)
    receiveNext += slice.count
    receivedByteCount += slice.count
  }

  func notePending(_ byteCount: Int) { pendingByteCount += byteCount }

  /// The application's read.
  func read(upTo limit: Int, now: Instant) -> ByteSlice? {
    guard let slice = receiveQueue.pop(upTo: limit) else {
      if receiveQueue.isEmpty, isRemoteFinished || closeReason != nil { return ByteSlice([]) }
      wantsReadable = true
      return nil
    }
    noteRead(slice.count, now: now)
    markDirty()
    return slice
  }

  // MARK: The end

  /// A DATA_FIN stands at `offset`.
  func noteRemoteFin(at offset: Int, now: Instant) {
    // A DATA_FIN takes no room in the window, but what it ends does.
    if remoteFinOffset == nil, offset >= receiveNext, offset <= receiveWindowEdge { remoteFinOffset = offset }
    takeRemoteFin(now: now)
  }

  /// Requirement 9293-3.6-03, 8684-D-03
  func takeRemoteFin(now: Instant) {
    // Requirement 8684-3.3.3-06
    guard let fin = remoteFinOffset, receiveNext == fin, !isRemoteFinished else { return }
    if !isFallback { receiveNext += 1 }
    advance(.peerEnded)
    if wantsReadable {
      wantsReadable = false
      emit(.readable)
    }
    checkFinished(now: now)
  }

  // MARK: The window (RFC 8684 §3.3.4)

  /// The window for a segment on `subflow`, in bytes.
  /// Requirement 8684-3.3.4-01
  func receiveWindow(for subflow: Subflow) -> Int {
    updateReceiveWindow()
    return max(receiveWindowEdge - receiveNext, 0)
  }

  /// Moves the right edge, never back (RFC 9293 §3.8.6.2.2: by a full segment at least).
  /// Requirement 8684-3.3.4-03, 9293-3.8.6-01, 9293-3.8.6.2-02
  func updateReceiveWindow() {
    let free = receiveLimit - receiveQueue.byteCount - max(pendingByteCount - receiveLimit, 0)
    let edge = receiveNext + max(free, 0)
    guard edge > receiveWindowEdge else { return }
    var segment = 0
    for subflow in subflows { segment = max(segment, subflow.announcedMaximumSegmentByteCount) }
    if edge - receiveWindowEdge >= min(receiveLimit / 4, segment) { receiveWindowEdge = edge }
  }

  /// By how much the window must have opened before it is worth an acknowledgement of its own.
  func windowUpdateThreshold(_ subflow: Subflow) -> Int {
    let left = subflow.lastSentDataWindowEdge - receiveNext
    return left < receiveLimit / 2 ? min(receiveLimit / 4, 65_536) : receiveLimit / 4
  }

  /// Grows the window: thrice what the application reads in a round trip keeps the paths full while the sender doubles.
  /// A round is 5 ms at least: so long an application, or the thread that serves it, may be off its processor.
  private func noteRead(_ byteCount: Int, now: Instant) {
    readInRound += byteCount
    var longest = Nanoseconds.milliseconds(5)
    for subflow in subflows { longest = max(longest, subflow.roundTrip.smoothed ?? .zero) }
    guard now - readRoundStart >= longest else { return }
    let wanted = min(readInRound, options.receiveBufferByteCount) * 3
    if wanted > receiveLimit { receiveLimit = min(max(wanted, receiveLimit), options.receiveBufferByteCount) }
    readInRound = 0
    readRoundStart = now
  }

  /// What acknowledges the peer's data; nil while the connection is plain TCP.
  /// Requirement 8684-3.3.2-01, 8684-C.1-03
  func dataAck() -> DataAck? {
    // Requirement 8684-3.7-26
    guard isMultipath else { return nil }
    // Requirement 8684-3.3.1-14
    let number = receiveDataNumber(receiveNext)
    // Requirement 8684-3.3.1-19
    return answersWithEightOctets ? .eight(number.rawValue) : .four(number.low32)
  }

  /// What acknowledges the peer's DATA_FIN for good; nil where there is none to acknowledge.
  var finalDataAck: UInt64? { isMultipath && hasWholeStream ? receiveDataNumber(receiveNext).rawValue : nil }

  // MARK: Missing mappings

  /// The data offset that belongs to a subflow offset where no mapping is needed: plain TCP, infinite mapping.
  func linearDataOffset(of offset: Int) -> Int? {
    guard let linear = linearReceive, offset >= linear.subflowOffset else { return nil }
    return linear.dataOffset + (offset - linear.subflowOffset)
  }

  /// What becomes of in-order data that no mapping covers.
  enum Unmapped {
    /// The connection is plain TCP from here on and takes it.
    case isTCP
    /// A mapping may still come (RFC 8684 §3.3.1).
    /// Requirement 8684-3.3.1-15
    case isHeld
    /// The subflow was reset.
    case isReset
  }

  /// Whether another subflow may bring what this one loses: one that has brought something already. A path that carries
  /// handshakes and no data is no help.
  private func bringsData(besides subflow: Subflow) -> Bool {
    subflows.contains { $0 !== subflow && $0.acceptsData && !$0.isStalled && $0.receivedByteCount > 0 }
  }

  /// Whether bytes that no mapping covers wait though later ones have theirs: in version 0 it may still come (RFC 6824
  /// §3.3.1), until one did not.
  /// Requirement 6824-3.3.1-01
  var waitsForLateMappings: Bool { version == .v0 && !isMappingTakenAway }

  /// Bytes whose mapping something on the way has removed: the subflow goes where another brings data, with the
  /// reason. Where none does they are dropped; never DATA_ACKed, they come again. True if the subflow lives.
  func passesUnmapped(on subflow: Subflow, now: Instant) -> Bool {
    guard bringsData(besides: subflow) else {
      // The subflow has them acknowledged, and plain TCP could not ask for them again.
      isLinear = false
      return true
    }
    resetSubflow(subflow, reason: .middleboxInterference, isTransient: true, now: now)
    return false
  }

  /// Bytes have waited on `subflow` for a mapping that has not come: something on the way has removed it, and the peer,
  /// whose TCP has them acknowledged, does not send them here again. They take memory, and of the window; so the
  /// subflow goes, and the peer knows why.
  ///
  /// Nor does the only subflow fall back here: what a peer misses the DATA_ACK of it sends again, under other subflow
  /// sequence numbers, much sooner than this; plain TCP could not tell such repetitions among the bytes that wait.
  /// Requirement 8684-3.7-10, 8684-3.7-11
  func mappingOverdue(on subflow: Subflow, now: Instant) {
    // At the end of the peer's stream nobody waits for them.
    guard phase == .open, !isRemoteFinished else { return }
    if waitsForLateMappings, !bringsData(besides: subflow),
      let next = subflow.receivedMappings.first, next.subflowOffset < subflow.dataReceiveNext
    {
      // Nothing is gained by another subflow over the same way, which would bring a segment or two and wait in its turn.
      // What is mapped behind those bytes goes on, here and from now on; the peer sends them again.
      isMappingTakenAway = true
      subflow.deliverUnmapped(now: now)
      return
    }
    resetSubflow(subflow, reason: .middleboxInterference, isTransient: true, now: now)
  }

  /// In-order data without a mapping (RFC 8684 §3.7).
  /// Requirement 8684-3.7-08, 8684-3.7-10
  func missingMapping(at offset: Int, on subflow: Subflow, now: Instant) -> Unmapped {
    if isFallback {
      // Mappings that came before the fallback are used up: from here on the streams run side by side.
      linearReceive = (offset, receiveNext)
      return .isTCP
    }
    guard !subflow.hasReceivedMapping else { return .isHeld }
    // No DSS on a subflow's first data means that something on the way removes options.
    if canFallBack(on: subflow), !hasReceivedMapping {
      linearReceive = (offset, receiveNext)
      fallBack(.optionMissingOnData, now: now)
      return .isTCP
    }
    if subflow.join != nil {
      resetSubflow(subflow, reason: .middleboxInterference, isTransient: false, now: now)
      return .isReset
    }
    return .isHeld
  }
}
