import CLinux
import Glibc

/// Ways into network namespaces of our own.
package enum NetworkNamespace {
  /// Whether the calling thread may make network namespaces and devices without further ado.
  package static var isAdministrator: Bool {
    clinux_has_capability(CLINUX_CAP_NET_ADMIN) && clinux_has_capability(CLINUX_CAP_SYS_ADMIN)
  }

  /// Runs `body` on a new thread in a new network namespace whose loopback is up.
  ///
  /// Descriptors that `body` opens and processes that it starts belong to that namespace for good, so they may be used
  /// from anywhere afterwards. The namespace goes with the last of them.
  @discardableResult
  package static func withNew<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
    try await withCheckedThrowingContinuation { continuation in
      startThread(named: "namespace") {
        continuation.resume(
          with: Result {
            try check(
              clinux_unshare_network(), "make a network namespace",
              remedy: "run as root, or inside 'unshare -rn'")
            try RouteSocket().setLink("lo", isUp: true)
            return try body()
          })
      }
    }
  }

  /// Replaces this program by itself in a user and network namespace of its own, where it is root.
  ///
  /// Call it before the process has a second thread. Returns only by throwing.
  package static func reenter(arguments: [String], environment: [String: String]) throws(SystemError) -> Never {
    let result = withCStrings(arguments, environment) { clinux_exec_in_namespace("/proc/self/exe", $0, $1) }
    throw SystemError("enter a namespace of our own", number: -result, remedy: namespaceRemedy)
  }

  /// Runs this program again, in a child process, in a user and network namespace of its own.
  ///
  /// - Returns: the child's exit status.
  package static func respawn(arguments: [String], environment: [String: String]) throws(SystemError) -> Int32 {
    let child = withCStrings(arguments, environment) { clinux_spawn_in_namespace("/proc/self/exe", $0, $1) }
    try check(child, "start a process in a namespace of its own", remedy: namespaceRemedy)
    return clinux_wait(child)
  }

  private static let namespaceRemedy =
    "user namespaces may be switched off here: sysctl kernel.unprivileged_userns_clone=1, or run as root"

  private static func withCStrings(
    _ arguments: [String], _ environment: [String: String],
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) ->
      Int32
  ) -> Int32 {
    var first = arguments.map { strdup($0) } + [nil]
    var second = environment.sorted { $0.key < $1.key }.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for string in first + second { free(string) } }
    return first.withUnsafeMutableBufferPointer { first in
      second.withUnsafeMutableBufferPointer { second in
        guard let first = first.baseAddress, let second = second.baseAddress else { return -EINVAL }
        return body(first, second)
      }
    }
  }
}

/// Starts a detached thread.
package func startThread(named name: String, _ body: @escaping @Sendable () -> Void) {
  final class Start: Sendable {
    let name: String
    let body: @Sendable () -> Void
    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  // Swift frames are large in debug builds, and the loop runs application code.
  pthread_attr_setstacksize(&attributes, 8 << 20)
  var thread = pthread_t()
  let context = Unmanaged.passRetained(Start(name, body)).toOpaque()
  let result = pthread_create(
    &thread, &attributes,
    { context in
      guard let context else { return nil }
      let start = Unmanaged<Start>.fromOpaque(context).takeRetainedValue()
      clinux_name_thread(start.name)
      start.body()
      return nil
    }, context)
  pthread_attr_destroy(&attributes)
  precondition(result == 0, "the system has no thread left")
}
