import MPTCPCore
import MPTCPWire
import TestSupport

/// Looks at every packet that the two sides of a pair send, and notes what breaks a rule of RFC 8684 that shows on the
/// wire whatever the other side does.
final class WireAuditor {
  private struct Flow: Hashable {
    var source: TransportAddress
    var destination: TransportAddress
  }
  private struct Seen {
    var initialNumber = SequenceNumber(0)
    var windowShift = 0
    /// Relative subflow sequence numbers, and the data sequence number of the first.
    var mappings: [(range: Range<Int>, dsn: UInt64)] = []
  }
  private var flows: [Flow: Seen] = [:]
  /// The right edge of the connection's window that each side has advertised (RFC 8684 §3.3.4).
  private var edges: [UInt64?] = [nil, nil]
  private(set) var violations: [String] = []
  private(set) var mappingCount = 0

  func look(at packet: WirePacket, from side: Int, isPlain: Bool) {
    let flow = Flow(
      source: TransportAddress(packet.source, packet.tcp.sourcePort),
      destination: TransportAddress(packet.destination, packet.tcp.destinationPort))
    if packet.tcp.flags.contains(.syn) {
      var seen = Seen(initialNumber: packet.tcp.sequenceNumber)
      for case .windowScale(let shift) in packet.options { seen.windowShift = Int(shift) }
      flows[flow] = seen
      return
    }
    guard !packet.isReset, var seen = flows[flow] else { return }
    if isPlain {
      // "MUST NOT revert to MPTCP" (RFC 8684 §3.7): the one infinite mapping, its repetitions, and MP_FAIL are the end.
      for option in packet.multipath {
        switch option {
        case .dss(let dss) where dss.mapping?.length == 0 && dss.dataAck == nil: break
        case .fail: break
        default: violations.append("after the fallback: \(option)")
        }
      }
      return
    }
    let start = packet.tcp.sequenceNumber - seen.initialNumber
    if let dss = packet.dss { look(at: dss, of: packet, start: start, side: side, &seen) }
    if let capable = packet.capable, let length = capable.dataLength, !packet.payload.isEmpty {
      seen.mappings.append((1..<(1 + Int(length)), 0))
    }
    let range = start..<(start + packet.payload.count)
    // Every octet is mapped by now (§3.3.1: a mapping known at the receiver, or on the segment).
    for octet in [range.lowerBound, range.upperBound - 1] where !range.isEmpty {
      if !seen.mappings.contains(where: { $0.range.contains(octet) }) {
        violations.append("octet \(octet) of \(flow) without a mapping")
      }
    }
    flows[flow] = seen
  }

  private func look(at dss: DSS, of packet: WirePacket, start: Int, side: Int, _ seen: inout Seen) {
    if case .eight(let number)? = dss.dataAck {
      let edge = number &+ UInt64(packet.tcp.window) << UInt64(seen.windowShift)
      // But for what the scaling cuts off (RFC 7323 §2.4).
      if let known = edges[side], Int64(bitPattern: edge &- known) <= -(1 << Int64(seen.windowShift)) {
        violations.append("side \(side) moved its window's edge back by \(known &- edge)")
      }
      if edges[side].map({ Int64(bitPattern: edge &- $0) > 0 }) ?? true { edges[side] = edge }
    }
    guard let mapping = dss.mapping else { return }
    mappingCount += 1
    guard case .eight(let number) = mapping.dsn else {
      // §3.3.1: eight octets where four could wrap within a segment's lifetime; this engine knows no rate that never
      // does.
      violations.append("a data sequence number of four octets")
      return
    }
    guard mapping.length > 0 else { return }
    if packet.payload.isEmpty, dss.dataFin {
      // §3.3.3: a DATA_FIN alone.
      if mapping.length != 1 || mapping.subflowSequenceNumber != 0 { violations.append("DATA_FIN alone: \(mapping)") }
      return
    }
    let first = Int(mapping.subflowSequenceNumber)
    let range = first..<(first + Int(mapping.length) - (dss.dataFin ? 1 : 0))
    if !range.overlaps(start..<(start + packet.payload.count)) {
      violations.append("a mapping of \(range) on a segment at \(start)")
    }
    for known in seen.mappings where known.range.overlaps(range) && known.dsn != 0 {
      if known.dsn &- UInt64(known.range.lowerBound) != number &- UInt64(first) {
        violations.append("\(range) was mapped otherwise before")
      }
    }
    seen.mappings.removeAll { $0.range == range && $0.dsn == number }
    seen.mappings.append((range, number))
    // Retransmissions reach back as far as a window does.
    if seen.mappings.count > 4000 { seen.mappings.removeFirst() }
  }
}
