/// Where a connection's two streams stand: the closing states of RFC 9293 §3.3.2 at the data level (RFC 8684 §3.3.3 and
/// appendix D, where their names begin with M_). A plain TCP connection goes through the same states, by its FINs.
/// Requirement 8684-3.3.3-13, 8684-3.3.3-15, 8684-D-02, 8684-D-04
enum DataState: CaseIterable {
  /// Neither stream has ended; the handshake counts here too.
  case established
  /// Our DATA_FIN is out.
  case finWait1
  /// It is DATA_ACKed, and the peer goes on sending.
  case finWait2
  /// The peer's DATA_FIN is here with everything before it; we go on sending.
  case closeWait
  /// Both DATA_FINs crossed; ours is not DATA_ACKed.
  case closing
  /// The peer's came first, and ours waits for its DATA_ACK.
  case lastAck
  /// Both ended, ours first: the peer may not know that we have its DATA_FIN, and sends it again. It lasts for as long
  /// as subflows do: those that are in TIME-WAIT themselves leave what is to be answered with them (``TimeWaitEntry``).
  case timeWait
  /// MP_FASTCLOSE went out on an ACK, and waits for the RST that answers it (RFC 8684 §3.5, option A).
  case fastCloseWait
  /// Over. Subflows may be left that close.
  case closed

  /// What moves it.
  enum Signal: CaseIterable {
    /// Our DATA_FIN has been sent.
    case endSent
    /// All that we sent, the DATA_FIN included, is DATA_ACKed.
    case endAcknowledged
    /// The peer's DATA_FIN is here, and all data before it.
    case peerEnded
    /// The last subflow is gone, none of them by an end of the streams that would still be missing.
    case subflowsClosed
    /// MP_FASTCLOSE has been sent on an ACK.
    case fastCloseSent
    /// A reset, ours or the peer's, or an end that no figure shows: time-outs, no subflows, no room.
    case aborted
  }

  /// The state that follows. A signal that has no place in a state leaves it as it is: it is a repetition.
  /// Requirement 8684-D-01, 8684-D-03
  func after(_ signal: Signal) -> DataState {
    if signal == .aborted { return .closed }
    switch self {
    case .established:
      switch signal {
      case .endSent: return .finWait1
      case .peerEnded: return .closeWait
      case .fastCloseSent: return .fastCloseWait
      case .endAcknowledged, .subflowsClosed, .aborted: return self
      }
    case .finWait1:
      switch signal {
      case .endAcknowledged: return .finWait2
      case .peerEnded: return .closing
      case .fastCloseSent: return .fastCloseWait
      case .endSent, .subflowsClosed, .aborted: return self
      }
    case .finWait2:
      switch signal {
      case .peerEnded: return .timeWait
      case .fastCloseSent: return .fastCloseWait
      case .endSent, .endAcknowledged, .subflowsClosed, .aborted: return self
      }
    case .closeWait:
      switch signal {
      case .endSent: return .lastAck
      case .fastCloseSent: return .fastCloseWait
      case .endAcknowledged, .peerEnded, .subflowsClosed, .aborted: return self
      }
    case .closing:
      switch signal {
      case .endAcknowledged: return .timeWait
      case .fastCloseSent: return .fastCloseWait
      case .endSent, .peerEnded, .subflowsClosed, .aborted: return self
      }
    case .lastAck:
      switch signal {
      case .endAcknowledged: return .closed
      case .fastCloseSent: return .fastCloseWait
      case .endSent, .peerEnded, .subflowsClosed, .aborted: return self
      }
    case .timeWait, .fastCloseWait:
      switch signal {
      case .subflowsClosed: return .closed
      case .endSent, .endAcknowledged, .peerEnded, .fastCloseSent, .aborted: return self
      }
    case .closed: return self
    }
  }

  /// Our DATA_FIN has been sent.
  var isEndSent: Bool {
    switch self {
    case .finWait1, .finWait2, .closing, .lastAck, .timeWait: true
    case .established, .closeWait, .fastCloseWait, .closed: false
    }
  }

  /// The peer has everything of ours, or can get no more.
  var isEndAcknowledged: Bool {
    switch self {
    case .finWait2, .timeWait, .closed: true
    case .established, .finWait1, .closeWait, .closing, .lastAck, .fastCloseWait: false
    }
  }

  /// Nothing of the peer's is taken any more: its stream has ended, or the connection has.
  var isPeerEnded: Bool {
    switch self {
    case .closeWait, .closing, .lastAck, .timeWait, .fastCloseWait, .closed: true
    case .established, .finWait1, .finWait2: false
    }
  }
}
