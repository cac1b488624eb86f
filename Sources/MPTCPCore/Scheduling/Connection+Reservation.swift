import MPTCPPolicy
import MPTCPWire

// Mappings that cover more than the segment that declares them. RFC 8684 §3.3.1 lets one stand for many segments and
// wants it sent once; those behind carry no DSS, and full payloads instead: 1.7 % of what a path carries.
//
// A mapping is immutable, so what it covers is promised to its subflow before there is room for it (it is *reserved*):
// nothing else goes out there before, and other subflows go on behind it. It is sent again elsewhere where the subflow
// fails, like what is in flight. That costs order, so little is promised beside what is in flight anyway.
extension Connection {
  /// How many octets behind `length`, of the `available` that the connection's window takes, the mapping of the next
  /// segment covers as well.
  func reservation(behind length: Int, of available: Int, on subflow: Subflow, now: Instant) -> Int {
    guard subflow.omitsMappings, subflow.mtuProbe?.range == nil, length < available,
      length >= subflow.fullPayloadByteCount
    else { return 0 }
    // Where the peer sends as well most segments have a DATA_ACK to say, and what was counted as bare leaves a crumb.
    guard now - lastPayloadAt >= subflow.roundTrip.smoothed ?? .zero else { return 0 }
    switch scheduler.kind {
    case .predictive, .lowestRoundTripTime, .blest, .ecf: break
    // They decide of each segment.
    case .roundRobin, .redundant, .custom: return 0
    }
    // What is reserved takes part of the connection's window and does not move: with other subflows to share it with,
    // only what the window can spare, and no more than an eighth of what the segment finds before it. Alone, as much as
    // that: it may be the last that the path takes before a faster one joins.
    let isShared = subflows.count > 1
    let spare = isShared ? min(subflow.pipeByteCount, available - length) / 8 : subflow.pipeByteCount
    let limit = min(
      min(spare, available - length), min(Self.longestMapping, subflow.sendWindowEdge - subflow.sendNext) - length)
    let bare = subflow.barePayloadByteCount
    return limit < bare ? 0 : limit / bare * bare
  }

  /// The data-level length has 16 bits, and a DATA_FIN counts as an octet (RFC 8684 §3.3.1, §3.3.3).
  private static let longestMapping = 65_534

  /// Sends a segment of what `subflow` has promised to carry, if there is room for it, or as a probe in any case. True
  /// if one went.
  func sendReserved(on subflow: Subflow, isProbe: Bool = false, now: Instant) -> Bool {
    let waiting = subflow.reservedByteCount
    guard waiting > 0, let mapping = subflow.sentMappings.last else { return false }
    let segment = subflow.payloadByteCount(at: subflow.sendNext, of: mapping)
    var length: Int
    if isProbe {
      length = min(min(waiting, segment), subflow.sendWindowEdge - subflow.sendNext)
    } else {
      // A room that takes little more than what was promised is a crumb as well where more would follow.
      let behind = max(min(dataEnd, sendWindowEdge) - sendNext, 0)
      let room = windowRoom(on: subflow, wanted: waiting + behind, now: now)
      // CWR stands on one segment (RFC 3168 §6.1.2).
      let limit = subflow.announcesWindowReduction ? segment : burstLimit(subflow, segment: segment)
      length = min(min(waiting, room), limit)
      if length < waiting, length > segment { length = length / segment * segment }
      if length < min(segment, waiting), !subflow.sentSegments.isEmpty { return false }
    }
    guard length > 0 else { return false }
    let isLast = finishRequested && length == waiting && mapping.dataOffset + mapping.count == dataEnd
    send(length, of: mapping, on: subflow, mayEnd: isLast, now: now)
    return true
  }

  /// `subflow` ends: what it was to carry goes over others, unless it has arrived. Plain TCP ends after its data.
  func releaseReservation(of subflow: Subflow) {
    let count = subflow.reservedByteCount
    guard count > 0, !isFallback, let index = subflow.sentMappings.indices.last else { return }
    let mapping = subflow.sentMappings[index]
    let end = mapping.dataOffset + mapping.count
    let start = max(end - count, sendUnacknowledged)
    if mapping.hasDataFin, !isDataFinAcknowledged { resendsDataFin = true }
    subflow.sentMappings[index].count -= count
    subflow.sentMappings[index].withheldByteCount += count
    // A subflow that is closed has left all that it holds to the others before.
    if let last = reinjections.last, last.origin == subflow.id, last.range.lowerBound <= start,
      last.range.upperBound >= end
    {
      return
    }
    guard start < end, reinjections.count < Limits.reinjections else { return }
    reinjections.append(Reinjection(range: start..<end, origin: subflow.id))
  }
}

extension Subflow {
  /// What the last mapping covers and has not been sent.
  var reservedByteCount: Int { max((sentMappings.last?.end ?? 0) - sendNext, 0) }

  /// Whether segments may go without a mapping of their own. The first ones have one each: a peer that sees none at the
  /// beginning takes it that something removes options, and falls back (RFC 8684 §3.7); nor before a DSS has come here.
  /// A checksum covers a mapping whole and holds its data back until then. And where the peer has sent data, not before
  /// it has shown that the DATA_ACK of that has arrived: all that said so may have been lost together, and the first
  /// segment that acknowledges its data without a DSS makes it fall back as well.
  /// Requirement 8684-3.7-03, 8684-3.7-04
  var omitsMappings: Bool {
    connection.isConfirmed && connection.version == .v1 && !connection.usesChecksum && hasStatedDataAck
      && acknowledgedByteCount > 0 && hasReceivedDSS && isMappingAnswered
      && (!connection.hasReceivedMappedData || sendUnacknowledged >= firstDataAckEnd)
  }

  /// Payload of a full segment without a mapping.
  var barePayloadByteCount: Int { payloadByteCount(optionByteCount: usesTimestamps ? 12 : 0) }

  /// Payload of a full segment that begins at `offset`, which `mapping` covers. It goes without a DSS if the mapping
  /// has been declared by an earlier one and there is no DATA_ACK to say: neither news, nor an answer that somebody
  /// waits for.
  func payloadByteCount(at offset: Int, of mapping: SentMapping?) -> Int {
    // Requirement 8684-3.7-03
    guard let mapping, offset > mapping.subflowOffset, omitsMappings, !owesDataAck, !mustAcknowledge else {
      return fullPayloadByteCount
    }
    return barePayloadByteCount
  }
}
