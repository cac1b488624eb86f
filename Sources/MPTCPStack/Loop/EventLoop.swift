import CLinux
import Glibc
import MPTCPWire
import Synchronization

/// What an ``EventLoop`` drives. Everything here is called on the loop's thread.
protocol LoopDriver: AnyObject, Sendable {
  /// A descriptor that is being watched under `tag` became ready.
  func descriptorIsReady(tag: UInt64, events: UInt32, at now: Instant)
  /// Inputs have been handled: does what is due, and tells the application of what came of all that. Its jobs run
  /// before ``turn(at:)``, so that its answer and our acknowledgement are one packet.
  func tell(at now: Instant)
  /// Jobs have been handled too: hands out what is to be sent.
  func turn(at now: Instant)
  /// When ``turn(at:)`` must be called at the latest; nil: when something happens.
  var nextDeadline: Instant? { get }
  /// The loop ends: nothing is called any more after this.
  func loopWillEnd()
}

/// A thread that waits for descriptors and for time, and runs the actors, and the tasks, that choose it.
///
/// Whatever lives on the loop needs no lock: devices, the engine and the actors of connections all run on this one
/// thread. A job that is enqueued from the loop itself costs neither a lock nor a system call.
public final class EventLoop: SerialExecutor, @unchecked Sendable {
  /// A job and what it came by: the runtime compares both when it decides whether to change executors, so that a job
  /// must run as what it was enqueued on.
  private struct Job {
    var job: UnownedJob
    var isTask: Bool
  }

  private struct Shared {
    var jobs: [Job] = []
    var isStopping = false
    var hasEnded = false
  }

  private static let wakeTag = UInt64.max
  /// Rounds of jobs that other jobs enqueued, before descriptors and timers have their turn.
  private static let roundLimit = 32

  private let shared = Mutex(Shared())
  private let isAsleep = Atomic(false)
  /// The loop's thread; 0 before its start and after its end.
  private let thread = Atomic<UInt>(0)
  private let poll: Descriptor
  private let wake: Descriptor

  // Confined to the loop's thread.
  private nonisolated(unsafe) var localJobs: [Job] = []
  private nonisolated(unsafe) var runningJobs: [Job] = []
  private nonisolated(unsafe) weak var driver: (any LoopDriver)?

  /// Makes a loop; ``start(_:named:)`` sets it going.
  init() throws(SystemError) {
    poll = Descriptor(try check(clinux_poll_create(), "make an epoll descriptor"))
    wake = Descriptor(try check(clinux_event_create(), "make an event descriptor"))
    try check(
      clinux_poll_add(poll.number, wake.number, UInt32(CLINUX_READABLE), Self.wakeTag), "watch the event descriptor")
    taskExecutor.loop = self
  }

  /// Starts the thread, which keeps the loop and the driver alive until ``stop()``.
  func start(_ driver: any LoopDriver, named name: String) throws(SystemError) {
    try startThread(named: name) { [self] in
      thread.store(UInt(pthread_self()), ordering: .relaxed)
      self.driver = driver
      clinux_precise_sleep()
      run(driver)
    }
  }

  /// Lets the loop end once its jobs are done. Jobs that come later still run, on threads for the purpose.
  func stop() {
    shared.withLock { $0.isStopping = true }
    clinux_event_signal(wake.number)
  }

  /// Whether the caller runs on the loop's thread.
  var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

  // MARK: Descriptors

  /// Watches `descriptor`; level-triggered, so that what is left unread is told of again.
  func watch(_ descriptor: Int32, events: UInt32, tag: UInt64) throws(SystemError) {
    try check(clinux_poll_add(poll.number, descriptor, events, tag), "watch a descriptor")
  }

  /// Changes what is watched for. Fails only for a descriptor that is not watched.
  func rewatch(_ descriptor: Int32, events: UInt32, tag: UInt64) {
    _ = clinux_poll_modify(poll.number, descriptor, events, tag)
  }

  /// Watches `descriptor` no longer.
  func unwatch(_ descriptor: Int32) { _ = clinux_poll_remove(poll.number, descriptor) }

  // MARK: Executor

  /// The loop for tasks that prefer it.
  public var tasks: any TaskExecutor { taskExecutor }

  /// Takes a job of an actor.
  public func enqueue(_ job: consuming ExecutorJob) { enqueue(Job(job: UnownedJob(job), isTask: false)) }

