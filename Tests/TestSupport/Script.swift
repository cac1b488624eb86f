import MPTCPCore
import MPTCPPolicy
import MPTCPWire

/// One endpoint against packets made by hand, in virtual time. The engine has 10.0.n.1 on path `n`, the script
/// 10.0.n.2 (or their IPv6 likes). What the engine sends collects in `outgoing` until the script takes it.
package final class Script {
  package let endpoint: Endpoint
  package var now = Instant(nanoseconds: 1_000_000_000)
  package var outgoing: [WirePacket] = []
  package var events: [EndpointEvent] = []
  package let family: IPAddress.Family

  package init(
    paths: Int = 2, family: IPAddress.Family = .v4, configuration: EndpointConfiguration = EndpointConfiguration(),
    seed: UInt64 = 1, entropy: (any EntropySource)? = nil, reach: (_ path: Int) -> [IPPrefix]? = { _ in nil }
  ) {
    self.family = family
    endpoint = Endpoint(configuration: configuration, entropy: entropy ?? SeededEntropy(seed: seed), at: now)
    for path in 0..<paths {
      _ = endpoint.addPath(
        PathConfiguration(
          name: "path\(path)",
          addresses: [IPPrefix(Pair.address(path, 0, family), length: family == .v4 ? 24 : 64)], reach: reach(path)),
        at: now)
    }
  }

  /// Collects what the engine has to say.
  package func drain() {
    while let packet = endpoint.nextPacket() {
      guard var parsed = WirePacket(packet.copyBytes()) else { continue }
      parsed.path = Int(packet.path.rawValue)
      outgoing.append(parsed)
    }
    while let event = endpoint.nextEvent() { events.append(event) }
  }

  package func inject(_ packet: WirePacket, on path: Int) {
    endpoint.receive(ByteSlice(packet.bytes), on: PathID(Int32(path)), at: now)
    drain()
  }

  /// Lets time pass, firing what is due on the way.
  package func pass(_ span: Nanoseconds) {
    let end = now + span
    drain()
    while let next = endpoint.nextDeadline, next <= end {
      now = max(now, next)
      endpoint.advance(to: now)
      drain()
    }
    now = end
    endpoint.advance(to: now)
    drain()
  }

  /// Takes the first packet that fits out of what was sent; the ones before it are dropped.
  package func take(where fits: (WirePacket) -> Bool = { _ in true }) -> WirePacket? {
    drain()
    guard let index = outgoing.firstIndex(where: fits) else { return nil }
    let packet = outgoing[index]
    outgoing.removeFirst(index + 1)
    return packet
  }

  /// Everything that was sent since the last call.
  package func takeAll() -> [WirePacket] {
    drain()
    defer { outgoing.removeAll() }
    return outgoing
  }

  package var connectionEvents: [ConnectionEvent] { events.map(\.event) }

  package var fallback: FallbackReason? {
    for case .fellBack(let reason) in connectionEvents { return reason }
    return nil
  }

  package var closeReason: CloseReason? {
    for case .closed(let reason) in connectionEvents { return reason }
    return nil
  }
}

