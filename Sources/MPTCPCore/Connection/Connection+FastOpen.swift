import MPTCPPolicy
import MPTCPWire

/// What a connection has under way of TCP Fast Open (RFC 7413).
enum FastOpen {
  case none
  /// Initiator: the SYN asked for a cookie.
  case asked
  /// Initiator: the SYN carried a cookie and data.
  case offered
  /// Listener: the data of the SYN was taken, and the third ACK is awaited.
  case taken
}

/// The Fast Open option of a SYN or SYN/ACK, and what goes with it.
struct FastOpenOffer {
  /// The cookie; an empty one asks for one.
  var cookie: FastOpenCookie
  /// What a segment with data may hold, options included; 0 where none is to go with it.
  var maximumSegmentByteCount = 0
}

// TCP Fast Open (RFC 7413), with Multipath TCP as RFC 8684 appendix B has it: data of the SYN lies outside the data
// sequence space. Nothing else changes, for offsets count it: the initial data sequence numbers move back by as many
// octets, so that the first octet behind the SYN's data has the number that the keys give, and subflow sequence numbers
// of mappings count from there as well.
extension Connection {
  /// The data offset of the first octet that we map; on the initial subflow the subflow offset too.
  /// Requirement 8684-B.2-01
  var firstMappedOffset: Int { 1 + Int(sentOnSynByteCount) }

  // MARK: As initiator

  /// What the first SYN asks for or carries: version 1 and plain TCP alone have the room (RFC 8684 appendix B.1).
  func fastOpenOffer(for subflow: Subflow, now: Instant) -> FastOpenOffer? {
    guard options.fastOpen, version == .v1 || isFallback else { return nil }
    endpoint.fastOpenMemory.age(at: now, limits: endpoint.configuration.fastOpenMemory)
    switch endpoint.fastOpenMemory.advice(from: subflow.tuple.local.address, to: subflow.tuple.remote, at: now) {
    case .send(let cookie, let size):
      // Without data there is nothing to gain.
      return sendBuffer.byteCount > 0 ? FastOpenOffer(cookie: cookie, maximumSegmentByteCount: size) : nil
    case .request: return FastOpenOffer(cookie: FastOpenCookie())
    case .withhold: return nil
    }
  }

  /// The SYN has the option; how much data it may carry is what the segment size leaves.
  /// Requirement 7413-4-01
  func dataOnSyn(_ offer: FastOpenOffer, optionByteCount: Int, on subflow: Subflow) -> Subflow.Payload? {
    guard offer.cookie.count > 0 else {
      fastOpen = .asked
      return nil
    }
    let size = min(offer.maximumSegmentByteCount, subflow.largestSegmentByteCount)
    let (first, second) = sendBuffer.slices(at: 0, upTo: size - optionByteCount)
    let count = first.count + (second?.count ?? 0)
    fastOpen = .offered
    offeredOnSynByteCount = Int32(truncatingIfNeeded: count)
    return count > 0 ? Subflow.Payload(offset: 1, first: first, second: second, count: count) : nil
  }

  /// The SYN is acknowledged, and `count` octets of data with it. What is left goes out as if it had never been sent:
  /// after the handshake, under a mapping.
  /// Requirement 7413-4-03, 7413-4.2.2-04, 8684-B.2-01, 8684-B.3-02
  func synDataAcknowledged(_ count: Int, by segment: Segment, on subflow: Subflow, now: Instant) {
    guard fastOpen != .none, subflow.isInitial, isInitiator else { return }
    noteFastOpenAnswer(segment, count, on: subflow, now: now)
    fastOpen = .none
    guard count > 0 else { return }
    endpoint.statistics.fastOpens += 1
    sentOnSynByteCount = Int32(truncatingIfNeeded: count)
    localInitialNumber = localInitialNumber + -count
    subflow.sendNext = 1 + count
    subflow.sentByteCount += count
    subflow.acknowledgedByteCount += count
    sendNext = 1 + count
    sendUnacknowledged = 1 + count
    sendBuffer.release(upTo: count)
  }

