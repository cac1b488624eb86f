import MPTCPPolicy
import MPTCPWire

// The application's calls.
extension Endpoint {
  /// Opens a connection; `.established` or `.closed` says how it went.
  ///
  /// - Throws: ``EndpointError`` when there is no path, no port or no room.
  public func connect(
    to remote: TransportAddress, options: ConnectionOptions = ConnectionOptions(), at now: Instant
  ) throws(EndpointError) -> ConnectionID {
    try connect(to: remote, sending: ByteSlice([]), options: options, at: now).id
  }

  /// Opens a connection and writes its first data; `.established` or `.closed` says how it went. With
  /// ``ConnectionOptions/fastOpen``, and a cookie, as much of the data as a segment holds leaves on the SYN; what the
  /// peer does not take there goes after the handshake, as all of it does otherwise.
  ///
  /// - Returns: the connection, and how much of `data` it took, as ``write(_:to:at:)`` does.
  /// - Throws: ``EndpointError`` when there is no path, no port or no room.
  public func connect(
    to remote: TransportAddress, sending data: ByteSlice, options: ConnectionOptions = ConnectionOptions(),
    at now: Instant
  ) throws(EndpointError) -> (id: ConnectionID, taken: Int) {
    note(now)
    guard isAnotherHost(remote.address) else { throw .notAnotherHost }
    let (path, address) = try source(for: remote.address, preferred: options.path)
    if let port = options.localPort {
      let tuple = FourTuple(local: TransportAddress(address, port), remote: remote)
      forgetFastClose(tuple)
      guard tuples[tuple] == nil else { throw .portInUse }
    }
    guard let port = freePort(address, to: remote, preferred: options.localPort) else { throw .noFreePort }
    let tuple = FourTuple(local: TransportAddress(address, port), remote: remote)
    peerMemory.age(at: now, limits: configuration.peerMemory)
    let advice = peerMemory.advice(options.multipath, to: remote.address, over: path, at: now)
    var version = MPTCPVersion.v1
    if case .offer(let offered, _) = advice { version = offered }
    guard
      let connection = makeConnection(
        listener: nil, isInitiator: true, options: options, version: version, tuple: tuple, path: path)
    else { throw .tooManyConnections }
    connection.takeAdvice(advice)
    connection.isTaken = true
    connection.hasBeenAnnounced = true
    guard
      let subflow = makeSubflow(
        of: connection, tuple: tuple, path: path, isInitiator: true, isInitial: true, state: .synSent, now: now)
    else {
      connection.isReleased = true
      connection.end(.lackOfResources, now: now)
      throw .portInUse
    }
    let taken = data.isEmpty ? 0 : connection.write(data)
    subflow.sendSyn(now: now, fastOpen: connection.fastOpenOffer(for: subflow, now: now))
    reschedule(subflow)
    return (connection.id, taken)
  }

  /// Whether an address can be that of a host which is not this one (RFC 1122 §3.2.1.3).
  func isAnotherHost(_ address: IPAddress) -> Bool {
    guard address.isUnicast, !address.isLoopback, !isLocal(address) else { return false }
    guard address.family == .v4 else { return true }
    return !paths.contains { path in
      path.configuration.addresses.contains { prefix in
        let hostBits = UInt32.max >> UInt32(prefix.length)
        return prefix.length < 31 && prefix.contains(address) && address.v4 & hostBits == hostBits
      }
    }
  }

  /// Listens on an address and port. The wildcard address of a family accepts on all our addresses of that family.
  ///
  /// - Throws: ``EndpointError/portInUse`` where another listener has it.
  /// Requirement 9293-3.9.1-10, 9293-3.9.1-11
  public func listen(
    on address: TransportAddress, options: ListenerOptions = ListenerOptions(), at now: Instant
  ) throws(EndpointError) -> ListenerID {
    note(now)
    let isTaken = listeners.contains {
      $0.address.port == address.port && $0.address.address.family == address.address.family
        && ($0.address.address == address.address || $0.address.address.isUnspecified || address.address.isUnspecified)
    }
    guard !isTaken else { throw .portInUse }
    return addListener(address, options)
  }

