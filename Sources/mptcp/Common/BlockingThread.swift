import Dispatch

/// A thread of its own for tasks that block in system calls: reading a pipe must hold up neither the stack nor the
/// pool.
final class BlockingThread: TaskExecutor {
  private let queue: DispatchQueue

  init(_ name: String) { queue = DispatchQueue(label: name) }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
