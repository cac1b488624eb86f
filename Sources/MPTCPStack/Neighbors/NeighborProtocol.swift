import MPTCPWire

/// ARP and IPv6 neighbour discovery of one interface, without I/O: frames and time go in, frames and packets come out.
///
/// It answers for our addresses, asks for those of others, announces itself, and finds out when somebody else uses one
/// of our addresses (RFC 5227, RFC 4862 §5.4). Our addresses are used at once, as RFC 4429 allows, and a duplicate that
/// shows up then takes the path down.
struct NeighborProtocol<Held> {
  /// A packet whose neighbour has become known.
  typealias Released = (packet: Held, destination: MACAddress)

  /// Somebody else on the link uses our address.
  struct Conflict: Error, Hashable, CustomStringConvertible {
    var address: IPAddress
    var holder: MACAddress
    var description: String { "\(holder) on this link uses our address \(address) too; choose another" }
  }

  /// How long after the start an address counts as being tried out; a conflict later is defended against.
  static var trialTime: Nanoseconds { .seconds(2) }
  /// DEFEND_INTERVAL (RFC 5227 §1.1).
  static var defendInterval: Nanoseconds { .seconds(10) }

  let hardwareAddress: MACAddress
  private let addresses: [IPPrefix]
  private let gateways: [IPAddress]
  private let start: Instant
  private var cache = NeighborCache<Held>()
  private var lastDefence: Instant?
  private var announcement: Instant?
  /// When a router's query is answered.
  private var reportDue: Instant?

  /// Frames to put on the link, in order; the caller empties it.
  var frames: [[UInt8]] = []
  /// Set when one of our addresses turned out not to be ours.
  private(set) var conflict: Conflict?

  /// Starts with a probe for each of `addresses`.
  init(hardwareAddress: MACAddress, addresses: [IPPrefix], gateways: [IPAddress], at now: Instant) {
    self.hardwareAddress = hardwareAddress
    self.addresses = addresses
    self.gateways = gateways
    start = now
    announcement = now + .seconds(1)
    // Before anybody asks in these groups, as the kernel does.
    report(.joined)
    for prefix in addresses { probe(prefix.address) }
  }

  // MARK: Sending packets

  /// What to do with a packet to `destination`, and to which host on the link it goes.
  mutating func resolve(
    _ destination: IPAddress, at now: Instant
  ) -> (hop: IPAddress, resolution: NeighborCache<Held>.Resolution)? {
    guard let hop = nextHop(to: destination) else { return nil }
    let resolution = cache.resolve(hop, at: now)
    if case .pending(solicit: true) = resolution { solicit(.init(target: hop, destination: nil)) }
    return (hop, resolution)
  }

  /// Keeps a packet until `hop` has answered. Gives back the packet that had to go for it.
  mutating func hold(_ packet: Held, for hop: IPAddress) -> Held? { cache.hold(packet, for: hop) }

  private func nextHop(to destination: IPAddress) -> IPAddress? {
    if destination.isLinkLocal || addresses.contains(where: { $0.contains(destination) }) { return destination }
    return gateways.first { $0.family == destination.family }
  }

  // MARK: Time

  /// When ``advance(to:)`` has something to do.
  var nextDeadline: Instant? {
    var next = cache.nextDeadline
    for due in [announcement, reportDue] { if let due { next = min(next ?? due, due) } }
    return next
  }

  /// Repeats questions, and announces our addresses once nobody has objected to them. Gives packets that are lost.
  mutating func advance(to now: Instant) -> [Held] {
    if let due = announcement, due <= now {
      announcement = nil
      // A report may be lost: it is said twice (RFC 3810 §9.1).
      report(.joined)
      for prefix in addresses where conflict == nil { announce(prefix.address) }
    }
    if let due = reportDue, due <= now {
      reportDue = nil
      report(.query)
    }
    let (solicitations, dropped) = cache.advance(to: now)
    for solicitation in solicitations { solicit(solicitation) }
    return dropped
  }

