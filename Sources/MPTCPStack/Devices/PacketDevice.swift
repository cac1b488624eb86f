import CLinux
import Glibc
import MPTCPCore
import MPTCPWire

/// A packet socket on an Ethernet-like interface that the kernel uses too: our own addresses beside the kernel's.
///
/// Where the interface takes it we have a link-layer address of our own, so that the kernel never sees our packets as
/// meant for it. Elsewhere (Wi-Fi) we share the interface's. Everything goes with the descriptor.
final class PacketDevice: Device {
  let configuration: PathConfiguration
  let interface: LinkDescription?
  private let file: Descriptor
  private let hardwareAddress: MACAddress
  /// Where we share the interface's address: what keeps the kernel quiet, as long as this lives.
  private var ingressFilter: IngressFilter?
  private var neighbors: NeighborProtocol<Held>
  /// Packets whose neighbour did not answer.
  private(set) var lostPackets = 0
  private var buffer = ReceiveBuffer(headerByteCount: prefixByteCount)

  private static let prefixByteCount = VirtioNetHeader.byteCount + EthernetHeader.byteCount

  /// A packet that waits for its neighbour's answer.
  private enum Held {
    case packet(OutgoingPacket)
    case whole(ByteSlice, SendOffload)
  }

  var descriptor: Int32 { file.number }

  /// Opens a packet socket on the interface `name`.
  ///
  /// - Parameters:
  ///   - addresses: ours, with the prefixes of the link; none of them may be the kernel's.
  ///   - gateways: who takes packets to other networks, at most one of each family.
  ///   - random: 64 unpredictable bits, for the link-layer address.
  ///   - sharesHardwareAddress: whether to use the interface's own link-layer address; nil: only where it takes no
  ///     other.
  init(
    name: String, addresses: [IPPrefix], gateways: [IPAddress], random: UInt64, sharesHardwareAddress: Bool? = nil,
    at now: Instant
  ) throws {
    let routes = try RouteSocket()
    let link = try routes.link(name)
    try Self.refuseUnusable(link, addresses, gateways, routes)
    guard let kernelAddress = MACAddress(octets: link.hardwareAddress) else {
      throw DeviceError(name, "has no Ethernet address")
    }
    let isShared = sharesHardwareAddress ?? Self.isWireless(link.name)
    hardwareAddress = isShared ? kernelAddress : .locallyAdministered(random)
    let filter = PacketFilter(for: addresses.map(\.address), hardwareAddress: hardwareAddress).instructions
    let socket = try check(
      clinux_packet_open(link.index, filter, filter.count), "open a packet socket on \(name)",
      remedy:
        "this needs CAP_NET_RAW: run as root, inside 'unshare -rn', or after 'setcap cap_net_raw+ep' on the program")
    file = Descriptor(socket)
    if isShared {
      ingressFilter = try IngressFilter(interface: name, addresses: addresses.map(\.address))
    } else {
      ingressFilter = nil
      try Self.join(socket, link, CLINUX_MEMBERSHIP_UNICAST, hardwareAddress)
    }
    for address in addresses.map(\.address) where address.family == .v6 {
      guard let group = MACAddress(multicast: address.solicitedNodeMulticast) else { continue }
      try Self.join(socket, link, CLINUX_MEMBERSHIP_MULTICAST, group)
    }
    interface = link
    configuration = PathConfiguration(
      name: name, addresses: addresses, maximumTransmissionUnit: link.maximumTransmissionUnit,
      offersChecksumOffload: true, offersSegmentationOffload: true, reach: Self.reach(of: addresses, gateways))
    neighbors = NeighborProtocol(hardwareAddress: hardwareAddress, addresses: addresses, gateways: gateways, at: now)
    sendFrames()
  }

  /// Where packets find a next hop: what the neighbour protocol knows to do, told beforehand.
  private static func reach(of addresses: [IPPrefix], _ gateways: [IPAddress]) -> [IPPrefix]? {
    let isolated = Set(addresses.map(\.address.family)).subtracting(gateways.map(\.family))
    guard !isolated.isEmpty else { return nil }
    return addresses + gateways.map { IPPrefix($0.family == .v4 ? .anyV4 : .anyV6, length: 0) } + linkLocal
  }

