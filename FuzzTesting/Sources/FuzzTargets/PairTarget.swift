import MPTCPCore
import MPTCPPolicy
import MPTCPWire

/// Two endpoints with a network between them that the fuzzer rules: each octet of the input is the fate of a packet.
///
/// An input that ends with an F has TCP Fast Open: its client has a cookie, or a wrong one, and data for its SYN.
///
/// Lost, doubled, late, in another order, spoiled without a right checksum, cut into pieces, robbed of options:
/// whatever arrives is what was sent, in order and once. Behind the input's end, and after 20 s, the network is
/// perfect; a connection that was not robbed of anything must then come to its proper end.
public enum PairTarget {
  /// Runs one input.
  public static func run(_ bytes: UnsafeRawBufferPointer) {
    let run = PairRun(FuzzInput(bytes))
    run.execute()
  }
}

private final class PairRun {
  private struct Flight {
    var arrival: Instant
    var order: Int
    var side: Int
    var path: PathID
    var bytes: [UInt8]
  }

  private struct Application {
    var id: ConnectionID?
    var isOpen = false
    var toSend: Int
    var sent = 0
    var received = 0
    var writeSize: Int
    var readSize: Int
    var hasFinished = false
    var hasEnded = false
    var closed: CloseReason?
  }

  private static let delay = Nanoseconds.milliseconds(10)
  /// Shorter than any patience of the engine.
  private static let faultTime = Nanoseconds.seconds(20)
  private static let eventLimit = 60_000
  private static let patterns = [pattern(3), pattern(5)]

  private var input: FuzzInput
  private let endpoints: [Endpoint]
  private var flights: [Flight] = []
  private var order = 0
  private var now = Instant(nanoseconds: 1_000_000_000)
  private var applications: [Application]
  /// Something was done to packets that Multipath TCP may answer by ending a connection.
  private var mayBreak = false

  init(_ input: FuzzInput) {
    var input = input
    let isFast = input.takeFastOpen()
    let setting = input.octet()
    let start = now
    let isMultipath = setting & 1 == 0
    let family: IPAddress.Family = setting & 2 == 0 ? .v4 : .v6
    endpoints = (0..<2).map { side in
      let endpoint = Endpoint(
        configuration: EndpointConfiguration(), entropy: SeededEntropy(seed: UInt64(setting) * 2 + UInt64(side)),
        at: start)
      for path in 0..<2 {
        _ = endpoint.addPath(
          PathConfiguration(
            name: "path\(path)",
            addresses: [IPPrefix(Self.address(path, side, family), length: family == .v4 ? 24 : 64)]), at: start)
      }
      return endpoint
    }
    let sizes = input.octet()
    applications = (0..<2).map { side in
      let scale = side == 0 ? sizes & 15 : sizes >> 4
      // Crumbs, but no more than a few dozen: the fuzzer needs many runs rather than long ones.
      let toSend = (1 << min(Int(scale), 13)) * 2 - 1
      return Application(
        toSend: toSend, writeSize: max(1 + Int(input.pair()), toSend / 48),
        readSize: max(1 + Int(input.pair()), toSend / 48))
    }
    var options = ConnectionOptions()
    options.multipath = isMultipath ? .enabled : .disabled
    options.checksum = setting & 4 != 0
    options.noDelay = setting & 8 != 0
    options.congestionControl = [.newReno, .cubic, .lia, .cubic][Int(setting >> 4 & 3)]
    if setting & 64 != 0 { options.receiveBufferByteCount = 8192 }
    if setting & 128 != 0 { options.sendBufferByteCount = 6000 }
    var listen = ListenerOptions()
    listen.connection = options
    let opening = isFast ? input.octet() : 0
    self.input = input
    if isFast {
      options.fastOpen = true
      listen.fastOpenBacklog = 4
    }
    _ = try? endpoints[1].listen(
      on: TransportAddress(family == .v4 ? .anyV4 : .anyV6, 80), options: listen, at: start)
    let server = TransportAddress(Self.address(0, 1, family), 80)
    if isFast { fetchCookie(from: server, options, opening & 3) }
    let size = isFast ? min(1 << Int(opening >> 2 & 15), applications[0].toSend) : 0
    let first = ByteSlice((0..<size).map { Self.patterns[0][$0 % 4093] })
    guard let (id, taken) = try? endpoints[0].connect(to: server, sending: first, options: options, at: start) else {
      return
    }
    (applications[0].id, applications[0].sent) = (id, taken)
  }

