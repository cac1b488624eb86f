import MPTCPCore
import MPTCPPolicy
import MPTCPWire

/// One endpoint against a packet stream of the fuzzer's making, and an application that does anything in any order.
///
/// The input is a program: each octet names an operation, those behind it are its operands. Half of the operations
/// answer properly, so that the other half finds handshakes completed, joins done and data under way. In one that ends
/// with an F, SYNs in both directions may ask for Fast Open cookies, bring them, and carry data.
public enum EndpointTarget {
  /// Runs one input.
  public static func run(_ bytes: UnsafeRawBufferPointer) {
    var run = EndpointRun(FuzzInput(bytes))
    run.execute()
  }
}

private struct EndpointRun {
  private static let flowLimit = 24
  private static let operationLimit = 4000
  /// More packets than these for one input, or more wake-ups in no time, are an endless loop.
  private static let packetLimit = 20_000
  private static let wakeLimit = 10_000

  private var input: FuzzInput
  private let endpoint: Endpoint
  private let family: IPAddress.Family
  private var now = Instant(nanoseconds: 1_000_000_000)
  private var flows: [FuzzFlow] = []
  private var peer = FuzzConnection(key: Key(0x1112_1314_1516_1718))
  private var connections: [ConnectionID] = []
  private let connection: ConnectionOptions
  private let isFast: Bool
  /// The engine's last Fast Open cookie.
  private var cookie = FastOpenCookie(1)

  init(_ input: FuzzInput) {
    var input = input
    isFast = input.takeFastOpen()
    let setting = input.octet()
    family = setting & 1 == 0 ? .v4 : .v6
    var configuration = EndpointConfiguration()
    configuration.maximumHalfOpenCount = setting & 2 == 0 ? 8 : 0
    configuration.maximumConnectionCount = 64
    configuration.maximumTimeWaitCount = 8
    endpoint = Endpoint(configuration: configuration, entropy: SeededEntropy(seed: UInt64(setting)), at: now)
    for path in 0..<2 {
      _ = endpoint.addPath(
        PathConfiguration(
          name: "path\(path)", addresses: [IPPrefix(Self.address(path, 0, family), length: family == .v4 ? 24 : 64)]),
        at: now)
    }
    var options = ConnectionOptions()
    options.checksum = setting & 4 != 0
    options.multipath = setting & 8 == 0 ? .enabled : .disabled
    options.explicitCongestionNotification = setting & 16 != 0
    options.receiveBufferByteCount = setting & 32 == 0 ? 65_536 : 8192
    options.sendBufferByteCount = 65_536
    options.noDelay = setting & 64 != 0
    options.keepAlive = setting & 128 != 0 ? .seconds(5) : nil
    options.fastOpen = isFast
    connection = options
    peer.usesChecksum = options.checksum
    var listen = ListenerOptions()
    listen.connection = options
    listen.backlog = 16
    listen.fastOpenBacklog = isFast ? 4 : 0
    _ = try? endpoint.listen(on: TransportAddress(family == .v4 ? .anyV4 : .anyV6, 80), options: listen, at: now)
    self.input = input
  }

  static func address(_ path: Int, _ side: Int, _ family: IPAddress.Family) -> IPAddress {
    switch family {
    case .v4: IPAddress(v4: 0x0a00_0000 | UInt32(path) << 8 | UInt32(side + 1))
    case .v6: IPAddress(v6High: 0xfd00_0000_0000_0000 | UInt64(path), low: UInt64(side + 1))
    }
  }

  mutating func execute() {
    var count = 0
    while !input.isAtEnd, count < Self.operationLimit {
      count += 1
      operation(input.octet())
      drain()
    }
    // Whatever it was: when the host gives up everything, nothing is left behind.
    for id in connections { endpoint.abort(id, at: now) }
    endpoint.abortAll(at: now)
    drain()
    for id in connections { endpoint.close(id, at: now) }
    pass(.seconds(1000))
    if endpoint.connectionCount != 0 { violated("\(endpoint.connectionCount) connections left") }
    if endpoint.nextDeadline != nil { violated("a timer is left") }
  }

