import CLinux
import Dispatch
import Glibc
import MPTCPStack
import Synchronization

/// A network namespace that lives as long as its last descriptor, device or process, and has no name outside.
final class HostNamespace: Sendable {
  private let descriptor: Descriptor

  /// What the calls that take descriptors are given.
  var number: Int32 { descriptor.number }

  /// Makes one whose loopback is up.
  init() throws {
    descriptor = Descriptor(
      try Self.onThread {
        try NetworkNamespace.enterNew()
        try RouteSocket().setLink("lo", isUp: true)
        return try check(clinux_current_network(), "open a network namespace")
      })
  }

  /// Runs `body` inside, on a thread of its own. What it opens and starts belongs to the namespace for good.
  func perform<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
    let number = number
    return try Self.onThread {
      try check(clinux_enter_network(number), "enter a network namespace")
      return try body()
    }
  }

  /// Sets a kernel setting of this namespace.
  func set(_ name: String, to value: String) throws {
    try perform { try KernelSetting.write(value, to: name) }
  }

  private static func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
    let outcome = Outcome<Value>()
    let done = DispatchSemaphore(value: 0)
    try startThread(named: "namespace") {
      outcome.value.withLock { $0 = Result { try body() } }
      done.signal()
    }
    done.wait()
    guard let result = outcome.value.withLock({ $0 }) else { throw SystemError("run a thread", number: ESRCH) }
    return try result.get()
  }

  private final class Outcome<Value: Sendable>: Sendable {
    let value = Mutex<Result<Value, any Error>?>(nil)
  }
}

/// Kernel settings as files.
enum KernelSetting {
  /// Writes a setting of the calling thread's network namespace.
  static func write(_ value: String, to name: String) throws(SystemError) {
    let attempt = "set \(name) to \(value)"
    let path = "/proc/sys/" + String(name.map { $0 == "." ? "/" : $0 })
    let opened = open(path, O_WRONLY | O_CLOEXEC)
    guard opened >= 0 else {
      throw SystemError(
        attempt, number: errno,
        remedy: errno == ENOENT ? "this kernel has no such setting" : "/proc/sys is read-only here")
    }
    let file = Descriptor(opened)
    let text = Array((value + "\n").utf8)
    try check(text.withUnsafeBytes { clinux_write(file.number, $0.baseAddress, $0.count) }, attempt)
  }

  /// Writes a setting where the kernel has it.
  static func writeIfPresent(_ value: String, to name: String) { try? write(value, to: name) }
}
