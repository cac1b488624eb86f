import MPTCPPolicy

/// Whose turn it is in round robin, and how much of it is left.
struct Turns {
  /// Segments in a turn.
  let segments: Int
  /// A subflow without room is waited for.
  let isStrict: Bool
  /// The subflow whose turn it is, or was last.
  private(set) var holder: SubflowID?
  /// Segments left of the turn.
  private(set) var left = 0

  init(segments: Int, isStrict: Bool) {
    self.segments = min(max(segments, 1), 1 << 16)
    self.isStrict = isStrict
  }

  /// What `id` may send of its turn; a whole turn if it was another's, or is over.
  func allowance(of id: SubflowID) -> Int { id == holder && left > 0 ? left : segments }

  /// `id` sent so many segments.
  mutating func sent(_ count: Int, by id: SubflowID) {
    if id != holder || left <= 0 {
      holder = id
      left = segments
    }
    left -= count
  }

  /// The holder goes on with its turn.
  func isInTurn(_ id: SubflowID) -> Bool { id == holder && left > 0 }
}
