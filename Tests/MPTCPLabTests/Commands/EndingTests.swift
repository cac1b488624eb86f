import Glibc
import Testing

@testable import MPTCPLab

@Suite("How a command is told to end")
struct EndingTests {
  @Test("The first signal is passed on, the second is SIGTERM, all others are SIGKILL")
  func escalation() {
    var ending = Ending()
    #expect(ending.last == nil && ending.remark(on: "'x'") == nil)
    #expect(ending.next(SIGINT, at: 1_000_000_000) == SIGINT)
    #expect(
      ending.remark(on: "'x'")
        == "waiting for 'x' to end after SIGINT; one more signal sends SIGTERM, a third SIGKILL")
    #expect(ending.next(SIGINT, at: 2_000_000_000) == SIGTERM)
    #expect(ending.remark(on: "'x'") == "waiting for 'x' to end after SIGTERM; one more signal sends SIGKILL")
    #expect(ending.next(SIGINT, at: 3_000_000_000) == SIGKILL)
    #expect(ending.next(SIGINT, at: 4_000_000_000) == SIGKILL)
  }

  @Test("A signal that comes to the process and to its group is one")
  func echo() {
    var ending = Ending()
    #expect(ending.next(SIGTERM, at: 1_000_000_000) == SIGTERM)
    #expect(ending.next(SIGTERM, at: 1_000_100_000) == nil)
    #expect(ending.next(SIGTERM, at: 2_000_000_000) == SIGTERM)
  }
}
