import MPTCPWire
import Synchronization
import Testing

@testable import MPTCPStack

@Suite(.timeLimit(.minutes(5)))
struct EventLoopTests {
  private final class Driver: LoopDriver {
    let turns = Atomic(0)
    let deadline = Mutex<Instant?>(nil)
    let hasEnded = Atomic(false)

    func descriptorIsReady(tag: UInt64, events: UInt32, at now: Instant) {}
    func tell(at now: Instant) {}
    func turn(at now: Instant) {
      turns.add(1, ordering: .relaxed)
      deadline.withLock { if let due = $0, due <= now { $0 = nil } }
    }
    var nextDeadline: Instant? { deadline.withLock { $0 } }
    func loopWillEnd() { hasEnded.store(true, ordering: .relaxed) }
  }

  private actor Counter {
    private let loop: EventLoop
    private(set) var count = 0
    init(_ loop: EventLoop) { self.loop = loop }
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    func add() -> Bool {
      count += 1
      return loop.isCurrent
    }
  }

  @Test("An actor on the loop runs on its thread, called from anywhere")
  func runsActors() async throws {
    let loop = try EventLoop(), driver = Driver()
    try loop.start(driver, named: "test")
    let counter = Counter(loop)
    await withTaskGroup { group in
      for _ in 0..<4 {
        group.addTask { for _ in 0..<500 { #expect(await counter.add()) } }
      }
    }
    #expect(await counter.count == 2_000)
    loop.stop()
  }

  @Test("A task that prefers the loop runs on its thread")
  func runsTasks() async throws {
    let loop = try EventLoop(), driver = Driver()
    try loop.start(driver, named: "test")
    let task = Task(executorPreference: loop.tasks) { loop.isCurrent }
    #expect(await task.value)
    loop.stop()
  }

  @Test("The loop sleeps until the deadline, to within a millisecond, and not longer")
  func keepsDeadlines() async throws {
    let loop = try EventLoop(), driver = Driver()
    let start = MonotonicClock.now
    driver.deadline.withLock { $0 = Instant(nanoseconds: start + 30_000_000) }
    try loop.start(driver, named: "test")
    while driver.deadline.withLock({ $0 }) != nil { try await Task.sleep(for: .microseconds(200)) }
    let slept = MonotonicClock.now - start
    #expect(slept >= 30_000_000)
    #expect(driver.turns.load(ordering: .relaxed) < 20)
    loop.stop()
  }

  @Test("Jobs that come after the end still run")
  func runsLateJobs() async throws {
    let loop = try EventLoop(), driver = Driver()
    try loop.start(driver, named: "test")
    let counter = Counter(loop)
    _ = await counter.add()
    loop.stop()
    while !driver.hasEnded.load(ordering: .relaxed) { try await Task.sleep(for: .milliseconds(1)) }
    _ = await counter.add()
    #expect(await counter.count == 2)
  }
}
