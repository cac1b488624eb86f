import MPTCPWire

/// A packet in one line, as text traces have it.
enum PacketText {
  /// The line: addresses, flags, numbers, options.
  static func line(_ packet: RawSpan) -> String {
    guard let ip = try? IPHeader(parsing: packet) else { return "no IP packet, \(packet.byteCount) bytes" }
    let ends = "\(ip.source) > \(ip.destination)"
    guard ip.fragment == nil else { return "\(ends) fragment, \(packet.byteCount) bytes" }
    guard ip.protocolNumber == IPProtocol.tcp else {
      return "\(ends) protocol \(ip.protocolNumber), \(packet.byteCount) bytes"
    }
    let segment = ip.payload(in: packet)
    guard let tcp = try? TCPHeader(parsing: segment) else { return "\(ends) broken TCP header" }
    var line = "\(ip.source):\(tcp.sourcePort) > \(ip.destination):\(tcp.destinationPort) \(flags(tcp.flags))"
    line += " seq \(tcp.sequenceNumber)"
    if tcp.flags.contains(.ack) { line += " ack \(tcp.acknowledgmentNumber)" }
    line += " win \(tcp.window) len \(segment.byteCount - tcp.headerByteCount)"
    if ip.trafficClass & 3 == 3 { line += " ce" }
    TCPOption.forEachWellFormed(in: segment.extracting(20..<tcp.headerByteCount)) { option in
      if let text = text(option) { line += " <\(text)>" }
    }
    return line
  }

  private static func flags(_ flags: TCPFlags) -> String {
    let letters: [(TCPFlags, String)] = [
      (.syn, "S"), (.fin, "F"), (.rst, "R"), (.psh, "P"), (.urg, "U"), (.ece, "E"), (.cwr, "W"), (.ack, "."),
    ]
    let text = letters.reduce(into: "") { if flags.contains($1.0) { $0 += $1.1 } }
    return text.isEmpty ? "none" : text
  }

  private static func text(_ option: TCPOption) -> String? {
    switch option {
    case .endOfList, .noOperation: nil
    case .maximumSegmentSize(let size): "mss \(size)"
    case .windowScale(let shift): "ws \(shift)"
    case .sackPermitted: "sackok"
    case .sack(let blocks): sack(blocks)
    case .timestamps(let stamps): "ts \(stamps.value) \(stamps.echo)"
    case .fastOpen: "fast open"
    case .multipath(let option): text(option)
    case .unknown(let kind, let byteCount): "kind \(kind) of \(byteCount) bytes"
    }
  }

  private static func sack(_ blocks: SACKBlocks) -> String {
    var text = "sack"
    for index in 0..<blocks.count { text += " \(blocks[index].left)-\(blocks[index].right)" }
    return text
  }

  private static func text(_ option: MultipathOption) -> String {
    switch option {
    case .capable(let capable):
      let keys = [capable.senderKey, capable.receiverKey].compactMap { $0 }.map { " \(hex($0.rawValue))" }.joined()
      let data = capable.dataLength.map { " data \($0)" } ?? ""
      return "capable v\(capable.version) \(hex(UInt64(capable.flags.rawValue)))\(keys)\(data)"
    case .join(.syn(let isBackup, let id, let token, let nonce)):
      return "join id \(id.rawValue) token \(hex(UInt64(token.rawValue))) nonce \(nonce)\(isBackup ? " backup" : "")"
    case .join(.synAck(let isBackup, let id, let hmac, let nonce)):
      return "join id \(id.rawValue) hmac \(hex(hmac)) nonce \(nonce)\(isBackup ? " backup" : "")"
    case .join(.ack(let hmac)): return "join hmac \(hex(hmac.high))…"
    case .dss(let dss): return text(dss)
    case .addAddress(let add):
      let port = add.port.map { ":\($0)" } ?? ""
      return "add_addr\(add.isEcho ? " echo" : "") id \(add.addressID.rawValue) \(add.address)\(port)"
    case .removeAddress(let remove):
      return "remove_addr" + (0..<remove.count).map { " \(remove[$0].rawValue)" }.joined()
    case .priority(let priority):
      return "prio\(priority.backup ? " backup" : "")\(priority.addressID.map { " id \($0.rawValue)" } ?? "")"
    case .fail(let fail): return "fail \(fail.dsn)"
    case .fastClose(let close): return "fastclose \(hex(close.receiverKey.rawValue))"
    case .reset(let reset): return "tcprst \(reset.reason.rawValue)\(reset.transient ? " transient" : "")"
    case .experimental(let byteCount): return "experimental of \(byteCount) bytes"
    case .unknown(let subtype, let byteCount): return "mptcp subtype \(subtype) of \(byteCount) bytes"
    }
  }

  private static func text(_ dss: DSS) -> String {
    var text = "dss"
    switch dss.dataAck {
    case nil: break
    case .four(let number): text += " ack \(number)"
    case .eight(let number): text += " ack8 \(number)"
    }
    if let mapping = dss.mapping {
      switch mapping.dsn {
      case .four(let number): text += " dsn \(number)"
      case .eight(let number): text += " dsn8 \(number)"
      }
      text += " ssn \(mapping.subflowSequenceNumber) len \(mapping.length)"
      if let checksum = mapping.checksum { text += " sum \(checksum)" }
    }
    return dss.dataFin ? text + " fin" : text
  }

  private static func hex(_ value: UInt64) -> String { String(value, radix: 16) }
}
