import Foundation
import Testing

/// Everything that needs another TCP/IP stack to talk to: the kernel's, in network namespaces of the tests' own.
///
/// One test at a time: they share two processors with what they start, and measure time.
@Suite("Interop", .serialized)
struct InteropSuite {
  /// Guards against a machine that skips all of this without anybody noticing.
  @Test("The interop suite runs wherever it is asked for", .timeLimit(.minutes(5)))
  func runsWhereAsked() {
    let isRequired = ProcessInfo.processInfo.environment["MPTCP_REQUIRE_INTEROP"] == "1"
    #expect(!isRequired || Machine.obstacle == nil, "\(Machine.obstacle ?? "")")
  }
}
