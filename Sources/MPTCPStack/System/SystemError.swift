import CLinux
import Glibc

/// A system call that failed: what was tried, on what, and the error number.
public struct SystemError: Error, Hashable, Sendable {
  /// What was tried, as a phrase that fits behind "cannot": `open /dev/net/tun`.
  public var attempt: String
  /// The `errno` value.
  public var number: Int32
  /// The way out, where one is known: which permission is missing and how to get it.
  public var remedy: String?
  /// Why, where the system's words for the number would mislead.
  private let ownReason: String?

  /// Makes an error from a positive `errno` value.
  ///
  /// - Parameter reason: why, where the system's words for the number would mislead.
  public init(_ attempt: String, number: Int32, reason: String? = nil, remedy: String? = nil) {
    self.attempt = attempt
    self.number = number
    self.remedy = remedy
    ownReason = reason
  }
}

extension SystemError: CustomStringConvertible {
  /// Why, mostly in the system's words.
  public var reason: String { ownReason ?? strerror(number).map { String(cString: $0) } ?? "error \(number)" }

  /// Whether a permission is missing.
  public var isPermission: Bool { number == EPERM || number == EACCES }

  /// One line: what failed, why, and what to do about it.
  public var description: String {
    "cannot \(attempt): \(reason)" + (remedy.map { "; \($0)" } ?? "")
  }
}

/// Gives the result of a CLinux call, or throws what went wrong.
@discardableResult
package func check<Result: SignedInteger>(
  _ result: Result, _ attempt: @autoclosure () -> String, remedy: @autoclosure () -> String? = nil
) throws(SystemError) -> Result {
  if result >= 0 { return result }
  throw SystemError(attempt(), number: Int32(-result), remedy: remedy())
}

/// A file descriptor that closes with its last reference.
package final class Descriptor: Sendable {
  /// Its number.
  package let number: Int32

  /// Takes over `number`.
  package init(_ number: Int32) { self.number = number }

  deinit { _ = clinux_close(number) }
}

/// The monotonic clock, with its own origin: what the loop calls "now".
package enum MonotonicClock {
  /// Nanoseconds since some moment.
  package static var now: Int64 { clinux_now() }
}
