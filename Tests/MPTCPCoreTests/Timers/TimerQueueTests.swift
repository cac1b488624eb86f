import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct TimerQueueTests {
  @Test func `the earliest deadline comes first, and ties go by slot`() {
    var queue = TimerQueue()
    queue.schedule(3, at: Instant(nanoseconds: 20))
    queue.schedule(7, at: Instant(nanoseconds: 10))
    queue.schedule(1, at: Instant(nanoseconds: 20))
    #expect(queue.next == Instant(nanoseconds: 10))
    #expect(queue.popDue(Instant(nanoseconds: 9)) == nil)
    #expect(queue.popDue(Instant(nanoseconds: 20)) == 7)
    #expect(queue.popDue(Instant(nanoseconds: 20)) == 1)
    #expect(queue.popDue(Instant(nanoseconds: 20)) == 3)
    #expect(queue.popDue(.distantFuture) == nil)
    #expect(queue.next == nil)
  }

  @Test func `a slot has one deadline, which moves and can be taken away`() {
    var queue = TimerQueue()
    queue.schedule(0, at: Instant(nanoseconds: 5))
    queue.schedule(0, at: Instant(nanoseconds: 50))
    #expect(queue.count == 1)
    #expect(queue.deadline(of: 0) == Instant(nanoseconds: 50))
    queue.cancel(0)
    queue.cancel(0)
    queue.cancel(99)
    #expect(queue.next == nil)
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func `the queue agrees with a sorted array`(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var queue = TimerQueue()
    var model: [(deadline: Int64, id: Int32)] = []
    for _ in 0..<2_000 {
      let id = Int32.random(in: 0..<60, using: &generator)
      switch Int.random(in: 0..<10, using: &generator) {
      case 0..<6:
        let deadline = Int64.random(in: 0..<100, using: &generator)
        queue.schedule(id, at: Instant(nanoseconds: deadline))
        model.removeAll { $0.id == id }
        model.append((deadline, id))
        model.sort { $0 < $1 }
      case 6..<8:
        queue.cancel(id)
        model.removeAll { $0.id == id }
      default:
        let now = Int64.random(in: 0..<100, using: &generator)
        let expected = model.first.flatMap { $0.deadline <= now ? $0.id : nil }
        agree(queue.popDue(Instant(nanoseconds: now)), expected)
        if expected != nil { model.removeFirst() }
      }
      agree(queue.next?.nanoseconds, model.first?.deadline)
      agree(queue.count, model.count)
    }
  }
}
