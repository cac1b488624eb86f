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
      do throws(SystemError) {
        try startThread(named: "namespace") {
          continuation.resume(
            with: Result {
              try enterNew()
              try RouteSocket().setLink("lo", isUp: true)
              return try body()
            })
        }
      } catch {
        continuation.resume(throwing: error)
      }
    }
  }

  /// Moves the calling thread into a new network namespace.
  package static func enterNew() throws(SystemError) {
    let result = clinux_unshare_network()
    if result < 0 { throw NamespaceObstacle(number: -result, kinds: [.network]).error("make a network namespace") }
  }

  /// Replaces this program by itself in a network namespace of its own. Who may not make one alone gets a user
  /// namespace around it, and is root there.
  ///
  /// Call it before the process has a second thread. Returns only by throwing.
  package static func reenter(arguments: [String], environment: [String: String]) throws(SystemError) -> Never {
    let result = withCStrings(arguments, environment) { clinux_exec_in_namespace("/proc/self/exe", $0, $1) }
    throw NamespaceObstacle(number: -result, kinds: [.user, .network]).error("enter a namespace of our own")
  }

  /// Runs this program anew as the first process of network, process and mount namespaces of its own, and gives its
  /// exit status. Who may not make them alone gets a user namespace around them, and is root there. Whatever lives in
  /// them ends with this process, however it ends.
  ///
  /// Call it before the process has a second thread.
  package static func runInside(
    arguments: [String], environment: [String: String]
  ) throws(SystemError) -> Int32 {
    let result = withCStrings(arguments, environment) { clinux_run_in_namespaces("/proc/self/exe", $0, $1) }
    if result < 0 {
      throw NamespaceObstacle(number: -result, kinds: [.user, .network, .process, .mount])
        .error("enter namespaces of our own")
    }
    return result
  }

  /// Prepares the process that `runInside` has started: it hears of signals and children only when it asks. To be
  /// called while it has one thread.
  package static func prepareInside() { clinux_signals_block() }

  /// Gives arguments and environment in the form that `execve` takes.
  package static func withCStrings(
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
///
/// - Throws: ``SystemError`` when the process may have no more of them.
package func startThread(named name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
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
  let start = Unmanaged.passRetained(Start(name, body))
  let result = pthread_create(
    &thread, &attributes,
    { context in
      guard let context else { return nil }
      let start = Unmanaged<Start>.fromOpaque(context).takeRetainedValue()
      clinux_name_thread(start.name)
      start.body()
      return nil
    }, start.toOpaque())
  pthread_attr_destroy(&attributes)
  guard result == 0 else {
    start.release()
    throw SystemError(
      "start the thread '\(name)'", number: result, remedy: "a limit on processes is reached (ulimit -u, pids.max)")
  }
}