/// The script's end of one subflow. Offsets count from its own and the engine's SYN (0); the first octet is 1.
package final class ScriptedSubflow {
  package let script: Script
  package let path: Int
  package let local: TransportAddress
  package let remote: TransportAddress
  package var initialNumber = SequenceNumber(0xffff_fff0)
  package var engineInitialNumber = SequenceNumber(0)
  /// The offset of what is sent next, and of what is expected.
  package var sent = 0
  package var expected = 0
  package var window: UInt16 = 60_000
  /// Timestamps are on every packet where the SYNs agreed on them.
  package var usesTimestamps = false
  private var clock: UInt32 = 5000

  package init(_ script: Script, path: Int, local: TransportAddress, remote: TransportAddress) {
    self.script = script
    self.path = path
    self.local = local
    self.remote = remote
  }

  /// Sends a segment. Without `at` it is the next in order and moves the sequence on.
  package func send(
    _ flags: TCPFlags = .ack, at offset: Int? = nil, ack: Int? = nil, _ multipath: [MultipathOption] = [],
    payload: [UInt8] = [], plain: [TCPOption] = [], raw: [UInt8]? = nil
  ) {
    var packet = WirePacket(
      source: local.address, destination: remote.address,
      tcp: TCPHeader(
        sourcePort: local.port, destinationPort: remote.port, sequenceNumber: initialNumber + (offset ?? sent),
        acknowledgmentNumber: flags.contains(.ack) ? engineInitialNumber + (ack ?? expected) : SequenceNumber(0),
        flags: flags, window: window))
    packet.options = plain + multipath.map { .multipath($0) }
    if usesTimestamps {
      clock += 1
      packet.options.insert(.timestamps(TCPTimestamps(value: clock, echo: 0)), at: 0)
    }
    packet.rawOptions = raw
    packet.payload = payload
    if offset == nil {
      sent += payload.count + (flags.contains(.fin) ? 1 : 0) + (flags.contains(.syn) ? 1 : 0)
    }
    script.inject(packet, on: path)
  }

  /// Takes the next packet of this subflow that fits, and notes how far the engine has sent.
  package func take(where fits: (WirePacket) -> Bool = { _ in true }) -> WirePacket? {
    let packet = script.take { packet in
      packet.tcp.destinationPort == self.local.port && packet.destination == self.local.address
        && packet.tcp.sourcePort == self.remote.port && packet.source == self.remote.address && fits(packet)
    }
    if let packet { note(packet) }
    return packet
  }

  package func note(_ packet: WirePacket) {
    if packet.tcp.flags.contains(.syn) { engineInitialNumber = packet.tcp.sequenceNumber }
    let length = packet.payload.count + (packet.isFin ? 1 : 0) + (packet.tcp.flags.contains(.syn) ? 1 : 0)
    let offset = packet.tcp.sequenceNumber - engineInitialNumber
    if offset == expected { expected += length }
  }

  /// Where the engine's packet begins, and up to where it acknowledges ours, as offsets.
  package func offset(of packet: WirePacket) -> Int { packet.tcp.sequenceNumber - engineInitialNumber }
  package func acknowledged(by packet: WirePacket) -> Int { packet.tcp.acknowledgmentNumber - initialNumber }
}

