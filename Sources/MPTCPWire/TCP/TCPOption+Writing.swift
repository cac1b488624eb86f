extension TCPOption {
  /// The octets that the option takes, without padding; 0 for what cannot be written (unknown options, whose content
  /// is not kept, and the end of the list, which padding makes superfluous).
  @inlinable
  public var encodedByteCount: Int {
    switch self {
    case .endOfList, .unknown: 0
    case .noOperation: 1
    case .maximumSegmentSize: 4
    case .windowScale: 3
    case .sackPermitted: 2
    // Requirement 2018-3-01
    case .sack(let blocks): blocks.count == 0 ? 0 : 2 + 8 * blocks.count
    case .timestamps: 10
    case .fastOpen(let cookie): 2 + cookie.count
    case .multipath(let option): option.encodedByteCount
    }
  }

  /// Where in a word of four octets the option starts, so that its numbers stand at word boundaries, as Linux lays
  /// them out.
  @inlinable
  var startInWord: Int {
    switch self {
    case .endOfList, .unknown, .maximumSegmentSize, .fastOpen, .multipath: 0
    case .windowScale: 1
    case .sack, .timestamps: 2
    case .noOperation, .sackPermitted: -1
    }
  }

  /// Writes ``encodedByteCount`` octets.
  /// Requirement 9293-3.1-10
  @usableFromInline
  func write(_ writer: inout OctetWriter) {
    switch self {
    case .endOfList, .unknown: return
    case .noOperation: writer.put8(TCPOptionKind.noOperation)
    case .maximumSegmentSize(let size):
      writer.put16(UInt16(TCPOptionKind.maximumSegmentSize) << 8 | 4)
      writer.put16(size)
    case .windowScale(let shift):
      writer.put16(UInt16(TCPOptionKind.windowScale) << 8 | 3)
      writer.put8(shift)
    case .sackPermitted:
      writer.put16(UInt16(TCPOptionKind.sackPermitted) << 8 | 2)
    case .sack(let blocks):
      guard blocks.count > 0 else { return }
      writer.put8(TCPOptionKind.sack)
      writer.put8(UInt8(truncatingIfNeeded: 2 + 8 * blocks.count))
      for index in 0..<blocks.count {
        writer.put32(blocks[index].left.rawValue)
        writer.put32(blocks[index].right.rawValue)
      }
    case .timestamps(let timestamps):
      writer.put16(UInt16(TCPOptionKind.timestamps) << 8 | 10)
      writer.put32(timestamps.value)
      writer.put32(timestamps.echo)
    case .fastOpen(let cookie):
      writer.put8(TCPOptionKind.fastOpen)
      writer.put8(UInt8(truncatingIfNeeded: 2 + cookie.count))
      for index in 0..<cookie.count { writer.put8(cookie[index]) }
    case .multipath(let option):
      option.write(&writer)
    }
  }
}
