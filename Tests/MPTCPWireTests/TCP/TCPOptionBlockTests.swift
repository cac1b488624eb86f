import Testing

@testable import MPTCPWire

@Suite struct TCPOptionBlockTests {
  let timestamps = TCPOption.timestamps(TCPTimestamps(value: 0x0102_0304, echo: 0x0506_0708))

  func block(_ options: [TCPOption]) -> [UInt8]? {
    var block = TCPOptionBlock()
    for option in options where !block.append(option) { return nil }
    return block.withBytes { Array($0) }
  }

  func sack(_ count: Int) -> TCPOption {
    var blocks = SACKBlocks()
    for _ in 0..<count { blocks.append(SACKBlock(left: SequenceNumber(1), right: SequenceNumber(2))) }
    return .sack(blocks)
  }

  // Requirement 8684-A-01
  // Requirement 8684-3-01
  @Test func aSYNIsLaidOutAsLinuxDoes() {
    let bytes = block([
      .maximumSegmentSize(1460), .sackPermitted, timestamps, .windowScale(7), .multipath(.capable(MPCapable())),
    ])
    #expect(
      bytes == [
        2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7, 30, 4, 1, 1,
      ])
  }

  // Requirement 8684-A-01, 8684-A-03
  @Test func theHandshakesOptionsFitBesideTheUsualOnes() {
    let usual: [TCPOption] = [.maximumSegmentSize(1460), .sackPermitted, timestamps, .windowScale(7)]
    let key = Key(.max)
    let hmac = HMAC160(high: 1, middle: 2, low: 3)
    for option: MultipathOption in [
      .capable(MPCapable(senderKey: key)),
      .join(.syn(backup: true, addressID: AddressID(9), token: Token(1), nonce: 2)),
      .join(.synAck(backup: true, addressID: AddressID(9), hmac: 1, nonce: 2)),
    ] {
      #expect(block(usual + [.multipath(option)]) != nil, "\(option)")
    }
    for option: MultipathOption in [
      .capable(MPCapable(senderKey: key, receiverKey: key)),
      .capable(MPCapable(senderKey: key, receiverKey: key, dataLength: 1, checksum: 2)), .join(.ack(hmac: hmac)),
    ] {
      #expect(block([timestamps, .multipath(option)]) != nil, "\(option)")
    }
  }

  @Test func timestampsOfASegmentStandBehindTwoNOPs() {
    #expect(block([timestamps]) == [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8])
  }

  // Requirement 8684-A-02
  @Test func timestampsAndTheLargestMappingWithoutChecksumFillTheHeader() {
    let dss = DSS(
      dataAck: .eight(1), mapping: DSSMapping(dsn: .eight(2), subflowSequenceNumber: 3, length: 4))
    #expect(block([timestamps, .multipath(.dss(dss))])?.count == 40)
    #expect(block([timestamps, .multipath(.dss(dss)), sack(1)]) == nil)
  }

  // Requirement 2018-3-01
  @Test func timestampsAndThreeSACKBlocksFillTheHeader() {
    #expect(block([timestamps, sack(3)])?.count == 40)
    #expect(block([timestamps, sack(4)]) == nil)
    #expect(block([sack(4)])?.count == 36)
  }

  @Test func anIPv6AddressWithPortStandsBesideUnpaddedTimestamps() throws {
    let add = AddAddress(addressID: AddressID(1), address: IPAddress(v6High: 1, low: 2), port: 80, hmac: 3)
    let bytes = try #require(block([timestamps, .multipath(.addAddress(add))]))
    #expect(bytes.count == 40)
    #expect(Array(bytes[..<2]) == [8, 10])
    let options = TCPOptions(parsing: bytes.span.bytes)
    #expect(options.timestamps == TCPTimestamps(value: 0x0102_0304, echo: 0x0506_0708))
    #expect(options.multipath.addAddress == add)
  }

  @Test func whatHasNoContentIsNotWritten() {
    #expect(block([.endOfList]) == nil)
    #expect(block([.unknown(kind: 99, byteCount: 4)]) == nil)
    #expect(block([.multipath(.experimental(byteCount: 4))]) == nil)
    #expect(block([.multipath(.removeAddress(RemoveAddress()))]) == nil)
    #expect(block([.sack(SACKBlocks())]) == nil)
  }

  @Test func theRoomThatIsLeftCountsWholeWords() {
    var block = TCPOptionBlock()
    #expect(block.isEmpty)
    #expect(block.remaining == 40)
    _ = block.append(.multipath(.priority(MPPriority(backup: true))))
    #expect(block.byteCount == 4)
    #expect(block.remaining == 36)
    #expect(!block.isEmpty)
    #expect(block.hasRoom(for: sack(4)))
    _ = block.append(timestamps)
    #expect(block.byteCount == 16)
    #expect(!block.hasRoom(for: sack(4)))
  }
}
