import Testing

@testable import MPTCPWire

@Suite struct InternetChecksumTests {
  func checksum(_ runs: [[UInt8]]) -> InternetChecksum {
    var checksum = InternetChecksum()
    for run in runs { checksum.add(run.span.bytes) }
    return checksum
  }

  @Test func theExampleOfRFC1071ComesOut() {
    let sum = checksum([[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]])
    #expect(sum.partial == 0xddf2)
    #expect(sum.value == ~0xddf2)
  }

  @Test func everyLengthAgreesWithTheSumOctetByOctet() {
    var random = SeededGenerator(seed: 40)
    for count in 0...300 {
      let bytes = random.bytes(count)
      #expect(checksum([bytes]).value == referenceChecksum(bytes))
      let ones = [UInt8](repeating: 0xff, count: count)
      #expect(checksum([ones]).value == referenceChecksum(ones))
    }
    let large = random.bytes(65_535)
    #expect(checksum([large]).value == referenceChecksum(large))
    #expect(checksum([[UInt8](repeating: 0xff, count: 1 << 20)]).value == 0)
  }

  @Test func runsOfAnyLengthAddUpToTheWhole() {
    var random = SeededGenerator(seed: 41)
    for _ in 0..<2_000 {
      let runs = (0..<random.below(6)).map { _ in random.bytes(random.below(70)) }
      #expect(checksum(runs).value == referenceChecksum(runs.flatMap { $0 }))
    }
  }

  @Test func unalignedMemoryGivesTheSameSum() {
    var random = SeededGenerator(seed: 42)
    let bytes = random.bytes(200)
    for start in 0..<16 {
      var sum = InternetChecksum()
      sum.add(bytes.span.bytes.extracting(start..<200))
      #expect(sum.value == referenceChecksum(Array(bytes[start...])))
    }
  }

  @Test func numbersCountAsTheirOctets() {
    var random = SeededGenerator(seed: 43)
    for _ in 0..<2_000 {
      let (a, b, c): (UInt16, UInt32, UInt64) = (random.number(), random.number(), random.number())
      var sum = InternetChecksum()
      sum.add(word: a)
      sum.add(word32: b)
      sum.add(word64: c)
      var octets = [UInt8(a >> 8), UInt8(a & 0xff)]
      octets += (0..<4).map { UInt8(truncatingIfNeeded: b >> UInt32(24 - 8 * $0)) }
      octets += (0..<8).map { UInt8(truncatingIfNeeded: c >> UInt64(56 - 8 * $0)) }
      #expect(sum.value == referenceChecksum(octets))
    }
  }

  @Test func thePseudoHeaderCountsAsItsOctets() {
    var random = SeededGenerator(seed: 44)
    for _ in 0..<2_000 {
      let isV4 = random.flag()
      let (source, destination) =
        isV4
        ? (IPAddress(v4: random.number()), IPAddress(v4: random.number()))
        : (
          IPAddress(v6High: random.number(), low: random.number()),
          IPAddress(v6High: random.number(), low: random.number())
        )
      let length = random.below(70_000)
      var sum = InternetChecksum()
      sum.add(pseudoHeader: source, destination: destination, protocol: 6, length: length)
      #expect(sum.value == referenceChecksum(pseudoHeader(source, destination, 6, length)))
    }
  }

  @Test func aPartialSumIsContinuedWhereItStopped() {
    var random = SeededGenerator(seed: 45)
    let (front, back) = (random.bytes(34), random.bytes(77))
    var sum = InternetChecksum(partial: checksum([front]).partial)
    sum.add(back.span.bytes)
    #expect(sum.value == referenceChecksum(front + back))
  }

  @Test func anUpdateAgreesWithCountingAnew() {
    var random = SeededGenerator(seed: 46)
    for _ in 0..<10_000 {
      var bytes = random.bytes(40)
      let before = referenceChecksum(bytes)
      let place = 2 * random.below(19)
      let isWide = random.flag()
      // Extreme words are where end-around carry goes wrong.
      let new: UInt32 = [0, .max, 0xffff, random.number()][random.below(4)]
      let old = (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[place + $1]) }
      for index in 0..<(isWide ? 4 : 2) {
        bytes[place + index] = UInt8(truncatingIfNeeded: new >> UInt32((isWide ? 24 : 8) - 8 * index))
      }
      let updated =
        isWide
        ? InternetChecksum.updating(before, replacing: old, with: new)
        : InternetChecksum.updating(before, replacing: UInt16(old >> 16), with: UInt16(truncatingIfNeeded: new))
      #expect(updated == referenceChecksum(bytes))
    }
  }

  @Test func dataWithItsOwnChecksumSumsToZero() {
    var random = SeededGenerator(seed: 47)
    for _ in 0..<1_000 {
      let bytes = random.bytes(2 * random.below(40))
      let sum = referenceChecksum(bytes)
      #expect(checksum([bytes, [UInt8(sum >> 8), UInt8(sum & 0xff)]]).value == 0)
    }
  }
}
