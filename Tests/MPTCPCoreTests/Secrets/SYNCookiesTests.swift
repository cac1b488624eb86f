import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct SYNCookiesTests {
  private let cookies = SYNCookies(secret: (0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210))
  private let tuple = FourTuple(
    local: TransportAddress(IPAddress(v4: 0x0A00_0001), 443),
    remote: TransportAddress(IPAddress(v4: 0x0A00_0002), 50_000))
  private let clientISN = SequenceNumber(0xDEAD_BEEF)
  private let start = Instant(nanoseconds: 1_000_000_000_000)

  private func parameters(
    _ segment: Int = 1_460, scale: UInt8? = 7, sack: Bool = true, ecn: Bool = false
  ) -> SYNCookies.Parameters {
    SYNCookies.Parameters(
      maximumSegmentByteCount: segment, windowScale: scale, isSACKPermitted: sack, supportsECN: ecn)
  }

  @Test func `every combination of options comes back from the third segment`() {
    for segment in [216, 536, 1_220, 1_360, 1_400, 1_440, 1_460, 8_960] {
      for scale in [nil, 0, 7, 14] as [UInt8?] {
        for bits in 0..<4 {
          let sent = parameters(segment, scale: scale, sack: bits & 1 != 0, ecn: bits & 2 != 0)
          let answer = cookies.encode(
            sent, tuple: tuple, clientISN: clientISN, timestampClock: 123_456_789, at: start)
          let found = cookies.decode(
            cookie: answer.sequenceNumber, tuple: tuple, clientISN: clientISN, timestampEcho: answer.timestamp,
            at: start + .seconds(3))
          #expect(found == sent)
          #expect(answer.parameters == sent)
        }
      }
    }
  }

  @Test(arguments: [(100, 216), (1_459, 1_440), (1_500, 1_460), (65_495, 8_960)])
  func `a segment size is rounded down to one of the table`(offered: Int, carried: Int) {
    let answer = cookies.encode(
      parameters(offered), tuple: tuple, clientISN: clientISN, timestampClock: 0, at: start)
    #expect(answer.parameters.maximumSegmentByteCount == carried)
  }

  @Test func `without timestamps only the segment size survives, and the answer says so`() {
    let answer = cookies.encode(parameters(), tuple: tuple, clientISN: clientISN, timestampClock: nil, at: start)
    #expect(answer.timestamp == nil)
    #expect(answer.parameters == parameters(scale: nil, sack: false))
    let found = cookies.decode(
      cookie: answer.sequenceNumber, tuple: tuple, clientISN: clientISN, timestampEcho: nil, at: start)
    #expect(found == answer.parameters)
  }

  // Requirement 7323-2-04
  @Test func `a window scale above 14 is taken for 14`() {
    // RFC 7323 §2.3
    let answer = cookies.encode(
      parameters(scale: 200), tuple: tuple, clientISN: clientISN, timestampClock: 5_000, at: start)
    let found = cookies.decode(
      cookie: answer.sequenceNumber, tuple: tuple, clientISN: clientISN, timestampEcho: answer.timestamp, at: start)
    #expect(found?.windowScale == 14)
  }

  @Test func `the timestamp is never ahead of the clock, and less than 64 ticks behind it`() {
    // RFC 7323 §5.4: timestamps that follow on the connection come from the clock itself and must not go back.
    for clock in [0, 1, 63, 64, 100, 0x8000_0000, 0xFFFF_FFC0, .max] as [UInt32] {
      for scale in [nil, 0, 14] as [UInt8?] {
        let answer = cookies.encode(
          parameters(scale: scale, ecn: true), tuple: tuple, clientISN: clientISN, timestampClock: clock, at: start)
        let behind = clock &- (answer.timestamp ?? 0)
        #expect(behind < 64)
      }
    }
  }

  @Test func `a cookie lives for one to two ticks of 64 seconds`() {
    let tick = Instant(nanoseconds: 64_000_000_000 * 100)
    let cookie = cookies.encode(parameters(), tuple: tuple, clientISN: clientISN, timestampClock: nil, at: tick)
      .sequenceNumber
    func isGood(after span: Nanoseconds) -> Bool {
      cookies.decode(cookie: cookie, tuple: tuple, clientISN: clientISN, timestampEcho: nil, at: tick + span) != nil
    }
    #expect(isGood(after: .zero))
    #expect(isGood(after: .seconds(127)))
    #expect(!isGood(after: .seconds(128)))
    #expect(!isGood(after: .seconds(64 * 32)))
    #expect(!isGood(after: .seconds(-1)))
  }

  @Test func `a cookie is good for its tuple, its client number and its secret only`() {
    let cookie = cookies.encode(parameters(), tuple: tuple, clientISN: clientISN, timestampClock: nil, at: start)
      .sequenceNumber
    var other = tuple
    other.remote.port = 50_001
    #expect(cookies.decode(cookie: cookie, tuple: other, clientISN: clientISN, timestampEcho: nil, at: start) == nil)
    #expect(
      cookies.decode(cookie: cookie, tuple: tuple, clientISN: clientISN + 1, timestampEcho: nil, at: start) == nil)
    let stranger = SYNCookies(secret: (1, 2))
    #expect(stranger.decode(cookie: cookie, tuple: tuple, clientISN: clientISN, timestampEcho: nil, at: start) == nil)
  }

  // Requirement 4987-3.6-03
  @Test func `guessed numbers are no cookies`() {
    // 24 bits of hash: of 200,000 guesses with the right clock 0.01 would succeed.
    var generator = SeededGenerator(seed: 5)
    let front =
      cookies.encode(parameters(), tuple: tuple, clientISN: clientISN, timestampClock: nil, at: start)
      .sequenceNumber.rawValue & 0xFF00_0000
    var accepted = 0
    for _ in 0..<200_000 {
      let guess = SequenceNumber(front | UInt32(truncatingIfNeeded: generator.next()) & 0xFF_FFFF)
      if cookies.decode(cookie: guess, tuple: tuple, clientISN: clientISN, timestampEcho: nil, at: start) != nil {
        accepted += 1
      }
    }
    #expect(accepted <= 1)
  }

  // Requirement 8684-3.1-18
  @Test func `our key comes back with the third segment and is known again`() {
    // RFC 8684 §3.1
    let cookie = cookies.encode(parameters(), tuple: tuple, clientISN: clientISN, timestampClock: nil, at: start)
      .sequenceNumber
    var keys: [Key] = []
    for attempt in 0..<SYNCookies.keyAttempts {
      let key = cookies.multipathKey(tuple: tuple, clientISN: clientISN, cookie: cookie, attempt: attempt)
      #expect(cookies.isOurs(key, tuple: tuple, clientISN: clientISN, cookie: cookie))
      #expect(!cookies.isOurs(key, tuple: tuple, clientISN: clientISN + 1, cookie: cookie))
      #expect(!cookies.isOurs(key, tuple: tuple, clientISN: clientISN, cookie: cookie + 1))
      #expect(!keys.contains(key))
      keys.append(key)
    }
    #expect(!cookies.isOurs(Key(42), tuple: tuple, clientISN: clientISN, cookie: cookie))
    let stranger = SYNCookies(secret: (1, 2))
    #expect(!stranger.isOurs(keys[0], tuple: tuple, clientISN: clientISN, cookie: cookie))
  }

  @Test func `times before the origin and at the end of time are harmless`() {
    for at in [Instant(nanoseconds: .min), Instant(nanoseconds: -1), .zero, .distantFuture] {
      let cookie = cookies.encode(parameters(), tuple: tuple, clientISN: clientISN, timestampClock: nil, at: at)
        .sequenceNumber
      #expect(
        cookies.decode(cookie: cookie, tuple: tuple, clientISN: clientISN, timestampEcho: nil, at: at) != nil)
    }
  }
}
