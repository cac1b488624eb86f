import MPTCPPolicy

/// What became of a connection in a random scenario, as its two applications saw it.
public enum ConnectionOutcome: Int, CaseIterable, Hashable, Sendable {
  /// Both got all bytes, and both ends say that it finished.
  case complete
  /// Both got all bytes; then one end was cut off before it knew.
  case completeThenCut
  /// One application aborted it, as it was meant to.
  case aborted
  /// One application left it before it had read everything, as it was meant to.
  case left
  /// An RST, or MP_FASTCLOSE, that no application asked for.
  case reset
  /// Nothing was acknowledged for longer than the user time-out, or no subflow came back.
  case timedOut
  /// The last subflow failed with no path left.
  case noSubflows
  /// Nobody answered the SYN.
  case connectTimedOut
  /// The SYN was answered with RST.
  case refused
  /// It could not be opened: its path, or its address, was away.
  case notOpened
  /// A rule of the protocol was broken beyond repair, as far as one end could see.
  case protocolError
  /// Both ends say that it finished, and more or fewer bytes arrived: plain TCP through a box that changes their
  /// number.
  case resized
  /// Anything else.
  case other

  /// Its name in histograms.
  public var name: String { "\(self)" }

  /// What in a network can have done it; nil for an end that needs no explanation. Where everything that goes down comes
  /// back, losses and delays cannot: an engine that ends a connection for want of a packet is wrong. But eight SYNs, or
  /// ten keep-alives, may all meet a line that loses in bursts: it does not leave its bad state without packets.
  var causes: Set<FaultKind>? {
    switch self {
    case .complete, .completeThenCut, .aborted, .left: nil
    case .reset:
      [
        .addressRemoved, .addressTranslated, .mappingForgotten, .resetInjected, .segmentDropped, .acknowledgedEarly,
        .firewalled, .optionRemoved, .payloadChanged, .payloadResized, .burstLoss,
      ]
    case .refused: [.addressTranslated, .mappingForgotten, .resetInjected, .segmentDropped, .sequenceRewritten]
    case .noSubflows:
      [
        .addressRemoved, .addressTranslated, .mappingForgotten, .resetInjected, .acknowledgedEarly, .firewalled,
        .segmentDropped, .payloadChanged, .payloadResized, .burstLoss,
      ]
    case .timedOut:
      [
        .addressRemoved, .addressTranslated, .mappingForgotten, .segmentDropped, .acknowledgedEarly, .firewalled,
        .resetInjected, .optionRemoved, .burstLoss,
      ]
    case .connectTimedOut:
      [.addressRemoved, .addressTranslated, .mappingForgotten, .segmentDropped, .firewalled, .burstLoss]
    case .notOpened: [.addressRemoved, .interfaceDown]
    case .protocolError: [.acknowledgedEarly, .optionRemoved, .payloadChanged, .payloadResized, .resetInjected]
    case .resized, .other: [.payloadResized]
    }
  }
}

extension ConnectionOutcome {
  init(client: Talker, server: Talker) {
    let isWhole = client.received == client.receiveByteCount && server.received == server.receiveByteCount
    let reasons = [client.closeReason, server.closeReason].compactMap { $0 }.filter { $0 != .finished }
    if isWhole {
      self = reasons.isEmpty ? .complete : .completeThenCut
      return
    }
    switch client.application.ending {
    case .abort, .abortAtEnd: self = .aborted
    case .leave: self = .left
    case .finish, .close:
      switch server.application.ending {
      case .abort, .abortAtEnd: self = .aborted
      case .leave: self = .left
      case .finish, .close:
        if client.refusal != nil {
          self = .notOpened
        } else if client.closeReason == .finished, server.closeReason == .finished {
          self = .resized
        } else {
          self = Self.unintended(reasons)
        }
      }
    }
  }

  /// The first of these that says most: one end that gives up resets the other.
  private static func unintended(_ reasons: [CloseReason]) -> ConnectionOutcome {
    if reasons.contains(.protocolError) { return .protocolError }
    if reasons.contains(.connectTimedOut) { return .connectTimedOut }
    if reasons.contains(.refused) { return .refused }
    if reasons.contains(.timedOut) { return .timedOut }
    if reasons.contains(.noSubflows) { return .noSubflows }
    if reasons.contains(.resetByPeer) { return .reset }
    return .other
  }
}