  /// Requirement 7413-4.1.1-01
  private func noteFastOpenAnswer(_ segment: Segment, _ count: Int, on subflow: Subflow, now: Instant) {
    let (local, remote) = (subflow.tuple.local.address, subflow.tuple.remote)
    let limits = endpoint.configuration.fastOpenMemory
    if let cookie = segment.options.fastOpen, cookie.count > 0 {
      endpoint.fastOpenMemory.note(
        cookie, maximumSegmentByteCount: subflow.peerMaximumSegmentByteCount, from: local, to: remote.address, at: now,
        limits: limits)
    } else if count == 0, fastOpen == .offered || subflow.synRetransmissions > 0 {
      // The data was not taken, and no cookie says why; or only a SYN without the option came through (RFC 7413
      // §4.1.3.1, §4.2.2).
      endpoint.fastOpenMemory.noteFailure(from: local, to: remote, at: now, limits: limits)
    }
    if count > 0 { endpoint.fastOpenMemory.noteWorking(from: local, to: remote) }
  }

  /// No SYN was answered: the option, or the data, may be what something on the way does not let through.
  func fastOpenUnanswered(_ subflow: Subflow, now: Instant) {
    guard fastOpen == .asked || fastOpen == .offered, subflow.isInitial, subflow.state == .synSent else { return }
    endpoint.fastOpenMemory.noteFailure(
      from: subflow.tuple.local.address, to: subflow.tuple.remote, at: now,
      limits: endpoint.configuration.fastOpenMemory)
  }

  // MARK: As listener

  /// Takes the data of a SYN whose cookie is right: the application has the connection before the third ACK, and may
  /// answer. Whether it will be Multipath TCP that third ACK shows; until then our data is mapped, and the peer's key,
  /// which would be needed for a DATA_ACK, is not known.
  /// Requirement 8684-B.2-01
  func takeDataOfSyn(_ payload: ByteSlice, on subflow: Subflow, now: Instant) {
    let taken = payload.prefix(receiveWindow(for: subflow))
    guard !taken.isEmpty else { return }
    endpoint.statistics.fastOpens += 1
    fastOpen = .taken
    endpoint.fastOpenBegan(self)
    if multipath == .offered { multipath = .early }
    receivedOnSynByteCount = Int32(truncatingIfNeeded: taken.count)
    phase = .open
    endpoint.enterBacklog(self)
    subflow.isFullyEstablished = true
    subflow.receiveNext = 1 + taken.count
    subflow.receivedByteCount += taken.count
    // Requirement 7413-4.2.2-03
    congestion.begin(subflow.windowSlot, maximumSegmentByteCount: subflow.maximumSegmentByteCount)
    emit(.established(isMultipath: multipath == .early))
    receive(taken, at: 1, on: subflow, now: now)
    markDirty()
  }

  /// The third ACK is here, and says whether it is Multipath TCP.
  func fastOpenConfirmed(_ subflow: Subflow, now: Instant) {
    fastOpen = .none
    endpoint.fastOpenEnded(self)
    emit(.subflowEstablished(subflow.description))
    subflow.rearmRetransmission(now: now)
    guard isConfirmed else { return }
    // What was mapped before could not be accompanied by a DATA_ACK, without which the peer does not know that we have
    // its key.
    subflow.mustAcknowledge = true
    consult(.established, now: now)
  }
}

extension Subflow {
  /// Where the relative subflow sequence numbers of our mappings count from, as an offset: the octet before the first
  /// that is mapped.
  /// Requirement 8684-B.3-01
  private var sentMappingBase: Int { isInitial ? Int(connection.sentOnSynByteCount) : 0 }
  private var receivedMappingBase: Int { isInitial ? Int(connection.receivedOnSynByteCount) : 0 }

  /// The offset of the first octet that we map.
  var firstMappedOffset: Int { 1 + sentMappingBase }

  /// The relative subflow sequence number of an offset of ours, as a DSS has it (RFC 8684 §3.3.1).
  /// Requirement 8684-3.3.1-06, 8684-6-10
  func mappingNumber(_ offset: Int) -> UInt32 { UInt32(truncatingIfNeeded: offset - sentMappingBase) }

  /// The same of an offset of the peer's.
  func receivedMappingNumber(_ offset: Int) -> UInt32 { UInt32(truncatingIfNeeded: offset - receivedMappingBase) }

  /// The offset nearest to what is expected of a relative subflow sequence number of the peer, which has 32 bits.
  /// Requirement 8684-3.3.1-06, 8684-6-10
  func receivedOffset(_ number: UInt32) -> Int {
    receiveNext + Int(Int32(bitPattern: number &- receivedMappingNumber(receiveNext)))
  }

  /// What of our SYN's numbers an acknowledgement may cover, as offsets.
  var acknowledgeableOfSyn: ClosedRange<Int> {
    1...(isInitial && connection.fastOpen == .offered ? 1 + Int(connection.offeredOnSynByteCount) : 1)
  }
}
