/// Tasks that wait for something to happen, in the order in which they came. It belongs to one actor.
///
/// Between a task's look at what it waits for and its entry here the actor may do other things. Its ticket tells: one
/// that was drawn before the last ``wakeAll()`` does not wait.
struct WaitList {
  /// What a task draws when it has found nothing and is about to wait.
  struct Ticket: Sendable {
    var number: Int
    var wakeCount: Int
  }

  private var waiting: [(number: Int, continuation: CheckedContinuation<Void, any Error>)] = []
  private var lastNumber = 0
  private var wakeCount = 0

  mutating func draw() -> Ticket {
    lastNumber += 1
    return Ticket(number: lastNumber, wakeCount: wakeCount)
  }

  mutating func add(_ continuation: CheckedContinuation<Void, any Error>, ticket: Ticket) {
    if Task.isCancelled {
      continuation.resume(throwing: CancellationError())
    } else if ticket.wakeCount != wakeCount {
      continuation.resume()
    } else {
      waiting.append((ticket.number, continuation))
    }
  }

  /// Lets all of them look again.
  mutating func wakeAll() {
    wakeCount += 1
    let woken = waiting
    waiting.removeAll(keepingCapacity: true)
    for (_, continuation) in woken { continuation.resume() }
  }

  /// Ends the wait of a task that was cancelled.
  mutating func cancel(_ ticket: Ticket) {
    guard let index = waiting.firstIndex(where: { $0.number == ticket.number }) else { return }
    waiting.remove(at: index).continuation.resume(throwing: CancellationError())
  }
}

/// Several wait lists, one for each thing that may be waited for.
struct WaitLists<Reason: RawRepresentable & CaseIterable> where Reason.RawValue == Int {
  private var lists = [WaitList](repeating: WaitList(), count: Reason.allCases.count)

  subscript(_ reason: Reason) -> WaitList {
    get { lists[reason.rawValue] }
    _modify { yield &lists[reason.rawValue] }
  }
}
