import MPTCPWire
import Testing

/// Vectors computed apart from this code: KeyA 0102030405060708, KeyB 1112131415161718, nonces 01020304 and 05060708.
@Suite struct KeyVectorTests {
  let keyA = Key(0x0102_0304_0506_0708)
  let keyB = Key(0x1112_1314_1516_1718)
  let nonceA: UInt32 = 0x0102_0304
  let nonceB: UInt32 = 0x0506_0708

  // Requirement 8684-3.1-41, 8684-3.1-42, 8684-3.1-43
  @Test func tokensAndInitialDataSequenceNumbersComeFromSHA256InVersion1() {
    #expect(keyA.token(.v1) == Token(0x6684_0dda))
    #expect(keyB.token(.v1) == Token(0xccad_45ac))
    #expect(keyA.initialDataSequenceNumber(.v1) == DataSequenceNumber(0xf5a1_01d3_d29d_6f72))
    #expect(keyB.initialDataSequenceNumber(.v1) == DataSequenceNumber(0x535b_eea3_8e08_7c8e))
  }

  // Requirement 6824-3.1-09, 6824-3.1-10
  @Test func tokensAndInitialDataSequenceNumbersComeFromSHA1InVersion0() {
    #expect(keyA.token(.v0) == Token(0xdd57_83bc))
    #expect(keyB.token(.v0) == Token(0x3383_d918))
    #expect(keyA.initialDataSequenceNumber(.v0) == DataSequenceNumber(0x3a95_ed6e_4ebb_4ad5))
    #expect(keyB.initialDataSequenceNumber(.v0) == DataSequenceNumber(0x9e1a_e42f_7026_27a9))
  }

  @Test func oneHashGivesTokenAndInitialDataSequenceNumberTogether() {
    let derived = keyA.derived()
    #expect(derived.token == keyA.token())
    #expect(derived.initialDataSequenceNumber == keyA.initialDataSequenceNumber())
  }

  // Requirement 8684-3.2-12, 8684-3.2-14, 8684-3.2-20
  @Test func joinsAreAuthenticatedWithHMACSHA256InVersion1() {
    let hmacA = JoinAuthentication.joinHMAC(
      version: .v1, senderKey: keyA, receiverKey: keyB, senderNonce: nonceA, receiverNonce: nonceB)
    let hmacB = JoinAuthentication.joinHMAC(
      version: .v1, senderKey: keyB, receiverKey: keyA, senderNonce: nonceB, receiverNonce: nonceA)
    #expect(hmacA.left160 == HMAC160(high: 0x24bd_de08_dfc5_5c9b, middle: 0x4185_e1b5_6b2f_89db, low: 0x241a_c0f2))
    #expect(hmacB.left64 == 0x65ee_0968_33f6_61d9)
  }

  // Requirement 6824-3.2-01
  @Test func joinsAreAuthenticatedWithHMACSHA1InVersion0() {
    let hmacA = JoinAuthentication.joinHMAC(
      version: .v0, senderKey: keyA, receiverKey: keyB, senderNonce: nonceA, receiverNonce: nonceB)
    let hmacB = JoinAuthentication.joinHMAC(
      version: .v0, senderKey: keyB, receiverKey: keyA, senderNonce: nonceB, receiverNonce: nonceA)
    #expect(hmacA.left160 == HMAC160(high: 0x5759_d8ab_7fe3_0cae, middle: 0xbe9b_bae6_a963_4f53, low: 0x0c3d_0a3c))
    #expect(hmacB.left64 == 0x93fd_bef9_55c9_f213)
  }

  // Requirement 8684-3.4.1-11, 8684-3.4.1-12
  @Test func announcedAddressesAreAuthenticatedWithTheRight64Bits() throws {
    let address = try #require(IPAddress("10.0.0.2"))
    func hmac(_ port: Port?) -> UInt64 {
      JoinAuthentication.addAddressHMAC(
        senderKey: keyA, receiverKey: keyB, addressID: AddressID(2), address: address, port: port)
    }
    #expect(hmac(nil) == 0x6e99_98bd_fbc2_a132)
    #expect(hmac(8080) == 0x34eb_acca_0a9d_4ae2)
  }
}
