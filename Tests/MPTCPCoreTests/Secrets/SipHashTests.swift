import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct SipHashTests {
  // The key 00 01 … 0f and inputs 00 01 … of the reference implementation's test vectors.
  private let key: (UInt64, UInt64) = (0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908)

  @Test func `the hash agrees with the reference vectors`() {
    #expect(SipHash(key: key).finish() == 0x726F_DB47_DD0E_0E31)
    var eight = SipHash(key: key)
    eight.append(0x0706_0504_0302_0100)
    #expect(eight.finish() == 0x93F5_F579_9A93_2462)
    // The example in the appendix of the paper: fifteen octets.
    var fifteen = SipHash(key: key)
    fifteen.append(0x0706_0504_0302_0100)
    #expect(fifteen.finish(tail: 0x0E_0D0C_0B0A_0908, tailByteCount: 7) == 0xA129_CA61_49BE_45E5)
  }
}

@Suite struct InitialSequenceNumbersTests {
  private let tuple = FourTuple(
    local: TransportAddress(IPAddress(v4: 0x0A00_0001), 443),
    remote: TransportAddress(IPAddress(v4: 0x0A00_0002), 50_000))

  // Requirement 6528-3-01, 9293-3.4.1-01
  @Test func `numbers of one tuple grow by one each four microseconds`() {
    // RFC 6528 §3
    let numbers = InitialSequenceNumbers(secret: (1, 2))
    let first = numbers.number(for: tuple, at: .zero)
    #expect(numbers.number(for: tuple, at: .zero + .seconds(1)) - first == 250_000)
  }

  // Requirement 6528-3-01, 6528-3-02, 9293-3.4.1-02, 9293-3.4.1-03, 8684-3-06
  @Test func `numbers depend on the tuple and on the secret`() {
    let numbers = InitialSequenceNumbers(secret: (1, 2))
    var other = tuple
    other.remote.port = 50_001
    #expect(numbers.number(for: tuple, at: .zero) != numbers.number(for: other, at: .zero))
    #expect(
      numbers.number(for: tuple, at: .zero) != InitialSequenceNumbers(secret: (1, 3)).number(for: tuple, at: .zero))
  }
}
