import MPTCPPolicy
import MPTCPWire

// Which version an initiator offers, what it does when that is ignored, and what the endpoint remembers of it
// (RFC 8684 §3.1, §3.9.3).
extension Connection {
  /// Before the SYN: what is known of the destination decides what it offers.
  func takeAdvice(_ advice: PeerMemory.Advice?) {
    switch advice {
    case .offer(_, let thenVersion0): mayTryVersion0 = thenVersion0
    case .withhold:
      multipath = .fellBack(.withheld)
      endpoint.retireToken(of: self)
    case nil: break
    }
  }

  /// The SYN/ACK to a version 1 SYN has no MP_CAPABLE. Where it is so configured, the subflow is reset, before any
  /// data, and another takes its place with version 0, which a host that knows only that would have answered (RFC 8684
  /// §3.1). True if so.
  /// Requirement 8684-3.1-05
  func triesVersion0(instead subflow: Subflow, now: Instant) -> Bool {
    guard isInitiator, subflow.isInitial, version == .v1, mayTryVersion0, sendNext == 1 else { return false }
    mayTryVersion0 = false
    hasTriedVersion0 = true
    subflow.emitReset(reason: nil, isTransient: false, now: now)
    // The application knows of none of this.
    takeOut(subflow)
    endpoint.change(self, to: .v0, withNewKey: true)
    nextSubflowNumber = 0
    let remote = initialTuple.remote
    guard let port = endpoint.freePort(initialTuple.local.address, to: remote, preferred: options.localPort) else {
      end(.lackOfResources, now: now)
      return true
    }
    initialTuple = FourTuple(local: TransportAddress(initialTuple.local.address, port), remote: remote)
    guard
      let next = endpoint.makeSubflow(
        of: self, tuple: initialTuple, path: initialPath, isInitiator: true, isInitial: true, state: .synSent, now: now)
    else {
      end(.lackOfResources, now: now)
      return true
    }
    next.sendSyn(now: now)
    endpoint.reschedule(next)
    return true
  }

  /// The SYN/ACK decides what the endpoint remembers of the destination.
  /// Requirement 8684-3.1-06
  func remember(answer capable: MPCapable?, now: Instant) {
    let address = initialTuple.remote.address
    let limits = endpoint.configuration.peerMemory
    switch multipath {
    case .keyed, .confirmed:
      endpoint.peerMemory.noteWorking(version, to: address, over: initialPath)
      if hasTriedVersion0 {
        endpoint.peerMemory.note(.version0, of: address, over: initialPath, at: now, limits: limits)
      }
    case .fellBack(.synsLost) where capable == nil:
      endpoint.peerMemory.noteLost(to: address, over: initialPath, at: now, limits: limits)
    case .fellBack(.unacceptableCapability):
      // An extension, or another version, is another host's liberty; anything else is no answer to what was offered.
      guard let capable, capable.version == version.rawValue, !capable.flags.contains(.extensibility),
        !refusesChecksum(of: capable)
      else { return }
      endpoint.peerMemory.noteSuspicious(to: address, over: initialPath, at: now, limits: limits)
    case .fellBack(.peerWithoutMultipath) where version == .v0 && options.multipath == .version1Then0:
      // What it answered before, or has just answered to version 1 as well.
      endpoint.peerMemory.note(
        hasTriedVersion0 ? .onlyTCP : nil, of: address, over: initialPath, at: now, limits: limits)
    case .fellBack, .off, .offered, .early: break
    }
  }
}
