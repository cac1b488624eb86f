import DequeModule
import MPTCPPolicy
import MPTCPWire

/// A host's Multipath TCP and TCP, as a state machine that does no I/O: bytes and time go in, bytes and events come
/// out.
///
/// A host calls it in this order, from one thread:
/// 1. **Set up**: `init`, ``addPath(_:at:)``, ``listen(on:options:at:)``, ``connect(to:options:at:)``.
/// 2. **Input**: ``receive(_:on:offload:at:)`` for each packet, ``advance(to:)`` when ``nextDeadline`` has come, the
///    application's calls (``write(_:to:at:)``, ``read(from:upTo:at:)``, ``finish(_:at:)``, …).
/// 3. **Output**, after any input: ``nextPacket()`` until it gives nil, ``nextEvent()`` until it gives nil. Several
///    inputs may come before one output pass: their acknowledgements are then merged.
/// 4. **Wait** until ``nextDeadline``, or more input.
///
/// Every connection that the application was told of ends with ``close(_:at:)`` or ``abort(_:at:)``, also after
/// `.closed`: only then does the endpoint forget it. The same inputs with the same entropy give the same outputs, byte
/// for byte. Nothing that a network sends makes it trap.
public final class Endpoint {
  /// The limits.
  public let configuration: EndpointConfiguration
  /// What was learnt of destinations and paths that do not take Multipath TCP as it is offered. A host may look at it,
  /// keep it, set it again (what is beyond ``EndpointConfiguration/peerMemory`` is left out), or forget it:
  /// `endpoint.peerMemory = PeerMemory()`.
  public var peerMemory = PeerMemory() {
    didSet {
      if peerMemory.destinations.count > configuration.peerMemory.destinationCount
        || peerMemory.paths.count > configuration.peerMemory.pathCount
      {
        peerMemory.age(at: now, limits: configuration.peerMemory)
      }
    }
  }
  /// Cookies for TCP Fast Open, and where that failed (RFC 7413 §4.1.3). A host may look at it, keep it, set it again
  /// (what is beyond ``EndpointConfiguration/fastOpenMemory`` is left out when it is next used), or forget it.
  public var fastOpenMemory = FastOpenMemory()
  /// Counters since the start.
  public internal(set) var statistics = EndpointStatistics()

  var entropy: any EntropySource
  /// The latest time that the host told.
  var now: Instant
  private(set) var paths: [Path] = [] {
    didSet { localAddresses = paths.flatMap { $0.configuration.addresses.map(\.address) } }
  }
  /// The addresses of all paths.
  private var localAddresses: [IPAddress] = []
  private var nextPathNumber: Int32 = 0
  private var nextAddressNumber = 0
  var listeners: [Listener] = []
  private var nextListenerNumber = 1

  // Demultiplexing
  // Requirement 8684-3.9.1-04
  var tuples: SeededTable<FourTuple>
  var tokens: SeededTable<Token>
  var subflowSlots: [Subflow?] = []
  private var freeSubflowSlots: [Int32] = []
  var connectionSlots: [Connection?] = []
  private var connectionGenerations: [UInt32] = []
  private var freeConnectionSlots: [Int32] = []
  var timeWaits = TimeWaitTable()
  var halfOpenCount = 0
  /// Connections that exist, closing ones included: a host that wants to leave in peace waits until there are none.
  public internal(set) var connectionCount = 0

  // Timers and output
  private(set) var subflowTimers = TimerQueue()
  private(set) var connectionTimers = TimerQueue()
  var dirty = Deque<Connection>()
  var events = Deque<EndpointEvent>()
  var outbox = Deque<OutgoingPacket>()
  /// What those who watch whether its rules hold keep of it; nil while nobody does.
  var inspection: Inspection?
  /// Connections and subflows that left the tables during this call; they go when it is over.
  private var departed: [AnyObject] = []

