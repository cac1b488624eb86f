import Testing

@testable import MPTCPWire

@Suite struct SequenceNumberTests {
  // Requirement 9293-3.4-01
  @Test func orderWrapsAtTheEndOfTheNumberSpace() {
    #expect(SequenceNumber(0xffff_fff0) < SequenceNumber(5))
    #expect(SequenceNumber(5) - SequenceNumber(0xffff_fff0) == 21)
  }
}
