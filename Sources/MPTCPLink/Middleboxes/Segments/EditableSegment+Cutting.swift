import MPTCPWire

extension EditableSegment {
  /// The segment in parts of at most `byteCount` octets of data, whole where it has no more.
  ///
  /// SYN goes with the first part, FIN and PSH with the last, CWR with the first (RFC 3168 §6.1.2).
  ///
  /// - Parameter copiesOptions: Whether each part has the options, as where an interface cuts a super-segment; else the
  ///   first alone.
  func parts(of byteCount: Int, copiesOptions: Bool) -> [[UInt8]] {
    guard payload.count > max(byteCount, 1) else { return [encoded()] }
    var packets: [[UInt8]] = []
    var offset = 0
    while offset < payload.count {
      let end = min(offset + max(byteCount, 1), payload.count)
      var part = self
      part.payload = Array(payload[offset..<end])
      part.tcp.sequenceNumber = offset == 0 ? tcp.sequenceNumber : dataStart + offset
      if offset > 0 {
        part.tcp.flags.subtract([.cwr, .syn])
        if !copiesOptions { part.options = [] }
      }
      if end < payload.count { part.tcp.flags.subtract([.fin, .psh]) }
      packets.append(part.encoded(index: packets.count))
      offset = end
    }
    return packets
  }
}
