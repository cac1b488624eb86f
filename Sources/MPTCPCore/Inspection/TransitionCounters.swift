import MPTCPPolicy

/// How often each machine of an endpoint went from one state to another: what a long random run shows that it has
/// reached.
package struct TransitionCounters: Sendable {
  /// A machine whose transitions are counted.
  package enum Machine: Int, CaseIterable, Sendable {
    /// A subflow's TCP (RFC 9293 §3.3.2); it begins and ends in CLOSED.
    case subflow
    /// What a connection knows of Multipath TCP (RFC 8684 §3.1, §3.7).
    case multipath
    /// What the application, or the engine, has done with a connection.
    case connection
    /// Where a connection's two streams stand (RFC 8684 §3.3.3).
    case streams

    /// The names of the machine's states.
    package var states: [String] {
      switch self {
      case .subflow:
        [
          "closed", "synSent", "synReceived", "established", "finWait1", "finWait2", "closeWait", "closing", "lastAck",
          "timeWait",
        ]
      case .multipath: ["off", "offered", "keyed", "confirmed", "fellBack", "early"]
      case .connection: ["opening", "open", "closed"]
      case .streams:
        [
          "established", "finWait1", "finWait2", "closeWait", "closing", "lastAck", "timeWait", "fastCloseWait",
          "closed",
        ]
      }
    }

    /// Whether the machine has an arrow from one state to another, by their places in ``states``. Those of the RFC's
    /// figures that the engine has no use for are missing: see the `leads(to:)` of each machine's states.
    package func leads(from: Int, to: Int) -> Bool {
      switch self {
      case .subflow: SubflowState.inOrder[from].leads(to: SubflowState.inOrder[to])
      case .multipath: Connection.Multipath.leads(from: from, to: to)
      case .connection: Connection.Phase.leads(from: from, to: to)
      case .streams: DataState.allCases[from].leads(to: DataState.allCases[to])
      }
    }
  }

  /// The most states that a machine has; a row and a column of each matrix for every one.
  private static let width = 10
  private var counts = [Int](repeating: 0, count: Machine.allCases.count * width * width)

  /// Nothing has happened yet.
  package init() {}

  /// How often `machine` went from one state to another, by their places in ``Machine/states``.
  package subscript(machine: Machine, from: Int, to: Int) -> Int {
    counts[(machine.rawValue * Self.width + from) * Self.width + to]
  }

  /// Calls `body` for each transition that a machine has, in the order of machines and states, however often it
  /// happened; and for one that no machine has, where it did.
  package func forEachPossible(
    _ body: (_ machine: Machine, _ from: String, _ to: String, _ count: Int, _ isPossible: Bool) -> Void
  ) {
    for machine in Machine.allCases {
      let states = machine.states
      for from in states.indices {
        for to in states.indices {
          let (count, isPossible) = (self[machine, from, to], machine.leads(from: from, to: to))
          if count > 0 || isPossible { body(machine, states[from], states[to], count, isPossible) }
        }
      }
    }
  }

  /// Calls `body` for each transition that happened, in the order of machines and states.
  package func forEach(_ body: (_ machine: Machine, _ from: String, _ to: String, _ count: Int) -> Void) {
    for machine in Machine.allCases {
      let states = machine.states
      for from in states.indices {
        for to in states.indices where self[machine, from, to] > 0 {
          body(machine, states[from], states[to], self[machine, from, to])
        }
      }
    }
  }

  /// Adds what others counted.
  package mutating func add(_ other: TransitionCounters) {
    for index in counts.indices { counts[index] &+= other.counts[index] }
  }

  /// Counts each transition once that another has counted at all.
  package mutating func addPresence(of other: TransitionCounters) {
    for index in counts.indices where other.counts[index] > 0 { counts[index] &+= 1 }
  }

  mutating func note(_ machine: Machine, from: Int, to: Int) {
    counts[(machine.rawValue * Self.width + from) * Self.width + to] &+= 1
  }
}

extension SubflowState {
  /// The states in the order of their places in the histogram.
  static let inOrder: [SubflowState] = [
    .closed, .synSent, .synReceived, .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck, .timeWait,
  ]

  /// Its place in the histogram.
  var number: Int {
    switch self {
    case .closed: 0
    case .synSent: 1
    case .synReceived: 2
    case .established: 3
    case .finWait1: 4
    case .finWait2: 5
    case .closeWait: 6
    case .closing: 7
    case .lastAck: 8
    case .timeWait: 9
    }
  }

  /// Whether RFC 9293 §3.3.2, figure 5, has an arrow from here to `next`, or one that an RST, an abort or a time-out
  /// adds: these lead to CLOSED from everywhere. A FIN that comes with the last ACK of a handshake, or a close in
  /// SYN-RECEIVED, takes the engine through ESTABLISHED: the ACK counts first, and the FIN waits for it.
  func leads(to next: SubflowState) -> Bool {
    switch (self, next) {
    case (.closed, .closed): false
    case (_, .closed): true
    case (.closed, .synSent), (.closed, .synReceived): true
    case (.synSent, .synReceived), (.synSent, .established), (.synReceived, .established): true
    case (.established, .finWait1), (.established, .closeWait): true
    case (.finWait1, .finWait2), (.finWait1, .closing), (.finWait1, .timeWait): true
    case (.finWait2, .timeWait), (.closing, .timeWait), (.closeWait, .lastAck): true
    case (_, _): false
    }
  }
}

extension Connection.Multipath {
  /// Its place in the histogram.
  var number: Int {
    switch self {
    case .off: 0
    case .offered: 1
    case .keyed: 2
    case .confirmed: 3
    case .fellBack: 4
    case .early: 5
    }
  }

  /// RFC 8684 §3.7: what has become plain TCP stays it; and what begins as plain TCP, too. A listener is in between
  /// only after it took the data of a SYN (appendix B): the third ACK that brings the initiator's key also proves that
  /// it has the listener's.
  static func leads(from: Int, to: Int) -> Bool {
    switch (from, to) {
    case (1, 5), (5, 3), (5, 4): true
    default: (1...3).contains(from) && from < to && to < 5
    }
  }
}

extension Connection.Phase {
  /// Its place in the histogram.
  var number: Int {
    switch self {
    case .opening: 0
    case .open: 1
    case .closed: 2
    }
  }

  /// A connection that is over does not open again.
  static func leads(from: Int, to: Int) -> Bool { from < to }
}

extension DataState {
  /// Its place in the histogram.
  var number: Int {
    switch self {
    case .established: 0
    case .finWait1: 1
    case .finWait2: 2
    case .closeWait: 3
    case .closing: 4
    case .lastAck: 5
    case .timeWait: 6
    case .fastCloseWait: 7
    case .closed: 8
    }
  }

  /// Whether a signal leads from here to `next`.
  func leads(to next: DataState) -> Bool { self != next && Signal.allCases.contains { after($0) == next } }
}
