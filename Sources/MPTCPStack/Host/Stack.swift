import CLinux
import Glibc
import MPTCPCore
import MPTCPPolicy
import MPTCPWire

/// Who hears of a connection's events. Called on the loop's thread, between its jobs.
package protocol ConnectionObserver: AnyObject, Sendable {
  /// Something happened to the connection.
  func handle(_ event: ConnectionEvent)
}

/// Who hears of a listener's connections. Called on the loop's thread, between its jobs.
package protocol ListenerObserver: AnyObject, Sendable {
  /// A connection was accepted. Whoever observes it hears of the next event on.
  func accept(_ connection: ConnectionID, isMultipath: Bool)
  /// The stack ends: no connection comes any more.
  func listenerEnded()
}

/// The engine on Linux: devices, clock, entropy and a thread around one ``Endpoint``.
///
/// Everything but the initialiser, ``prepare(_:isBackup:)`` and ``isolated(_:)`` belongs to the loop's thread: actors
/// that have ``loop`` as their executor call it directly, others by way of ``isolated(_:)``. What calls leave to be
/// sent goes out at the end of the loop's turn.
package final class Stack: LoopDriver, @unchecked Sendable {
  /// Packets taken from one device before the others, the timers and the application have their turn.
  private static let receiveLimit = 32

  /// The thread of the stack, and the executor of its connections.
  package let loop: EventLoop
  /// The protocol engine.
  package let endpoint: Endpoint
  /// Who wants to hear of paths whose devices are gone.
  package let losses = PathLosses()

  /// A handful: looked through more quickly than hashed.
  private var attachments: [Attachment] = []
  private var vanished: [(path: PathID, reason: SystemError?)] = []
  private var connections: [ConnectionID: WeakObserver] = [:]
  private var listeners: [ListenerID: WeakListenerObserver] = [:]
  private let tap: PacketTap?
  private let gate: LoopGate

  private struct WeakObserver {
    weak var observer: (any ConnectionObserver)?
  }

  private struct WeakListenerObserver {
    weak var observer: (any ListenerObserver)?
  }

  /// An endpoint with `paths`, on a loop that starts at once.
  ///
  /// - Parameter capture: the file that gets all packets as pcapng; nil: none.
  package init(
    configuration: EndpointConfiguration = EndpointConfiguration(), paths: [PreparedPath] = [], capture: String? = nil
  ) throws(SystemError) {
    loop = try EventLoop()
    gate = LoopGate(loop)
    let now = Self.now
    endpoint = Endpoint(configuration: configuration, entropy: SystemEntropy(), at: now)
    if let capture { tap = try PacketTap(path: capture, at: now) } else { tap = nil }
    for path in paths { _ = try attach(path) }
    try loop.start(self, named: "multipath")
  }

  /// The loop's clock.
  package static var now: Instant { Instant(nanoseconds: clinux_now()) }

  /// The loop's clock.
  package var now: Instant { Self.now }

  /// Runs `body` on the loop's thread.
  package func isolated<R: Sendable>(_ body: @Sendable (Stack) throws -> R) async rethrows -> R {
    try await gate.run { try body(self) }
  }

  /// Runs `body` on the loop's thread some time, without waiting for it.
  package func later(_ body: @escaping @Sendable (Stack) -> Void) {
    Task { await gate.run { body(self) } }
  }

  /// Ends the loop; what is under way is lost. Call it once nobody needs the stack any more.
  package func stop() { loop.stop() }

  // MARK: Paths

  /// Adds a path.
  package func attach(_ path: PreparedPath) throws(SystemError) -> PathID {
    let now = Self.now
    var configuration = path.device.configuration
    configuration.isBackup = path.isBackup
    let id = endpoint.addPath(configuration, at: now)
    if !path.isRunning { endpoint.setPath(id, isUp: false, at: now) }
    let attachment = Attachment(path.device, path: id, monitor: path.monitor)
    attachments.append(attachment)
    tap?.add(id, name: configuration.name)
    do throws(SystemError) {
      try loop.watch(path.device.descriptor, events: UInt32(CLINUX_READABLE), tag: Self.tag(id, isMonitor: false))
      if let monitor = path.monitor {
        try loop.watch(monitor.descriptor, events: UInt32(CLINUX_READABLE), tag: Self.tag(id, isMonitor: true))
      }
      try shareAddresses()
    } catch {
      detach(id)
      throw error
    }
    return id
  }

  /// Takes a path away; a device that was made for it goes with it.
  package func detach(_ id: PathID) {
    guard let index = attachments.firstIndex(where: { $0.path == id }) else { return }
    let attachment = attachments.remove(at: index)
    loop.unwatch(attachment.device.descriptor)
    if let monitor = attachment.monitor { loop.unwatch(monitor.descriptor) }
    endpoint.removePath(id, at: Self.now)
    // A device that keeps its old filter lets in what the endpoint then drops.
    try? shareAddresses()
  }

  /// Any path takes packets for any of our addresses: a peer may join our first address by way of another path.
  private func shareAddresses() throws(SystemError) {
    let devices = attachments.map(\.device)
    let addresses = devices.flatMap { $0.configuration.addresses.map(\.address) }
    for device in devices { try device.accept(packetsTo: addresses) }
  }

  /// Ends the capture. Gives the reason if it is not whole.
  package func endCapture() -> SystemError? {
    tap?.finish(at: Self.now)
    return tap?.failure
  }

  /// Whether packets wait for a modelled link.
  package var hasQueuedPackets: Bool { attachments.contains { $0.device.hasQueuedPackets } }

  /// Ends all connections and listeners: resets leave, and whoever waits hears of it.
  package func abortAll() {
    let now = Self.now
    endpoint.abortAll(at: now)
    turn(at: now)
    for (id, listener) in listeners {
      endpoint.stopListening(id, at: now)
      listener.observer?.listenerEnded()
    }
    listeners.removeAll()
  }

  /// Takes all paths away.
  package func detachAll() {
    for attachment in attachments { detach(attachment.path) }
  }

  /// Cuts the modelled links of a shaped path, or brings them back; false for a path that has none.
  package func setLinks(of id: PathID, isUp: Bool) -> Bool {
    guard let shaped = attachment(id)?.device as? ShapedDevice else { return false }
    shaped.setLinks(isUp: isUp, at: Self.now)
    return true
  }

  /// Packets that the device of a path did not take.
  package func droppedPackets(on id: PathID) -> Int {
    attachment(id).map { $0.droppedPackets + $0.device.lostPackets } ?? 0
  }

  private func attachment(_ id: PathID) -> Attachment? {
    attachments.first { $0.path == id }
  }

  private static func tag(_ id: PathID, isMonitor: Bool) -> UInt64 {
    UInt64(UInt32(bitPattern: id.rawValue)) << 1 | (isMonitor ? 1 : 0)
  }

  // MARK: Observers

  /// Tells `observer` of a connection's events from now on; it is not kept alive.
  package func observe(_ id: ConnectionID, by observer: any ConnectionObserver) {
    connections[id] = WeakObserver(observer: observer)
  }

  /// Tells nobody of a connection's events any more.
  package func stopObserving(_ id: ConnectionID) { connections[id] = nil }

  /// Listens, and tells `observer` of connections; it is not kept alive. Connections for one that is gone are aborted.
  package func listen(
    on address: TransportAddress, options: ListenerOptions, observer: any ListenerObserver
  ) throws(EndpointError) -> ListenerID {
    let id = try endpoint.listen(on: address, options: options, at: Self.now)
    listeners[id] = WeakListenerObserver(observer: observer)
    return id
  }

  /// Stops listening.
  package func stopListening(_ id: ListenerID) {
    listeners[id] = nil
    endpoint.stopListening(id, at: Self.now)
  }

  // MARK: The loop

  func descriptorIsReady(tag: UInt64, events: UInt32, at now: Instant) {
    let id = PathID(Int32(truncatingIfNeeded: tag >> 1))
    guard let attachment = attachment(id) else { return }
    if tag & 1 != 0 {
      take(attachment.monitor?.poll(), of: attachment, at: now)
      return
    }
    if events & UInt32(CLINUX_WRITABLE) != 0 {
      switch attachment.sendWaiting(at: now) {
      case .vanished: vanished.append((id, nil))
      case .blocked: break
      case .sent, .dropped: watch(attachment, forWriting: false)
      }
    }
    guard events & UInt32(CLINUX_READABLE | CLINUX_ERROR | CLINUX_HANGUP) != 0 else { return }
    do throws(SystemError) {
      _ = try attachment.device.receive(at: now, limit: Self.receiveLimit) { packet, offload in
        receive(packet, offload, on: id, at: now)
      }
    } catch {
      vanished.append((id, error))
    }
  }

  func tell(at now: Instant) {
    for attachment in attachments where attachment.device.isDue(at: now) {
      attachment.device.advance(to: now) { packet, offload in receive(packet, offload, on: attachment.path, at: now) }
    }
    if let deadline = endpoint.nextDeadline, deadline <= now { endpoint.advance(to: now) }
    while let event = endpoint.nextEvent() { pass(event) }
  }

  /// Requirement 9293-3.10.7-07
  func turn(at now: Instant) {
    while let packet = endpoint.nextPacket() { send(packet, at: now) }
    while let event = endpoint.nextEvent() { pass(event) }
    if !vanished.isEmpty { removeVanished() }
    tap?.flush()
  }

  var nextDeadline: Instant? {
    var deadline = endpoint.nextDeadline ?? .distantFuture
    for attachment in attachments {
      if let next = attachment.device.nextDeadline, next < deadline { deadline = next }
    }
    return deadline == .distantFuture ? nil : deadline
  }

  func loopWillEnd() {
    tap?.finish(at: Self.now)
    losses.end()
  }

  private func receive(_ packet: ByteSlice, _ offload: ReceiveOffload, on path: PathID, at now: Instant) {
    tap?.received(packet, offload, on: path, at: now)
    endpoint.receive(packet, on: path, offload: offload, at: now)
  }

  private func send(_ packet: OutgoingPacket, at now: Instant) {
    guard let attachment = attachment(packet.path) else { return }
    tap?.sent(packet, at: now)
    let wasBlocked = attachment.isBlocked
    switch attachment.send(packet, at: now) {
    case .sent, .dropped: break
    case .blocked: if !wasBlocked { watch(attachment, forWriting: true) }
    case .vanished: vanished.append((packet.path, nil))
    }
  }

  private func watch(_ attachment: Attachment, forWriting: Bool) {
    loop.rewatch(
      attachment.device.descriptor, events: UInt32(CLINUX_READABLE) | (forWriting ? UInt32(CLINUX_WRITABLE) : 0),
      tag: Self.tag(attachment.path, isMonitor: false))
  }

  private func take(_ news: LinkMonitor.News?, of attachment: Attachment, at now: Instant) {
    switch news {
    case .up: endpoint.setPath(attachment.path, isUp: true, at: now)
    case .down: endpoint.setPath(attachment.path, isUp: false, at: now)
    case .gone: vanished.append((attachment.path, nil))
    case nil: break
    }
  }

  /// Takes away the paths whose devices are gone, and sends what their going leads to.
  private func removeVanished() {
    for (id, reason) in vanished {
      guard let attachment = attachment(id) else { continue }
      detach(id)
      let name = attachment.device.configuration.name
      losses.add(LostPath(id: id, name: name, reason: reason ?? SystemError("use \(name)", number: ENODEV)))
    }
    vanished.removeAll()
    let now = Self.now
    while let packet = endpoint.nextPacket() { send(packet, at: now) }
    while let event = endpoint.nextEvent() { pass(event) }
  }

  private func pass(_ event: EndpointEvent) {
    if case .established(let isMultipath) = event.event, let listener = event.listener {
      if let observer = listeners[listener]?.observer {
        observer.accept(event.connection, isMultipath: isMultipath)
      } else {
        // It was accepted while the listener was being taken away.
        endpoint.abort(event.connection, at: event.at)
      }
      return
    }
    connections[event.connection]?.observer?.handle(event.event)
  }
}

/// The way for others onto the loop's thread.
private actor LoopGate {
  private let loop: EventLoop

  init(_ loop: EventLoop) { self.loop = loop }

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  func run<R>(_ body: () throws -> R) rethrows -> R { try body() }
}

/// The kernel's random numbers, fetched many at a time.
private struct SystemEntropy: EntropySource {
  private var fetched: [UInt64] = []

  mutating func next() -> UInt64 {
    if let number = fetched.popLast() { return number }
    var generator = SystemRandomNumberGenerator()
    // getentropy gives 256 bytes at most.
    fetched = [UInt64](repeating: 0, count: 32)
    let result = fetched.withUnsafeMutableBytes { getentropy($0.baseAddress, $0.count) }
    if result != 0 { fetched = [generator.next()] }
    return fetched.popLast() ?? generator.next()
  }
}
