import MPTCPCore
import MPTCPPolicy
import Testing

@Suite struct SchedulerNameTests {
  private struct Nameless: CustomScheduler {
    var name: String { "by-price" }
    mutating func choose(_ subflows: Span<SubflowSnapshot>, for waiting: WaitingData) -> SubflowID? { nil }
  }

  @Test(arguments: Scheduler.allNames) func aSchedulerIsFoundByItsName(name: String) throws {
    #expect(try #require(Scheduler(name: name)).name == name)
  }

  @Test func theDefaultHasANameAndOthersAreUnknown() throws {
    #expect(Scheduler.allNames.contains(try #require(Scheduler(name: "default")).name))
    #expect(Scheduler(name: "best") == nil)
    #expect(Scheduler(name: "") == nil)
    #expect(Scheduler.custom(Nameless()).name == "by-price")
  }
}
