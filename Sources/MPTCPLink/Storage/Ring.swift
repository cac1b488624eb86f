/// A queue with two ends in a ring of slots. It grows by doubling, keeps its slots, and moves no element meanwhile.
struct Ring<Element: Sendable>: Sendable {
  private var slots: [Element?] = []
  private var head = 0
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  var first: Element? { count == 0 ? nil : slots[head] }

  var last: Element? { count == 0 ? nil : slots[slot(count - 1)] }

  mutating func append(_ element: Element) {
    if count == slots.count { grow() }
    slots[slot(count)] = element
    count += 1
  }

  mutating func popFirst() -> Element? {
    guard count > 0 else { return nil }
    let element = slots[head].take()
    head = slot(1)
    count -= 1
    return element
  }

  mutating func popLast() -> Element? {
    guard count > 0 else { return nil }
    count -= 1
    return slots[slot(count)].take()
  }

  // The number of slots is a power of two, so that wrapping is a mask.
  private func slot(_ index: Int) -> Int { (head &+ index) & (slots.count &- 1) }

  private mutating func grow() {
    var larger: [Element?] = []
    larger.reserveCapacity(max(16, slots.count * 2))
    for index in 0..<count { larger.append(slots[slot(index)].take()) }
    larger.append(contentsOf: repeatElement(nil, count: max(16, slots.count * 2) - count))
    slots = larger
    head = 0
  }
}
