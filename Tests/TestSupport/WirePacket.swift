import MPTCPCore
import MPTCPWire

/// A TCP packet taken apart, for tests that look at one, change one on its way, or make one by hand.
package struct WirePacket {
  package var source: IPAddress
  package var destination: IPAddress
  package var tcp: TCPHeader
  /// The options in their order, padding left out.
  package var options: [TCPOption] = []
  /// In place of `options`, octets to be written as they are (a multiple of four): what no encoder would write.
  package var rawOptions: [UInt8]?
  package var payload: [UInt8] = []
  package var path = 0

  package init(source: IPAddress, destination: IPAddress, tcp: TCPHeader) {
    self.source = source
    self.destination = destination
    self.tcp = tcp
  }

  /// Takes apart a whole IP packet; nil for what is not TCP.
  package init?(_ bytes: [UInt8]) {
    let packet = ByteSlice(bytes)
    guard let ip = try? IPHeader(parsing: packet.bytes), ip.protocolNumber == IPProtocol.tcp else { return nil }
    let segment = packet.dropFirst(ip.headerByteCount).prefix(ip.payloadByteCount)
    guard let tcp = try? TCPHeader(parsing: segment.bytes) else { return nil }
    self.init(source: ip.source, destination: ip.destination, tcp: tcp)
    var found: [TCPOption] = []
    try? TCPOption.forEach(in: segment.dropFirst(20).prefix(tcp.headerByteCount - 20).bytes) { option, _ in
      switch option {
      case .noOperation, .endOfList: break
      default: found.append(option)
      }
    }
    options = found
    payload = segment.dropFirst(tcp.headerByteCount).array
  }

  /// The packet with all checksums right.
  package var bytes: [UInt8] {
    var block = TCPOptionBlock()
    for option in options { _ = block.append(option) }
    let written: [UInt8] = rawOptions ?? block.withBytes { Array($0) }
    let ip = IPHeader(
      source: source, destination: destination, protocolNumber: IPProtocol.tcp,
      payloadByteCount: 20 + written.count + payload.count)
    var bytes = [UInt8](repeating: 0, count: ip.totalByteCount)
    bytes.withUnsafeMutableBytes { buffer in
      _ = try? ip.write(into: buffer)
      let segment = UnsafeMutableRawBufferPointer(rebasing: buffer[ip.headerByteCount...])
      _ = try? tcp.write(options: TCPOptionBlock(), into: segment)
      segment[12] = UInt8((20 + written.count) / 4) << 4
      for (index, octet) in (written + payload).enumerated() { segment[20 + index] = octet }
      try? Segmentation.fillChecksums(in: buffer)
    }
    return bytes
  }

  // MARK: Multipath TCP

  package var multipath: [MultipathOption] {
    options.compactMap { if case .multipath(let option) = $0 { option } else { nil } }
  }

  /// Takes the Multipath TCP options out that `isStripped` picks.
  package mutating func strip(_ isStripped: (MultipathOption) -> Bool = { _ in true }) {
    options.removeAll { if case .multipath(let option) = $0 { isStripped(option) } else { false } }
  }

  /// Changes the Multipath TCP options one by one.
  package mutating func rewrite(_ change: (MultipathOption) -> MultipathOption) {
    options = options.map { if case .multipath(let option) = $0 { .multipath(change(option)) } else { $0 } }
  }

  package var capable: MPCapable? {
    for case .capable(let option) in multipath { return option }
    return nil
  }
  package var join: MPJoin? {
    for case .join(let option) in multipath { return option }
    return nil
  }
  package var dss: DSS? {
    for case .dss(let option) in multipath { return option }
    return nil
  }
  package var addAddress: AddAddress? {
    for case .addAddress(let option) in multipath { return option }
    return nil
  }
  package var removeAddress: RemoveAddress? {
    for case .removeAddress(let option) in multipath { return option }
    return nil
  }
  package var priority: MPPriority? {
    for case .priority(let option) in multipath { return option }
    return nil
  }
  package var fail: MPFail? {
    for case .fail(let option) in multipath { return option }
    return nil
  }
  package var fastClose: MPFastClose? {
    for case .fastClose(let option) in multipath { return option }
    return nil
  }
  package var resetReason: ResetReason? {
    for case .reset(let option) in multipath { return option.reason }
    return nil
  }
  package var hasTimestamps: Bool {
    options.contains { if case .timestamps = $0 { true } else { false } }
  }

  package var isSyn: Bool { tcp.flags.contains(.syn) && !tcp.flags.contains(.ack) }
  package var isSynAck: Bool { tcp.flags.contains(.syn) && tcp.flags.contains(.ack) }
  package var isReset: Bool { tcp.flags.contains(.rst) }
  package var isFin: Bool { tcp.flags.contains(.fin) }
  /// An acknowledgement and nothing else.
  package var isPureAck: Bool { payload.isEmpty && !isSynAck && !isSyn && !isReset && !isFin }
}

extension Pair {
  /// Puts a packet of a middlebox on a link, as if `side` had sent it.
  package func send(_ packet: WirePacket, from side: Int) {
    links[packet.path][side].send(superSegment: packet.bytes.span.bytes, segmentByteCount: 0, at: now)
  }

  /// Puts a middlebox on all paths: it sees each packet taken apart and may change it; false drops it.
  package func middlebox(_ body: @escaping (_ side: Int, _ packet: inout WirePacket) -> Bool) {
    onPacket = { side, path, bytes in
      guard var packet = WirePacket(bytes) else { return bytes }
      packet.path = path
      return body(side, &packet) ? packet.bytes : nil
    }
  }
}