  private func enqueue(_ job: Job) {
    if isCurrent {
      localJobs.append(job)
      return
    }
    let hasEnded = shared.withLock {
      $0.jobs.append(job)
      return $0.hasEnded
    }
    if hasEnded {
      runLate()
    } else if isAsleep.exchange(false, ordering: .sequentiallyConsistent) {
      clinux_event_signal(wake.number)
    }
  }

  /// A reference for the runtime.
  public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

  /// Stops the program when code that needs the loop runs elsewhere.
  public func checkIsolated() {
    precondition(isCurrent || shared.withLock { $0.hasEnded }, "not on the loop's thread")
  }

  private func run(_ job: Job) {
    if job.isTask {
      job.job.runSynchronously(on: taskExecutor.asUnownedTaskExecutor())
    } else {
      job.job.runSynchronously(on: asUnownedSerialExecutor())
    }
  }

  /// Runs what has been enqueued, and what that enqueues on the loop itself, for a while.
  private func runJobs() {
    runRound()
    var rounds = 1
    while !localJobs.isEmpty, rounds < Self.roundLimit {
      runRound()
      rounds += 1
    }
  }

  private func runRound() {
    swap(&localJobs, &runningJobs)
    shared.withLock { shared in
      guard !shared.jobs.isEmpty else { return }
      runningJobs += shared.jobs
      shared.jobs.removeAll(keepingCapacity: true)
    }
    for job in runningJobs { run(job) }
    runningJobs.removeAll(keepingCapacity: true)
  }

  /// Runs a job that came after the end, on a thread of its own, one after another.
  private func runLate() {
    let runAll: @Sendable () -> Void = { [self] in
      lateJobs.withLock { _ in
        let jobs = shared.withLock { shared in
          let jobs = shared.jobs
          shared.jobs.removeAll()
          return jobs
        }
        for job in jobs { run(job) }
      }
    }
    // Without a thread the caller's has to do: whoever waits for the job must not wait for ever.
    do throws(SystemError) { try startThread(named: "late jobs", runAll) } catch { runAll() }
  }

  private let lateJobs = Mutex(())

  private final class Tasks: TaskExecutor {
    // The loop holds this and sets it once, before anybody knows either; a task that prefers it holds the stack.
    nonisolated(unsafe) unowned var loop: EventLoop?

    func enqueue(_ job: consuming ExecutorJob) { loop?.enqueue(Job(job: UnownedJob(job), isTask: true)) }
  }

  private let taskExecutor = Tasks()

  // MARK: The loop

  private static var now: Instant { Instant(nanoseconds: clinux_now()) }

  private func run(_ driver: any LoopDriver) {
    let capacity = 64
    let ready = UnsafeMutablePointer<clinux_ready>.allocate(capacity: capacity)
    defer { ready.deallocate() }
    while true {
      driver.tell(at: Self.now)
      runJobs()
      driver.turn(at: Self.now)
      if localJobs.isEmpty && mayEnd() { break }
      let count = clinux_poll_wait(poll.number, ready, Int32(capacity), sleepTime(until: driver.nextDeadline))
      isAsleep.store(false, ordering: .sequentiallyConsistent)
      guard count > 0 else { continue }
      let now = Self.now
      for entry in UnsafeBufferPointer(start: ready, count: Int(count)) {
        if entry.tag == Self.wakeTag {
          clinux_event_clear(wake.number)
        } else {
          driver.descriptorIsReady(tag: entry.tag, events: entry.events, at: now)
        }
      }
    }
    driver.loopWillEnd()
    runJobs()
    thread.store(0, ordering: .relaxed)
    let isLate = shared.withLock {
      $0.hasEnded = true
      $0.jobs += localJobs
      return !$0.jobs.isEmpty
    }
    if isLate { runLate() }
  }

  private func mayEnd() -> Bool { shared.withLock { $0.isStopping && $0.jobs.isEmpty } }

  /// How long to wait, in nanoseconds; negative: without end. Jobs that came in the meantime do not wait.
  private func sleepTime(until deadline: Instant?) -> Int64 {
    if !localJobs.isEmpty { return 0 }
    isAsleep.store(true, ordering: .sequentiallyConsistent)
    if shared.withLock({ !$0.jobs.isEmpty || $0.isStopping }) { return 0 }
    guard let deadline, deadline < .distantFuture else { return -1 }
    return max((deadline - Self.now).count, 0)
  }
}