  private static let linkLocal = [
    IPPrefix(IPAddress(v4: 0xa9fe_0000), length: 16),
    IPPrefix(IPAddress(v6High: 0xfe80_0000_0000_0000, low: 0), length: 10),
  ]

  // MARK: Device

  func receive(at now: Instant, limit: Int, _ deliver: Delivery) throws(SystemError) -> Int {
    for count in 0..<limit {
      let room = buffer.room()
      let read = clinux_read(file.number, room.baseAddress, room.count)
      switch Int32(-read) {
      case EAGAIN: return count
      // The interface is down, which the link's own news tell of; or a kind of super-segment that is none of ours.
      case ENETDOWN, EINVAL: continue
      default: break
      }
      try check(read, "read from \(configuration.name)")
      guard read > Self.prefixByteCount else { continue }
      let offload = VirtioNetHeader.offload(room.loadUnaligned(as: clinux_vnet_header.self))
      let frame = UnsafeRawBufferPointer(rebasing: room[VirtioNetHeader.byteCount..<read])
      guard let header = try? EthernetHeader(parsing: RawSpan(_unsafeBytes: frame)) else { continue }
      take(buffer.take(read), header, offload, at: now, deliver)
      if let conflict = neighbors.conflict {
        throw SystemError("use \(configuration.name)", number: EADDRINUSE, remedy: "\(conflict)")
      }
    }
    return limit
  }

  func send(_ packet: borrowing OutgoingPacket, at now: Instant) -> SendOutcome {
    guard let destination = packet.withHeader(Self.destination) else { return .dropped }
    switch resolve(destination, at: now) {
    case .address(let hardware): return write(packet, to: hardware)
    case .hold(let hop): return hold(.packet(copy packet), for: hop)
    case .none: return .dropped
    }
  }

  func send(whole bytes: UnsafeRawBufferPointer, offload: SendOffload, at now: Instant) -> SendOutcome {
    guard let destination = Self.destination(bytes) else { return .dropped }
    switch resolve(destination, at: now) {
    case .address(let hardware): return write(bytes, offload, to: hardware)
    case .hold(let hop): return hold(.whole(ByteSlice(copying: RawSpan(_unsafeBytes: bytes)), offload), for: hop)
    case .none: return .dropped
    }
  }

  var nextDeadline: Instant? { neighbors.nextDeadline }

  func advance(to now: Instant, _ deliver: Delivery) {
    for packet in neighbors.advance(to: now) { tellUnreachable(packet, deliver) }
    sendFrames()
  }

  /// A neighbour did not answer: as the kernel does, we tell ourselves what a router would.
  private func tellUnreachable(_ held: Held, _ deliver: Delivery) {
    lostPackets += 1
    let bytes =
      switch held {
      case .packet(let packet): ByteSlice(packet.copyBytes())
      case .whole(let bytes, _): bytes
      }
    guard let source = (try? IPHeader(parsing: bytes.bytes))?.source else { return }
    let message = Chunk(capacity: 1_280)
    let buffer = UnsafeMutableRawBufferPointer(start: message.base, count: message.capacity)
    guard let count = try? ICMPMessage.writeHostUnreachable(quoting: bytes.bytes, from: source, into: buffer) else {
      return
    }
    deliver(ByteSlice(message, offset: 0, count: count), .none)
  }

  func accept(packetsTo others: [IPAddress]) throws(SystemError) {
    let own = configuration.addresses.map(\.address)
    let others = others.filter { !own.contains($0) }
    // The kernel is kept away first, so that it answers none of what we take in.
    if ingressFilter != nil {
      ingressFilter = try IngressFilter(interface: configuration.name, addresses: own + others)
    }
    let filter = PacketFilter(for: own, others: others, hardwareAddress: hardwareAddress).instructions
    try check(
      clinux_packet_filter(file.number, filter, filter.count), "filter what arrives on \(configuration.name)")
  }

