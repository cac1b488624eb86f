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

    /// The names of the machine's states.
    package var states: [String] {
      switch self {
      case .subflow:
        [
          "closed", "synSent", "synReceived", "established", "finWait1", "finWait2", "closeWait", "closing", "lastAck",
          "timeWait",
        ]
      case .multipath: ["off", "offered", "keyed", "confirmed", "fellBack"]
      case .connection: ["opening", "open", "closed"]
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

  mutating func note(_ machine: Machine, from: Int, to: Int) {
    counts[(machine.rawValue * Self.width + from) * Self.width + to] &+= 1
  }
}

extension SubflowState {
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

  /// Whether RFC 9293 §3.3.2, figure 5, has an arrow from here to `next`, or one that an RST, an abort or a time-out adds:
  /// these lead to CLOSED from everywhere. FIN and the last ACK of a handshake may come in one segment.
  func leads(to next: SubflowState) -> Bool {
    switch (self, next) {
    case (_, .closed): true
    case (.closed, .synSent), (.closed, .synReceived): true
    case (.synSent, .synReceived), (.synSent, .established): true
    case (.synReceived, .established), (.synReceived, .finWait1), (.synReceived, .closeWait): true
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
    }
  }

  /// RFC 8684 §3.7: what has become plain TCP stays it.
  func leads(to next: Connection.Multipath) -> Bool { number < 4 || next.number == 4 }
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
  func leads(to next: Connection.Phase) -> Bool { number <= next.number }
}
