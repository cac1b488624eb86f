import MPTCPWire

extension EditableSegment {
  /// Calls `body` with kind and place of each option in `options`, padding left out, up to the first malformed one.
  static func forEachOption(in options: [UInt8], _ body: (_ kind: UInt8, _ place: Range<Int>) -> Void) {
    var offset = 0
    while offset < options.count, options[offset] != TCPOptionKind.endOfList {
      guard options[offset] != TCPOptionKind.noOperation else {
        offset += 1
        continue
      }
      guard offset + 1 < options.count, options[offset + 1] >= 2, offset + Int(options[offset + 1]) <= options.count
      else { return }
      let place = offset..<offset + Int(options[offset + 1])
      body(options[offset], place)
      offset = place.upperBound
    }
  }

  /// Whether an option of the selection is there.
  func hasOption(_ selection: OptionSelection) -> Bool {
    var isFound = false
    Self.forEachOption(in: options) { isFound = isFound || selection.contains($0, options[$1]) }
    return isFound
  }

  /// Takes options out. Returns how many.
  ///
  /// - Parameters:
  ///   - selection: Which.
  ///   - shortensHeader: Whether the others move together and the header ends sooner; else NOPs stand in the place.
  mutating func removeOptions(_ selection: OptionSelection, shortensHeader: Bool) -> Int {
    var count = 0
    var kept: [UInt8] = []
    var padded = options
    Self.forEachOption(in: options) { kind, place in
      if selection.contains(kind, options[place]) {
        count += 1
        for index in place { padded[index] = TCPOptionKind.noOperation }
      } else {
        kept += options[place]
      }
    }
    guard count > 0 else { return 0 }
    kept += repeatElement(TCPOptionKind.noOperation, count: (4 - kept.count % 4) % 4)
    options = shortensHeader ? kept : padded
    return count
  }

  /// The place of the first option of a kind with at least `byteCount` octets.
  func place(of kind: UInt8, byteCount: Int) -> Range<Int>? {
    var found: Range<Int>?
    Self.forEachOption(in: options) { if found == nil, $0 == kind, $1.count >= byteCount { found = $1 } }
    return found
  }

  /// Writes the edges of all SACK blocks anew (RFC 2018 §3).
  mutating func mapSACK(_ edge: (SequenceNumber) -> SequenceNumber) {
    guard let place = place(of: TCPOptionKind.sack, byteCount: 10) else { return }
    var offset = place.lowerBound + 2
    while offset + 8 <= place.upperBound {
      for field in [offset, offset + 4] {
        Octets.put32(edge(SequenceNumber(Octets.get32(options, field))).rawValue, &options, field)
      }
      offset += 8
    }
  }

  /// The timestamps, if there are any.
  var timestamps: TCPTimestamps? {
    place(of: TCPOptionKind.timestamps, byteCount: 10).map {
      TCPTimestamps(
        value: Octets.get32(options, $0.lowerBound + 2), echo: Octets.get32(options, $0.lowerBound + 6))
    }
  }

  /// The shift of the window scale option, at most 14 (RFC 7323 §2.3).
  var windowShift: Int? {
    place(of: TCPOptionKind.windowScale, byteCount: 3).map { min(Int(options[$0.lowerBound + 2]), 14) }
  }

  /// A segment without data that answers this one as its receiver would, with the checksums that it needs.
  func answer(
    flags: TCPFlags, sequenceNumber: SequenceNumber, acknowledgmentNumber: SequenceNumber, window: UInt16,
    timestamps: TCPTimestamps? = nil
  ) -> [UInt8] {
    Self.packet(
      from: destination, to: source, flags: flags, sequenceNumber: sequenceNumber,
      acknowledgmentNumber: acknowledgmentNumber, window: window, timestamps: timestamps)
  }

  /// A segment without data that a box writes itself; empty for addresses of two families, which no packet has.
  static func packet(
    from source: TransportAddress, to destination: TransportAddress, flags: TCPFlags, sequenceNumber: SequenceNumber,
    acknowledgmentNumber: SequenceNumber, window: UInt16, timestamps: TCPTimestamps? = nil
  ) -> [UInt8] {
    var block = TCPOptionBlock()
    if let timestamps { _ = block.append(.timestamps(timestamps)) }
    let ip = IPHeader(
      source: source.address, destination: destination.address, protocolNumber: IPProtocol.tcp,
      payloadByteCount: 20 + block.byteCount)
    let tcp = TCPHeader(
      sourcePort: source.port, destinationPort: destination.port, sequenceNumber: sequenceNumber,
      acknowledgmentNumber: acknowledgmentNumber, flags: flags, window: window)
    guard source.address.family == destination.address.family else { return [] }
    var packet = [UInt8](repeating: 0, count: ip.totalByteCount)
    packet.withUnsafeMutableBytes { buffer in
      // The buffer has the size of what is written, so that nothing can fail.
      guard let ipByteCount = try? ip.write(into: buffer) else { return }
      _ = try? tcp.write(options: block, into: UnsafeMutableRawBufferPointer(rebasing: buffer[ipByteCount...]))
      try? Segmentation.fillChecksums(in: buffer)
    }
    return packet
  }
}
