import Testing

@testable import MPTCPWire

@Suite struct OptionLengthTests {
  /// What parsing an option of kind 30 and this length gives, when all that follows the third octet is `fill`.
  func outcome(_ subtypeAndNibble: UInt8, length: Int, fill: UInt8, at offset: Int = 0) -> Result<TCPOption, WireError>
  {
    let option: [UInt8] = [30, UInt8(length), subtypeAndNibble] + [UInt8](repeating: fill, count: 37)
    let bytes = [UInt8](repeating: 1, count: offset) + Array(option[..<length])
    var found: TCPOption?
    do throws(WireError) {
      try TCPOption.forEach(in: bytes.span.bytes) { option, _ in found = option }
    } catch {
      return .failure(error)
    }
    guard let found else { return .failure(WireError(.tcpOptionLength, .truncated, at: 0)) }
    return .success(found)
  }

  /// The lengths that RFC 8684 and RFC 6824 give to each subtype, by nibble where that decides.
  static let layouts: [(subtype: UInt8, nibble: UInt8, field: WireError.Field, lengths: Set<Int>)] = [
    (0, 0, .multipathCapable, [12, 20]),
    (0, 1, .multipathCapable, [4, 12, 20, 22, 24]),
    (1, 0, .multipathJoin, [12, 16, 24]),
    (1, 1, .multipathJoin, [12, 16, 24]),
    (3, 0, .addAddress, [16, 18, 28, 30]),
    (3, 1, .addAddress, [8, 10, 20, 22]),
    (3, 4, .addAddress, [8, 10, 16, 18, 28, 30]),
    (3, 6, .addAddress, [20, 22, 16, 18, 28, 30]),
    (4, 0, .removeAddress, Set(4...40)),
    (5, 0, .multipathPriority, [3, 4]),
    (6, 0, .multipathFail, [12]),
    (7, 0, .multipathFastClose, [12]),
    (8, 0, .multipathReset, [4]),
    (15, 0, .multipathOption, Set(3...40)),
    (9, 0, .multipathOption, Set(3...40)),
  ]

  // Requirement 8684-3.1-08, 8684-3.1-09, 8684-3.1-10, 8684-3.1-11, 8684-3.2-02, 8684-3.4.1-03, 8684-3.4.2-04
  // Requirement 8684-3.5-02, 8684-3.6-03, 8684-3.7-14, 8684-7.2-01, 6824-3.1-01, 6824-3.1-02, 6824-3.1-03
  // Requirement 6824-3.3.8-01, 6824-3.4.1-01, 6824-3.4.1-02
  @Test(arguments: layouts.indices)
  func onlyTheLengthsOfTheSpecificationsAreAccepted(index: Int) {
    let layout = Self.layouts[index]
    for length in 3...40 {
      for offset in [0, 3] {
        switch outcome(layout.subtype << 4 | layout.nibble, length: length, fill: 0, at: offset) {
        case .success: #expect(layout.lengths.contains(length), "length \(length) was accepted")
        case .failure(let error):
          #expect(!layout.lengths.contains(length), "length \(length) was refused")
          // Which field is wrong depends on the reading: a version 0 ADD_ADDR may have the wrong family.
          #expect(error.field == layout.field || error.field == .addAddressFamily)
          #expect(error.offset >= offset)
        }
      }
    }
  }

  // Requirement 8684-3.3-02, 8684-3.3-03, 8684-3.3-04
  @Test func theFlagsOfADSSGiveItsLengthAndTheChecksumAddsTwo() {
    for flags in UInt8.min...UInt8.max {
      var bare = 4
      if flags & 1 != 0 { bare += flags & 2 != 0 ? 8 : 4 }
      if flags & 4 != 0 { bare += flags & 8 != 0 ? 14 : 10 }
      for length in 3...40 {
        let isRight = length == bare || (length == bare + 2 && flags & 4 != 0)
        switch outcome(0x20, length: length, fill: flags) {
        case .success(.multipath(.dss(let dss))):
          #expect(isRight)
          #expect(dss.dataFin == (flags & 0x10 != 0))
          #expect((dss.dataAck != nil) == (flags & 1 != 0))
          #expect((dss.mapping?.checksum != nil) == (length == bare + 2))
        case .success(let other): Issue.record("a DSS was read as \(other)")
        case .failure(let error):
          #expect(!isRight)
          #expect(error == WireError(.dataSequenceSignal, .badLength, at: 0))
        }
      }
    }
  }

  @Test func aLaterVersionIsOfferedWithAnyLayout() {
    for version: UInt8 in 2...15 {
      for length in 4...40 {
        guard case .success(.multipath(.capable(let option))) = outcome(version, length: length, fill: 0x81) else {
          Issue.record("version \(version) of length \(length) was refused")
          continue
        }
        #expect(option == MPCapable(version: version, flags: [.checksumRequired, .hmac]))
      }
    }
  }

  // Requirement 8684-3.4.1-15, 8684-3.6-09
  @Test func reservedBitsAreIgnored() {
    // ADD_ADDR: only the nibble's lowest bit, E, has a meaning in version 1.
    for nibble: UInt8 in stride(from: 0, to: 16, by: 2) {
      guard case .success(.multipath(.addAddress(let option))) = outcome(0x30 | nibble, length: 16, fill: 9) else {
        Issue.record("nibble \(nibble) was refused")
        continue
      }
      #expect(option.version == .v1 && !option.isEcho)
    }
    for nibble: UInt8 in 0...15 {
      let expected = MPTCPReset(transient: nibble & 1 != 0, reason: ResetReason(2))
      guard case .success(.multipath(.reset(expected))) = outcome(0x80 | nibble, length: 4, fill: 2) else {
        Issue.record("nibble \(nibble) was misread")
        continue
      }
    }
  }

  // Requirement 8684-7.4-01
  @Test func reasonsWithoutANameKeepTheirNumber() {
    guard case .success(.multipath(.reset(let option))) = outcome(0x80, length: 4, fill: 0x77) else {
      Issue.record("refused")
      return
    }
    #expect(option.reason.rawValue == 0x77)
    #expect(option.reason.description == "reason 119")
  }
}
