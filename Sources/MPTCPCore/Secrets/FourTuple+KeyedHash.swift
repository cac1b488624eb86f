import MPTCPWire

extension FourTuple {
  /// What a keyed hash is for. It is part of the input, so that one secret serves all without one betraying another.
  enum HashPurpose: UInt8 {
    case sequenceNumber = 1
    case cookie = 2
    case multipathKey = 3
    case timestampOffset = 4
    case ephemeralPort = 5
    case fastOpenCookie = 6
  }

  /// SipHash-2-4 of the tuple and of what the purpose adds to it.
  func keyedHash(
    under secret: (UInt64, UInt64), purpose: HashPurpose, detail: UInt64 = 0, attempt: UInt8 = 0
  ) -> UInt64 {
    var hash = SipHash(key: secret)
    hash.append(local.address.high)
    hash.append(local.address.low)
    hash.append(remote.address.high)
    hash.append(remote.address.low)
    hash.append(detail)
    let ports = UInt64(local.port.rawValue) << 16 | UInt64(remote.port.rawValue)
    let kind = UInt64(local.address.family.rawValue) << 16 | UInt64(purpose.rawValue) << 8 | UInt64(attempt)
    return hash.finish(tail: kind << 32 | ports, tailByteCount: 7)
  }
}
