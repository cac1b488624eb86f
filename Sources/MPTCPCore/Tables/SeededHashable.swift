import MPTCPPolicy
import MPTCPWire

/// A key of a ``SeededTable``: the peer chooses it, so its hash depends on a secret seed.
protocol SeededHashable: Equatable {
  /// A hash that only those who know `seed` can predict, good in its lower bits.
  func hash(seed: UInt64) -> UInt64
}

/// The multiply-and-fold step of the hashes here: both halves of a 128-bit product, folded.
@inline(__always)
private func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
  let product = left.multipliedFullWidth(by: right)
  return product.high ^ product.low
}

// Odd constants with half of their bits set, as multiply mixes want them: the fractions of √2, √3, √5 and √7.
private let mixA: UInt64 = 0x6A09_E667_F3BC_C909
private let mixB: UInt64 = 0xBB67_AE85_84CA_A73B
private let mixC: UInt64 = 0x3C6E_F372_FE94_F82B
private let mixD: UInt64 = 0xA54F_F53A_5F1D_36F1

extension FourTuple: SeededHashable {
  func hash(seed: UInt64) -> UInt64 {
    let ports = UInt64(local.port.rawValue) << 16 | UInt64(remote.port.rawValue)
    let family = UInt64(remote.address.family.rawValue) << 32
    // The peer's end goes in last: it is the part that an attacker varies.
    var state = fold(local.address.high ^ seed ^ mixA, local.address.low ^ mixB)
    state = fold(remote.address.high ^ seed ^ mixC, remote.address.low ^ state ^ mixD)
    return fold(state ^ seed ^ mixB, ports ^ family ^ mixA)
  }
}

extension Token: SeededHashable {
  func hash(seed: UInt64) -> UInt64 { fold(UInt64(rawValue) ^ seed ^ mixA, seed ^ mixB) }
}