  /// A connection before the run, over a perfect network, brings the client its cookie; which may then be cut, or be
  /// another.
  private func fetchCookie(from server: TransportAddress, _ options: ConnectionOptions, _ kind: UInt8) {
    var options = options
    options.multipath = .disabled
    guard kind != 3, let id = try? endpoints[0].connect(to: server, options: options, at: now) else { return }
    func exchange() {
      for _ in 0..<4 {
        for side in 0..<2 {
          while let packet = endpoints[side].nextPacket() {
            endpoints[1 - side].receive(ByteSlice(packet.copyBytes()), on: packet.path, at: now)
          }
        }
      }
    }
    exchange()
    endpoints[0].abort(id, at: now)
    exchange()
    for endpoint in endpoints {
      while let event = endpoint.nextEvent() {
        if case .closed = event.event { endpoint.close(event.connection, at: now) }
      }
    }
    let memory = endpoints[0].fastOpenMemory
    if memory.cookies.isEmpty { violated("no cookie") }
    guard kind > 0 else { return }
    endpoints[0].fastOpenMemory = FastOpenMemory(
      cookies: memory.cookies.map { record in
        var record = record
        record.cookie = kind == 1 ? record.cookie.prefix(6) : FastOpenCookie(1)
        return record
      }, failures: [])
  }

  private static func address(_ path: Int, _ side: Int, _ family: IPAddress.Family) -> IPAddress {
    switch family {
    case .v4: IPAddress(v4: 0x0a00_0000 | UInt32(path) << 8 | UInt32(side + 1))
    case .v6: IPAddress(v6High: 0xfd00_0000_0000_0000 | UInt64(path), low: UInt64(side + 1))
    }
  }

  /// Octets whose period, a prime, no segment divides.
  private static func pattern(_ seed: UInt64) -> [UInt8] {
    var entropy = SeededEntropy(seed: seed)
    return (0..<4093).map { _ in UInt8(truncatingIfNeeded: entropy.next()) }
  }

  func execute() {
    let end = now + .seconds(900)
    var events = 0
    drain()
    while !isDone, now < end {
      events += 1
      if events > Self.eventLimit { violated("no end in \(Self.eventLimit) events") }
      guard let next = nextMoment else { break }
      now = max(now, next)
      deliver()
      for endpoint in endpoints { endpoint.advance(to: now) }
      drain()
    }
    for side in 0..<2 {
      let application = applications[side]
      let isWhole = application.received == applications[1 - side].toSend
      if application.closed == .finished, application.hasEnded, !isWhole {
        violated("side \(side) got \(application.received) of \(applications[1 - side].toSend) and a proper end")
      }
      if !mayBreak, !(application.closed == .finished && isWhole) {
        violated("side \(side) ended with \(String(describing: application.closed)), \(application.received) octets")
      }
    }
    for side in 0..<2 { if let id = applications[side].id { endpoints[side].close(id, at: now) } }
    let rest = now + .seconds(1000)
    while let next = nextMoment, next <= rest {
      events += 1
      if events > 2 * Self.eventLimit { violated("no rest in \(Self.eventLimit) events") }
      now = max(now, next)
      deliver()
      for endpoint in endpoints { endpoint.advance(to: now) }
      drain()
    }
    for endpoint in endpoints where endpoint.connectionCount != 0 { violated("a connection is left") }
  }

  private var isDone: Bool { applications.allSatisfy { $0.closed != nil } }

  private var nextMoment: Instant? {
    var next: Instant?
    for endpoint in endpoints { if let deadline = endpoint.nextDeadline { next = min(next ?? deadline, deadline) } }
    for flight in flights { next = min(next ?? flight.arrival, flight.arrival) }
    return next
  }

  // MARK: The network

  private func deliver() {
    var due: [Flight] = []
    flights.removeAll { flight in
      guard flight.arrival <= now else { return false }
      due.append(flight)
      return true
    }
    due.sort { ($0.arrival, $0.order) < ($1.arrival, $1.order) }
    for flight in due { endpoints[flight.side].receive(ByteSlice(flight.bytes), on: flight.path, at: now) }
  }

  private func drain() {
    var isBusy = true
    while isBusy {
      isBusy = false
      for side in 0..<2 {
        while let packet = endpoints[side].nextPacket() {
          isBusy = true
          send(packet, from: side)
        }
        while let event = endpoints[side].nextEvent() {
          isBusy = true
          take(event, side)
        }
        act(side)
      }
    }
  }

  private func send(_ packet: OutgoingPacket, from side: Int) {
    let bytes = packet.copyBytes()
    try? Segmentation.forEachSegment(of: bytes.span.bytes, segmentByteCount: packet.segmentByteCount) {
      let isFaulty = now.nanoseconds < 1_000_000_000 + Self.faultTime.count
      meet(fate: isFaulty ? input.octet() : 0, Array($0), from: side, on: packet.path)
    }
  }

