/// A hash table from what packets name (tuples, tokens) to slot numbers.
///
/// Open addressing with linear probing in a power-of-two array at most three quarters full; removal shifts the rest of
/// the probe run back, so that no tombstones gather. Grows and shrinks by halves; empty, it owns no memory.
/// It has no iteration: the order of the slots depends on the seed, and nothing in the engine may depend on that.
struct SeededTable<Key: SeededHashable> {
  private struct Slot {
    var key: Key
    var value: Int32
  }

  private static var smallestCapacity: Int { 8 }

  private let seed: UInt64
  private var slots: [Slot?] = []

  /// How many keys are in the table.
  private(set) var count = 0

  /// Makes an empty table whose hashes depend on `seed`, which no peer may learn.
  init(seed: UInt64) { self.seed = seed }

  /// The value of `key`, if it is in the table.
  subscript(key: Key) -> Int32? {
    guard count > 0 else { return nil }
    let mask = slots.count - 1
    var index = home(of: key, mask: mask)
    while let slot = slots[index] {
      if slot.key == key { return slot.value }
      index = (index + 1) & mask
    }
    return nil
  }

  /// Gives `key` the value `value`, and returns the one that it replaces.
  @discardableResult
  mutating func insert(_ key: Key, _ value: Int32) -> Int32? {
    if count >= slots.count / 4 * 3 { resize(to: max(slots.count * 2, Self.smallestCapacity)) }
    let mask = slots.count - 1
    var index = home(of: key, mask: mask)
    while let slot = slots[index] {
      if slot.key == key {
        slots[index] = Slot(key: key, value: value)
        return slot.value
      }
      index = (index + 1) & mask
    }
    slots[index] = Slot(key: key, value: value)
    count += 1
    return nil
  }

  /// Takes `key` out, and returns the value that it had.
  @discardableResult
  mutating func remove(_ key: Key) -> Int32? {
    guard count > 0 else { return nil }
    let mask = slots.count - 1
    var hole = home(of: key, mask: mask)
    var found: Int32?
    while let slot = slots[hole] {
      if slot.key == key {
        found = slot.value
        break
      }
      hole = (hole + 1) & mask
    }
    guard let found else { return nil }

    // Pull back every key of the run that would no longer be reached across the hole.
    var index = (hole + 1) & mask
    while let slot = slots[index] {
      let distanceFromHome = (index - home(of: slot.key, mask: mask)) & mask
      if distanceFromHome >= (index - hole) & mask {
        slots[hole] = slot
        hole = index
      }
      index = (index + 1) & mask
    }
    slots[hole] = nil
    count -= 1
    if count == 0 {
      slots = []
    } else if slots.count > Self.smallestCapacity, count < slots.count / 8 {
      resize(to: slots.count / 2)
    }
    return found
  }

  @inline(__always)
  private func home(of key: Key, mask: Int) -> Int { Int(truncatingIfNeeded: key.hash(seed: seed)) & mask }

  private mutating func resize(to capacity: Int) {
    let old = slots
    slots = [Slot?](repeating: nil, count: capacity)
    let mask = capacity - 1
    for case let slot? in old {
      var index = home(of: slot.key, mask: mask)
      while slots[index] != nil { index = (index + 1) & mask }
      slots[index] = slot
    }
  }
}