  // MARK: Receiving

  private func take(
    _ packet: ByteSlice, _ header: EthernetHeader, _ offload: ReceiveOffload, at now: Instant, _ deliver: Delivery
  ) {
    switch header.type {
    case .arp:
      release(neighbors.receive(arp: packet.bytes, at: now))
    case .ipv4:
      deliver(packet, offload)
    case .ipv6:
      if MulticastListenerReport.isQuery(packet.bytes) {
        neighbors.receiveGroupQuery(at: now)
        return
      }
      // Neighbour discovery stands right behind the fixed header; anything else is the engine's.
      guard packet.count > 40, packet.bytes.unsafeLoad(fromByteOffset: 6, as: UInt8.self) == IPProtocol.icmpv6,
        (133...136).contains(packet.bytes.unsafeLoad(fromByteOffset: 40, as: UInt8.self))
      else { return deliver(packet, offload) }
      guard let ip = try? IPHeader(parsing: packet.bytes),
        case .neighbor(let message) = try? ICMPMessage(parsing: packet.bytes, header: ip)
      else { return }
      release(neighbors.receive(message, from: ip.source, hardware: header.source, at: now))
    default:
      return
    }
    sendFrames()
  }

  /// Sends packets whose neighbour has answered.
  private func release(_ released: [NeighborProtocol<Held>.Released]) {
    for (packet, hardware) in released {
      switch packet {
      case .packet(let packet): _ = write(packet, to: hardware)
      case .whole(let bytes, let offload): _ = bytes.withUnsafeBytes { write($0, offload, to: hardware) }
      }
    }
  }

  // MARK: Sending

  private enum Way {
    case address(MACAddress)
    case hold(IPAddress)
    case none
  }

  private func resolve(_ destination: IPAddress, at now: Instant) -> Way {
    guard let (hop, resolution) = neighbors.resolve(destination, at: now) else { return .none }
    switch resolution {
    case .known(let hardware): return .address(hardware)
    case .pending:
      sendFrames()
      return .hold(hop)
    case .unreachable: return .none
    }
  }

  private func hold(_ packet: Held, for hop: IPAddress) -> SendOutcome {
    neighbors.hold(packet, for: hop) == nil ? .sent : .dropped
  }

  private func write(_ packet: borrowing OutgoingPacket, to destination: MACAddress) -> SendOutcome {
    let header = VirtioNetHeader.header(for: packet, linkHeaderByteCount: EthernetHeader.byteCount)
    let isVersion4 = packet.withHeader { $0.first.map { $0 >> 4 == 4 } ?? true }
    return withPrefix(header, to: destination, isVersion4: isVersion4) { prefix in
      outcome(packet.write(to: file.number, behind: prefix))
    }
  }

  private func write(
    _ bytes: UnsafeRawBufferPointer, _ offload: SendOffload, to destination: MACAddress
  ) -> SendOutcome {
    let header = VirtioNetHeader.header(for: bytes, offload, linkHeaderByteCount: EthernetHeader.byteCount)
    let isVersion4 = bytes.first.map { $0 >> 4 == 4 } ?? true
    return withPrefix(header, to: destination, isVersion4: isVersion4) { prefix in
      outcome(
        clinux_write_pieces(
          file.number, prefix.baseAddress, prefix.count, bytes.baseAddress, bytes.count, nil, 0, nil, 0))
    }
  }

  private func withPrefix<R>(
    _ header: clinux_vnet_header, to destination: MACAddress, isVersion4: Bool, _ body: (UnsafeRawBufferPointer) -> R
  ) -> R {
    withUnsafeTemporaryAllocation(byteCount: Self.prefixByteCount, alignment: 2) { prefix in
      prefix.storeBytes(of: header, as: clinux_vnet_header.self)
      // The room is there by construction.
      _ = try? EthernetHeader(destination: destination, source: hardwareAddress, type: isVersion4 ? .ipv4 : .ipv6)
        .write(into: UnsafeMutableRawBufferPointer(rebasing: prefix[VirtioNetHeader.byteCount...]))
      return body(UnsafeRawBufferPointer(prefix))
    }
  }