  // MARK: Operations

  private mutating func operation(_ code: UInt8) {
    switch code % 32 {
    case 0, 1: openFlow()
    case 2, 3, 4: answer(flowIndex())
    case 5, 6: sendData(flowIndex(), isProper: true)
    case 7: sendData(flowIndex(), isProper: false)
    case 8: openJoin()
    case 9: sendAnything(flowIndex())
    case 10: sendSignal(flowIndex())
    case 11, 12: pass(Nanoseconds(1 << Int64(min(input.octet() % 40, 36))))
    case 13: connect()
    case 14, 15: application(write: true)
    case 16: application(write: false)
    case 17: end()
    case 18: subflow()
    case 19: path()
    case 20: sendMessage(flowIndex())
    case 21: inject(input.take(Int(input.octet())), on: PathID(Int32(input.index(below: 3))))
    case 22: sendFragment(flowIndex())
    case 23: sendAgain(flowIndex())
    case 24: sendFin(flowIndex())
    case 25: acknowledge(flowIndex())
    default: answer(flowIndex())
    }
  }

  private mutating func flowIndex() -> Int? { flows.isEmpty ? nil : input.index(below: flows.count) }

  private mutating func openFlow() {
    guard flows.count < Self.flowLimit else { return }
    let path = input.index(below: 2)
    var flow = newFlow(path: path, port: Port(4000 + UInt16(flows.count)))
    var options: [TCPOption] = [.maximumSegmentSize(1460), .windowScale(input.octet() % 16), .sackPermitted]
    if input.flag() { options.append(.timestamps(TCPTimestamps(value: 1, echo: 0))) }
    var flags: MPCapableFlags = .hmac
    if peer.usesChecksum { flags.insert(.checksumRequired) }
    options.append(.multipath(.capable(MPCapable(flags: flags))))
    var payload: [UInt8] = []
    if isFast {
      let kind = input.octet()
      if kind & 3 != 0 {
        options.append(.fastOpen([FastOpenCookie(), cookie, cookie.prefix(6), FastOpenCookie(7)][Int(kind >> 2 & 3)]))
      }
      if kind & 3 != 1 { payload = input.take(Int(input.octet())) }
      flow.hasSynData = !payload.isEmpty
    }
    inject(flow.packet(flow.header(.syn), options: encoded(options), payload: payload), on: flow.path)
    flow.sent = 1
    flows.append(flow)
    drain()
  }

  private mutating func openJoin() {
    guard flows.count < Self.flowLimit, let engineKey = peer.engineKey else { return }
    var flow = newFlow(path: input.index(below: 2), port: Port(5000 + UInt16(flows.count)))
    let nonce = input.number()
    flow.nonce = nonce
    let token = input.octet() & 15 == 0 ? Token(input.number()) : engineKey.token()
    let join = MPJoin.syn(
      backup: input.flag(), addressID: AddressID(input.octet()), token: token, nonce: nonce)
    let options = encoded([.maximumSegmentSize(1460), .sackPermitted, .multipath(.join(join))])
    inject(flow.packet(flow.header(.syn), options: options, payload: []), on: flow.path)
    flow.sent = 1
    flows.append(flow)
    drain()
  }

  private mutating func newFlow(path: Int, port: Port) -> FuzzFlow {
    FuzzFlow(
      path: PathID(Int32(path)), local: TransportAddress(Self.address(path, 1, family), port),
      remote: TransportAddress(Self.address(path, 0, family), 80), initialNumber: SequenceNumber(input.number()))
  }

