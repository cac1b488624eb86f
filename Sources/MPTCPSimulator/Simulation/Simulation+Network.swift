import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire

/// One direction of a link.
struct SimulatedWire {
  var link: Link
  /// Of the packets that came out: how long they took, less how long they travelled.
  var deliveredPacketCount = 0
  var totalQueueDelay = Nanoseconds.zero
  var longestQueueDelay = Nanoseconds.zero

  init(_ link: Link) { self.link = link }
}

/// From where to where a SYN goes; nil for other packets.
struct SynEnds {
  let source: TransportAddress
  let destination: TransportAddress

  init?(_ packet: RawSpan) {
    // Nearly all are not: that is seen before anything is taken apart.
    guard packet.byteCount >= 40 else { return nil }
    let first = packet.unsafeLoad(fromByteOffset: 0, as: UInt8.self)
    let start = first >> 4 == 4 ? 4 * Int(first & 15) : 40
    guard start + 20 <= packet.byteCount,
      packet.unsafeLoad(fromByteOffset: start + 13, as: UInt8.self) & 0x17 == 2,
      let ip = try? IPHeader(parsing: packet), ip.protocolNumber == IPProtocol.tcp,
      let tcp = try? TCPHeader(parsing: ip.payload(in: packet))
    else { return nil }
    source = TransportAddress(ip.source, tcp.sourcePort)
    destination = TransportAddress(ip.destination, tcp.destinationPort)
  }
}

/// A way between two interfaces.
struct SimulatedPath {
  var isUp = true
  /// The boxes at its first end.
  var boxes: MiddleboxChain
  /// What came out at the far end, in each direction.
  var delivered = [Traffic(), Traffic()]
  /// What got lost because the path was down.
  var dropped = Traffic()
  /// What got lost at its end because a host that was off its processor had no more room.
  var overflowed = Traffic()

  init(_ boxes: MiddleboxChain) { self.boxes = boxes }
}

/// Packets, and their bytes with all headers.
public struct Traffic: Hashable, Sendable, Codable {
  /// The number of packets.
  public var packetCount = 0
  /// The number of bytes in these.
  public var byteCount = 0

  /// Nothing.
  public init() {}

  mutating func count(_ byteCount: Int) {
    packetCount += 1
    self.byteCount += byteCount
  }
}

// From the engine's packets to wires, from one wire to the next, and to the engine at the other end.
extension Simulation {
  /// Puts what an engine has to send onto the first wire of its way.
  func send(_ packet: OutgoingPacket, from host: Int) {
    let interfaceIndex = hosts[host].interfaceOfPath[Int(packet.path.rawValue)]
    guard hosts[host].interfaces[interfaceIndex].isUp,
      let route = hosts[host].interfaces[interfaceIndex].route(to: Self.destination(of: packet))
    else { return }
    if packet.segmentByteCount == 0, !packet.isChecksumPartial {
      enter(Self.wirePacket(packet), route: route, host, interfaceIndex)
      return
    }
    let byteCount = Self.copy(packet, into: scratch)
    let whole = UnsafeRawBufferPointer(rebasing: scratch[..<byteCount])
    do {
      try Segmentation.forEachSegment(of: RawSpan(_unsafeBytes: whole), segmentByteCount: packet.segmentByteCount) {
        enter(Array($0), route: route, host, interfaceIndex)
      }
    } catch {
      enter(Array(whole), route: route, host, interfaceIndex)
    }
  }

  /// A wire packet leaves a host.
  private func enter(_ bytes: [UInt8], route: Int, _ host: Int, _ interface: Int) {
    packetCount += 1
    if checksInvariants { checkOutgoing(bytes.span.bytes, hosts[host]) }
    recorder?.record(
      bytes.span.bytes, at: now, on: InterfaceID(host: host, interface: interface), direction: .outbound)
    let path = plan.routes[route].path
    let opener = talker(opening: bytes.span.bytes, on: hosts[host])
    if paths[path].boxes.isEmpty || plan.routes[route].isBack {
      if let opener { note(syn: bytes.span.bytes, of: opener) }
      forward(bytes, tag: UInt64(truncatingIfNeeded: route) << 8)
    } else {
      pass(bytes, tag: opener.map { UInt64($0 + 1) } ?? 0, throughBoxesOf: path, .forward)
    }
  }

  /// The boxes stand between a path's first end and its wires.
  /// The tag is the number of the talker, and one, whose SYN it is; 0 for other packets.
  private func pass(_ bytes: [UInt8], tag: UInt64 = 0, throughBoxesOf path: Int, _ direction: PathDirection) {
    paths[path].boxes.receive(MiddleboxPacket(bytes, direction, tag: tag), at: now)
    drainBoxes(of: path)
  }