  // Secrets and budgets
  let sequenceNumbers: InitialSequenceNumbers
  let timestampOffsets: TimestampOffsets
  var ephemeralPorts: EphemeralPorts
  let cookies: SYNCookies
  /// The cookies that listeners give out for Fast Open; nil before the first such listener.
  var fastOpenCookies: FastOpenCookies?
  /// When the last cookie left; nil before the first.
  var cookieSentAt: Instant?
  var reassembler = IPReassembler()
  var packetIdentification: UInt16
  var challengeBudget = RateBudget()
  var resetBudget = RateBudget()
  var timeWaitBudget = RateBudget()
  var echoBudget = RateBudget()

  /// An endpoint without paths.
  ///
  /// - Parameters:
  ///   - configuration: the limits.
  ///   - entropy: where secrets come from; a seeded source makes runs repeatable.
  ///   - now: the host's time.
  public init(
    configuration: EndpointConfiguration = EndpointConfiguration(), entropy: any EntropySource, at now: Instant
  ) {
    self.configuration = configuration
    var entropy = entropy
    self.now = now
    tuples = SeededTable(seed: entropy.next())
    tokens = SeededTable(seed: entropy.next())
    sequenceNumbers = InitialSequenceNumbers(secret: (entropy.next(), entropy.next()))
    cookies = SYNCookies(secret: (entropy.next(), entropy.next()))
    timestampOffsets = TimestampOffsets(secret: (entropy.next(), entropy.next()))
    ephemeralPorts = EphemeralPorts(secret: (entropy.next(), entropy.next()))
    packetIdentification = UInt16(truncatingIfNeeded: entropy.next())
    self.entropy = entropy
  }

  func random() -> UInt64 { entropy.next() }

  // MARK: Paths

  /// Adds a path; connections may use it at once.
  public func addPath(_ configuration: PathConfiguration, at now: Instant) -> PathID {
    note(now)
    let count = max(configuration.addresses.count, 1)
    let number = freeAddressNumbers(count)
    let path = Path(id: PathID(nextPathNumber), configuration: configuration, firstAddressNumber: number)
    nextPathNumber &+= 1
    nextAddressNumber = number + count
    paths.append(path)
    forEachConnection { $0.pathChanged(path.id, isUp: true, now: now) }
    return path.id
  }

  /// The next `count` numbers in a row that no path's addresses have; as they come where there are none (address IDs
  /// tell 255 addresses apart).
  /// Requirement 8684-3.2-05, 8684-3.4.1-04, 8684-3.4.1-24
  private func freeAddressNumbers(_ count: Int) -> Int {
    var taken = Set<Int>()
    for path in paths {
      for index in 0..<max(path.configuration.addresses.count, 1) {
        taken.insert((path.firstAddressNumber + index) % AddressID.further)
      }
    }
    let candidates = nextAddressNumber..<(nextAddressNumber + AddressID.further)
    return candidates.first { start in
      (start..<(start + count)).allSatisfy { !taken.contains($0 % AddressID.further) }
    } ?? nextAddressNumber
  }

  /// Takes a path away, with the subflows on it.
  public func removePath(_ id: PathID, at now: Instant) {
    note(now)
    paths.removeAll { $0.id == id }
    peerMemory.forget(id)
    forEachConnection { $0.pathRemoved(id, now: now) }
    finishCall()
  }

  /// Tells that a path's link came up or went down. Subflows survive; their data goes elsewhere meanwhile.
  public func setPath(_ id: PathID, isUp: Bool, at now: Instant) {
    note(now)
    guard let index = pathIndex(id), paths[index].isUp != isUp else { return }
    paths[index].isUp = isUp
    forEachConnection { $0.pathChanged(id, isUp: isUp, now: now) }
    finishCall()
  }

  /// The paths and their configurations, in the order in which they were added.
  public var pathConfigurations: [(id: PathID, configuration: PathConfiguration, isUp: Bool)] {
    paths.map { ($0.id, $0.configuration, $0.isUp) }
  }

  /// Where ``paths`` has a path. What is wanted of it is read in place: each packet asks, and a `Path` that is handed
  /// out is a copy, with its name and lists counted once more.
  func pathIndex(_ id: PathID) -> Int? {
    for index in paths.indices where paths[index].id == id { return index }
    return nil
  }

