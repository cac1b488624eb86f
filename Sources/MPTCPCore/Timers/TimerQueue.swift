import MPTCPWire

/// The deadlines of an endpoint: at most one for each slot, earliest first.
///
/// A 4-ary min-heap whose entries know their slots and whose slots know their entries, so that moving a deadline, which
/// happens with almost every packet, costs a few swaps and no search. Slots are small dense numbers; memory is kept
/// for the largest slot that was ever scheduled.
/// Deadlines at the same instant fall due in the order of their slots: replays depend on it.
package struct TimerQueue {
  private struct Entry {
    var deadline: Instant
    var id: Int32

    @inline(__always)
    func isBefore(_ other: Entry) -> Bool {
      deadline == other.deadline ? id < other.id : deadline < other.deadline
    }
  }

  private static let absent: Int32 = -1
  private static let arity = 4

  private var heap: [Entry] = []
  /// Where in the heap each slot's entry stands.
  private var positions: [Int32] = []

  package init() {}

  /// How many slots have a deadline.
  package var count: Int { heap.count }

  /// The earliest deadline.
  package var next: Instant? { heap.first?.deadline }

  /// The deadline of slot `id`.
  package func deadline(of id: Int32) -> Instant? {
    guard Int(id) < positions.count, positions[Int(id)] != Self.absent else { return nil }
    return heap[Int(positions[Int(id)])].deadline
  }

  /// Gives slot `id` the deadline `at`, in place of the one that it had.
  package mutating func schedule(_ id: Int32, at deadline: Instant) {
    let slot = Int(id)
    if slot >= positions.count {
      positions.append(contentsOf: repeatElement(Self.absent, count: slot + 1 - positions.count))
    }
    let entry = Entry(deadline: deadline, id: id)
    let position = Int(positions[slot])
    if position < 0 {
      heap.append(entry)
      siftUp(entry, from: heap.count - 1)
    } else {
      let isEarlier = entry.isBefore(heap[position])
      if isEarlier { siftUp(entry, from: position) } else { siftDown(entry, from: position) }
    }
  }

  /// Takes slot `id`'s deadline away, if it has one.
  package mutating func cancel(_ id: Int32) {
    guard Int(id) < positions.count else { return }
    let position = Int(positions[Int(id)])
    guard position >= 0 else { return }
    remove(at: position)
  }

  /// Removes and returns the slot with the earliest deadline, if that is at or before `now`.
  package mutating func popDue(_ now: Instant) -> Int32? {
    guard let first = heap.first, first.deadline <= now else { return nil }
    remove(at: 0)
    return first.id
  }

  private mutating func remove(at position: Int) {
    positions[Int(heap[position].id)] = Self.absent
    let last = heap.removeLast()
    guard position < heap.count else { return }
    if position > 0, last.isBefore(heap[(position - 1) / Self.arity]) {
      siftUp(last, from: position)
    } else {
      siftDown(last, from: position)
    }
  }

  /// Moves the hole at `position` towards the root until `entry` fits into it.
  private mutating func siftUp(_ entry: Entry, from position: Int) {
    var hole = position
    while hole > 0 {
      let parent = (hole - 1) / Self.arity
      let above = heap[parent]
      guard entry.isBefore(above) else { break }
      place(above, at: hole)
      hole = parent
    }
    place(entry, at: hole)
  }

  /// Moves the hole at `position` towards the leaves until `entry` fits into it.
  private mutating func siftDown(_ entry: Entry, from position: Int) {
    var hole = position
    while true {
      let firstChild = hole * Self.arity + 1
      guard firstChild < heap.count else { break }
      var least = firstChild
      for child in firstChild + 1..<max(min(firstChild + Self.arity, heap.count), firstChild + 1)
      where heap[child].isBefore(heap[least]) {
        least = child
      }
      let below = heap[least]
      guard below.isBefore(entry) else { break }
      place(below, at: hole)
      hole = least
    }
    place(entry, at: hole)
  }

  @inline(__always)
  private mutating func place(_ entry: Entry, at position: Int) {
    heap[position] = entry
    positions[Int(entry.id)] = Int32(truncatingIfNeeded: position)
  }
}
