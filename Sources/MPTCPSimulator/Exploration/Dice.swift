import MPTCPLink

/// Draws from a seed: the same seed gives the same draws on every machine.
struct Dice {
  private var generator: SeededGenerator

  init(seed: UInt64, number: UInt64) { generator = SeededGenerator(seed: seed, stream: number) }

  /// A number out of a range, each as likely as the other.
  mutating func number(_ range: ClosedRange<Int>) -> Int {
    let count = UInt64(range.upperBound - range.lowerBound) + 1
    return range.lowerBound + Int(generator.next().multipliedFullWidth(by: count).high)
  }

  /// Whether something happens that happens so many times in a hundred.
  mutating func happens(_ percent: Int) -> Bool { number(0...99) < percent }

  /// One of several.
  mutating func pick<Element>(_ elements: [Element]) -> Element { elements[number(0...elements.count - 1)] }

  /// So many of several, in the order of the draw.
  mutating func pick<Element>(_ count: Int, of elements: [Element]) -> [Element] {
    var left = elements
    var chosen: [Element] = []
    while chosen.count < count, !left.isEmpty { chosen.append(left.remove(at: number(0...left.count - 1))) }
    return chosen
  }

  /// 64 random bits.
  mutating func bits() -> UInt64 { generator.next() }
}
