import Testing

@testable import MPTCPWire

@Suite struct SequenceNumberTests {
  @Test func orderWrapsAtTheEndOfTheNumberSpace() {
    #expect(SequenceNumber(0xffff_fff0) < SequenceNumber(5))
    #expect(SequenceNumber(5) - SequenceNumber(0xffff_fff0) == 21)
  }
}
