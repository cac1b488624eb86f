import MPTCPWire

/// See ``AddressTranslation``.
struct AddressTranslator: PacketProcessor {
  private struct Mapping: Sendable {
    // How the server's side knows the client.
    var outer: TransportAddress
    var last: Instant
  }

  /// Ports from here on are given out; those below belong to services.
  private static let firstPort: UInt16 = 1024

  private let configuration: AddressTranslation
  private var generator: SeededGenerator
  // Of TCP and of UDP: ports of one are not those of the other.
  private var mappings: [FlowTable<Mapping>]
  private var inner: [[FlowKey: TransportAddress]] = [[:], [:]]
  private var rebindings: [Instant]
  private var rebindingCount = 0
  private let limit: Int

  init(_ configuration: AddressTranslation, _ generator: SeededGenerator, flowLimit: Int, at now: Instant) {
    self.configuration = configuration
    self.generator = generator
    limit = min(max(flowLimit, 1), 32_768)
    mappings = [FlowTable(limit: limit), FlowTable(limit: limit)]
    rebindings = configuration.rebind.map { now + $0 }.sorted { $0 > $1 }
  }

  var flowCount: Int { mappings[0].count + mappings[1].count }

  var nextDeadline: Instant? {
    var deadline = rebindings.last
    guard let idle = configuration.idle else { return deadline }
    for table in mappings {
      guard let oldest = table.oldestPlace else { continue }
      let end = table.states[oldest].last + max(idle, Nanoseconds(1))
      deadline = min(deadline ?? end, end)
    }
    return deadline
  }

  mutating func advance(to now: Instant, _ output: inout MiddleboxOutput) {
    while let time = rebindings.last, time <= now {
      rebindings.removeLast()
      rebindingCount += 1
      output.count(.mappingForgotten, flowCount)
      mappings = [FlowTable(limit: limit), FlowTable(limit: limit)]
      inner = [[:], [:]]
    }
    guard let idle = configuration.idle else { return }
    for index in mappings.indices {
      while let oldest = mappings[index].oldestPlace,
        mappings[index].states[oldest].last + max(idle, Nanoseconds(1)) <= now
      {
        forget(oldest, of: index)
        output.count(.mappingForgotten)
      }
    }
  }

  mutating func receive(_ packet: MiddleboxPacket, at now: Instant, _ output: inout MiddleboxOutput) {
    guard var ends = TransportEnds(packet.bytes) else { return output.send(packet) }
    let index = ends.protocolNumber == IPProtocol.tcp ? 0 : 1
    let key = FlowKey(ends.source, ends.destination, packet.direction)
    switch packet.direction {
    case .forward:
      guard let outer = outerAddress(of: key, index, at: now) else { return output.count(.unmappedDropped) }
      ends.source = outer
    case .backward:
      guard let client = inner[index][key],
        let place = mappings[index].place(of: FlowKey(client, key.server, .forward))
      else { return output.count(.unmappedDropped) }
      mappings[index].states[place].last = now
      ends.destination = client
    }
    output.count(.addressTranslated)
    output.send(MiddleboxPacket(ends.written(into: packet.bytes), packet.direction, tag: packet.tag))
  }

  /// The address of a flow on the server's side, a new one where it has none.
  private mutating func outerAddress(of key: FlowKey, _ index: Int, at now: Instant) -> TransportAddress? {
    if let place = mappings[index].place(of: key) {
      mappings[index].states[place].last = now
      return mappings[index].states[place].outer
    }
    if mappings[index].isFull, let oldest = mappings[index].oldestPlace { forget(oldest, of: index) }
    let addresses = configuration.addresses.filter { $0.family == key.client.address.family }
    let address = addresses.isEmpty ? key.client.address : addresses[rebindingCount % addresses.count]
    // At most half of the ports are in use, so that a free one is near.
    let span = Int(UInt16.max - Self.firstPort) + 1
    let start = Int(generator.next(through: Int64(span - 1)))
    for step in 0..<span {
      let port = Port(Self.firstPort + UInt16((start + step) % span))
      let outer = TransportAddress(address, port)
      let outside = FlowKey(outer, key.server, .forward)
      guard inner[index][outside] == nil, outer != key.client else { continue }
      inner[index][outside] = key.client
      mappings[index].insert(Mapping(outer: outer, last: now), for: key)
      return outer
    }
    return nil
  }

  private mutating func forget(_ place: Int, of index: Int) {
    let key = mappings[index].keys[place]
    inner[index][FlowKey(mappings[index].states[place].outer, key.server, .forward)] = nil
    mappings[index].remove(at: place)
  }
}