  /// Whatever a proper peer would answer to what the engine said last.
  private mutating func answer(_ index: Int?) {
    guard let index else { return }
    var flow = flows[index]
    let multipath = flow.seen.multipath
    var options: [MultipathOption] = []
    var flags = TCPFlags.ack
    if flow.seenFlags.contains(.syn), flow.isPassive, flow.sent <= 1 {
      flags = [.syn, .ack]
      if let join = multipath.join, case .syn(_, _, _, let theirs) = join {
        let nonce = flow.nonce ?? input.number()
        flow.nonce = nonce
        options = [
          .join(
            .synAck(
              backup: false, addressID: AddressID(9), hmac: peer.joinHMAC(ours: nonce, theirs: theirs).left64,
              nonce: nonce))
        ]
      } else if multipath.capable != nil {
        options = [.capable(MPCapable(flags: .hmac, senderKey: peer.key))]
      }
      var plain: [TCPOption] = []
      if isFast {
        // All of the SYN's data is taken, none of it, or a part.
        let kind = input.octet()
        if kind & 3 == 1 { flow.expected = 1 }
        if kind & 3 == 2 { flow.expected = min(1 + Int(input.octet()), flow.expected) }
        if kind & 4 != 0 { plain = [.fastOpen(FastOpenCookie(UInt64(kind)))] }
      }
      inject(
        flow.packet(
          flow.header(flags, at: 0), options: encoded(plain + options.map { .multipath($0) }), payload: []),
        on: flow.path)
      flow.sent = 1
      keep(flow, at: index)
      return
    }
    if flow.seenFlags.contains(.syn) {
      if let engineKey = multipath.capable?.senderKey {
        peer.engineKey = engineKey
        var capable = MPCapableFlags.hmac
        if multipath.capable?.flags.contains(.checksumRequired) == true || peer.usesChecksum {
          capable.insert(.checksumRequired)
          peer.usesChecksum = true
        }
        options = [.capable(MPCapable(flags: capable, senderKey: peer.key, receiverKey: engineKey))]
      } else if let join = multipath.join, case .synAck(_, _, _, let theirs) = join, let nonce = flow.nonce {
        options = [.join(.ack(hmac: peer.joinHMAC(ours: nonce, theirs: theirs).left160))]
      }
    } else if peer.engineKey != nil {
      options = [.dss(DSS(dataAck: peer.dataAck()))]
    }
    inject(
      flow.packet(flow.header(flags), options: encoded(options.map { .multipath($0) }), payload: []), on: flow.path)
    keep(flow, at: index)
  }

  private mutating func sendData(_ index: Int?, isProper: Bool) {
    guard let index else { return }
    var flow = flows[index]
    let payload = input.take(1 + Int(input.octet()))
    guard !payload.isEmpty else { return }
    let dataOffset = isProper ? peer.dataSent : peer.dataSent + input.distance()
    let subflowOffset = (isProper ? flow.sent : flow.sent + input.distance()) - flow.synByteCount
    let extra = isProper ? 0 : Int(Int8(bitPattern: input.octet()))
    let mapping = peer.mapping(payload, dataOffset: dataOffset, subflowOffset: subflowOffset, extraLength: extra)
    let dss = DSS(dataFin: !isProper && input.flag(), dataAck: peer.dataAck(), mapping: mapping)
    let options: [TCPOption] = peer.engineKey == nil ? [] : [.multipath(.dss(dss))]
    inject(flow.packet(flow.header([.ack, .psh]), options: encoded(options), payload: payload), on: flow.path)
    flow.sent += payload.count
    if isProper { peer.dataSent += payload.count }
    keep(flow, at: index)
  }

  private mutating func sendAnything(_ index: Int?) {
    guard let index else { return }
    let flow = flows[index]
    var header = flow.header(
      TCPFlags(rawValue: UInt16(input.octet())), at: flow.sent + input.distance(),
      ack: flow.expected + input.distance(),
      window: input.pair())
    header.urgentPointer = input.pair()
    let options = input.take(Int(input.octet() % 41))
    let payload = input.take(Int(input.octet()))
    inject(flow.packet(header, options: options, payload: payload), on: flow.path)
  }