  private func outcome(_ result: Int) -> SendOutcome {
    if result >= 0 { return .sent }
    switch Int32(-result) {
    case EAGAIN: return .blocked
    case ENODEV, ENXIO: return .vanished
    // ENETDOWN: the interface is down; ENOBUFS: its queue is full. Either way the packet is lost.
    default: return .dropped
    }
  }

  /// Puts the neighbour protocol's own frames on the link. Lost ones are repeated by its timers.
  private func sendFrames() {
    for frame in neighbors.frames {
      _ = withUnsafeBytes(of: clinux_vnet_header()) { header in
        frame.withUnsafeBytes { frame in
          clinux_write_pieces(
            file.number, header.baseAddress, header.count, frame.baseAddress, frame.count, nil, 0, nil, 0)
        }
      }
    }
    neighbors.frames.removeAll(keepingCapacity: true)
  }

  private static func destination(_ packet: UnsafeRawBufferPointer) -> IPAddress? {
    switch packet.first.map({ $0 >> 4 }) {
    case 4 where packet.count >= 20:
      IPAddress(v4: UInt32(bigEndian: packet.loadUnaligned(fromByteOffset: 16, as: UInt32.self)))
    case 6 where packet.count >= 40:
      IPAddress(
        v6High: UInt64(bigEndian: packet.loadUnaligned(fromByteOffset: 24, as: UInt64.self)),
        low: UInt64(bigEndian: packet.loadUnaligned(fromByteOffset: 32, as: UInt64.self)))
    default: nil
    }
  }

  // MARK: Opening

  private static func refuseUnusable(
    _ link: LinkDescription, _ addresses: [IPPrefix], _ gateways: [IPAddress], _ routes: RouteSocket
  ) throws {
    let name = link.name
    guard link.hardwareType == 1 else {
      throw DeviceError(
        name, "is not an Ethernet-like interface, and packet sockets need one; use a TUN device (--tun) instead")
    }
    let kernelAddresses = try routes.addresses()
    for prefix in addresses {
      guard prefix.address.isUnicast else { throw DeviceError(name, "\(prefix.address) is not an address of one host") }
      if kernelAddresses.contains(where: { $0.address == prefix.address }) {
        throw DeviceError(
          name,
          "\(prefix.address) belongs to this host's kernel, which would answer our packets with resets; "
            + "choose a free address of the same network")
      }
    }
    // Beside an address without a network, the gateway is on the link because whoever made the path says so.
    let isOnLink = { (gateway: IPAddress) in
      gateway.isLinkLocal
        || addresses.contains {
          $0.contains(gateway) || $0.length == gateway.bitCount && $0.address.family == gateway.family
        }
    }
    for gateway in gateways where !isOnLink(gateway) {
      throw DeviceError(
        name, "the gateway \(gateway) is not on the link of \(addresses.map(\.description).joined(separator: ", "))")
    }
  }

  /// Whether the interface takes no second link-layer address: an access point knows only the one that associated.
  private static func isWireless(_ name: String) -> Bool {
    access("/sys/class/net/\(name)/phy80211", F_OK) == 0
  }

  private static func join(_ socket: Int32, _ link: LinkDescription, _ kind: Int32, _ address: MACAddress)
    throws(SystemError)
  {
    try check(
      address.octets.withUnsafeBufferPointer { clinux_packet_join(socket, link.index, kind, $0.baseAddress) },
      "receive for \(address) on \(link.name)")
  }
}

extension MACAddress {
  /// The address from six octets.
  init?(octets: [UInt8]) {
    guard octets.count == 6 else { return nil }
    self.init(octets.reduce(0) { $0 << 8 | UInt64($1) })
  }

  /// A unicast address that no manufacturer gave out, made from random bits.
  static func locallyAdministered(_ random: UInt64) -> MACAddress {
    MACAddress(random & ~0x0300_0000_0000 | 0x0200_0000_0000)
  }

  /// The six octets.
  var octets: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: rawValue >> UInt64(40 - 8 * $0)) } }
}
