/// What a box knows of its flows: a bounded table in which the flow that was silent for the longest time makes room.
struct FlowTable<State: Sendable>: Sendable {
  private struct Links: Sendable {
    var older = -1
    var newer = -1
  }

  private let limit: Int
  private var places: [FlowKey: Int] = [:]
  private var links: [Links] = []
  private(set) var keys: [FlowKey] = []
  /// The states, at the places that ``place(of:)`` gives. A place is good until a flow is removed or comes in.
  var states: [State] = []
  private var oldest = -1
  private var newest = -1

  init(limit: Int) { self.limit = max(limit, 1) }

  var count: Int { keys.count }
  var isFull: Bool { keys.count >= limit }

  /// The place of the flow that was silent for the longest time.
  var oldestPlace: Int? { oldest < 0 ? nil : oldest }

  /// Where a flow is, which is from now on the one most recently heard of.
  mutating func place(of key: FlowKey) -> Int? {
    guard let place = places[key] else { return nil }
    if place != newest {
      unlink(place)
      link(place)
    }
    return place
  }

  /// Puts a flow in, in place of what is known of it, or of the oldest one where the table is full.
  @discardableResult
  mutating func insert(_ state: State, for key: FlowKey) -> Int {
    if let place = place(of: key) {
      states[place] = state
      return place
    }
    if isFull, oldest >= 0 { remove(at: oldest) }
    let place = keys.count
    places[key] = place
    keys.append(key)
    states.append(state)
    links.append(Links())
    link(place)
    return place
  }

  /// Takes a flow out; the last one moves to its place.
  mutating func remove(at place: Int) {
    unlink(place)
    places[keys[place]] = nil
    let last = keys.count - 1
    if place != last {
      keys[place] = keys[last]
      states[place] = states[last]
      links[place] = links[last]
      places[keys[place]] = place
      let moved = links[place]
      if moved.older >= 0 { links[moved.older].newer = place } else { oldest = place }
      if moved.newer >= 0 { links[moved.newer].older = place } else { newest = place }
    }
    keys.removeLast()
    states.removeLast()
    links.removeLast()
  }

  private mutating func link(_ place: Int) {
    links[place] = Links(older: newest, newer: -1)
    if newest >= 0 { links[newest].newer = place } else { oldest = place }
    newest = place
  }

  private mutating func unlink(_ place: Int) {
    let at = links[place]
    if at.older >= 0 { links[at.older].newer = at.newer } else { oldest = at.newer }
    if at.newer >= 0 { links[at.newer].older = at.older } else { newest = at.older }
  }
}
