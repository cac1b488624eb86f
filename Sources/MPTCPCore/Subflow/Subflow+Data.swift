import MPTCPPolicy
import MPTCPWire

// Received data: reassembly in subflow space, then the mapping, then the connection.
extension Subflow {
  /// Takes the payload of an acceptable segment that begins at offset `start`.
  func takePayload(_ segment: Segment, start: Int, now: Instant) {
    var slice = segment.payload
    var start = start
    isFinLatest = false
    let wireSegment = segment.segmentByteCount > 0 ? segment.segmentByteCount : slice.count
    if wireSegment > receiveSegmentByteCount {
      // A datagram that was put together from fragments is no measure of segments.
      receiveSegmentByteCount = min(wireSegment, announcedMaximumSegmentByteCount)
    }
    var repeated: Range<Int>?
    // Requirement 9293-3.10.7-11
    if start < receiveNext {
      repeated = start..<receiveNext
      slice = slice.dropFirst(receiveNext - start)
      start = receiveNext
      mustAcknowledge = true
    }
    let edge = acceptanceEdge
    // Requirement 9293-3.10.7-11
    if start + slice.count > edge {
      slice = slice.prefix(edge - start)
      finOffset = nil
    }
    // What is here already is a repetition above RCV.NXT too (RFC 2883 §4.1.3); of several the first counts (§4.2.2).
    // Requirement 2883-4-02
    repeated = repeated ?? reassembly.firstOverlap(with: start..<(start + slice.count))
    if isSackPermitted, let repeated { duplicateRange = repeated }
    guard !slice.isEmpty else {
      mustAcknowledge = true
      return
    }
    unacknowledgedReceivedByteCount += slice.count
    guard start == receiveNext else {
      // A hole: every such segment is acknowledged at once (RFC 5681 §4.2). One that nothing reports may be dropped: a
      // peer that sends the same data behind a hole on every subflow cannot have us keep all of it.
      // Requirement 9293-3.10.7-06
      mustAcknowledge = true
      // Requirement 8684-5-06
      guard connection.pendingByteCount < 2 * connection.receiveLimit, reassembly.pieceCount < connection.pieceLimit
      else { return }
      // Requirement 9293-3.10.7-05
      connection.notePending(reassembly.insert(at: start, slice))
      return
    }
    let hadHole = reassembly.intervalCount > 0
    advance(slice, now: now)
    while state != .closed {
      let before = reassembly.byteCount
      let next = reassembly.pop(at: receiveNext)
      // Bytes that came twice leave with the ones that are popped.
      connection.notePending(reassembly.byteCount - before)
      guard let next else { break }
      advance(next, now: now)
    }
    guard state != .closed else { return }
    scheduleAcknowledgment(hadHole: hadHole, push: segment.flags.contains(.psh), now: now)
  }

  /// RFC 9293 §3.8.6.3, RFC 5681 §4.2: at least every second full segment, at once when a hole fills.
  /// Requirement 9293-3.8.6.3-01, 9293-3.8.6.3-02, 9293-3.8.6.3-03, 5681-4.2-01, 5681-4.2-05, 9293-3.10.7-08
  private func scheduleAcknowledgment(hadHole: Bool, push: Bool, now: Instant) {
    // Options take some of a full segment: with a mapping it holds less than one without, and is as full.
    let full = max(receiveSegmentByteCount - TCPOptionBlock.limit, 1)
    if hadHole || unacknowledgedReceivedByteCount >= 2 * full || quickAcknowledgmentsLeft > 0 {
      if quickAcknowledgmentsLeft > 0 { quickAcknowledgmentsLeft -= 1 }
      mustAcknowledge = true
    } else if !mustAcknowledge {
      let delay = min(endpoint.configuration.acknowledgmentDelay, .milliseconds(500))
      acknowledgmentDeadline = min(acknowledgmentDeadline, now + delay)
    }
  }

  /// Requirement 8684-3.3.1-13, 8684-3.3.4-07
  private func advance(_ slice: ByteSlice, now: Instant) {
    let offset = receiveNext
    connection.lastPayloadAt = now
    receiveNext += slice.count
    receivedByteCount += slice.count
    deliver(slice, at: offset, now: now)
  }

