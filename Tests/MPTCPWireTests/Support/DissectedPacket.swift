@testable import MPTCPWire

/// What we read in a packet, written as `tshark -T fields` writes it.
struct DissectedPacket {
  /// tshark's fields, in the order of ``values``.
  enum Field: Int, CaseIterable {
    case source, source6, destination, destination6, sourcePort, destinationPort, sequence, acknowledgment
    case headerLength, flags, window, checksum, urgent
    case mss, windowScale, sackLeft, sackRight, timestamp, timestampEcho
    case subtype, version, checksumRequired, extensibility, noMoreSubflows, sha1, sha256, senderKey, receiverKey
    case backup, addressID, token, nonce, shortHMAC, longHMAC
    case dataFin, dataAckPresent, dataAck8, mappingPresent, dsn8, dataAck, dsn, subflowSequence, length,
      mpCapableChecksum
    case ipVersion, echo, address4, address6, port, addAddressHMAC
    case transient, reason

    var name: String {
      switch self {
      case .source: "ip.src"
      case .source6: "ipv6.src"
      case .destination: "ip.dst"
      case .destination6: "ipv6.dst"
      case .sourcePort: "tcp.srcport"
      case .destinationPort: "tcp.dstport"
      case .sequence: "tcp.seq_raw"
      case .acknowledgment: "tcp.ack_raw"
      case .headerLength: "tcp.hdr_len"
      case .flags: "tcp.flags"
      case .window: "tcp.window_size_value"
      case .checksum: "tcp.checksum"
      case .urgent: "tcp.urgent_pointer"
      case .mss: "tcp.options.mss_val"
      case .windowScale: "tcp.options.wscale.shift"
      case .sackLeft: "tcp.options.sack_le"
      case .sackRight: "tcp.options.sack_re"
      case .timestamp: "tcp.options.timestamp.tsval"
      case .timestampEcho: "tcp.options.timestamp.tsecr"
      case .subtype: "tcp.options.mptcp.subtype"
      case .version: "tcp.options.mptcp.version"
      case .checksumRequired: "tcp.options.mptcp.checksumreq.flags"
      case .extensibility: "tcp.options.mptcp.extensibility.flag"
      case .noMoreSubflows: "tcp.options.mptcp.nomoresubflows.flag"
      case .sha1: "tcp.options.mptcp.sha1.flag"
      case .sha256: "tcp.options.mptcp.sha256.flag"
      case .senderKey: "tcp.options.mptcp.sendkey"
      case .receiverKey: "tcp.options.mptcp.recvkey"
      case .backup: "tcp.options.mptcp.backup.flag"
      case .addressID: "tcp.options.mptcp.addrid"
      case .token: "tcp.options.mptcp.recvtok"
      case .nonce: "tcp.options.mptcp.sendrand"
      case .shortHMAC: "tcp.options.mptcp.sendtrunchmac"
      case .longHMAC: "tcp.options.mptcp.sendhmac"
      case .dataFin: "tcp.options.mptcp.datafin.flag"
      case .dataAckPresent: "tcp.options.mptcp.dataackpresent.flag"
      case .dataAck8: "tcp.options.mptcp.dataack8.flag"
      case .mappingPresent: "tcp.options.mptcp.dseqnpresent.flag"
      case .dsn8: "tcp.options.mptcp.dseqn8.flag"
      case .dataAck: "tcp.options.mptcp.rawdataack"
      case .dsn: "tcp.options.mptcp.rawdataseqno"
      case .subflowSequence: "tcp.options.mptcp.subflowseqno"
      case .length: "tcp.options.mptcp.datalvllen"
      case .mpCapableChecksum: "tcp.options.mptcp.checksum"
      case .ipVersion: "tcp.options.mptcp.ipver"
      case .echo: "tcp.options.mptcp.echo"
      case .address4: "tcp.options.mptcp.ipv4"
      case .address6: "tcp.options.mptcp.ipv6"
      case .port: "tcp.options.mptcp.port"
      case .addAddressHMAC: "tcp.options.mptcp.addaddrtrunchmac"
      case .transient: "tcp.options.mptcp.flag_T.flag"
      case .reason: "tcp.options.mptcp.rst_reason"
      }
    }
  }

  private var values: [String] = Array(repeating: "", count: Field.allCases.count)
  private(set) var multipathCount = 0
  private(set) var malformed: WireError?

  /// The fields as one line.
  var line: String { values.joined(separator: "\t") }

  init(_ ip: IPHeader, _ tcp: TCPHeader, options: RawSpan) {
    put(ip.source.family == .v4 ? .source : .source6, "\(ip.source)")
    put(ip.source.family == .v4 ? .destination : .destination6, "\(ip.destination)")
    put(.sourcePort, tcp.sourcePort.rawValue)
    put(.destinationPort, tcp.destinationPort.rawValue)
    put(.sequence, tcp.sequenceNumber.rawValue)
    put(.acknowledgment, tcp.acknowledgmentNumber.rawValue)
    put(.headerLength, tcp.headerByteCount)
    put(.flags, hex(tcp.flags.rawValue, 4))
    put(.window, tcp.window)
    put(.checksum, hex(tcp.checksum, 4))
    put(.urgent, tcp.urgentPointer)
    var found: [TCPOption] = []
    do throws(WireError) {
      try TCPOption.forEach(in: options) { option, _ in found.append(option) }
    } catch {
      malformed = error
    }
    for option in found { put(option) }
  }