  func offersSegmentation(_ id: PathID) -> Bool {
    guard let index = pathIndex(id) else { return false }
    return paths[index].configuration.offersSegmentationOffload
  }

  func isLocal(_ address: IPAddress) -> Bool {
    for index in localAddresses.indices where localAddresses[index] == address { return true }
    return false
  }

  func notePathMTU(_ byteCount: Int, to destination: IPAddress, on id: PathID) {
    guard let index = pathIndex(id) else { return }
    paths[index].note(mtu: byteCount, to: destination, at: now)
  }

  private func forEachConnection(_ body: (Connection) -> Void) {
    for connection in connectionSlots { if let connection { body(connection) } }
  }

  // MARK: Time

  func note(_ now: Instant) { if now > self.now { self.now = now } }

  /// The next time at which ``advance(to:)`` has something to do; nil when only input can change anything.
  public var nextDeadline: Instant? {
    let next = min(
      min(subflowTimers.next ?? .distantFuture, connectionTimers.next ?? .distantFuture),
      min(timeWaits.nextDeadline, reassembler.nextDeadline ?? .distantFuture))
    return next == .distantFuture ? nil : next
  }

  /// Does what is due at `now`.
  public func advance(to now: Instant) {
    note(now)
    while let slot = subflowTimers.popDue(now) {
      guard let subflow = subflowSlots[Int(slot)] else { continue }
      touch(subflow.connection)
      if subflow.nextDeadline <= now { subflow.fire(now: now) }
      if subflow.state != .closed { reschedule(subflow) }
    }
    while let slot = connectionTimers.popDue(now) {
      guard let connection = connectionSlots[Int(slot)] else { continue }
      touch(connection)
      if connection.nextDeadline <= now { connection.fire(now: now) }
      if connectionSlots[Int(slot)] === connection { reschedule(connection) }
    }
    while let entry = timeWaits.popExpired(at: now, limit: configuration.maximumTimeWaitCount) {
      _ = tuples.remove(entry.tuple)
    }
    reassembler.expire(at: now)
    finishCall()
  }

  /// Timers move later lazily: the queue is told only of earlier ones, and a wake-up that comes too soon asks again.
  func reschedule(_ subflow: Subflow) {
    let next = subflow.nextDeadline
    guard next != .distantFuture else { return }
    if let known = subflowTimers.deadline(of: subflow.slot), known <= next { return }
    subflowTimers.schedule(subflow.slot, at: next)
  }

  func reschedule(_ connection: Connection) {
    let next = connection.nextDeadline
    guard next != .distantFuture else { return }
    if let known = connectionTimers.deadline(of: connection.slot), known <= next { return }
    connectionTimers.schedule(connection.slot, at: next)
  }

  // MARK: Output

  /// The next packet to send; nil when there is nothing to send now.
  /// Requirement 9293-3.10.7-07
  public func nextPacket() -> OutgoingPacket? {
    while true {
      if let packet = outbox.popFirst() { return packet }
      guard let connection = dirty.popFirst() else {
        finishCall()
        return nil
      }
      touch(connection)
      connection.output(now: now)
      for subflow in connection.subflows { reschedule(subflow) }
      if connectionSlots[Int(connection.slot)] === connection { reschedule(connection) }
    }
  }

  /// The next event; nil when there is none.
  public func nextEvent() -> EndpointEvent? { events.popFirst() }

  func finishCall() { if !departed.isEmpty { departed.removeAll(keepingCapacity: true) } }

  // MARK: Connections and subflows

