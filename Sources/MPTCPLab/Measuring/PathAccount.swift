import MPTCPLink

/// What was measured of a path.
package struct PathAccount: Sendable {
  /// Of what the first end sends, and of what the second sends.
  package var directions = [DirectionAccount(), DirectionAccount()]
  /// What each box did, by end; nothing before it was asked.
  package var boxes: [[MiddleboxCounters]] = [[], []]

  /// Whether the devices at the ends are gone.
  package var lostEnds = [false, false]

  package init() {}

  init(_ directions: [DirectionAccount], _ boxes: PathBoxes, lostEnds: [Bool]) {
    self.directions = directions
    self.lostEnds = lostEnds
    self.boxes = boxes.counters
  }

  package init(_ directions: [DirectionAccount]) { self.directions = directions }
}
