import Testing

@testable import MPTCPWire

/// The octets of options as the figures of RFC 8684 have them.
@Suite struct OptionLayoutTests {
  /// The first four octets, with every field after them and every flag that the option has.
  static let beginnings: [(option: MultipathOption, octets: [UInt8])] = [
    (.capable(MPCapable(senderKey: Key(.max), receiverKey: Key(.max))), [30, 20, 0x01, 0x01]),
    (.join(.syn(backup: true, addressID: AddressID(9), token: Token(.max), nonce: .max)), [30, 12, 0x11, 9]),
    (.join(.syn(backup: false, addressID: AddressID(9), token: Token(.max), nonce: .max)), [30, 12, 0x10, 9]),
    (.join(.synAck(backup: true, addressID: AddressID(9), hmac: .max, nonce: .max)), [30, 16, 0x11, 9]),
    (.join(.synAck(backup: false, addressID: AddressID(9), hmac: .max, nonce: .max)), [30, 16, 0x10, 9]),
    (.join(.ack(hmac: HMAC160(high: .max, middle: .max, low: .max))), [30, 24, 0x10, 0]),
    (
      .dss(
        DSS(
          dataFin: true, dataAck: .eight(.max),
          mapping: DSSMapping(dsn: .eight(.max), subflowSequenceNumber: .max, length: .max, checksum: .max))),
      [30, 28, 0x20, 0x1f]
    ),
    (.dss(DSS(dataAck: .four(.max))), [30, 8, 0x20, 0x01]),
    (
      .addAddress(
        AddAddress(addressID: AddressID(9), address: IPAddress(v4: .max), port: Port(.max), hmac: .max)),
      [30, 18, 0x30, 9]
    ),
    (
      .addAddress(AddAddress(isEcho: true, addressID: AddressID(9), address: IPAddress(v4: .max))),
      [30, 8, 0x31, 9]
    ),
    (.removeAddress(RemoveAddress(AddressID(9), AddressID(.max))), [30, 5, 0x40, 9]),
    (.priority(MPPriority(backup: true)), [30, 3, 0x51]),
    (.priority(MPPriority(backup: false)), [30, 3, 0x50]),
    (.fail(MPFail(dsn: .max)), [30, 12, 0x60, 0]),
    (.fastClose(MPFastClose(receiverKey: Key(.max))), [30, 12, 0x70, 0]),
    (.reset(MPTCPReset(transient: true, reason: ResetReason(.max))), [30, 4, 0x81, 0xff]),
    (.reset(MPTCPReset(transient: false, reason: ResetReason(.max))), [30, 4, 0x80, 0xff]),
  ]

  // Requirement 8684-3-01, 8684-3.1-35, 8684-3.2-10, 8684-3.2-19, 8684-3.3-06, 8684-3.4.1-14, 8684-3.6-08, 8684-7.2-01
  @Test(arguments: beginnings.indices)
  func anOptionHasItsKindLengthAndFlagsAndZeroInEveryReservedBit(index: Int) {
    let (option, octets) = Self.beginnings[index]
    var block = TCPOptionBlock()
    let fits = block.append(.multipath(option))
    #expect(fits)
    let bytes = block.withBytes { Array($0) }
    #expect(bytes.drop { $0 == 1 }.starts(with: octets), "\(bytes)")
  }
}
