import MPTCPLink

/// What was measured of a path.
package struct PathAccount: Sendable {
  /// Of what the first end sends, and of what the second sends.
  package var directions = [DirectionAccount(), DirectionAccount()]
  /// What each box did, by end; nothing before it was asked.
  package var boxes: [[MiddleboxCounters]] = [[], []]

  package init() {}

  init(_ directions: [DirectionAccount], _ boxes: PathBoxes) {
    self.directions = directions
    self.boxes = boxes.counters
  }

  package init(_ directions: [DirectionAccount]) { self.directions = directions }
}
