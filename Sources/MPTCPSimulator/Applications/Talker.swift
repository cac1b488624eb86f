import MPTCPCore
import MPTCPPolicy
import MPTCPWire

/// One side of a connection as its application sees it. What it does is in `Simulation+Applications`.
struct Talker {
  let host: Int
  let transfer: Int
  let isClient: Bool
  let application: Scenario.Application
  /// Where in the pattern what it sends and what it receives begins.
  let sendOrigin: Int
  let receiveOrigin: Int
  let sendByteCount: Int
  let receiveByteCount: Int
  /// Question and answer: how much each side says in a round; nil where both speak at once.
  let round: (sends: Int, receives: Int)?

  /// It opens the connection: the client does, and of a simultaneous one the server, too.
  var connects = false
  var connection: ConnectionID?
  var isEstablished = false
  var mayWrite = true
  var hasFinished = false
  var hasEnded = false
  /// The endpoint was told that the application is done, or there is no connection.
  var isOver = false
  var sent = 0
  var received = 0
  /// When it had sent and read everything.
  var doneAt: Instant?
  var closeReason: CloseReason?
  /// Why the connection could not be opened.
  var refusal: EndpointError?
  var nextWrite = Instant.zero
  var nextRead = Instant.zero

  /// The path of the initial subflow. A connection that is plain TCP has no other.
  var path: Int?

  // For the report
  var isMultipath = false
  var fallback: FallbackReason?
  var subflowCount = 0
  var startedAt = Instant.distantFuture
  var establishedAt = Instant.distantFuture
  var lastReadAt = Instant.distantFuture
  var longestReadGap = Nanoseconds.zero
  var overAt = Instant.distantFuture

  /// Forgets what was written and read.
  mutating func beginAnew() {
    (isEstablished, mayWrite, hasFinished, hasEnded) = (false, true, false, false)
    (sent, received) = (0, 0)
    (doneAt, closeReason) = (nil, nil)
  }

  /// How much may have been written by now, as far as question and answer go.
  var writableByteCount: Int {
    guard let round else { return sendByteCount }
    // The client asks again when the answer is whole; the server answers when the question is.
    let heard = round.receives > 0 ? received / round.receives : Int.max / 2
    let turns = isClient ? (round.receives > 0 ? heard + 1 : Int.max / 2) : heard
    let (limit, overflow) = turns.multipliedReportingOverflow(by: round.sends)
    return overflow ? sendByteCount : min(limit, sendByteCount)
  }

  /// How a connection ends that was aborted by one of its applications, or left, is no failure.
  var endsByForce: Bool {
    switch application.ending {
    case .finish, .close: false
    case .abort, .abortAtEnd, .leave: true
    }
  }
}