  func makeConnection(
    listener: ListenerID?, isInitiator: Bool, options: ConnectionOptions, version: MPTCPVersion = .v1, tuple: FourTuple,
    path: PathID, key: Key? = nil
  ) -> Connection? {
    guard connectionCount < configuration.maximumConnectionCount else { return nil }
    let slot: Int32
    if let reused = freeConnectionSlots.popLast() {
      slot = reused
    } else {
      slot = Int32(truncatingIfNeeded: connectionSlots.count)
      connectionSlots.append(nil)
      connectionGenerations.append(0)
    }
    connectionGenerations[Int(slot)] &+= 1
    let id = ConnectionID(UInt64(connectionGenerations[Int(slot)]) << 32 | UInt64(UInt32(bitPattern: slot)))
    let connection = Connection(
      endpoint: self, id: id, slot: slot, listener: listener, isInitiator: isInitiator, options: options,
      version: version, key: key ?? (options.multipath == .disabled ? Key(0) : uniqueKey(version)), tuple: tuple,
      path: path)
    if connection.multipath == .offered {
      // Tokens are unique on the host (RFC 8684 §3.1).
      _ = tokens.insert(connection.localToken, slot)
    }
    connectionSlots[Int(slot)] = connection
    connectionCount += 1
    return connection
  }

  /// A key whose token no other connection has.
  /// Requirement 8684-3.1-15, 8684-3.1-17
  private func uniqueKey(_ version: MPTCPVersion) -> Key {
    while true {
      let key = Key(random())
      if tokens[key.token(version)] == nil { return key }
    }
  }

  /// Has `connection`, which has not been answered yet, go on with another version. Its key stays, where its token
  /// under that version is free: answers that are under way name it.
  func change(_ connection: Connection, to version: MPTCPVersion, withNewKey: Bool = false) {
    retireToken(of: connection)
    let isFree = !withNewKey && tokens[connection.localKey.token(version)] == nil
    connection.take(version, isFree ? connection.localKey : uniqueKey(version))
    _ = tokens.insert(connection.localToken, connection.slot)
  }

  func makeSubflow(
    of connection: Connection, tuple: FourTuple, path: PathID, isInitiator: Bool, isInitial: Bool, state: SubflowState,
    initialSequenceNumber: SequenceNumber? = nil, now: Instant
  ) -> Subflow? {
    guard tuples[tuple] == nil else { return nil }
    let slot: Int32
    if let reused = freeSubflowSlots.popLast() {
      slot = reused
    } else {
      slot = Int32(truncatingIfNeeded: subflowSlots.count)
      subflowSlots.append(nil)
    }
    let (linkMTU, pathMTU) =
      pathIndex(path).map {
        (paths[$0].configuration.maximumTransmissionUnit, paths[$0].pathMTU(to: tuple.remote.address, at: now))
      } ?? (1280, 1280)
    let subflow = Subflow(
      endpoint: self, connection: connection, id: SubflowID(connection.nextSubflowNumber), slot: slot, tuple: tuple,
      path: path, pathMTU: pathMTU, linkMTU: linkMTU, isInitiator: isInitiator, isInitial: isInitial, state: state,
      initialSequenceNumber: initialSequenceNumber ?? sequenceNumbers.number(for: tuple, at: now),
      timestampOffset: timestampOffsets.offset(for: tuple))
    connection.nextSubflowNumber &+= 1
    if pathMTU < linkMTU {
      subflow.mtuProbe = MTUProbe(byteCount: linkMTU, notBefore: now + MTUProbe.interval)
    }
    // Requirement 8684-3.3.7-01
    subflow.windowSlot = connection.congestion.addWindow(
      maximumSegmentByteCount: subflow.announcedMaximumSegmentByteCount, at: now)
    subflow.receiveWindowShift = Self.windowShift(for: connection.options.receiveBufferByteCount)
    connection.subflows.append(subflow)
    subflowSlots[Int(slot)] = subflow
    _ = tuples.insert(tuple, slot << 1)
    touch(connection)
    inspection?.note(.subflow, from: SubflowState.closed.number, to: state.number, isRight: true)
    return subflow
  }

  /// The shift that lets 16 bits express the largest window (RFC 7323 §2.2).
  /// Requirement 7323-2-05
  private static func windowShift(for byteCount: Int) -> UInt8 {
    var shift: UInt8 = 0
    while shift < 14, byteCount >> Int(shift) > 65_535 { shift += 1 }
    return shift
  }

  func release(_ subflow: Subflow) {
    subflowTimers.cancel(subflow.slot)
    if tuples[subflow.tuple] == subflow.slot << 1 { _ = tuples.remove(subflow.tuple) }
    subflowSlots[Int(subflow.slot)] = nil
    freeSubflowSlots.append(subflow.slot)
    departed.append(subflow)
  }