/// The script's end of a connection: keys and the numbers that follow from them.
package final class ScriptedConnection {
  package let script: Script
  package let key: Key
  package private(set) var engineKey = Key(0)
  package let initial: ScriptedSubflow
  package private(set) var id: ConnectionID
  package var usesChecksum = false
  package let version: MPTCPVersion

  private init(_ script: Script, _ initial: ScriptedSubflow, id: ConnectionID, key: Key, version: MPTCPVersion) {
    self.script = script
    self.version = version
    self.key = key
    self.initial = initial
    self.id = id
  }

  private static let synOptions: [TCPOption] = [.maximumSegmentSize(1460)]

  /// The engine listens on a port, 80 unless another is given, and the script connects. nil when the engine's SYN/ACK
  /// has no MP_CAPABLE.
  package static func accepted(
    by script: Script, options: ConnectionOptions = ConnectionOptions(), flags: MPCapableFlags = .hmac,
    timestamps: Bool = false, sack: Bool = false, key: Key = Key(0x1112_1314_1516_1718), sendsKeys: Bool = true,
    roundTrip: Nanoseconds = .zero, version: MPTCPVersion = .v1, port: Port = 4000, to service: Port = 80
  ) throws -> ScriptedConnection? {
    var listen = ListenerOptions()
    listen.connection = options
    _ = try? script.endpoint.listen(
      on: TransportAddress(script.family == .v4 ? .anyV4 : .anyV6, service), options: listen, at: script.now)
    let subflow = ScriptedSubflow(
      script, path: 0, local: TransportAddress(Pair.address(0, 1, script.family), port),
      remote: TransportAddress(Pair.address(0, 0, script.family), service))
    subflow.usesTimestamps = timestamps
    subflow.send(
      .syn, [.capable(MPCapable(version: version.rawValue, flags: flags, senderKey: version == .v0 ? key : nil))],
      plain: synOptions + (sack ? [.sackPermitted] : []))
    guard let answer = subflow.take(where: \.isSynAck), let engineKey = answer.capable?.senderKey else { return nil }
    let connection = ScriptedConnection(script, subflow, id: ConnectionID(0), key: key, version: version)
    connection.engineKey = engineKey
    connection.usesChecksum =
      flags.contains(.checksumRequired) || answer.capable?.flags.contains(.checksumRequired) == true
    script.pass(roundTrip)
    if sendsKeys { subflow.send(.ack, [connection.thirdAcknowledgment()]) }
    if let event = script.events.last { connection.id = event.connection }
    return connection
  }

  /// The engine connects to the script's port 80.
  package static func opened(
    by script: Script, options: ConnectionOptions = ConnectionOptions(), flags: MPCapableFlags = .hmac,
    version: UInt8 = 1, timestamps: Bool = false
  ) throws -> ScriptedConnection {
    let id = try script.endpoint.connect(
      to: TransportAddress(Pair.address(0, 1, script.family), 80), options: options, at: script.now)
    let syn = script.take(where: \.isSyn)
    let subflow = ScriptedSubflow(
      script, path: 0, local: TransportAddress(Pair.address(0, 1, script.family), 80),
      remote: TransportAddress(Pair.address(0, 0, script.family), syn?.tcp.sourcePort ?? 0))
    let connection = ScriptedConnection(
      script, subflow, id: id, key: Key(0x1112_1314_1516_1718), version: MPTCPVersion(rawValue: version) ?? .v1)
    if let syn { subflow.note(syn) }
    connection.usesChecksum =
      flags.contains(.checksumRequired) || syn?.capable?.flags.contains(.checksumRequired) == true
    subflow.usesTimestamps = timestamps
    subflow.send(
      [.syn, .ack], [.capable(MPCapable(version: version, flags: flags, senderKey: connection.key))],
      plain: synOptions)
    if let third = subflow.take(where: { $0.capable?.senderKey != nil }), let key = third.capable?.senderKey {
      connection.engineKey = key
    }
    return connection
  }

  /// The third ACK as the script sends it.
  package func thirdAcknowledgment(data payload: [UInt8]? = nil) -> MultipathOption {
    var flags: MPCapableFlags = .hmac
    if usesChecksum { flags.insert(.checksumRequired) }
    var checksum: UInt16?
    if usesChecksum, let payload { checksum = self.checksum(at: 1, subflowOffset: 1, payload, fin: false) }
    return .capable(
      MPCapable(
        version: version.rawValue, flags: flags, senderKey: key, receiverKey: engineKey,
        dataLength: payload.map { UInt16($0.count) },
        checksum: checksum))
  }

  // MARK: Data; offsets count from the initial data sequence numbers, the first octet is 1.

  package func number(_ offset: Int) -> DataSequenceNumber { key.initialDataSequenceNumber(version) + offset }
  package func engineNumber(_ offset: Int) -> DataSequenceNumber {
    engineKey.initialDataSequenceNumber(version) + offset
  }

  /// The offset that the engine's DATA_ACK names; nil without one.
  package func acknowledged(by packet: WirePacket) -> Int? {
    switch packet.dss?.dataAck {
    case .eight(let number): DataSequenceNumber(number) - self.number(0)
    case .four(let low): DataSequenceNumber(low32: low, near: number(1)) - number(0)
    case nil: nil
    }
  }

  /// The offset at which the engine's mapping begins; nil without one.
  package func mapped(by packet: WirePacket) -> Int? {
    guard case .eight(let number)? = packet.dss?.mapping?.dsn else { return nil }
    return DataSequenceNumber(number) - engineNumber(0)
  }

  private func checksum(at dataOffset: Int, subflowOffset: Int, _ payload: [UInt8], fin: Bool) -> UInt16 {
    var sum = DSSChecksum()
    sum.add(payload.span.bytes)
    return sum.value(
      dsn: number(dataOffset), subflowSequenceNumber: UInt32(subflowOffset),
      length: UInt16(payload.count + (fin ? 1 : 0)))
  }

  /// A mapping of `payload`, with a DATA_ACK of `ack` where it is given.
  package func mapping(
    at dataOffset: Int, subflowOffset: Int, _ payload: [UInt8], fin: Bool = false, ack: Int? = nil, four: Bool = false,
    isWrong: Bool = false
  ) -> MultipathOption {
    var sum: UInt16?
    if usesChecksum {
      sum = checksum(at: dataOffset, subflowOffset: subflowOffset, payload, fin: fin)
      if isWrong { sum = sum.map { $0 ^ 0x5555 } }
    }
    let number = number(dataOffset)
    return .dss(
      DSS(
        dataFin: fin,
        dataAck: ack.map { four ? .four(engineNumber($0).low32) : .eight(engineNumber($0).rawValue) },
        mapping: DSSMapping(
          dsn: four ? .four(number.low32) : .eight(number.rawValue), subflowSequenceNumber: UInt32(subflowOffset),
          length: UInt16(payload.count + (fin ? 1 : 0)), checksum: sum)))
  }

  /// A DATA_FIN without data.
  package func dataFin(at dataOffset: Int, ack: Int? = nil) -> MultipathOption {
    mapping(at: dataOffset, subflowOffset: 0, [], fin: true, ack: ack)
  }

  /// A DATA_ACK alone.
  package func dataAck(_ offset: Int, four: Bool = false) -> MultipathOption {
    .dss(
      DSS(
        dataFin: false, dataAck: four ? .four(engineNumber(offset).low32) : .eight(engineNumber(offset).rawValue),
        mapping: nil))
  }

  /// Sends `payload` on `subflow`, mapped at `dataOffset`.
  package func send(_ payload: [UInt8], at dataOffset: Int, on subflow: ScriptedSubflow? = nil, ack: Int? = nil) {
    let subflow = subflow ?? initial
    subflow.send(
      [.ack, .psh], [mapping(at: dataOffset, subflowOffset: subflow.sent, payload, ack: ack)], payload: payload)
  }

  // MARK: Joins

  /// The script joins from `path`; nil where the engine does not answer with a good MP_JOIN.
  package func join(
    path: Int = 1, port: Port = 4001, to remote: TransportAddress? = nil, addressID: AddressID = AddressID(2),
    nonce: UInt32 = 0x0102_0304, backup: Bool = false, window: UInt16 = 60_000
  ) -> ScriptedSubflow? {
    let subflow = ScriptedSubflow(
      script, path: path, local: TransportAddress(Pair.address(path, 1, script.family), port),
      remote: remote ?? TransportAddress(Pair.address(path, 0, script.family), initial.remote.port))
    subflow.window = window
    subflow.usesTimestamps = initial.usesTimestamps
    subflow.send(
      .syn, [.join(.syn(backup: backup, addressID: addressID, token: engineKey.token(version), nonce: nonce))],
      plain: Self.synOptions)
    guard let answer = subflow.take(where: \.isSynAck), case .synAck(_, _, let hmac, let theirs)? = answer.join,
      JoinAuthentication.joinHMAC(
        version: version, senderKey: engineKey, receiverKey: key, senderNonce: theirs, receiverNonce: nonce
      ).left64 == hmac
    else { return nil }
    subflow.send(.ack, [joinProof(nonce: nonce, theirs: theirs)])
    return subflow
  }

  /// The HMAC of a third ACK.
  package func joinProof(nonce: UInt32, theirs: UInt32) -> MultipathOption {
    .join(
      .ack(
        hmac: JoinAuthentication.joinHMAC(
          version: version, senderKey: key, receiverKey: engineKey, senderNonce: nonce, receiverNonce: theirs
        ).left160))
  }

  /// Answers a join of the engine whose SYN is `syn`.
  package func answerJoin(_ syn: WirePacket, nonce: UInt32 = 0x0506_0708, isWrong: Bool = false) -> ScriptedSubflow? {
    guard case .syn(_, _, _, let theirs)? = syn.join else { return nil }
    let subflow = ScriptedSubflow(
      script, path: syn.path, local: TransportAddress(syn.destination, syn.tcp.destinationPort),
      remote: TransportAddress(syn.source, syn.tcp.sourcePort))
    subflow.note(syn)
    subflow.usesTimestamps = initial.usesTimestamps
    let hmac = JoinAuthentication.joinHMAC(
      version: version, senderKey: key, receiverKey: engineKey, senderNonce: nonce, receiverNonce: theirs
    ).left64
    subflow.send(
      [.syn, .ack],
      [.join(.synAck(backup: false, addressID: AddressID(2), hmac: isWrong ? ~hmac : hmac, nonce: nonce))],
      plain: Self.synOptions)
    return subflow
  }

  /// An ADD_ADDR of the script.
  package func announcement(_ address: IPAddress, id: AddressID, port: Port? = nil, isWrong: Bool = false)
    -> MultipathOption
  {
    let hmac = JoinAuthentication.addAddressHMAC(
      version: version, senderKey: key, receiverKey: engineKey, addressID: id, address: address, port: port)
    return .addAddress(
      AddAddress(version: version, addressID: id, address: address, port: port, hmac: isWrong ? ~hmac : hmac))
  }
}
