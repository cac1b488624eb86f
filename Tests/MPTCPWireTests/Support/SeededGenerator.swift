@testable import MPTCPWire

/// SplitMix64: the same cases from the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func number<T: FixedWidthInteger>(_: T.Type = T.self) -> T { T(truncatingIfNeeded: next()) }
  mutating func flag() -> Bool { next() & 1 != 0 }
  mutating func maybe<T>(_ value: (inout SeededGenerator) -> T) -> T? { flag() ? value(&self) : nil }
  mutating func below(_ limit: Int) -> Int { Int(truncatingIfNeeded: next() % UInt64(limit)) }

  mutating func bytes(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count + 7) { buffer, used in
      let raw = UnsafeMutableRawBufferPointer(buffer)
      for offset in stride(from: 0, to: count, by: 8) {
        raw.storeBytes(of: next(), toByteOffset: offset, as: UInt64.self)
      }
      used = count
    }
  }
}

extension SeededGenerator {
  mutating func address() -> IPAddress {
    flag() ? IPAddress(v4: number()) : IPAddress(v6High: number(), low: number())
  }

  mutating func capable() -> MPCapable {
    var option = MPCapable(version: flag() ? 1 : 0, flags: MPCapableFlags(rawValue: number()))
    if option.version == 0 || flag() {
      option.senderKey = Key(number())
      option.receiverKey = maybe { Key($0.number()) }
      if option.version == 1, option.receiverKey != nil {
        option.dataLength = maybe { $0.number() }
        if option.dataLength != nil { option.checksum = maybe { $0.number() } }
      }
    }
    return option
  }

  mutating func join() -> MPJoin {
    switch below(3) {
    case 0: .syn(backup: flag(), addressID: AddressID(number()), token: Token(number()), nonce: number())
    case 1: .synAck(backup: flag(), addressID: AddressID(number()), hmac: number(), nonce: number())
    default: .ack(hmac: HMAC160(high: number(), middle: number(), low: number()))
    }
  }

  mutating func dss() -> DSS {
    DSS(
      dataFin: flag(),
      dataAck: maybe { $0.flag() ? .four($0.number()) : .eight($0.number()) },
      mapping: maybe {
        DSSMapping(
          dsn: $0.flag() ? .four($0.number()) : .eight($0.number()), subflowSequenceNumber: $0.number(),
          length: $0.number(), checksum: $0.maybe { $0.number() })
      })
  }

  mutating func addAddress() -> AddAddress {
    let version: MPTCPVersion = flag() ? .v1 : .v0
    let isEcho = version == .v1 && flag()
    return AddAddress(
      version: version, isEcho: isEcho, addressID: AddressID(number()), address: address(),
      port: maybe { Port($0.number()) }, hmac: version == .v1 && !isEcho ? number() : nil)
  }

  mutating func removeAddress() -> RemoveAddress {
    var option = RemoveAddress()
    for _ in 0...below(RemoveAddress.limit) { option.append(AddressID(number())) }
    return option
  }

  mutating func multipathOption() -> MultipathOption {
    switch below(9) {
    case 0: .capable(capable())
    case 1: .join(join())
    case 2: .dss(dss())
    case 3: .addAddress(addAddress())
    case 4: .removeAddress(removeAddress())
    case 5: .priority(MPPriority(backup: flag(), addressID: maybe { AddressID($0.number()) }))
    case 6: .fail(MPFail(dsn: number()))
    case 7: .fastClose(MPFastClose(receiverKey: Key(number())))
    default: .reset(MPTCPReset(transient: flag(), reason: ResetReason(number())))
    }
  }

  mutating func sackBlocks() -> SACKBlocks {
    var blocks = SACKBlocks()
    for _ in 0...below(SACKBlocks.limit) {
      blocks.append(SACKBlock(left: SequenceNumber(number()), right: SequenceNumber(number())))
    }
    return blocks
  }

  mutating func fastOpenCookie() -> FastOpenCookie {
    let count = flag() ? 0 : 4 + 2 * below(7)
    return FastOpenCookie(bytes(count).span.bytes) ?? FastOpenCookie()
  }

  mutating func option() -> TCPOption {
    switch below(10) {
    case 0: .maximumSegmentSize(number())
    case 1: .windowScale(number())
    case 2: .sackPermitted
    case 3: .sack(sackBlocks())
    case 4: .timestamps(TCPTimestamps(value: number(), echo: number()))
    case 5: .fastOpen(fastOpenCookie())
    default: .multipath(multipathOption())
    }
  }
}
