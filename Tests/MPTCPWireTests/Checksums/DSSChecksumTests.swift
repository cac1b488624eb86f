import Testing

@testable import MPTCPWire

@Suite struct DSSChecksumTests {
  /// The pseudo-header of RFC 8684 §3.3.1, figure 10.
  func pseudoHeader(_ dsn: UInt64, _ ssn: UInt32, _ length: UInt16) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: dsn >> UInt64(56 - 8 * $0)) }
      + (0..<4).map { UInt8(truncatingIfNeeded: ssn >> UInt32(24 - 8 * $0)) }
      + [UInt8(length >> 8), UInt8(length & 0xff), 0, 0]
  }

  // Requirement 8684-3.3.1-09, 8684-3.3.1-10
  @Test func dataAndPseudoHeaderAreSummedOctetByOctet() {
    var random = SeededGenerator(seed: 50)
    for _ in 0..<2_000 {
      let runs = (0..<random.below(5)).map { _ in random.bytes(random.below(90)) }
      var data = runs.flatMap { $0 }
      let (dsn, ssn, length): (UInt64, UInt32, UInt16) = (random.number(), random.number(), random.number())
      var checksum = DSSChecksum()
      for run in runs { checksum.add(run.span.bytes) }
      if data.count % 2 == 1 { data.append(0) }
      let value = checksum.value(dsn: DataSequenceNumber(dsn), subflowSequenceNumber: ssn, length: length)
      #expect(value == referenceChecksum(data + pseudoHeader(dsn, ssn, length)))
      #expect(
        checksum.verifies(value, dsn: DataSequenceNumber(dsn), subflowSequenceNumber: ssn, length: length))
      #expect(
        !checksum.verifies(value ^ 0x0100, dsn: DataSequenceNumber(dsn), subflowSequenceNumber: ssn, length: length))
    }
  }

  // Requirement 8684-3.3.3-05
  @Test func aDATAFINByItselfIsSummedOverThePseudoHeaderOnly() {
    let value = DSSChecksum().value(dsn: DataSequenceNumber(0x1_0000_0002), subflowSequenceNumber: 0, length: 1)
    #expect(value == ~4)
  }

  @Test func bothFormsOfZeroAreTheSame() {
    // A sum of all ones gives 0; the peer may write the other zero, 0xffff.
    let checksum = DSSChecksum()
    let dsn = DataSequenceNumber(0xfffe)
    #expect(checksum.value(dsn: dsn, subflowSequenceNumber: 0, length: 1) == 0)
    #expect(checksum.verifies(0, dsn: dsn, subflowSequenceNumber: 0, length: 1))
    #expect(checksum.verifies(0xffff, dsn: dsn, subflowSequenceNumber: 0, length: 1))
  }
}
