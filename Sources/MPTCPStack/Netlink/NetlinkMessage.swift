import MPTCPWire

/// A netlink message under construction, in host byte order as netlink has it (linux/netlink.h).
struct NetlinkMessage {
  private(set) var bytes: [UInt8]

  /// Starts a message of type `type` with `flags`, a sequence number, and the family's fixed header.
  init(type: UInt16, flags: UInt16, sequence: UInt32, header: [UInt8]) {
    bytes = []
    append(UInt32(0))
    append(type)
    append(flags)
    append(sequence)
    append(UInt32(0))
    bytes += header
    align()
    finish()
  }

  /// Appends an attribute.
  mutating func attribute(_ type: UInt16, _ payload: [UInt8]) {
    append(UInt16(truncatingIfNeeded: payload.count + 4))
    append(type)
    bytes += payload
    align()
    finish()
  }

  mutating func attribute(_ type: UInt16, _ value: UInt32) { attribute(type, value.nativeBytes) }

  mutating func attribute(_ type: UInt16, _ text: String) { attribute(type, Array(text.utf8) + [0]) }

  /// Appends an attribute that holds what `body` appends.
  mutating func nest(_ type: UInt16, header: [UInt8] = [], _ body: (inout NetlinkMessage) -> Void) {
    let start = bytes.count
    append(UInt16(0))
    // NLA_F_NESTED, which newer families insist on and older ones ignore.
    append(type | 0x8000)
    bytes += header
    align()
    body(&self)
    let length = UInt16(truncatingIfNeeded: bytes.count - start)
    bytes.replaceSubrange(start..<start + 2, with: length.nativeBytes)
    finish()
  }

  private mutating func append(_ value: some FixedWidthInteger) { bytes += value.nativeBytes }

  private mutating func align() {
    while bytes.count % 4 != 0 { bytes.append(0) }
  }

  private mutating func finish() {
    bytes.replaceSubrange(0..<4, with: UInt32(truncatingIfNeeded: bytes.count).nativeBytes)
  }
}

/// One message as it came from the kernel.
struct NetlinkReply {
  var type: UInt16
  var flags: UInt16
  var sequence: UInt32
  /// What follows the netlink header.
  var payload: ArraySlice<UInt8>

  /// Cuts what one read gave into messages; stops at the first that does not fit.
  static func parse(_ bytes: ArraySlice<UInt8>) -> [NetlinkReply] {
    var rest = bytes
    var replies: [NetlinkReply] = []
    while let length = rest.native(UInt32.self, at: 0).map(Int.init), length >= 16, length <= rest.count,
      let type = rest.native(UInt16.self, at: 4), let flags = rest.native(UInt16.self, at: 6),
      let sequence = rest.native(UInt32.self, at: 8)
    {
      replies.append(
        NetlinkReply(type: type, flags: flags, sequence: sequence, payload: rest.prefix(length).dropFirst(16)))
      rest = rest.dropFirst((length + 3) & ~3)
    }
    return replies
  }

  /// The attributes behind a fixed header of `headerByteCount`, by type; of repeated ones the first.
  func attributes(after headerByteCount: Int) -> [UInt16: ArraySlice<UInt8>] {
    Self.attributes(of: payload.dropFirst((headerByteCount + 3) & ~3))
  }

  /// The attributes in `bytes`, by type; of repeated ones the first.
  static func attributes(of bytes: ArraySlice<UInt8>) -> [UInt16: ArraySlice<UInt8>] {
    var rest = bytes
    var attributes: [UInt16: ArraySlice<UInt8>] = [:]
    while let length = rest.native(UInt16.self, at: 0).map(Int.init), length >= 4, length <= rest.count,
      let type = rest.native(UInt16.self, at: 2)
    {
      let key = type & 0x3FFF
      if attributes[key] == nil { attributes[key] = rest.prefix(length).dropFirst(4) }
      rest = rest.dropFirst((length + 3) & ~3)
    }
    return attributes
  }
}

extension FixedWidthInteger {
  /// The bytes in host order.
  var nativeBytes: [UInt8] { withUnsafeBytes(of: self) { Array($0) } }
}

extension ArraySlice<UInt8> {
  /// The integer at `offset` from the start of the slice, in host order; nil if it does not lie inside.
  func native<I: FixedWidthInteger>(_: I.Type, at offset: Int) -> I? {
    guard offset >= 0, count >= offset + MemoryLayout<I>.size else { return nil }
    return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: I.self) }
  }
}

extension IPAddress {
  /// The 4 or 16 octets in network order.
  var octets: [UInt8] {
    switch family {
    case .v4: withUnsafeBytes(of: v4.bigEndian) { Array($0) }
    case .v6: withUnsafeBytes(of: high.bigEndian) { Array($0) } + withUnsafeBytes(of: low.bigEndian) { Array($0) }
    }
  }

  /// The address from 4 or 16 octets in network order.
  init?(octets: some Sequence<UInt8>) {
    let octets = Array(octets)
    switch octets.count {
    case 4: self.init(v4: octets.reduce(0) { $0 << 8 | UInt32($1) })
    case 16:
      self.init(
        v6High: octets[..<8].reduce(0) { $0 << 8 | UInt64($1) }, low: octets[8...].reduce(0) { $0 << 8 | UInt64($1) })
    default: return nil
    }
  }

  /// AF_INET or AF_INET6 of Linux.
  var linuxFamily: UInt8 { family == .v4 ? 2 : 10 }

  /// 32 or 128.
  var bitCount: Int { family == .v4 ? 32 : 128 }
}
