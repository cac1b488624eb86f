import Testing

@testable import MPTCPCore

/// The data-level states against RFC 8684 appendix D (and RFC 9293 §3.3.2, figure 5, whose names they have).
@Suite struct DataStateTests {
  /// Every arrow of the figure.
  private static let arrows: [(DataState, DataState.Signal, DataState)] = [
    (.established, .endSent, .finWait1), (.established, .peerEnded, .closeWait),
    (.finWait1, .endAcknowledged, .finWait2), (.finWait1, .peerEnded, .closing),
    (.finWait2, .peerEnded, .timeWait), (.closing, .endAcknowledged, .timeWait),
    (.closeWait, .endSent, .lastAck), (.lastAck, .endAcknowledged, .closed),
    (.timeWait, .subflowsClosed, .closed),
  ]

  @Test func theTransitionsAreThoseOfTheFigure() {
    for state in DataState.allCases {
      for signal in DataState.Signal.allCases {
        let expected: DataState
        switch signal {
        case .aborted: expected = .closed
        case .fastCloseSent:
          // RFC 8684 §3.5: from every state in which something is left to end.
          expected = [.timeWait, .fastCloseWait, .closed].contains(state) ? state : .fastCloseWait
        case .subflowsClosed where state == .fastCloseWait: expected = .closed
        case .endSent, .endAcknowledged, .peerEnded, .subflowsClosed:
          expected = Self.arrows.first { $0.0 == state && $0.1 == signal }?.2 ?? state
        }
        #expect(state.after(signal) == expected, "\(state) \(signal)")
      }
    }
  }

  @Test func anEndIsAcknowledgedOnlyWhereItWasSent() {
    for state in DataState.allCases where state != .closed {
      #expect(!state.isEndAcknowledged || state.isEndSent, "\(state)")
    }
  }

  /// Both sides' whole way through the figure, whatever the order of the signals.
  @Test func everyOrderOfTheEndsLeadsToTheSameEnd() {
    let ours: [DataState.Signal] = [.endSent, .endAcknowledged]
    for place in 0...2 {
      var signals = ours
      signals.insert(.peerEnded, at: place)
      let end = signals.reduce(DataState.established) { $0.after($1) }
      #expect(end == (place == 0 ? .closed : .timeWait), "\(signals)")
      #expect(end.after(.subflowsClosed) == .closed)
    }
  }
}
