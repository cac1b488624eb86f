import MPTCPWire

/// See ``PayloadChange``.
struct PayloadChanger: SegmentProcessor {
  private let configuration: PayloadChange
  private let find: [UInt8]
  private let replace: [UInt8]
  private var generator: SeededGenerator
  // The number of the first octet of data in each direction, where an octet's place matters.
  private var flows: FlowTable<Both<SequenceNumber?>>

  init(_ configuration: PayloadChange, _ generator: SeededGenerator, flowLimit: Int) {
    self.configuration = configuration
    self.generator = generator
    find = Array(configuration.find.utf8)
    replace = Array(configuration.replace.utf8)
    flows = FlowTable(limit: flowLimit)
  }

  var flowCount: Int { flows.count }

  mutating func process(
    _ segment: EditableSegment, _ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput
  ) {
    let first = untouchedByteCount(segment, packet.direction)
    guard configuration.direction.includes(packet.direction), let first, first < segment.payload.count else {
      return output.send(packet)
    }
    var segment = segment
    if find.isEmpty {
      guard configuration.chance.happens(&generator) else { return output.send(packet) }
      let place = first + Int(generator.next(through: Int64(segment.payload.count - first - 1)))
      segment.payload[place] ^= UInt8(1 + generator.next(through: 254))
    } else {
      let places = PayloadSearch.places(of: find, in: segment.payload, from: first)
      guard find.count == replace.count, find != replace, !places.isEmpty, configuration.chance.happens(&generator)
      else { return output.send(packet) }
      for place in places { segment.payload.replaceSubrange(place..<place + find.count, with: replace) }
    }
    output.send(segment, for: packet, .payloadChanged)
  }

  /// How many of the segment's octets lie before the place from which data is changed; `nil` where that is unknown.
  private mutating func untouchedByteCount(_ segment: EditableSegment, _ direction: PathDirection) -> Int? {
    guard configuration.after > 0 else { return 0 }
    let key = FlowKey(segment, direction)
    if segment.tcp.flags.contains(.syn) {
      let place = flows.place(of: key) ?? flows.insert(Both(nil), for: key)
      flows.states[place][direction] = segment.dataStart
    }
    // Beyond half of the number space an octet's place is ambiguous; there it is long behind `after` or never reached.
    guard let place = flows.place(of: key), let start = flows.states[place][direction] else { return nil }
    let position = Int(segment.dataStart.rawValue &- start.rawValue)
    return position >= configuration.after ? 0 : configuration.after - position
  }
}

/// Looking for a text in data.
enum PayloadSearch {
  /// Where a text stands, without overlaps, from `start` on.
  static func places(of text: [UInt8], in payload: [UInt8], from start: Int) -> [Int] {
    guard !text.isEmpty, start >= 0 else { return [] }
    var places: [Int] = []
    var offset = start
    while offset + text.count <= payload.count {
      if payload[offset] == text[0], payload[offset..<offset + text.count].elementsEqual(text) {
        places.append(offset)
        offset += text.count
      } else {
        offset += 1
      }
    }
    return places
  }
}
