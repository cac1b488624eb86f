extension IPAddress: LosslessStringConvertible {
  /// Reads an IPv4 address in four decimal parts, or an IPv6 address (RFC 4291 §2.2) without zone.
  public init?(_ text: String) {
    let octets = Array(text.utf8)
    if octets.contains(UInt8(ascii: ":")) {
      guard let (high, low) = Self.parseV6(octets[...]) else { return nil }
      self.init(v6High: high, low: low)
    } else {
      guard let address = Self.parseV4(octets[...]) else { return nil }
      self.init(v4: address)
    }
  }

  /// Dotted decimal, or the canonical text of RFC 5952.
  public var description: String {
    switch family {
    case .v4: Self.dotted(v4)
    case .v6: canonicalV6
    }
  }

  private static func parseV4(_ text: ArraySlice<UInt8>) -> UInt32? {
    let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var address: UInt32 = 0
    for part in parts {
      // A leading zero might mean octal to someone: refused, as inet_pton does.
      guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0") else { return nil }
      var value: UInt32 = 0
      for digit in part {
        guard digit >= 0x30, digit <= 0x39 else { return nil }
        value = value * 10 + UInt32(digit - 0x30)
      }
      guard value <= 255 else { return nil }
      address = address << 8 | value
    }
    return address
  }

  private static func parseV6(_ text: ArraySlice<UInt8>) -> (UInt64, UInt64)? {
    let colon = UInt8(ascii: ":")
    var front: [UInt16] = []
    var back: [UInt16] = []
    if let gap = text.indices.dropLast().first(where: { text[$0] == colon && text[$0 + 1] == colon }) {
      guard let before = groups(text[..<gap], isLast: false), let after = groups(text[(gap + 2)...], isLast: true),
        before.count + after.count <= 7
      else { return nil }
      (front, back) = (before, after)
    } else {
      guard let all = groups(text, isLast: true), all.count == 8 else { return nil }
      front = all
    }
    let words = front + Array(repeating: 0, count: 8 - front.count - back.count) + back
    let high = words[0..<4].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
    let low = words[4..<8].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
    return (high, low)
  }

  /// The 16-bit groups of one side of an address; the last side may end in dotted decimal.
  private static func groups(_ text: ArraySlice<UInt8>, isLast: Bool) -> [UInt16]? {
    guard !text.isEmpty else { return [] }
    let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    var groups: [UInt16] = []
    for (index, part) in parts.enumerated() {
      if part.contains(UInt8(ascii: ".")) {
        guard isLast, index == parts.count - 1, let v4 = parseV4(part) else { return nil }
        groups += [UInt16(truncatingIfNeeded: v4 >> 16), UInt16(truncatingIfNeeded: v4)]
        continue
      }
      guard (1...4).contains(part.count) else { return nil }
      var value: UInt16 = 0
      for character in part {
        guard let digit = hexDigit(character) else { return nil }
        value = value << 4 | digit
      }
      groups.append(value)
    }
    return groups.count <= 8 ? groups : nil
  }

  private static func hexDigit(_ character: UInt8) -> UInt16? {
    switch character {
    case 0x30...0x39: UInt16(character - 0x30)
    case 0x41...0x46: UInt16(character - 0x41 + 10)
    case 0x61...0x66: UInt16(character - 0x61 + 10)
    default: nil
    }
  }

  private static func dotted(_ v4: UInt32) -> String {
    "\(v4 >> 24).\(v4 >> 16 & 0xff).\(v4 >> 8 & 0xff).\(v4 & 0xff)"
  }

  /// RFC 5952 §4: lower case, no leading zeros, the longest run of at least two zero groups (the first of equals) as
  /// `::`; §5: the IPv4 part of a mapped address in dotted decimal.
  private var canonicalV6: String {
    if high == 0, low >> 32 == 0xffff { return "::ffff:" + Self.dotted(UInt32(truncatingIfNeeded: low)) }
    let words = (0..<8).map { index in
      UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index & 3)))
    }
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, words[end] == 0 { end += 1 }
      if end - start >= 2, end - start > best.count { best = start..<end }
      start = end + 1
    }
    func text(_ range: Range<Int>) -> String {
      words[range].map { String($0, radix: 16) }.joined(separator: ":")
    }
    return best.isEmpty ? text(0..<8) : text(0..<best.lowerBound) + "::" + text(best.upperBound..<8)
  }
}

extension TransportAddress: LosslessStringConvertible {
  /// Reads `ADDRESS:PORT`, an IPv6 address in brackets.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    let portText = text[text.index(after: colon)...]
    guard !portText.isEmpty, portText.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let port = UInt16(portText)
    else { return nil }
    var addressText = text[..<colon]
    let isBracketed = addressText.hasPrefix("[") && addressText.hasSuffix("]")
    if isBracketed { addressText = addressText.dropFirst().dropLast() }
    guard let address = IPAddress(String(addressText)), isBracketed == (address.family == .v6) else { return nil }
    self.init(address, Port(port))
  }

  /// `ADDRESS:PORT`, an IPv6 address in brackets.
  public var description: String {
    switch address.family {
    case .v4: "\(address):\(port)"
    case .v6: "[\(address)]:\(port)"
    }
  }
}

extension Port: CustomStringConvertible {
  /// The number in decimal.
  public var description: String { "\(rawValue)" }
}

extension FourTuple: CustomStringConvertible {
  /// Our end, a dash, the peer's end.
  public var description: String { "\(local)-\(remote)" }
}
