/// The changes that a box made to one direction of a flow, and the two number spaces on either side of it.
///
/// Positions count octets of data from the first one on; they do not wrap. Changes lie in the order of their places,
/// apart from each other.
struct PayloadEdits: Sendable {
  struct Edit: Hashable, Sendable {
    /// The place of the first octet that is replaced.
    var start: Int
    /// How many octets are replaced, at least one.
    var count: Int
    var replacement: [UInt8]

    var end: Int { start + count }
    var growth: Int { replacement.count - count }
  }

  /// How many changes are remembered that the receiver has not acknowledged; beyond it nothing more is changed.
  static let limit = 32

  private var edits: [Edit] = []
  /// The growth by changes that are forgotten, all of which lie before ``floor``.
  private var forgottenGrowth = 0
  /// Data before this place has been acknowledged and cannot be put together any more.
  private(set) var floor = 0
  /// The place behind all data that has been seen.
  private(set) var highest = 0

  var hasRoom: Bool { edits.count < Self.limit }

  var count: Int { edits.count }

  /// Remembers a change, which must lie behind all earlier ones, in data not seen before.
  mutating func append(_ edit: Edit) { edits.append(edit) }

  mutating func see(upTo position: Int) { highest = max(highest, position) }

  /// Forgets changes of data that the receiver has.
  mutating func forget(upTo position: Int) {
    while let first = edits.first, first.end <= position {
      forgottenGrowth += first.growth
      floor = first.end
      edits.removeFirst()
    }
  }

  /// Where an octet is behind the box. Inside of a change it is as far on as in front, or at the end of the
  /// replacement.
  func outer(_ position: Int) -> Int {
    var growth = forgottenGrowth
    for edit in edits {
      if position <= edit.start { break }
      if position < edit.end { return edit.start + growth + min(position - edit.start, edit.replacement.count) }
      growth += edit.growth
    }
    return position + growth
  }

  /// What an acknowledgment of a place behind the box means in front of it: part of a replacement acknowledges at most
  /// the part of what was there that is not its end.
  func inner(_ position: Int) -> Int {
    var growth = forgottenGrowth
    for edit in edits {
      let start = edit.start + growth
      let end = start + edit.replacement.count
      if position < start || position == start && !edit.replacement.isEmpty { break }
      if position < end { return edit.start + min(position - start, edit.count - 1) }
      growth += edit.growth
    }
    return position - growth
  }

  /// The data from `start` on as it is behind the box, and whether a change lies in it.
  func changed(_ payload: [UInt8], at start: Int) -> (payload: [UInt8], isChanged: Bool) {
    var result: [UInt8] = []
    var cursor = start
    let end = start + payload.count
    var isChanged = false
    for edit in edits where edit.end > start && edit.start < end {
      if edit.start > cursor { result += payload[(cursor - start)..<(edit.start - start)] }
      let from = max(start, edit.start) - edit.start
      let to = min(end, edit.end) - edit.start
      let size = edit.replacement.count
      result += edit.replacement[min(from, size)..<(to == edit.count ? size : min(to, size))]
      cursor = edit.start + to
      isChanged = true
    }
    if cursor < end { result += payload[(cursor - start)...] }
    return (result, isChanged)
  }
}
