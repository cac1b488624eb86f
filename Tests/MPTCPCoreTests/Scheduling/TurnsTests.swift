import MPTCPPolicy
import Testing

@testable import MPTCPCore

@Suite struct TurnsTests {
  @Test func aTurnIsSoManySegments() {
    var turns = Turns(segments: 3, isStrict: false)
    #expect(turns.allowance(of: SubflowID(0)) == 3)
    turns.sent(2, by: SubflowID(0))
    #expect(turns.isInTurn(SubflowID(0)))
    #expect(turns.allowance(of: SubflowID(0)) == 1)
    #expect(turns.allowance(of: SubflowID(1)) == 3)
    turns.sent(1, by: SubflowID(0))
    #expect(!turns.isInTurn(SubflowID(0)))
    turns.sent(1, by: SubflowID(1))
    #expect(turns.isInTurn(SubflowID(1)))
    #expect(!turns.isInTurn(SubflowID(0)))
  }

  @Test(arguments: [0, -5]) func aTurnIsASegmentAtLeast(segments: Int) {
    #expect(Turns(segments: segments, isStrict: true).allowance(of: SubflowID(0)) == 1)
  }
}
