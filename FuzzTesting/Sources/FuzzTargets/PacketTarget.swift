import MPTCPWire

/// The parsers of everything that a network brings. None may trap, what they give must lie inside of what they were
/// given, and what they take apart must be the same after it was written and taken apart again.
public enum PacketTarget {
  /// Runs one input: the first octet says what the others are.
  public static func run(_ bytes: UnsafeRawBufferPointer) {
    guard let kind = bytes.first else { return }
    let rest = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
    let span = RawSpan(_unsafeBytes: rest)
    switch kind % 6 {
    case 0: options(span)
    case 1: packet(span)
    case 2: frame(span)
    case 3: segmentation(rest, segmentByteCount: Int(kind) * 8)
    case 4: headers(span)
    default: text(rest)
    }
  }

  // MARK: TCP options

  private static func options(_ span: RawSpan) {
    let block = span.extracting(first: 40)
    let parsed = TCPOptions(parsing: block)
    if parsed.malformedCount > 40 { violated("more malformed options than octets") }
    var rewritten = TCPOptionBlock()
    var isComplete = true
    var wellFormed: [TCPOption] = []
    TCPOption.forEachWellFormed(in: block) { option in
      wellFormed.append(option)
      if !canBeWritten(option) || !rewritten.append(option) { isComplete = false }
    }
    guard isComplete else { return }
    var again: [TCPOption] = []
    rewritten.withBytes { octets in
      TCPOption.forEachWellFormed(in: RawSpan(_unsafeBytes: octets)) { again.append($0) }
    }
    // Padding is no option; the writer places its own.
    let before = wellFormed.filter { !isPadding($0) }
    let after = again.filter { !isPadding($0) }
    if before != after { violated("options changed on their way: \(before) \(after)") }
  }

  private static func isPadding(_ option: TCPOption) -> Bool {
    switch option {
    case .noOperation, .endOfList: true
    default: false
    }
  }

  /// What the engine never sends has no writer, and some fields have one canonical form only.
  private static func canBeWritten(_ option: TCPOption) -> Bool {
    switch option {
    case .unknown: false
    case .multipath(let multipath):
      switch multipath {
      case .experimental, .unknown: false
      case .capable(let capable): capable.version < 2
      default: true
      }
    default: true
    }
  }

  // MARK: Packets

  private static func packet(_ span: RawSpan) {
    guard let ip = try? IPHeader(parsing: span) else { return }
    let payload = ip.payload(in: span)
    if payload.byteCount > span.byteCount { violated("a payload larger than its packet") }
    if ip.headerByteCount > span.byteCount { violated("a header larger than its packet") }
    switch ip.protocolNumber {
    case IPProtocol.tcp:
      guard let tcp = try? TCPHeader(parsing: payload) else { return }
      _ = TCPOptions(parsing: tcp.optionBytes(in: payload))
      if tcp.payload(in: payload).byteCount > payload.byteCount { violated("TCP payload larger than the segment") }
    case IPProtocol.udp: _ = try? UDPHeader(parsing: payload)
    case IPProtocol.icmp, IPProtocol.icmpv6: _ = try? ICMPMessage(parsing: span, header: ip)
    default: break
    }
  }

  private static func frame(_ span: RawSpan) {
    guard let ethernet = try? EthernetHeader(parsing: span), span.byteCount >= 14 else { return }
    let content = span.extracting(last: span.byteCount - 14)
    if ethernet.type == .arp {
      guard let arp = try? ARPPacket(parsing: content) else { return }
      withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { buffer in
        guard let count = try? arp.write(into: buffer),
          let again = try? ARPPacket(parsing: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: buffer[..<count])))
        else { violated("an ARP packet that cannot be written") }
        if again != arp { violated("an ARP packet changed on its way") }
      }
    } else {
      packet(content)
    }
  }

  private static func segmentation(_ bytes: UnsafeRawBufferPointer, segmentByteCount: Int) {
    let span = RawSpan(_unsafeBytes: bytes)
    var total = 0
    var count = 0
    let expected = Segmentation.segmentCount(of: span, segmentByteCount: segmentByteCount)
    do throws(WireError) {
      try Segmentation.forEachSegment(of: span, segmentByteCount: segmentByteCount) { segment in
        count += 1
        total += segment.count
        if (try? IPHeader(parsing: RawSpan(_unsafeBytes: segment))) == nil { violated("a segment that is no packet") }
      }
      if count != expected { violated("\(count) segments, not \(expected)") }
    } catch {
      if count != 0 { violated("segments before an error") }
    }
  }

  private static func headers(_ span: RawSpan) {
    if let tcp = try? TCPHeader(parsing: span) {
      withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { buffer in
        guard let count = try? tcp.write(into: buffer),
          let again = try? TCPHeader(
            parsing: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: buffer[..<count])))
        else { violated("a TCP header that cannot be written") }
        var bare = tcp
        bare.headerByteCount = 20
        if again != bare { violated("a TCP header changed on its way") }
      }
    }
    _ = try? UDPHeader(parsing: span)
  }

  /// What people type.
  private static func text(_ bytes: UnsafeRawBufferPointer) {
    let text = String(decoding: bytes.prefix(200), as: UTF8.self)
    if let address = IPAddress(text) {
      guard IPAddress(address.description) == address else { violated("an address that is not its own text") }
    }
    _ = TransportAddress(text)
    if let prefix = IPPrefix(text), !prefix.contains(prefix.address) { violated("a prefix without its address") }
    _ = MACAddress(text)
  }
}