  // MARK: Mappings (RFC 8684 §3.3.1)

  /// Hands in-order bytes up, mapping by mapping; what no mapping covers yet is kept, within bounds.
  /// Requirement 8684-3.3.1-01
  private func deliver(_ slice: ByteSlice, at offset: Int, now: Instant) {
    if unmappedByteCount > 0 {
      hold(slice, now: now)
      // In version 0 a mapping of the bytes that wait may still come behind one of later bytes (RFC 6824 §3.3.1).
      // Requirement 6824-3.3.1-01
      let edge = connection.waitsForLateMappings ? receiveNext - unmappedByteCount + 1 : receiveNext
      if state != .closed, let next = receivedMappings.first, next.subflowOffset < edge {
        deliverUnmapped(now: now)
      }
      return
    }
    var slice = slice
    var offset = offset
    while !slice.isEmpty, state != .closed {
      if let dataOffset = connection.linearDataOffset(of: offset) {
        connection.receive(slice, at: dataOffset, on: self, now: now)
        return
      }
      while let first = receivedMappings.first, first.end <= offset { receivedMappings.removeFirst() }
      // Requirement 8684-3.3.1-26, 8684-3.7-04, 8684-6-05
      guard let mapping = receivedMappings.first, mapping.subflowOffset <= offset else {
        switch connection.missingMapping(at: offset, on: self, now: now) {
        case .isTCP: continue
        case .isHeld:
          // Requirement 6824-3.3.1-01
          guard let next = receivedMappings.first, next.subflowOffset < receiveNext, !connection.waitsForLateMappings
          else {
            hold(slice, now: now)
            return
          }
          // A mapping touches its segment (RFC 8684 §3.3.1): once data behind these bytes is mapped, they never will
          // be.
          // Requirement 8684-3.3.1-25
          guard connection.passesUnmapped(on: self, now: now) else { return }
          let skipped = min(next.subflowOffset - offset, slice.count)
          slice = slice.dropFirst(skipped)
          offset += skipped
          continue
        case .isReset: return
        }
      }
      let piece = slice.prefix(mapping.end - offset)
      slice = slice.dropFirst(piece.count)
      offset += piece.count
      if mapping.checksum != nil, !connection.isFallback {
        verify(piece, endsMapping: offset == mapping.end, mapping, now: now)
      } else {
        connection.receive(
          piece, at: mapping.dataOffset + (offset - piece.count - mapping.subflowOffset), on: self, now: now)
      }
    }
  }

  /// A checksum covers a whole mapping: its bytes wait until the last is here (RFC 8684 §3.3.1).
  /// Requirement 8684-3.3.1-07
  private func verify(_ piece: ByteSlice, endsMapping: Bool, _ mapping: ReceivedMapping, now: Instant) {
    checksumHold.append(piece)
    connection.notePending(piece.count)
    guard endsMapping, let expected = mapping.checksum else { return }
    connection.notePending(-checksumHold.byteCount)
    let held = checksumHold.popAll()
    var sum = DSSChecksum()
    for slice in held { sum.add(slice.bytes) }
    let isRight = sum.verifies(
      expected, dsn: connection.receiveDataNumber(mapping.dataOffset),
      subflowSequenceNumber: receivedMappingNumber(mapping.subflowOffset), length: mapping.wireLength)
    // Requirement 8684-3.7-16
    guard isRight else {
      endpoint.statistics.badDataChecksums += 1
      connection.checksumFailed(mapping, on: self, now: now)
      // On the only subflow the connection is plain TCP now, and takes what a middlebox made of the bytes (§3.7).
      var offset = mapping.end - held.reduce(0) { $0 + $1.count }
      for slice in held where state != .closed {
        deliver(slice, at: offset, now: now)
        offset += slice.count
      }
      return
    }
    var offset = mapping.dataOffset + mapping.count - held.reduce(0) { $0 + $1.count }
    for slice in held {
      connection.receive(slice, at: offset, on: self, now: now)
      offset += slice.count
    }
    // Nothing of a mapping is believed before its checksum is, so neither is the DATA_FIN at its end.
    if Int(mapping.wireLength) > mapping.count, state != .closed {
      connection.noteRemoteFin(at: mapping.dataOffset + mapping.count, now: now)
    }
  }