  private func meet(fate: UInt8, _ bytes: [UInt8], from side: Int, on path: PathID) {
    switch fate {
    case 0...127: launch(bytes, from: side, on: path)
    case 128...151: break
    case 152...167:
      launch(bytes, from: side, on: path)
      launch(bytes, from: side, on: path, late: Nanoseconds.microseconds(Int64(input.octet()) * 300))
    case 168...191: launch(bytes, from: side, on: path, late: .microseconds(Int64(input.octet()) * 300))
    case 192...207:
      // Spoiled on the way: the checksum shows it.
      var spoiled = bytes
      let place = Int(input.pair()) % max(bytes.count, 1)
      spoiled[place] ^= 1 << (input.octet() & 7)
      launch(spoiled, from: side, on: path)
    case 208...215: launch(bytes, from: side, on: PathID(1 - path.rawValue))
    case 216...223:
      mayBreak = true
      launch(stripped(bytes), from: side, on: path)
    case 224...227:
      endpoints[side].setPath(path, isUp: false, at: now)
      endpoints[side].setPath(path, isUp: true, at: now)
      launch(bytes, from: side, on: path)
    case 228...231:
      // A path that is gone for a while.
      launch(bytes, from: side, on: path, late: .seconds(Int64(input.octet() & 15)))
    default: launch(bytes, from: side, on: path)
    }
  }

  private func launch(_ bytes: [UInt8], from side: Int, on path: PathID, late: Nanoseconds = .zero) {
    order += 1
    flights.append(
      Flight(
        arrival: now + Self.delay * Int64(1 + path.rawValue) + late, order: order, side: 1 - side, path: path,
        bytes: bytes))
  }

  /// Without its Multipath TCP options, as some boxes forward a segment.
  private func stripped(_ packet: [UInt8]) -> [UInt8] {
    var bytes = packet
    let slice = ByteSlice(packet)
    guard let ip = try? IPHeader(parsing: slice.bytes), ip.protocolNumber == IPProtocol.tcp,
      let tcp = try? TCPHeader(parsing: slice.dropFirst(ip.headerByteCount).bytes)
    else { return packet }
    var offset = ip.headerByteCount + 20
    let end = ip.headerByteCount + tcp.headerByteCount
    while offset < end {
      let kind = bytes[offset]
      if kind == TCPOptionKind.endOfList { break }
      if kind == TCPOptionKind.noOperation {
        offset += 1
        continue
      }
      guard offset + 1 < end, bytes[offset + 1] >= 2, offset + Int(bytes[offset + 1]) <= end else { break }
      let length = Int(bytes[offset + 1])
      if kind == TCPOptionKind.multipath {
        for index in offset..<offset + length { bytes[index] = TCPOptionKind.noOperation }
      }
      offset += length
    }
    bytes.withUnsafeMutableBytes { try? Segmentation.fillChecksums(in: $0) }
    return bytes
  }

  // MARK: The applications

  private func take(_ event: EndpointEvent, _ side: Int) {
    switch event.event {
    case .established:
      // A SYN with data that comes again when its connection is over opens another.
      guard applications[side].id == nil || applications[side].id == event.connection else {
        endpoints[side].abort(event.connection, at: now)
        endpoints[side].close(event.connection, at: now)
        break
      }
      applications[side].id = event.connection
      applications[side].isOpen = true
    case .closed(let reason):
      if applications[side].id == event.connection { applications[side].closed = reason }
    default: break
    }
  }

  private func act(_ side: Int) {
    guard let id = applications[side].id, applications[side].isOpen else { return }
    while !applications[side].hasEnded,
      let slice = try? endpoints[side].read(from: id, upTo: applications[side].readSize, at: now)
    {
      if slice.isEmpty {
        applications[side].hasEnded = true
        break
      }
      check(slice, side)
    }
    while applications[side].sent < applications[side].toSend {
      let sent = applications[side].sent
      let count = min(applications[side].toSend - sent, applications[side].writeSize)
      let pattern = Self.patterns[side]
      let bytes = (0..<min(count, 4093)).map { pattern[(sent + $0) % 4093] }
      let taken = (try? endpoints[side].write(ByteSlice(bytes), to: id, at: now)) ?? 0
      applications[side].sent += taken
      if taken < bytes.count { break }
    }
    if applications[side].sent == applications[side].toSend, !applications[side].hasFinished {
      applications[side].hasFinished = true
      endpoints[side].finish(id, at: now)
    }
  }

  private func check(_ slice: ByteSlice, _ side: Int) {
    let pattern = Self.patterns[1 - side]
    let start = applications[side].received
    slice.withUnsafeBytes { bytes in
      for (index, octet) in bytes.enumerated() where octet != pattern[(start + index) % 4093] {
        violated("side \(side): wrong octet at \(start + index)")
      }
    }
    applications[side].received += slice.count
    if applications[side].received > applications[1 - side].toSend { violated("side \(side): more than was sent") }
  }
}
