/// A small generator of random numbers whose sequence depends on nothing but its seed (SplitMix64).
///
/// It is for choosing packets, not for secrets.
public struct SeededGenerator: RandomNumberGenerator, Hashable, Sendable {
  private var state: UInt64

  /// Makes the generator number `stream` of a family: generators of one seed and different streams are independent.
  public init(seed: UInt64, stream: UInt64 = 0) {
    state = Self.mix(seed) ^ Self.mix(~stream)
  }

  /// The next 64 random bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    return Self.mix(state)
  }

  /// A number drawn evenly from `0 ... limit`; 0 when the limit is negative.
  mutating func next(through limit: Int64) -> Int64 {
    guard limit > 0 else { return 0 }
    return Int64(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(limit) + 1).high)
  }

  static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z &>> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z &>> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z &>> 31)
  }
}