  private mutating func sendSignal(_ index: Int?) {
    guard let index, let engineKey = peer.engineKey else { return }
    let flow = flows[index]
    let address = Self.address(Int(input.octet() % 4), 1, family)
    let id = AddressID(input.octet())
    let option: MultipathOption
    var flags = TCPFlags.ack
    switch input.octet() % 9 {
    case 0, 1:
      let port: Port? = input.flag() ? Port(input.pair()) : nil
      let hmac = JoinAuthentication.addAddressHMAC(
        senderKey: peer.key, receiverKey: engineKey, addressID: id, address: address, port: port)
      option = .addAddress(
        AddAddress(version: .v1, isEcho: false, addressID: id, address: address, port: port, hmac: hmac))
    case 2: option = .addAddress(AddAddress(version: .v1, isEcho: true, addressID: id, address: address))
    case 3: option = .removeAddress(RemoveAddress(id, AddressID(input.octet())))
    case 4: option = .priority(MPPriority(backup: input.flag()))
    case 5: option = .fail(MPFail(dsn: (peer.engineInitialNumber + input.distance()).rawValue))
    case 6:
      option = .fastClose(MPFastClose(receiverKey: input.octet() & 3 == 0 ? Key(7) : engineKey))
      if input.flag() { flags = [.ack, .rst] }
    case 7:
      option = .reset(MPTCPReset(transient: input.flag(), reason: ResetReason(input.octet())))
      flags = [.ack, .rst]
    default:
      // An infinite mapping, or a lone DATA_FIN.
      let isFin = input.flag()
      let number = peer.initialNumber + (peer.dataSent + input.distance())
      let start = isFin ? 0 : UInt32(truncatingIfNeeded: flow.sent + input.distance())
      let length: UInt16 = isFin ? 1 : 0
      let checksum =
        peer.usesChecksum
        ? isFin ? DSSChecksum().value(dsn: number, subflowSequenceNumber: 0, length: 1) : 0 : nil
      option = .dss(
        DSS(
          dataFin: isFin, dataAck: peer.dataAck(),
          mapping: DSSMapping(
            dsn: .eight(number.rawValue), subflowSequenceNumber: start, length: length, checksum: checksum)))
    }
    inject(flow.packet(flow.header(flags), options: encoded([.multipath(option)]), payload: []), on: flow.path)
  }

  private mutating func acknowledge(_ index: Int?) {
    guard let index else { return }
    let flow = flows[index]
    var options: [TCPOption] = []
    var blocks = SACKBlocks()
    for _ in 0..<input.index(below: 3) {
      let left = flow.engineInitialNumber + (flow.expected + input.distance())
      _ = blocks.append(SACKBlock(left: left, right: left + input.distance()))
    }
    if blocks.count > 0 { options.append(.sack(blocks)) }
    if peer.engineKey != nil { options.append(.multipath(.dss(DSS(dataAck: peer.dataAck(input.distance()))))) }
    let header = flow.header(.ack, ack: flow.expected + input.distance(), window: input.pair())
    inject(flow.packet(header, options: encoded(options), payload: []), on: flow.path)
  }

  private mutating func sendFin(_ index: Int?) {
    guard let index else { return }
    var flow = flows[index]
    inject(flow.packet(flow.header([.ack, .fin]), options: [], payload: []), on: flow.path)
    flow.sent += 1
    keep(flow, at: index)
  }

  private mutating func sendAgain(_ index: Int?) {
    guard let index else { return }
    let flow = flows[index]
    let back = min(Int(input.octet()), flow.sent)
    let payload = input.take(Int(input.octet()))
    inject(flow.packet(flow.header(.ack, at: flow.sent - back), options: [], payload: payload), on: flow.path)
  }

