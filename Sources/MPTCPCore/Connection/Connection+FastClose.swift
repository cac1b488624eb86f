import MPTCPPolicy
import MPTCPWire

// MP_FASTCLOSE (RFC 8684 §3.5, RFC 6824 §3.5), and its sender's state FASTCLOSE_WAIT (option A).
// Requirement 8684-3.5-05
extension Connection {
  /// Ends everything, with RST on each subflow but the one that a RST has ended already.
  /// Requirement 8684-3.5-07, 6824-3.5-02
  func takeFastClose(_ option: MPFastClose, resetting dead: Subflow? = nil, now: Instant) {
    // Requirement 8684-3.5-15
    guard option.receiverKey == localKey, phase != .closed || !subflows.isEmpty else { return }
    // Nothing was wrong with the option, which is what reason 1 would say (RFC 8684 §3.6).
    // Requirement 8684-3.6-10
    for subflow in subflows where subflow.state != .closed && subflow !== dead {
      subflow.emitReset(reason: .unspecified, isTransient: false, now: now)
    }
    end(.resetByPeer, now: now)
  }

  // MARK: As its sender

  /// How often it is repeated: what §3.5 recommends.
  /// Requirement 6824-3.5-03
  private static let fastCloseRepetitions = 3

  /// The subflow that can carry MP_FASTCLOSE on an ACK; nil where only a RST is left. Until the peer has proved that it
  /// knows our key, each ACK has to bring it the keys.
  var fastCloseCarrier: Subflow? { phase == .open && isConfirmed ? carrierForControl() : nil }

  /// What each ACK carries while the answer is awaited, and nothing else of Multipath TCP.
  var fastCloseToSend: MultipathOption? {
    dataState == .fastCloseWait ? .fastClose(MPFastClose(receiverKey: remoteKey)) : nil
  }

  /// Sends it on `carrier`, and plain RSTs on the other subflows.
  /// Requirement 6824-3.5-01
  func waitForFastClose(on carrier: Subflow, reason: CloseReason, now: Instant) {
    for subflow in subflows where subflow !== carrier && subflow.state != .closed && subflow.state != .synSent {
      subflow.emitReset(reason: nil, isTransient: false, now: now)
    }
    carrier.forgetEverythingSent()
    end(reason, leaving: carrier, now: now)
    fastClosesLeft = Self.fastCloseRepetitions
    sendFastClose(on: carrier, now: now)
  }

  private func sendFastClose(on carrier: Subflow, now: Instant) {
    carrier.mustAcknowledge = true
    fastCloseDeadline = now + carrier.roundTrip.retransmissionTimeout
    endpoint.reschedule(self)
    markDirty()
  }

  /// No RST has come for a retransmission time-out of the subflow.
  /// Requirement 8684-3.5-10, 8684-3.5-11, 8684-3.5-12, 8684-3.5-13, 6824-3.5-03
  func fastCloseDeadlinePassed(now: Instant) {
    fastCloseDeadline = .distantFuture
    guard dataState == .fastCloseWait, let carrier = subflows.first else { return }
    guard fastClosesLeft == 0 else {
      fastClosesLeft -= 1
      sendFastClose(on: carrier, now: now)
      return
    }
    // For middleboxes that still keep state.
    // Version 0 knows no RST with the option (RFC 6824 §3.5).
    carrier.emitReset(reason: nil, isTransient: false, with: version == .v0 ? nil : fastCloseToSend, now: now)
    fastCloseAnswered(on: carrier, now: now)
    if version != .v0, carrier.sendUnacknowledged < carrier.sendNext {
      endpoint.rememberFastClose(carrier, key: remoteKey, now: now)
    }
  }

  /// The RST is here, or will not come.
  /// Requirement 8684-3.5-08
  func fastCloseAnswered(on carrier: Subflow, now: Instant) {
    fastCloseDeadline = .distantFuture
    drop(carrier, reason: .connectionClosed, now: now)
  }
}

extension Subflow {
  /// Nothing that it sent matters any more: no timer runs for it, and nothing of it goes again.
  func forgetEverythingSent() {
    sentSegments.removeAll()
    sentMappings.removeAll()
    pendingOptions.removeAll()
    inFlightByteCount = 0
    sackedByteCount = 0
    lostByteCount = 0
    recovery = Recovery()
    unacknowledgedSince = .distantFuture
    stopTimers()
  }

  /// While MP_FASTCLOSE waits for its answer: a RST ends it, and so does the peer's own MP_FASTCLOSE, which gets the
  /// RST that it waits for. No data is taken any more (RFC 8684 §3.5), and what acknowledges ours says nothing now.
  /// Requirement 8684-3.5-03, 8684-3.5-09
  func arriveInFastCloseWait(_ segment: Segment, now: Instant) {
    let flags = segment.flags
    let start = receiveOffset(segment.header.sequenceNumber)
    let length = segment.payload.count + (flags.contains(.fin) ? 1 : 0) + (flags.contains(.syn) ? 1 : 0)
    guard isAcceptable(start: start, length: length) else { return }
    if flags.contains(.rst) {
      if start == receiveNext {
        connection.fastCloseAnswered(on: self, now: now)
      } else {
        // RFC 5961 §3.2. The challenge carries MP_FASTCLOSE once more.
        endpoint.challenge(self, now: now)
      }
      return
    }
    guard flags.contains(.ack), !flags.contains(.syn), let option = segment.options.multipath.fastClose else { return }
    connection.takeFastClose(option, now: now)
  }
}