  /// No checksum will be waited for any more: the bytes that did are as good as those that no mapping covers.
  func releaseChecksumHold() {
    unmappedByteCount += checksumHold.byteCount
    unmapped.prepend(contentsOf: checksumHold.popAll())
  }

  private func hold(_ slice: ByteSlice, now: Instant) {
    if unmappedByteCount == 0 { mappingDeadline = now + mappingPatience }
    unmapped.append(slice.unpinned)
    unmappedByteCount += slice.count
    connection.notePending(slice.count)
    if unmappedByteCount > Limits.unmappedByteCount || unmapped.count > Limits.unmappedSlices {
      connection.resetSubflow(self, reason: .middleboxInterference, isTransient: false, now: now)
    }
  }

  /// How long bytes wait for their mapping. An honest sender's comes with a segment that got lost, and was sent again
  /// once or several times: its second repetition is on its way after three time-outs, its third after seven (RFC 6298
  /// §5.5).
  private var mappingPatience: Nanoseconds {
    max(connection.options.mappingTimeout, min(roundTrip.retransmissionTimeout * 8, .seconds(60)))
  }

  /// A mapping arrived, or the connection fell back: bytes that waited may go on.
  func deliverUnmapped(now: Instant) {
    guard unmappedByteCount > 0 else { return }
    let waiting = unmapped
    let count = unmappedByteCount
    let deadline = mappingDeadline
    unmapped.removeAll()
    unmappedByteCount = 0
    mappingDeadline = .distantFuture
    defer {
      // The first of them waits as before, and has no more time for it.
      if unmappedByteCount == count { mappingDeadline = deadline }
    }
    connection.notePending(-count)
    var offset = dataReceiveNext - count
    for slice in waiting {
      guard state != .closed else { return }
      // What waits behind bytes that go on waiting is put back as it was: their places count from the end.
      if unmappedByteCount > 0 { hold(slice, now: now) } else { deliver(slice, at: offset, now: now) }
      offset += slice.count
    }
  }

  /// What becomes of a mapping that the peer declares.
  enum Noting {
    /// It is known now, or was before.
    case noted
    /// It contradicts one that is known: they are immutable.
    case contradicts
    /// There is no room for so many.
    case exceeds
  }

  /// Notes a mapping. One that says the same as a known one of a part, or says more behind it, agrees with it (without
  /// checksums, whose span is all or nothing).
  /// Requirement 8684-3.1-30, 8684-3.3.1-02, 8684-6-12
  func note(_ mapping: ReceivedMapping) -> Noting {
    var mapping = mapping
    guard mapping.count > 0, mapping.end > dataReceiveNext - unmappedByteCount else { return .noted }
    var index = receivedMappings.count
    while index > 0, receivedMappings[index - 1].subflowOffset > mapping.subflowOffset { index -= 1 }
    if index > 0 {
      let before = receivedMappings[index - 1]
      // Requirement 8684-3.1-30
      if before == mapping { return .noted }
      if before.isExtended(by: mapping) {
        // The same octets, with the DATA_FIN behind them and the checksum over both (RFC 8684 §3.3.3).
        receivedMappings[index - 1] = mapping
        return .noted
      }
      if mapping.isExtended(by: before) { return .noted }
      if before.end > mapping.subflowOffset {
        guard before.agrees(with: mapping) else { return .contradicts }
        guard mapping.end > before.end else { return .noted }
        mapping.dropFirst(before.end - mapping.subflowOffset)
      }
    }
    if index < receivedMappings.count, receivedMappings[index].subflowOffset < mapping.end {
      guard receivedMappings[index].agrees(with: mapping) else { return .contradicts }
      // Up to where the known one begins; what may lie behind it comes again with its data.
      mapping.count = receivedMappings[index].subflowOffset - mapping.subflowOffset
      guard mapping.count > 0 else { return .noted }
    }
    guard receivedMappings.count < Limits.receivedMappings else { return .exceeds }
    receivedMappings.insert(mapping, at: index)
    return .noted
  }
}
