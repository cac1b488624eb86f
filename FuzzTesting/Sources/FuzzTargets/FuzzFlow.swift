import MPTCPCore
import MPTCPPolicy
import MPTCPWire

/// The other end of one subflow, as a fuzzer's input plays it: it knows enough to answer properly, so that an input
/// reaches the states in which it then does something improper.
struct FuzzFlow {
  /// The path on which its packets arrive.
  var path: PathID
  var local: TransportAddress
  var remote: TransportAddress
  var initialNumber: SequenceNumber
  var engineInitialNumber = SequenceNumber(0)
  /// What is sent next and what is expected, counted from the SYNs.
  var sent = 0
  var expected = 0
  /// What of our SYN's data the engine has taken, and whether the SYN had any: numbers of mappings count from behind
  /// it.
  var synByteCount = 0
  var hasSynData = false
  /// Our nonce of a join, and whether it is one.
  var nonce: UInt32?
  var isPassive = false
  /// The options of the engine's last segment here.
  var seen = TCPOptions()
  var seenFlags = TCPFlags()
  /// The last packet of the engine, for messages that quote it.
  var lastPacket: [UInt8] = []

  func header(_ flags: TCPFlags, at offset: Int? = nil, ack: Int? = nil, window: UInt16 = 60_000) -> TCPHeader {
    TCPHeader(
      sourcePort: local.port, destinationPort: remote.port, sequenceNumber: initialNumber + (offset ?? sent),
      acknowledgmentNumber: flags.contains(.ack) ? engineInitialNumber + (ack ?? expected) : SequenceNumber(0),
      flags: flags, window: window)
  }

  /// A whole packet with every checksum right.
  func packet(_ header: TCPHeader, options: [UInt8], payload: [UInt8]) -> [UInt8] {
    let padded = options.prefix(40) + [UInt8](repeating: 0, count: (4 - options.prefix(40).count % 4) % 4)
    let ip = IPHeader(
      source: local.address, destination: remote.address, protocolNumber: IPProtocol.tcp,
      payloadByteCount: 20 + padded.count + payload.count)
    var bytes = [UInt8](repeating: 0, count: ip.totalByteCount)
    bytes.withUnsafeMutableBytes { buffer in
      _ = try? ip.write(into: buffer)
      let segment = UnsafeMutableRawBufferPointer(rebasing: buffer[ip.headerByteCount...])
      _ = try? header.write(into: segment)
      segment[12] = UInt8((20 + padded.count) / 4) << 4
      for (index, octet) in (padded + payload).enumerated() { segment[20 + index] = octet }
      try? Segmentation.fillChecksums(in: buffer)
    }
    return bytes
  }
}

/// The other end of a connection: its keys, and where its data stands.
struct FuzzConnection {
  var key: Key
  var engineKey: Key?
  var usesChecksum = false
  /// Octets of data sent, the key's octet included, and those of the engine that were acknowledged.
  var dataSent = 1
  var dataExpected = 1

  var initialNumber: DataSequenceNumber { key.initialDataSequenceNumber() }
  var engineInitialNumber: DataSequenceNumber { (engineKey ?? Key(0)).initialDataSequenceNumber() }

  func dataAck(_ distance: Int = 0) -> DataAck {
    .eight((engineInitialNumber + (dataExpected + distance)).rawValue)
  }

  /// A mapping of `payload` at data offset `dataOffset` and subflow offset `subflowOffset`.
  func mapping(_ payload: [UInt8], dataOffset: Int, subflowOffset: Int, extraLength: Int = 0) -> DSSMapping {
    let number = initialNumber + dataOffset
    let length = UInt16(truncatingIfNeeded: payload.count + extraLength)
    let start = UInt32(truncatingIfNeeded: subflowOffset)
    var sum = DSSChecksum()
    payload.withUnsafeBytes { sum.add($0) }
    return DSSMapping(
      dsn: .eight(number.rawValue), subflowSequenceNumber: start, length: length,
      checksum: usesChecksum ? sum.value(dsn: number, subflowSequenceNumber: start, length: length) : nil)
  }

  /// The HMAC that this side sends on a join.
  func joinHMAC(ours: UInt32, theirs: UInt32) -> JoinHMAC {
    JoinAuthentication.joinHMAC(
      version: .v1, senderKey: key, receiverKey: engineKey ?? Key(0), senderNonce: ours, receiverNonce: theirs)
  }
}

/// The octets of a list of options.
func encoded(_ options: [TCPOption]) -> [UInt8] {
  var block = TCPOptionBlock()
  for option in options { _ = block.append(option) }
  return block.withBytes { Array($0) }
}