  // MARK: Receiving

  /// Takes the content of an ARP frame; gives the packets that waited for what it says.
  mutating func receive(arp content: RawSpan, at now: Instant) -> [Released] {
    guard let packet = try? ARPPacket(parsing: content), !packet.senderHardware.isMulticast else { return [] }
    let sender = packet.senderAddress
    guard packet.senderHardware != hardwareAddress else { return [] }
    let isForUs = isOurs(packet.targetAddress)
    // A probe for our address (RFC 5227 §2.1.1) is answered like a question; its sender has no address yet.
    if isOurs(sender) {
      note(Conflict(address: sender, holder: packet.senderHardware), at: now)
      return []
    }
    var released: [Held] = []
    if !sender.isUnspecified {
      if packet.operation == .reply && isForUs {
        released = cache.confirm(sender, is: packet.senderHardware, at: now)
      } else {
        released = cache.learn(
          sender, is: packet.senderHardware, isNew: isForUs && packet.operation == .request, at: now)
      }
    }
    if packet.operation == .request && isForUs {
      send(
        ARPPacket(
          operation: .reply, senderHardware: hardwareAddress, senderAddress: packet.targetAddress,
          targetHardware: packet.senderHardware, targetAddress: sender),
        to: packet.senderHardware)
    }
    return released.map { ($0, packet.senderHardware) }
  }

  /// Takes a neighbour discovery message that came from `source`; gives the packets that waited for what it says.
  mutating func receive(
    _ message: NeighborMessage, from source: IPAddress, hardware: MACAddress, at now: Instant
  ) -> [Released] {
    switch message {
    case .neighborSolicitation(let target, let sourceLinkLayer):
      guard isOurs(target) else { return [] }
      var released: [Released] = []
      let answered = sourceLinkLayer ?? hardware
      if source.isUnspecified {
        // Somebody tries our address out. Within our own trial neither has it (RFC 4862 §5.4.3).
        if now - start < Self.trialTime && hardware != hardwareAddress {
          note(Conflict(address: target, holder: hardware), at: now)
        }
      } else if let sourceLinkLayer {
        released = cache.learn(source, is: sourceLinkLayer, isNew: true, at: now).map { ($0, sourceLinkLayer) }
      }
      advertise(target, to: source.isUnspecified ? nil : (source, answered))
      return released
    case .neighborAdvertisement(let target, _, let isSolicited, let isOverride, let targetLinkLayer):
      let hardware = targetLinkLayer ?? hardware
      if isOurs(target) {
        if hardware != hardwareAddress { note(Conflict(address: target, holder: hardware), at: now) }
        return []
      }
      if isSolicited { return cache.confirm(target, is: hardware, at: now).map { ($0, hardware) } }
      guard isOverride else { return [] }
      return cache.learn(target, is: hardware, isNew: false, at: now).map { ($0, hardware) }
    case .routerSolicitation, .routerAdvertisement:
      // Gateways are given by whoever made the path.
      return []
    }
  }

  /// Takes a query for the groups that somebody on the link listens to (RFC 3810 §6.2). All answer at different times:
  /// at a fraction of a second that our link-layer address gives; no router waits for less.
  mutating func receiveGroupQuery(at now: Instant) {
    guard reportDue == nil else { return }
    reportDue = now + .milliseconds(Int64(hardwareAddress.rawValue & 0xFF))
  }

  private func isOurs(_ address: IPAddress) -> Bool { addresses.contains { $0.address == address } }

  private mutating func note(_ found: Conflict, at now: Instant) {
    guard now - start >= Self.trialTime else {
      conflict = found
      return
    }
    if let lastDefence, now - lastDefence < Self.defendInterval { return }
    lastDefence = now
    announce(found.address)
  }

  // MARK: Frames

