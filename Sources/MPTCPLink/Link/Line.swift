import MPTCPWire

/// The transmitter of a link: it sends one packet at a time, each for as long as its bits take.
///
/// Fractions of a nanosecond are carried from packet to packet, so a line that is never idle keeps its rate for ever.
struct Line: Sendable {
  private var bitsPerSecond: Int64?
  // The last bit of all that was accepted leaves at `free` + `fraction` / `bitsPerSecond` nanoseconds.
  private var free: Instant
  private var fraction: Int64 = 0
  // How long it takes, all together, for what was accepted and not forgotten.
  private var takenTime = Nanoseconds.zero

  init(bitsPerSecond: Int?, at now: Instant) {
    self.bitsPerSecond = bitsPerSecond.map { Int64(max($0, 1)) }
    free = now
  }

  /// The first whole nanosecond at which the line is idle.
  var idle: Instant { fraction == 0 ? free : free + Nanoseconds(1) }

  /// How long the bits of `byteCount` bytes take, to the nanosecond below.
  func duration(of byteCount: Int) -> Nanoseconds {
    bitsPerSecond.map { Nanoseconds((Nanoseconds(8_000_000_000) * Int64(byteCount)).count / $0) } ?? .zero
  }

  /// When the last bit of a packet of `byteCount` bytes will have left, if the packet is there no later than `earliest`
  /// or the line's being idle, whichever is later.
  func departure(of byteCount: Int, notBefore earliest: Instant) -> Instant {
    var line = self
    return line.send(byteCount, notBefore: earliest)
  }

  /// Sends a packet and returns the first whole nanosecond at which its last bit has left.
  mutating func send(_ byteCount: Int, notBefore earliest: Instant) -> Instant {
    if idle <= earliest {
      free = earliest
      fraction = 0
    }
    guard let bitsPerSecond else { return free }
    let scaled = Nanoseconds(8_000_000_000) * Int64(byteCount) + Nanoseconds(fraction)
    let (whole, rest) = scaled.count.quotientAndRemainder(dividingBy: bitsPerSecond)
    free = free + Nanoseconds(whole)
    fraction = rest
    takenTime = takenTime + Nanoseconds(whole)
    return idle
  }

  /// Sends with another rate what comes from now on.
  mutating func set(bitsPerSecond: Int?) {
    // A fraction counts in parts of the old rate.
    free = idle
    fraction = 0
    self.bitsPerSecond = bitsPerSecond.map { Int64(max($0, 1)) }
  }

  /// How long it was sending until `time`, which is no earlier than the last packet was there; fractions of a
  /// nanosecond behind which it was idle do not count.
  func busyTime(until time: Instant) -> Nanoseconds { takenTime - max(free - time, .zero) }

  /// Forgets what it was sending.
  mutating func reset(at now: Instant) {
    takenTime = busyTime(until: now)
    free = now
    fraction = 0
  }
}