  /// Stops listening. Connections that were accepted live on.
  public func stopListening(_ id: ListenerID, at now: Instant) {
    note(now)
    listeners.removeAll { $0.id == id }
  }

  /// Gives bytes to a connection and returns how many it took: fewer than offered when its buffer is full, and then
  /// `.writable` tells when to go on. Large slices are kept by reference; their memory must not change afterwards.
  ///
  /// - Throws: ``EndpointError`` when the connection is unknown, has ended, or its writing side is finished.
  public func write(_ data: ByteSlice, to id: ConnectionID, at now: Instant) throws(EndpointError) -> Int {
    note(now)
    let connection = try live(id)
    if let reason = connection.closeReason { throw .closed(reason) }
    guard !connection.finishRequested else { throw .alreadyFinished }
    return connection.write(data)
  }

  /// Takes up to `limit` bytes. nil: nothing there now, `.readable` tells when to try again. Empty: the peer's data is
  /// at its end.
  ///
  /// - Throws: ``EndpointError`` when the connection is unknown, or ended in another way than by the end of its data.
  public func read(from id: ConnectionID, upTo limit: Int, at now: Instant) throws(EndpointError) -> ByteSlice? {
    note(now)
    let connection = try live(id)
    let slice = connection.read(upTo: limit, now: now)
    if let slice, slice.isEmpty, !connection.hasWholeStream, let reason = connection.closeReason {
      throw .closed(reason)
    }
    return slice
  }

  /// How many bytes wait to be read.
  public func readableByteCount(_ id: ConnectionID) -> Int { connection(id)?.receiveQueue.byteCount ?? 0 }

  /// Ends our data: DATA_FIN, or FIN for plain TCP, after what was written. Reading goes on.
  public func finish(_ id: ConnectionID, at now: Instant) {
    note(now)
    guard let connection = connection(id) else { return }
    take(connection)
    connection.finish(now: now)
  }

  /// The application is done with the connection: what was written still goes out, what arrives is refused, and the
  /// endpoint forgets the number.
  public func close(_ id: ConnectionID, at now: Instant) {
    note(now)
    guard let connection = connection(id) else { return }
    take(connection)
    connection.release(now: now)
    finishCall()
  }

  /// Ends the connection at once: RST for TCP, MP_FASTCLOSE for Multipath TCP (RFC 8684 §3.5). The endpoint forgets the
  /// number; with ``FastCloseForm/acknowledged`` it keeps one subflow until the peer has answered or had its time.
  public func abort(_ id: ConnectionID, form: FastCloseForm = .reset, at now: Instant) {
    note(now)
    guard let connection = connection(id) else { return }
    take(connection)
    connection.isReleased = true
    connection.abort(reason: .aborted, form: form, now: now)
    forget(connection)
    finishCall()
  }

  /// Ends every connection that is not over, at once, as ``abort(_:at:)`` does, for a host that goes away. Their
  /// applications hear `.closed`, and still have to close them.
  public func abortAll(at now: Instant) {
    note(now)
    for case let connection? in connectionSlots where connection.phase != .closed {
      connection.abort(reason: .aborted, now: now)
    }
    finishCall()
  }

  /// The application has the connection of a listener: it no longer counts against the backlog. Reading, writing and
  /// closing say so too.
  public func accept(_ id: ConnectionID) {
    if let connection = connection(id) { take(connection) }
  }

  /// The connection as it is now; nil when there is none.
  public func description(of id: ConnectionID) -> ConnectionDescription? { connection(id)?.description }

