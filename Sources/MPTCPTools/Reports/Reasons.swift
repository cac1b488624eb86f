#if os(Linux)
  import MPTCPWire
  import Multipath

  extension SubflowCloseReason {
    /// The reason in words that fit behind "gone, ".
    public var words: String {
      switch self {
      case .finished: "finished"
      case .resetByPeer(let code?, _): "reset by the peer" + code.remark
      case .resetByPeer(nil, _): "reset by the peer"
      case .reset(let code, _): "reset by us" + code.remark
      case .timedOut: "nothing was acknowledged any more"
      case .connectTimedOut: "nobody answered"
      case .refused: "the peer refused it"
      case .pathRemoved: "its device or its address is gone"
      case .closedByPolicy: "closed by us"
      case .connectionClosed: "the connection is over"
      }
    }
  }

  extension ResetReasonCode {
    /// The code of MP_TCPRST in words (RFC 8684 §3.6) and brackets; nothing for the one that says nothing.
    fileprivate var remark: String {
      let reason = ResetReason(rawValue)
      return reason == .unspecified ? "" : " (\(reason))"
    }
  }

  extension SoftError {
    /// The trouble in words that fit behind "subflow 1: ".
    public var words: String {
      switch self {
      case .retransmissions: "nobody answers; trying on"
      case .unreachable(let code): "said to be unreachable (ICMP code \(code)); trying on"
      case .timeExceeded(let code): "said to be too far away (ICMP code \(code)); trying on"
      case .parameterProblem(let code): "somebody on the way makes no sense of a header (ICMP code \(code)); trying on"
      }
    }
  }

  extension FallbackReason {
    /// The reason in words that fit behind "plain TCP from now on: ".
    public var words: String {
      switch self {
      case .peerWithoutMultipath: "the peer did not answer with Multipath TCP"
      case .unacceptableCapability: "the peer answered with a kind of Multipath TCP that we do not speak"
      case .optionMissingOnThirdAck: "Multipath TCP's option was lost from the handshake on the way"
      case .optionMissingOnData: "Multipath TCP's option was lost from the data on the way"
      case .checksumFailed: "the data was changed on the way"
      case .infiniteMapping: "the peer wants it so"
      case .peerSignalledFailure: "the peer says that the data was changed on the way"
      case .synsLost: "nobody answered with Multipath TCP"
      case .withheld: "Multipath TCP has failed there before"
      }
    }
  }
#endif