  func retireToken(of connection: Connection) {
    if tokens[connection.localToken] == connection.slot { _ = tokens.remove(connection.localToken) }
  }

  /// Lets a connection go when the application and the last subflow have.
  func forget(_ connection: Connection) {
    guard connection.subflows.isEmpty, connection.phase == .closed,
      connectionSlots[Int(connection.slot)] === connection
    else { return }
    retireToken(of: connection)
    guard connection.isReleased || !connection.hasBeenAnnounced else { return }
    if !connection.isTaken { take(connection) }
    connectionTimers.cancel(connection.slot)
    connectionSlots[Int(connection.slot)] = nil
    freeConnectionSlots.append(connection.slot)
    connectionCount -= 1
    departed.append(connection)
  }

  /// The application knows the connection: it no longer counts against the backlog.
  func take(_ connection: Connection) {
    guard !connection.isTaken else { return }
    connection.isTaken = true
    guard connection.isInBacklog else { return }
    if let id = connection.listener, let index = listeners.firstIndex(where: { $0.id == id }) {
      listeners[index].untakenCount -= 1
    }
  }

  /// The handshake is done: until the application knows the connection, it counts against the backlog. Handshakes under
  /// way do not: of these there are many in a flood, and cookies are for that.
  func enterBacklog(_ connection: Connection) {
    guard !connection.isTaken, !connection.isInBacklog, let id = connection.listener,
      let index = listeners.firstIndex(where: { $0.id == id })
    else { return }
    connection.isInBacklog = true
    listeners[index].untakenCount += 1
  }

  /// Keeps what TIME-WAIT needs of a subflow.
  func enterTimeWait(_ subflow: Subflow, now: Instant) {
    remember(subflow, fastCloseKey: nil, now: now)
    // The last ACK of the FIN goes out now: the subflow leaves the connection at once.
    subflow.emitAcknowledgment(now: now)
  }

  /// Keeps the peer's key where data before our RST with MP_FASTCLOSE may have been lost: then a challenge ACK comes in
  /// answer (RFC 5961 §3.2).
  func rememberFastClose(_ subflow: Subflow, key: Key, now: Instant) {
    remember(subflow, fastCloseKey: key, now: now)
  }

  /// Lets a new connection have the ports of one that was aborted.
  func forgetFastClose(_ tuple: FourTuple) {
    guard let code = tuples[tuple], code & 1 == 1, timeWaits[code >> 1]?.fastCloseKey != nil else { return }
    timeWaits.remove(code >> 1)
    _ = tuples.remove(tuple)
  }

  private func remember(_ subflow: Subflow, fastCloseKey: Key?, now: Instant) {
    _ = tuples.remove(subflow.tuple)
    let slot = timeWaits.insert(
      TimeWaitEntry(
        tuple: subflow.tuple, path: subflow.path.rawValue, sendNext: subflow.sequenceNumber(subflow.sendNext),
        receiveNext: subflow.receiveSequenceNumber(subflow.receiveNext), usesTimestamps: subflow.usesTimestamps,
        recentTimestamp: subflow.recentTimestamp, timestampOffset: subflow.timestampOffset,
        deadline: now + configuration.timeWait, dataAck: subflow.connection.finalDataAck, fastCloseKey: fastCloseKey))
    _ = tuples.insert(subflow.tuple, slot << 1 | 1)
    while timeWaits.count > configuration.maximumTimeWaitCount,
      let oldest = timeWaits.popExpired(at: now, limit: configuration.maximumTimeWaitCount)
    {
      _ = tuples.remove(oldest.tuple)
    }
  }

  // MARK: Listeners

  func addListener(_ address: TransportAddress, _ options: ListenerOptions) -> ListenerID {
    prepareFastOpen(options)
    let id = ListenerID(nextListenerNumber)
    nextListenerNumber += 1
    listeners.append(Listener(id: id, address: address, options: options))
    return id
  }
}