  private mutating func probe(_ address: IPAddress) {
    switch address.family {
    case .v4:
      send(
        ARPPacket(
          operation: .request, senderHardware: hardwareAddress, senderAddress: .anyV4, targetAddress: address),
        to: .broadcast)
    case .v6:
      send(
        .neighborSolicitation(target: address, sourceLinkLayer: nil), from: .anyV6, to: address.solicitedNodeMulticast)
    }
  }

  private mutating func report(_ occasion: MulticastListenerReport.Occasion) {
    var groups: [IPAddress] = []
    for prefix in addresses where prefix.address.family == .v6 {
      let group = prefix.address.solicitedNodeMulticast
      if !groups.contains(group) { groups.append(group) }
    }
    guard !groups.isEmpty, let hardware = MACAddress(multicast: MulticastListenerReport.destination) else { return }
    let source = addresses.first { $0.address.family == .v6 && $0.address.isLinkLocal }?.address ?? .anyV6
    let packet = MulticastListenerReport.packet(groups, source: source, occasion: occasion)
    append(to: hardware, type: .ipv6, capacity: packet.count) { buffer throws(WireError) in
      buffer.copyBytes(from: packet)
      return packet.count
    }
  }

  private mutating func announce(_ address: IPAddress) {
    switch address.family {
    case .v4:
      send(
        ARPPacket(
          operation: .request, senderHardware: hardwareAddress, senderAddress: address, targetAddress: address),
        to: .broadcast)
    case .v6:
      advertise(address, to: nil)
    }
  }

  private mutating func advertise(_ target: IPAddress, to asker: (address: IPAddress, hardware: MACAddress)?) {
    send(
      .neighborAdvertisement(
        target: target, isRouter: false, isSolicited: asker != nil, isOverride: true,
        targetLinkLayer: hardwareAddress),
      from: target, to: asker?.address ?? .allNodes, hardware: asker?.hardware)
  }

  private mutating func solicit(_ question: NeighborCache<Held>.Solicitation) {
    let target = question.target
    guard let source = sourceAddress(for: target) else { return }
    switch target.family {
    case .v4:
      send(
        ARPPacket(
          operation: .request, senderHardware: hardwareAddress, senderAddress: source, targetAddress: target),
        to: question.destination ?? .broadcast)
    case .v6:
      send(
        .neighborSolicitation(target: target, sourceLinkLayer: hardwareAddress), from: source,
        to: question.destination == nil ? target.solicitedNodeMulticast : target, hardware: question.destination)
    }
  }

  private func sourceAddress(for target: IPAddress) -> IPAddress? {
    (addresses.first { $0.contains(target) } ?? addresses.first { $0.address.family == target.family })?.address
  }

  private mutating func send(_ packet: ARPPacket, to destination: MACAddress) {
    append(to: destination, type: .arp, capacity: ARPPacket.byteCount) { buffer throws(WireError) in
      try packet.write(into: buffer)
    }
  }

  private mutating func send(
    _ message: NeighborMessage, from source: IPAddress, to destination: IPAddress, hardware: MACAddress? = nil
  ) {
    guard let hardware = hardware ?? MACAddress(multicast: destination) else { return }
    append(to: hardware, type: .ipv6, capacity: NeighborMessage.maximumByteCount) { buffer throws(WireError) in
      try message.write(from: source, to: destination, into: buffer)
    }
  }

  private mutating func append(
    to destination: MACAddress, type: EtherType, capacity: Int,
    _ write: (UnsafeMutableRawBufferPointer) throws(WireError) -> Int
  ) {
    var frame = [UInt8](repeating: 0, count: EthernetHeader.byteCount + capacity)
    let written = frame.withUnsafeMutableBytes { buffer -> Int? in
      // What we write fits by construction; a frame that did not would not be sent.
      guard
        let header = try? EthernetHeader(destination: destination, source: hardwareAddress, type: type)
          .write(into: buffer),
        let content = try? write(UnsafeMutableRawBufferPointer(rebasing: buffer[header...]))
      else { return nil }
      return header + content
    }
    if let written { frames.append(Array(frame.prefix(written))) }
  }
}
