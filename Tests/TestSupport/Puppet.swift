import MPTCPCore
import MPTCPPolicy
import MPTCPWire

/// One endpoint whose peer is moved by hand: every segment of the peer is the test's own, every answer is looked at.
///
/// The endpoint has 10.0.0.2 (or fd00::2) and listens on port 80; the peer is 10.0.0.1 port 5000.
package final class Puppet {
  package let endpoint: Endpoint
  package var now = Instant(nanoseconds: 1_000_000_000)
  package var ours: TransportAddress
  package var theirs: TransportAddress
  package var events: [ConnectionEvent] = []
  package var id: ConnectionID?
  /// The next number that the peer uses, and the next that it expects.
  package var sequence = SequenceNumber(1_000_000)
  package var expected = SequenceNumber(0)
  package var window: UInt16 = 65_535
  package var usesTimestamps = false
  package var usesSACK = true
  package var windowScale: UInt8? = 0
  package var maximumSegmentSize: UInt16 = 1460
  package var clock: UInt32 = 1000
  package var echo: UInt32 = 0
  private var all: [SeenSegment] = []

  package init(
    family: IPAddress.Family = .v4, configuration: EndpointConfiguration = EndpointConfiguration(),
    options: ConnectionOptions? = nil, backlog: Int = 1024, mtu: Int = 1500, offload: Bool = false
  ) throws {
    ours = TransportAddress(Pair.address(0, 1, family), 80)
    theirs = TransportAddress(Pair.address(0, 0, family), 5000)
    endpoint = Endpoint(configuration: configuration, entropy: SeededEntropy(seed: 9), at: now)
    _ = endpoint.addPath(
      PathConfiguration(
        name: "puppet", addresses: [IPPrefix(ours.address, length: family == .v4 ? 24 : 64)],
        maximumTransmissionUnit: mtu, offersChecksumOffload: false, offersSegmentationOffload: offload), at: now)
    var listen = ListenerOptions()
    listen.connection = options ?? Self.plain
    listen.backlog = backlog
    _ = try endpoint.listen(on: ours, options: listen, at: now)
  }

  /// Options of plain TCP that sends what it has at once.
  package static var plain: ConnectionOptions {
    var options = ConnectionOptions()
    options.multipath = .disabled
    options.noDelay = true
    return options
  }

  // MARK: Sending as the peer

  /// Delivers a segment of the peer. `offset` and `acknowledging` are distances from the next numbers.
  package func send(
    _ flags: TCPFlags = [.ack], offset: Int = 0, acknowledging: Int = 0, window: UInt16? = nil,
    options: [TCPOption] = [], payload: [UInt8] = [], trafficClass: UInt8 = 0, urgentPointer: UInt16 = 0,
    timestamp: UInt32? = nil, from: TransportAddress? = nil
  ) {
    var all: [TCPOption] = []
    if usesTimestamps { all.append(.timestamps(TCPTimestamps(value: timestamp ?? clock, echo: echo))) }
    all += options
    deliver(
      madeSegment(
        from: from ?? theirs, to: ours, sequence: sequence + offset,
        acknowledgment: flags.contains(.ack) ? expected + acknowledging : SequenceNumber(0), flags: flags,
        window: window ?? self.window, options: all, payload: payload, trafficClass: trafficClass,
        urgentPointer: urgentPointer))
  }

  /// Sends the next bytes of the peer's stream.
  package func sendNext(_ payload: [UInt8], _ flags: TCPFlags = [.ack, .psh]) {
    send(flags, payload: payload)
    sequence = sequence + payload.count + (flags.contains(.fin) ? 1 : 0)
  }

  package func deliver(_ bytes: [UInt8]) {
    endpoint.receive(ByteSlice(bytes), on: PathID(0), at: now)
    drain()
  }

  package var synOptions: [TCPOption] {
    var options: [TCPOption] = [.maximumSegmentSize(maximumSegmentSize)]
    if usesSACK { options.append(.sackPermitted) }
    if let windowScale { options.append(.windowScale(windowScale)) }
    return options
  }

  /// The peer opens a connection to port 80 and the endpoint accepts it. It takes the peer `roundTrip` to acknowledge.
  package func open(roundTrip: Nanoseconds = .zero) -> Bool {
    send([.syn], options: synOptions)
    if roundTrip > .zero { wait(roundTrip) }
    guard let answer = take().last, answer.flags.contains([.syn, .ack]) else { return false }
    sequence = sequence + 1
    expected = answer.tcp.sequenceNumber + 1
    echo = answer.options.timestamps?.value ?? 0
    send()
    return events.contains { if case .established = $0 { true } else { false } }
  }

  /// The endpoint connects to the peer's port 5000, and the peer answers.
  package func accept(options: ConnectionOptions? = nil) throws -> Bool {
    id = try endpoint.connect(to: theirs, options: options ?? Self.plain, at: now)
    drain()
    guard let syn = take().last, syn.flags.contains(.syn) else { return false }
    ours.port = syn.tcp.sourcePort
    expected = syn.tcp.sequenceNumber + 1
    echo = syn.options.timestamps?.value ?? 0
    send([.syn, .ack], options: synOptions)
    sequence = sequence + 1
    return events.contains { if case .established = $0 { true } else { false } }
  }

  // MARK: Looking

  /// What the endpoint has sent since the last look.
  package func take() -> [SeenSegment] {
    defer { all.removeAll() }
    return all
  }

  /// The payload bytes sent since the last look, and what the peer expects moved behind them.
  package func takeData() -> [SeenSegment] {
    let segments = take().filter { !$0.payload.isEmpty || $0.flags.contains(.fin) }
    for segment in segments {
      let end = segment.tcp.sequenceNumber + segment.payload.count + (segment.flags.contains(.fin) ? 1 : 0)
      if end - expected > 0 { expected = end }
      echo = segment.options.timestamps?.value ?? echo
    }
    return segments
  }

  package func drain() {
    while let packet = endpoint.nextPacket() {
      if let segment = SeenSegment(packet.copyBytes()) {
        all.append(segment)
      } else {
        others.append(packet.copyBytes())
      }
    }
    while let event = endpoint.nextEvent() {
      events.append(event.event)
      if case .established = event.event { id = event.connection }
    }
  }

  /// What was sent that is no TCP.
  package var others: [[UInt8]] = []

  /// Lets time pass; everything due happens at its time.
  package func wait(_ span: Nanoseconds) {
    let end = now + span
    while let next = endpoint.nextDeadline, next <= end {
      now = max(now, next)
      endpoint.advance(to: now)
      drain()
    }
    now = end
    endpoint.advance(to: now)
    drain()
    clock &+= UInt32(truncatingIfNeeded: span.count / 1_000_000)
  }

  package func write(_ count: Int) {
    guard let id else { return }
    _ = try? endpoint.write(ByteSlice([UInt8](repeating: 0x61, count: count)), to: id, at: now)
    drain()
  }

  /// All that is readable now.
  package func read() -> [UInt8] {
    guard let id else { return [] }
    var bytes: [UInt8] = []
    while let slice = try? endpoint.read(from: id, upTo: .max, at: now), !slice.isEmpty { bytes += slice.array }
    drain()
    return bytes
  }

  package var closed: CloseReason? {
    for event in events { if case .closed(let reason) = event { return reason } }
    return nil
  }

  package var state: SubflowState? {
    id.flatMap { endpoint.description(of: $0)?.subflows.first?.state }
  }
}
