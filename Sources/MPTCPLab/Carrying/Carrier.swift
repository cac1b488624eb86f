import CLinux
import Dispatch
import MPTCPLink
import MPTCPStack
import MPTCPWire
import Synchronization

/// Carries one path's packets both ways, on a thread of its own, for as long as it is wanted.
final class Carrier: Sendable {
  /// Frames taken from one host before the other's, and what is due, have their turn.
  private static let burst = 16
  /// A wait shorter than this is spent looking: going to sleep takes as long.
  private static let shortestSleep = Nanoseconds.microseconds(12)
  /// How often the accounts are brought up to date.
  private static let accounting = Nanoseconds.milliseconds(100)

  private let name: String
  private let links: [LinkConfiguration]
  private let boxes: [[MiddleboxConfiguration]]
  private let chance: PathChance
  private let isWanted = Atomic(true)
  /// When the schedules begin; 0 until then.
  private let scheduleOrigin = Atomic<Int64>(0)
  private let event: Descriptor
  private let ended = DispatchSemaphore(value: 0)
  private let accounts = Mutex(PathAccount())

  /// Begins to carry packets between the ports of a path.
  ///
  /// - Parameter index: the path's number, from which it has chance of its own.
  init(_ path: LabFile.Path, index: Int, between ports: PortPair, capture: PathCapture?) throws {
    name = path.name
    chance = PathChance(path: index)
    links = [chance.link(path.first.link, .forward), chance.link(path.second.link, .backward)]
    boxes = path.ends.map(\.boxes)
    event = Descriptor(try check(clinux_event_create(), "make an event"))
    let poll = Descriptor(try check(clinux_poll_create(), "make an epoll descriptor"))
    try check(clinux_poll_add(poll.number, ports.first.descriptor, CLINUX_READABLE, 0), "watch a device")
    try check(clinux_poll_add(poll.number, ports.second.descriptor, CLINUX_READABLE, 1), "watch a device")
    try check(clinux_poll_add(poll.number, event.number, CLINUX_READABLE, 2), "watch an event")
    try startThread(named: "path \(name)") { [self] in
      carry(ports, poll, capture)
      ended.signal()
    }
  }

  /// Lets the links' schedules begin.
  func beginSchedule() {
    scheduleOrigin.store(MonotonicClock.now, ordering: .releasing)
    clinux_event_signal(event.number)
  }

  /// Ends the carrying and waits for its end.
  func stop() {
    isWanted.store(false, ordering: .releasing)
    clinux_event_signal(event.number)
    ended.wait()
    ended.signal()
  }

  /// What was measured of both directions, at most 100 ms old while packets come; whole after ``stop()``.
  var measured: PathAccount { accounts.withLock { $0 } }

  private func carry(_ ports: PortPair, _ poll: Descriptor, _ capture: PathCapture?) {
    clinux_precise_sleep()
    // What a link delays has to leave on time; without a link there is only throughput, and the hosts need time too.
    let hasBoxes = boxes.contains { !$0.isEmpty }
    let isShaped = hasBoxes || links.contains { $0 != LinkConfiguration(seed: $0.seed) }
    _ = clinux_urgent_thread(isShaped)
    let waits = Descriptor(clinux_run_delay_open())
    var lastWait = clinux_run_delay(waits.number)
    let start = Instant(nanoseconds: MonotonicClock.now)
    var forth = Direction(
      from: ports.first, to: ports.second, side: 0, links[0], hasBoxes: hasBoxes, capture: capture, at: start)
    var back = Direction(
      from: ports.second, to: ports.first, side: 1, links[1], hasBoxes: hasBoxes, capture: capture, at: start)
    var chains = PathBoxes(boxes, chance, at: start)
    var hasSchedule = false
    let lostEnds = { [ports.first.isLost, ports.second.isLost] }
    var isWatched = (first: true, second: true)
    var nextAccounting = start
    var wait = Nanoseconds.zero
    withUnsafeTemporaryAllocation(of: clinux_ready.self, capacity: 3) { ready in
      while isWanted.load(ordering: .acquiring) {
        // In each turn, since there may be none that waits for events.
        let origin = hasSchedule ? 0 : scheduleOrigin.load(ordering: .acquiring)
        if origin != 0 {
          hasSchedule = true
          forth.beginSchedule(at: Instant(nanoseconds: origin))
          back.beginSchedule(at: Instant(nanoseconds: origin))
          chains.begin(at: Instant(nanoseconds: origin))
        }
        forth.deliver()
        var count = forth.take(limit: Self.burst, after: wait)
        back.deliver()
        count = max(count, back.take(limit: Self.burst, after: wait))
        wait = .zero
        let now = Instant(nanoseconds: MonotonicClock.now)
        if hasBoxes { chains.relay(&forth, &back, at: now) }
        if now >= nextAccounting {
          let current = PathAccount([forth.closedAccount(), back.closedAccount()], chains, lostEnds: lostEnds())
          accounts.withLock { $0 = current }
          nextAccounting = now + Self.accounting
        }
        if count == Self.burst { continue }
        var left = Nanoseconds.seconds(1)
        if let deadline = forth.nextDeadline { left = min(left, deadline - now) }
        if let deadline = back.nextDeadline { left = min(left, deadline - now) }
        if let deadline = chains.nextDeadline { left = min(left, deadline - now) }
        if left < Self.shortestSleep { continue }
        unwatchLost(ports, poll, &isWatched)
        let events = clinux_poll_wait(poll.number, ready.baseAddress, 3, left.count)
        let waited = isShaped ? clinux_run_delay(waits.number) : 0
        // Waiting for a processor after the timer's end shows when packets leave; here it is about those that came.
        if events > 0 { wait = Nanoseconds(waited - lastWait) }
        lastWait = waited
        for index in 0..<max(Int(events), 0) {
          let isHungUp = ready[index].events & CLINUX_HANGUP != 0
          switch ready[index].tag {
          case 0: if isHungUp { ports.first.hangUp() }
          case 1: if isHungUp { ports.second.hangUp() }
          case _: clinux_event_clear(event.number)
          }
        }
      }
    }
    let final = PathAccount([forth.closedAccount(), back.closedAccount()], chains, lostEnds: lostEnds())
    accounts.withLock { $0 = final }
  }

  /// A device that is gone is always ready, and would not let this thread sleep.
  private func unwatchLost(_ ports: PortPair, _ poll: Descriptor, _ isWatched: inout (first: Bool, second: Bool)) {
    if isWatched.first, ports.first.isLost {
      isWatched.first = false
      _ = clinux_poll_remove(poll.number, ports.first.descriptor)
    }
    if isWatched.second, ports.second.isLost {
      isWatched.second = false
      _ = clinux_poll_remove(poll.number, ports.second.descriptor)
    }
  }
}