  /// An ICMP message that quotes the engine's last packet.
  private mutating func sendMessage(_ index: Int?) {
    guard let index else { return }
    let flow = flows[index]
    let types: [UInt8] = family == .v4 ? [3, 11, 12, 8] : [1, 2, 3, 4, 128, 135]
    var body = [types[input.index(below: types.count)], input.octet() % 8, 0, 0, 0, 0]
    let mtu = input.pair()
    body += [UInt8(mtu >> 8), UInt8(mtu & 255)] + flow.lastPacket.prefix(Int(input.octet()))
    inject(datagram(flow, family == .v4 ? IPProtocol.icmp : IPProtocol.icmpv6, body), on: flow.path)
  }

  private mutating func sendFragment(_ index: Int?) {
    guard let index else { return }
    let flow = flows[index]
    let header = flow.header(.ack)
    var bytes = flow.packet(header, options: [], payload: input.take(Int(input.octet())))
    guard family == .v4 else { return }
    bytes[6] = input.octet() & 0x3f
    bytes[7] = input.octet()
    inject(withHeaderChecksum(bytes), on: flow.path)
  }

  private func datagram(_ flow: FuzzFlow, _ protocolNumber: UInt8, _ body: [UInt8]) -> [UInt8] {
    let ip = IPHeader(
      source: flow.local.address, destination: flow.remote.address, protocolNumber: protocolNumber,
      payloadByteCount: body.count)
    var bytes = [UInt8](repeating: 0, count: ip.headerByteCount)
    bytes.withUnsafeMutableBytes { _ = try? ip.write(into: $0) }
    var checksum = InternetChecksum()
    if family == .v6 {
      checksum.add(
        pseudoHeader: ip.source, destination: ip.destination, protocol: protocolNumber, length: body.count)
    }
    body.withUnsafeBytes { checksum.add($0) }
    var body = body
    let value = checksum.value
    body[2] = UInt8(value >> 8)
    body[3] = UInt8(value & 255)
    return bytes + body
  }

  private func withHeaderChecksum(_ packet: [UInt8]) -> [UInt8] {
    var bytes = packet
    bytes[10] = 0
    bytes[11] = 0
    var checksum = InternetChecksum()
    bytes.withUnsafeBytes { checksum.add(UnsafeRawBufferPointer(rebasing: $0.prefix(20))) }
    let value = checksum.value
    bytes[10] = UInt8(value >> 8)
    bytes[11] = UInt8(value & 255)
    return bytes
  }

  // MARK: The application

  private mutating func connect() {
    guard connections.count < 16 else { return }
    let remote = TransportAddress(Self.address(input.index(below: 2), 1, family), 90)
    let first = isFast ? input.take(Int(input.octet())) : []
    if let (id, _) = try? endpoint.connect(to: remote, sending: ByteSlice(first), options: connection, at: now) {
      connections.append(id)
    }
  }

  private mutating func application(write: Bool) {
    guard !connections.isEmpty else { return }
    let id = connections[input.index(below: connections.count)]
    let count = Int(input.pair())
    if write {
      _ = try? endpoint.write(ByteSlice([UInt8](repeating: 0x5a, count: count)), to: id, at: now)
    } else {
      _ = try? endpoint.read(from: id, upTo: count, at: now)
    }
  }

  private mutating func end() {
    guard !connections.isEmpty else { return }
    let id = connections[input.index(below: connections.count)]
    switch input.octet() % 6 {
    case 0: endpoint.close(id, at: now)
    case 1: endpoint.abort(id, at: now)
    default: endpoint.finish(id, at: now)
    }
  }

  private mutating func subflow() {
    guard !connections.isEmpty else { return }
    let id = connections[input.index(below: connections.count)]
    let subflows = endpoint.description(of: id)?.subflows ?? []
    switch input.octet() % 3 {
    case 0:
      _ = try? endpoint.openSubflow(id, on: PathID(Int32(input.index(below: 3))), isBackup: input.flag(), at: now)
    case 1:
      if let first = subflows.first { try? endpoint.closeSubflow(id, first.id, at: now) }
    default:
      if let last = subflows.last { try? endpoint.setBackup(id, last.id, input.flag(), at: now) }
    }
  }