  /// Opens a further subflow from an address of ours to one of the peer's.
  ///
  /// - Parameters:
  ///   - path: the path, whose first address of the right family it starts from.
  ///   - remote: where to; nil takes the address of the initial subflow.
  ///   - isBackup: whether to ask the peer to use it only when no other works.
  public func openSubflow(
    _ id: ConnectionID, on path: PathID, to remote: TransportAddress? = nil, isBackup: Bool = false, at now: Instant
  ) throws(EndpointError) -> SubflowID {
    note(now)
    let connection = try live(id)
    let target = remote ?? connection.initialTuple.remote
    guard
      let local = connection.localAddresses().first(where: {
        $0.path == path && $0.address.family == target.address.family
      })
    else { throw .noPath }
    let known = connection.remoteAddresses.first { $0.address.address == target.address }
    return try connection.openSubflow(
      from: local, to: RemoteAddress(id: known?.id ?? .initial, address: target), isBackup: isBackup, now: now)
  }

  /// Closes a subflow; its data goes over the others. The last one stays.
  public func closeSubflow(_ id: ConnectionID, _ subflow: SubflowID, at now: Instant) throws(EndpointError) {
    note(now)
    let connection = try live(id)
    guard let subflow = connection.subflow(subflow) else { throw .unknownSubflow }
    connection.closeSubflow(subflow, now: now)
  }

  /// Asks the peer to use a subflow only when no other works, or again like the others (MP_PRIO).
  public func setBackup(
    _ id: ConnectionID, _ subflow: SubflowID, _ isBackup: Bool, at now: Instant
  ) throws(EndpointError) {
    note(now)
    let connection = try live(id)
    guard connection.subflow(subflow) != nil else { throw .unknownSubflow }
    guard connection.isMultipath else { throw .notMultipath }
    connection.setBackup(subflow, isBackup)
  }

  /// The same for all subflows that use one of our addresses. Version 0 says it with one option on any subflow, which
  /// names the address (RFC 6824 §3.3.8); version 1 says it on each.
  public func setBackup(
    _ id: ConnectionID, address: AddressID, _ isBackup: Bool, at now: Instant
  ) throws(EndpointError) {
    note(now)
    let connection = try live(id)
    guard connection.isMultipath else { throw .notMultipath }
    guard connection.subflows.contains(where: { $0.localAddressID == address }) else { throw .unknownSubflow }
    connection.setBackup(address, isBackup)
  }

  // MARK: Parts

  func connection(_ id: ConnectionID) -> Connection? {
    let slot = Int(UInt32(truncatingIfNeeded: id.rawValue))
    guard slot < connectionSlots.count, let connection = connectionSlots[slot], connection.id == id,
      !connection.isReleased
    else { return nil }
    return connection
  }

  private func live(_ id: ConnectionID) throws(EndpointError) -> Connection {
    guard let connection = connection(id) else { throw .unknownConnection }
    take(connection)
    touch(connection)
    return connection
  }

  /// The path and address to start from: the one asked for, else the first path that is up with the peer on its link,
  /// else the first that is up and leads there.
  /// Requirement 9293-3.9.1-08, 9293-3.9.1-11
  private func source(
    for remote: IPAddress, preferred: PathID?
  ) throws(EndpointError) -> (path: PathID, address: IPAddress) {
    var leading: (PathID, IPAddress)?
    var hasFamily = false
    for path in paths where path.isUp && (preferred == nil || path.id == preferred) {
      for prefix in path.configuration.addresses where prefix.address.family == remote.family {
        hasFamily = true
        guard path.configuration.leads(to: remote) else { continue }
        if prefix.contains(remote) { return (path.id, prefix.address) }
        if leading == nil { leading = (path.id, prefix.address) }
      }
    }
    guard let leading else { throw hasFamily ? .noRoute : .noPath }
    return leading
  }

  /// A port for a connection to `remote`: the one asked for, else one that is free.
  func freePort(_ local: IPAddress, to remote: TransportAddress, preferred: Port?) -> Port? {
    if let preferred { return preferred }
    return ephemeralPorts.next(from: local, to: remote, in: configuration.ephemeralPorts) { port in
      tuples[FourTuple(local: TransportAddress(local, port), remote: remote)] == nil
        && !listeners.contains { $0.address.port == port }
    }
  }
}