  /// What boxes hand out now; they make packets of their own, too, in either direction.
  func drainBoxes(of path: Int) {
    let route = plan.paths[path].route
    while let packet = paths[path].boxes.next() {
      switch packet.direction {
      case .forward:
        if packet.tag > 0 { note(syn: packet.bytes.span.bytes, of: Int(packet.tag) - 1) }
        forward(packet.bytes, tag: UInt64(truncatingIfNeeded: route) << 8)
      case .backward: deliver(packet.bytes, route + 1)
      }
    }
    reschedule(boxes: path)
  }

  /// The tag is the route's number and, in its lowest octet, how many wires lie behind the packet.
  private func forward(_ bytes: [UInt8], tag: UInt64) {
    let route = Int(tag >> 8)
    let path = plan.routes[route].path
    guard paths[path].isUp else {
      paths[path].dropped.count(bytes.count)
      return
    }
    let hop = Int(tag & 255)
    guard hop < plan.routes[route].wires.count else {
      if paths[path].boxes.isEmpty || !plan.routes[route].isBack {
        deliver(bytes, route)
      } else {
        pass(bytes, throughBoxesOf: path, .backward)
      }
      return
    }
    let wire = plan.routes[route].wires[hop]
    wires[wire].link.send(bytes, tag: tag + 1, at: now)
    reschedule(wire: wire)
  }

  /// What comes out of a wire now.
  func arrive(_ wire: Int) {
    while let packet = wires[wire].link.receive(at: now) {
      let delay = packet.arrival - packet.sent - packet.travelTime
      wires[wire].deliveredPacketCount += 1
      wires[wire].totalQueueDelay = wires[wire].totalQueueDelay + delay
      wires[wire].longestQueueDelay = max(wires[wire].longestQueueDelay, delay)
      forward(packet.bytes, tag: packet.tag)
    }
    reschedule(wire: wire)
  }

  private func deliver(_ bytes: [UInt8], _ route: Int) {
    let (host, interface) = (plan.routes[route].host, plan.routes[route].interface)
    markBusy(host)
    // The network card of a host that is off its processor keeps them, as many as the ring of one has room for. When
    // the host is back it takes those first.
    let waits = hosts[host].pausedUntil > now || !hosts[host].inbox.isEmpty
    guard !waits || hosts[host].inbox.count < Self.inboxLimit else {
      return paths[plan.routes[route].path].overflowed.count(bytes.count)
    }
    paths[plan.routes[route].path].delivered[plan.routes[route].isBack ? 1 : 0].count(bytes.count)
    recorder?.record(
      bytes.span.bytes, at: now, on: InterfaceID(host: host, interface: interface), direction: .inbound)
    if waits { hosts[host].inbox.append((interface, bytes)) } else { take(bytes, hosts[host], interface) }
  }

  static let inboxLimit = 4096

  func take(_ bytes: [UInt8], _ host: SimulatedHost, _ interface: Int) {
    guard host.interfaces[interface].isUp, let path = host.interfaces[interface].path else { return }
    host.endpoint.receive(ByteSlice(bytes), on: path, at: now)
  }

  // MARK: Bytes

  private static func destination(of packet: OutgoingPacket) -> IPAddress {
    packet.withHeader { header in
      // The engine's headers are whole: at least 40 octets of IP and TCP.
      if header[0] >> 4 == 4 {
        return IPAddress(v4: UInt32(bigEndian: header.loadUnaligned(fromByteOffset: 16, as: UInt32.self)))
      }
      return IPAddress(
        v6High: UInt64(bigEndian: header.loadUnaligned(fromByteOffset: 24, as: UInt64.self)),
        low: UInt64(bigEndian: header.loadUnaligned(fromByteOffset: 32, as: UInt64.self)))
    }
  }

  private static func wirePacket(_ packet: OutgoingPacket) -> [UInt8] {
    let byteCount = packet.totalByteCount
    return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      count = copy(packet, into: UnsafeMutableRawBufferPointer(buffer))
    }
  }

  private static func copy(_ packet: OutgoingPacket, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    packet.withHeader { buffer.copyMemory(from: $0) }
    var offset = packet.headerByteCount
    for slice in [packet.payload, packet.secondPayload] {
      guard let slice else { continue }
      slice.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: buffer[offset...]).copyMemory(from: $0) }
      offset += slice.count
    }
    return offset
  }
}