  private mutating func path() {
    let path = PathID(Int32(input.index(below: 2)))
    if input.octet() == 0 {
      endpoint.removePath(path, at: now)
    } else {
      endpoint.setPath(path, isUp: input.flag(), at: now)
    }
  }

  // MARK: The host

  private mutating func inject(_ packet: [UInt8], on path: PathID) {
    endpoint.receive(ByteSlice(packet), on: path, at: now)
  }

  private mutating func keep(_ flow: FuzzFlow, at index: Int) {
    flows[index] = flow
    drain()
  }

  private mutating func drain() {
    var count = 0
    while let packet = endpoint.nextPacket() {
      count += 1
      if count > Self.packetLimit { violated("packets without end") }
      look(at: packet.copyBytes(), on: packet.path)
    }
    count = 0
    while let event = endpoint.nextEvent() {
      count += 1
      if count > Self.packetLimit { violated("events without end") }
      if case .established = event.event, !connections.contains(event.connection) {
        connections.append(event.connection)
      }
    }
  }

  /// Notes what the engine said on which flow; a SYN of its own begins a flow.
  private mutating func look(at bytes: [UInt8], on path: PathID) {
    let packet = ByteSlice(bytes)
    guard let ip = try? IPHeader(parsing: packet.bytes) else { violated("the engine sent no IP packet") }
    guard ip.protocolNumber == IPProtocol.tcp else { return }
    let segment = packet.dropFirst(ip.headerByteCount)
    guard let tcp = try? TCPHeader(parsing: segment.bytes) else { violated("the engine sent no TCP segment") }
    let options = TCPOptions(parsing: segment.dropFirst(20).prefix(tcp.headerByteCount - 20).bytes)
    if options.malformedCount > 0 { violated("the engine sent a malformed option") }
    let ours = TransportAddress(ip.destination, tcp.destinationPort)
    let theirs = TransportAddress(ip.source, tcp.sourcePort)
    var index = flows.firstIndex { $0.local == ours && $0.remote == theirs }
    if index == nil, tcp.flags.contains(.syn), !tcp.flags.contains(.ack), flows.count < Self.flowLimit {
      var flow = FuzzFlow(
        path: path, local: ours, remote: theirs, initialNumber: SequenceNumber(0x7fff_ff00))
      flow.isPassive = true
      flows.append(flow)
      index = flows.count - 1
    }
    guard let index else { return }
    if tcp.flags.contains(.syn) {
      flows[index].engineInitialNumber = tcp.sequenceNumber
      if tcp.flags.contains(.ack), flows[index].hasSynData, flows[index].sent == 1 {
        flows[index].sent = max(tcp.acknowledgmentNumber - flows[index].initialNumber, 1)
        flows[index].synByteCount = flows[index].sent - 1
      }
    }
    if let theirs = options.fastOpen, theirs.count > 0 { cookie = theirs }
    if let key = options.multipath.capable?.senderKey, peer.engineKey == nil { peer.engineKey = key }
    let offset = tcp.sequenceNumber - flows[index].engineInitialNumber
    let length =
      segment.count - tcp.headerByteCount + (tcp.flags.contains(.fin) ? 1 : 0) + (tcp.flags.contains(.syn) ? 1 : 0)
    if offset == flows[index].expected {
      flows[index].expected += length
      if !tcp.flags.contains(.syn), length > 0 { peer.dataExpected += length }
    }
    flows[index].seen = options
    flows[index].seenFlags = tcp.flags
    flows[index].lastPacket = bytes
  }

  private mutating func pass(_ span: Nanoseconds) {
    let end = now + span
    var wakes = 0
    while let next = endpoint.nextDeadline, next <= end {
      wakes = next <= now ? wakes + 1 : 0
      if wakes > Self.wakeLimit { violated("it wants to wake without end") }
      now = max(now, next)
      endpoint.advance(to: now)
      drain()
    }
    now = end
    endpoint.advance(to: now)
    drain()
  }
}
