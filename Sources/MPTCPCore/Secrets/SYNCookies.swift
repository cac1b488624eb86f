import MPTCPWire

/// SYN cookies: a listener whose SYN queue is full answers from what it can compute again (RFC 4987 §3.6).
///
/// The initial sequence number carries five bits of a clock that ticks every 64 s, three bits of a table of segment
/// sizes, and 24 bits of a keyed hash of all that, the tuple and the client's sequence number. Window scale, SACK and
/// ECN ride in the lower bits of our timestamp, which the client echoes; without timestamps they are given up.
/// For Multipath TCP our key is a hash of the same kind: the client's third segment brings it back (RFC 8684 §3.1),
/// so that a connection that began with a cookie is a Multipath TCP connection like any other.
/// Requirement 8684-3.1-18, 4987-3.6-01, 4987-3.6-02, 4987-3.6-03
struct SYNCookies {
  /// What a handshake has to remember of a SYN.
  struct Parameters: Equatable {
    /// The client's MSS option, 536 if there was none.
    var maximumSegmentByteCount: Int
    /// The client's window scale.
    var windowScale: UInt8?
    /// Whether the client permits SACK.
    var isSACKPermitted: Bool
    /// Whether the client asks for ECN (RFC 3168 §6.1.1).
    var supportsECN: Bool
  }

  /// What to put into the SYN/ACK.
  struct Answer {
    /// Our initial sequence number, the cookie.
    var sequenceNumber: SequenceNumber
    /// Our timestamp, if the client sent one.
    var timestamp: UInt32?
    /// What ``decode(cookie:tuple:clientISN:timestampEcho:at:)`` will find: the SYN/ACK must offer no more than that.
    var parameters: Parameters
  }

  /// Segment sizes in use: the least that anybody has, IPv4's and IPv6's defaults, tunnels, PPPoE, Ethernet, jumbo.
  private static let segmentSizes: InlineArray<8, Int> = [216, 536, 1_220, 1_360, 1_400, 1_440, 1_460, 8_960]
  /// A window scale of 15, which does not exist (RFC 7323 §2.3), stands for none.
  private static let noWindowScale: UInt8 = 15
  private static let timestampBits: UInt32 = 0x3F
  private static let tick = Nanoseconds.seconds(64)
  /// How many ticks back a cookie is still good for: it lives for 64 to 128 s.
  private static let largestAge: UInt64 = 1
  /// The longest that a cookie is good for.
  static let lifetime = tick * Int64(largestAge + 1)
  /// A key whose token is taken cannot be used; this many others are tried.
  static let keyAttempts: UInt8 = 4

  private let secret: (UInt64, UInt64)

  /// Makes the cookies of a host. `secret` is drawn once when the host starts, and never leaves it.
  init(secret: (UInt64, UInt64)) { self.secret = secret }

  /// Makes the cookie that answers a SYN.
  ///
  /// - Parameter timestampClock: our timestamp at `at`, if the client sent one. The answer's is at most 64 ticks less.
  func encode(
    _ parameters: Parameters, tuple: FourTuple, clientISN: SequenceNumber, timestampClock: UInt32?, at: Instant
  ) -> Answer {
    var index = 0
    while index + 1 < 8, Self.segmentSizes[index + 1] <= parameters.maximumSegmentByteCount { index += 1 }
    var carried = parameters
    carried.maximumSegmentByteCount = Self.segmentSizes[index]
    if timestampClock == nil {
      carried.windowScale = nil
      carried.isSACKPermitted = false
      carried.supportsECN = false
    }
    let cookie = number(time: Self.time(at), segmentIndex: UInt32(index), tuple: tuple, clientISN: clientISN)
    return Answer(
      sequenceNumber: cookie, timestamp: timestampClock.map { Self.timestamp($0, carrying: parameters) },
      parameters: carried)
  }

  /// Reads the cookie that a client's third segment acknowledges; nil if it is none of ours, or too old.
  ///
  /// - Parameters:
  ///   - cookie: the acknowledgement number, less one.
  ///   - clientISN: the sequence number, less one.
  ///   - timestampEcho: what the segment's timestamp option echoes.
  func decode(
    cookie: SequenceNumber, tuple: FourTuple, clientISN: SequenceNumber, timestampEcho: UInt32?, at: Instant
  ) -> Parameters? {
    let now = Self.time(at)
    let age = (now &- UInt64(cookie.rawValue >> 27)) & 31
    guard age <= Self.largestAge, age <= now else { return nil }
    let index = cookie.rawValue >> 24 & 7
    guard number(time: now &- age, segmentIndex: index, tuple: tuple, clientISN: clientISN) == cookie else {
      return nil
    }
    var parameters = Parameters(
      maximumSegmentByteCount: Self.segmentSizes[Int(index)], windowScale: nil, isSACKPermitted: false,
      supportsECN: false)
    if let echo = timestampEcho {
      let scale = UInt8(echo & 0xF)
      parameters.windowScale = scale == Self.noWindowScale ? nil : min(scale, 14)
      parameters.isSACKPermitted = echo & 0x10 != 0
      parameters.supportsECN = echo & 0x20 != 0
    }
    return parameters
  }

  /// Our key for the connection that `cookie` stands for.
  ///
  /// - Parameter attempt: from 0 to ``keyAttempts`` − 1, as long as the key's token belongs to another connection.
  func multipathKey(tuple: FourTuple, clientISN: SequenceNumber, cookie: SequenceNumber, attempt: UInt8) -> Key {
    Key(
      tuple.keyedHash(
        under: secret, purpose: .multipathKey,
        detail: UInt64(clientISN.rawValue) << 32 | UInt64(cookie.rawValue), attempt: attempt))
  }

  /// Whether `key` is one that we gave out with `cookie`.
  /// Requirement 6824-3.1-04
  func isOurs(_ key: Key, tuple: FourTuple, clientISN: SequenceNumber, cookie: SequenceNumber) -> Bool {
    for attempt in 0..<Self.keyAttempts
    where multipathKey(tuple: tuple, clientISN: clientISN, cookie: cookie, attempt: attempt) == key {
      return true
    }
    return false
  }

  // MARK: Parts

  private static func time(_ at: Instant) -> UInt64 { UInt64(max(at.nanoseconds, 0) / tick.count) }

  private func number(
    time: UInt64, segmentIndex: UInt32, tuple: FourTuple, clientISN: SequenceNumber
  ) -> SequenceNumber {
    let hash = tuple.keyedHash(
      under: secret, purpose: .cookie, detail: time << 35 ^ UInt64(segmentIndex) << 32 ^ UInt64(clientISN.rawValue))
    let front = UInt32(truncatingIfNeeded: time & 31) << 27 | segmentIndex << 24
    return SequenceNumber(front | UInt32(truncatingIfNeeded: hash) & 0xFF_FFFF)
  }

  /// `clock` with the options in its lower bits, moved back by a step where that would put it into the future.
  private static func timestamp(_ clock: UInt32, carrying parameters: Parameters) -> UInt32 {
    // Requirement 7323-2-04
    let options =
      UInt32(parameters.windowScale.map { min($0, 14) } ?? noWindowScale)
      | (parameters.isSACKPermitted ? 0x10 : 0) | (parameters.supportsECN ? 0x20 : 0)
    let stamp = clock & ~timestampBits | options
    return Int32(bitPattern: stamp &- clock) > 0 ? stamp &- (timestampBits + 1) : stamp
  }
}