  private mutating func put(_ field: Field, _ value: String) {
    values[field.rawValue] += values[field.rawValue].isEmpty ? value : "," + value
  }

  private mutating func put(_ field: Field, _ value: some BinaryInteger) { put(field, String(value)) }
  private mutating func put(_ field: Field, _ value: Bool) { put(field, value ? "1" : "0") }

  private func hex(_ value: some BinaryInteger, _ digits: Int) -> String { "0x" + bare(value, digits) }

  private func bare(_ value: some BinaryInteger, _ digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: digits - text.count) + text
  }

  private mutating func put(_ option: TCPOption) {
    switch option {
    case .maximumSegmentSize(let size): put(.mss, size)
    case .windowScale(let shift): put(.windowScale, shift)
    case .sack(let blocks):
      for index in 0..<blocks.count {
        put(.sackLeft, blocks[index].left.rawValue)
        put(.sackRight, blocks[index].right.rawValue)
      }
    case .timestamps(let timestamps):
      put(.timestamp, timestamps.value)
      put(.timestampEcho, timestamps.echo)
    case .multipath(let option):
      multipathCount += 1
      put(option)
    case .endOfList, .noOperation, .sackPermitted, .fastOpen, .unknown: break
    }
  }

  private mutating func put(_ option: MultipathOption) {
    switch option {
    case .capable(let capable):
      put(.subtype, 0)
      put(.version, capable.version)
      put(.checksumRequired, capable.flags.contains(.checksumRequired))
      put(.extensibility, capable.flags.contains(.extensibility))
      if capable.version == 1 { put(.noMoreSubflows, capable.flags.contains(.noMoreSubflows)) }
      put(capable.version == 0 ? .sha1 : .sha256, capable.flags.contains(.hmac))
      if let key = capable.senderKey { put(.senderKey, key.rawValue) }
      if let key = capable.receiverKey { put(.receiverKey, key.rawValue) }
      if let length = capable.dataLength { put(.length, length) }
      if let checksum = capable.checksum { put(.mpCapableChecksum, hex(checksum, 4)) }
    case .join(let join):
      put(.subtype, 1)
      put(join)
    case .dss(let dss):
      put(.subtype, 2)
      put(dss)
    case .addAddress(let add):
      put(.subtype, 3)
      put(add)
    case .removeAddress(let remove):
      put(.subtype, 4)
      for index in 0..<remove.count { put(.addressID, remove[index].rawValue) }
    case .priority(let priority):
      put(.subtype, 5)
      put(.backup, priority.backup)
      if let id = priority.addressID { put(.addressID, id.rawValue) }
    case .fail(let fail):
      put(.subtype, 6)
      put(.dsn, fail.dsn)
    case .fastClose(let close):
      put(.subtype, 7)
      put(.receiverKey, close.receiverKey.rawValue)
    case .reset(let reset):
      put(.subtype, 8)
      put(.transient, reset.transient)
      put(.reason, hex(reset.reason.rawValue, 2))
    case .experimental: put(.subtype, 15)
    case .unknown(let subtype, _): put(.subtype, subtype)
    }
  }

  private mutating func put(_ join: MPJoin) {
    switch join {
    case .syn(let backup, let id, let token, let nonce):
      put(.backup, backup)
      put(.addressID, id.rawValue)
      put(.token, token.rawValue)
      put(.nonce, nonce)
    case .synAck(let backup, let id, let hmac, let nonce):
      put(.backup, backup)
      put(.addressID, id.rawValue)
      put(.shortHMAC, hmac)
      put(.nonce, nonce)
    case .ack(let hmac):
      put(.longHMAC, bare(hmac.high, 16) + bare(hmac.middle, 16) + bare(hmac.low, 8))
    }
  }

  private mutating func put(_ dss: DSS) {
    put(.dataFin, dss.dataFin)
    put(.dataAckPresent, dss.dataAck != nil)
    put(.mappingPresent, dss.mapping != nil)
    switch dss.dataAck {
    case nil: put(.dataAck8, false)
    case .four(let number):
      put(.dataAck8, false)
      put(.dataAck, number)
    case .eight(let number):
      put(.dataAck8, true)
      put(.dataAck, number)
    }
    switch dss.mapping?.dsn {
    case nil: put(.dsn8, false)
    case .four(let number):
      put(.dsn8, false)
      put(.dsn, number)
    case .eight(let number):
      put(.dsn8, true)
      put(.dsn, number)
    }
    if let mapping = dss.mapping {
      put(.subflowSequence, mapping.subflowSequenceNumber)
      put(.length, mapping.length)
    }
  }

  private mutating func put(_ add: AddAddress) {
    switch add.version {
    case .v0: put(.ipVersion, add.address.family.rawValue)
    case .v1: put(.echo, add.isEcho)
    }
    put(.addressID, add.addressID.rawValue)
    put(add.address.family == .v4 ? .address4 : .address6, "\(add.address)")
    if let port = add.port { put(.port, port.rawValue) }
    if let hmac = add.hmac { put(.addAddressHMAC, hmac) }
  }
}
