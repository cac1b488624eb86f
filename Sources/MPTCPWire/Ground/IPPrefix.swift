/// An address with the length of its network's prefix, as an interface carries it: `10.0.0.1/24`.
public struct IPPrefix: Hashable, Sendable {
  /// The address; bits behind the prefix may be set.
  public var address: IPAddress
  /// The length of the prefix, 0 to 32 or 128.
  public let length: Int

  /// Puts an address and a prefix length together; the length is cut to what the family allows.
  @inlinable
  public init(_ address: IPAddress, length: Int) {
    self.address = address
    self.length = min(max(length, 0), address.family == .v4 ? 32 : 128)
  }

  /// Whether `other` is in the same network.
  @inlinable
  public func contains(_ other: IPAddress) -> Bool {
    guard other.family == address.family else { return false }
    switch address.family {
    case .v4:
      return (address.low ^ other.low) & (UInt64(0xffff_ffff) << UInt64(32 - length)) & 0xffff_ffff == 0
    case .v6:
      // Smart shifts: 64 places leave nothing.
      let high = ~UInt64(0) << (64 - min(length, 64))
      let low = ~UInt64(0) << (64 - max(length - 64, 0))
      return (address.high ^ other.high) & high == 0 && (address.low ^ other.low) & low == 0
    }
  }
}

extension IPPrefix: LosslessStringConvertible {
  /// Reads `ADDRESS/LENGTH`; without a length the prefix is the whole address.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let address = IPAddress(String(first)) else { return nil }
    let limit = address.family == .v4 ? 32 : 128
    guard parts.count == 2 else {
      self.init(address, length: limit)
      return
    }
    guard parts[1].utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let length = Int(parts[1]), length <= limit else {
      return nil
    }
    self.init(address, length: length)
  }

  /// `ADDRESS/LENGTH`.
  public var description: String { "\(address)/\(length)" }
}
