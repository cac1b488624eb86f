import MPTCPCore
import MPTCPStack

/// A Multipath TCP connection, or plain TCP where the peer speaks no more: a stream of bytes each way over any number
/// of subflows.
///
/// ```swift
/// let stack = try MultipathStack(paths: [.tun("wifi", address: "10.0.1.2/24"), .tun("lte", address: "10.0.2.2/24")])
/// let connection = try await MultipathConnection.connect(to: "10.0.1.1", port: 80, on: stack)
/// try await connection.write("GET / HTTP/1.0\r\n\r\n")
/// try await connection.finish()
/// while let bytes = try await connection.read() { print(bytes.count) }
/// await connection.close()
/// ```
///
/// Reads and writes wait while there is nothing to read and while the send buffer is full; a task that waits can be
/// cancelled, and the connection lives on. The actor runs on its stack's thread: calls from tasks that prefer
/// ``MultipathStack/executor`` cost no change of thread. A connection that nobody holds any more closes itself.
public actor MultipathConnection {
  /// The stack that carries it.
  public nonisolated let stack: MultipathStack
  /// Its number on the stack.
  public nonisolated let id: ConnectionID

  private let host: Stack
  private var phase: Phase
  private var isReleased = false
  private var isWriting = false
  private var waits = WaitLists<Reason>()
  private var streams: [Int: AsyncStream<ConnectionEvent>.Continuation] = [:]
  private var nextStream = 0
  /// What happened before anybody asked for ``events``.
  private var earlyEvents: [ConnectionEvent]? = []

  private enum Phase {
    case opening
    case open
    case closed(CloseReason)
  }

  /// What tasks wait for.
  private enum Reason: Int, CaseIterable {
    case opening
    case reading
    case writing
    case turnToWrite
    case closing
  }

  private static let earlyEventLimit = 64
  private static let eventLimit = 256

  init(_ id: ConnectionID, on stack: MultipathStack, isOpen: Bool) {
    self.id = id
    self.stack = stack
    host = stack.host
    phase = isOpen ? .open : .opening
  }

  deinit {
    guard !isReleased else { return }
    host.later { [id] host in
      host.stopObserving(id)
      host.endpoint.close(id, at: host.now)
    }
  }

  /// The stack's thread.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { host.loop.asUnownedSerialExecutor() }

  // MARK: Opening

  /// Opens a connection to an address, and writes `data` to it as ``write(_:)-(ByteSlice)`` does. With
  /// `ConnectionOptions.fastOpen`, and a cookie from an earlier connection of the same stack, as much of it as a
  /// segment holds leaves on the SYN, a round trip sooner.
  ///
  /// - Throws: ``MultipathError`` when the peer refuses, nobody answers or no path leads there; `CancellationError`
  ///   when the task is cancelled, which takes the attempt back.
  public static func connect(
    to remote: TransportAddress, sending data: ByteSlice = ByteSlice([]),
    options: ConnectionOptions = ConnectionOptions(), on stack: MultipathStack
  ) async throws -> MultipathConnection {
    let (connection, taken) = try await open(to: remote, sending: data, options: options, on: stack)
    try await connection.writeFirst(data.dropFirst(taken))
    return connection
  }

  /// Opens a connection to a host, given by name or as an address, and writes `data` to it. Of several addresses the
  /// first that answers is taken; one that does not is given up after a minute where `options` say nothing else, the last
  /// one as they say.
  ///
  /// - Throws: as ``connect(to:sending:options:on:)``, for the last address tried to which a path leads.
  public static func connect(
    to name: String, port: Port, sending data: ByteSlice = ByteSlice([]),
    options: ConnectionOptions = ConnectionOptions(), on stack: MultipathStack
  ) async throws -> MultipathConnection {
    var failure: any Error = MultipathError(
      .unknownHost, attempt: "connect to \(name)", reason: "the name has no address")
    let addresses = try await HostName.addresses(of: name)
    for (index, address) in addresses.enumerated() {
      let opened: (connection: MultipathConnection, taken: Int)
      var options = options
      if index < addresses.count - 1, options.connectTimeout == ConnectionOptions().connectTimeout {
        options.connectTimeout = .seconds(60)
      }
      do {
        opened = try await open(to: TransportAddress(address, port), sending: data, options: options, on: stack)
      } catch let error as MultipathError {
        if error.kind != .noPath || (failure as? MultipathError)?.kind == .unknownHost { failure = error }
        continue
      }
      // It has answered, and may have read: what fails from here on is not tried elsewhere.
      try await opened.connection.writeFirst(data.dropFirst(opened.taken))
      return opened.connection
    }
    throw failure
  }

  /// A connection that is open, and how much of `data` it has taken.
  private static func open(
    to remote: TransportAddress, sending data: ByteSlice, options: ConnectionOptions, on stack: MultipathStack
  ) async throws -> (connection: MultipathConnection, taken: Int) {
    let attempt = "connect to \(remote)"
    let (connection, taken) = try await stack.host.isolated { host in
      do throws(EndpointError) {
        let (id, taken) = try host.endpoint.connect(to: remote, sending: data, options: options, at: host.now)
        let connection = MultipathConnection(id, on: stack, isOpen: false)
        host.observe(id, by: connection)
        return (connection, taken)
      } catch {
        throw MultipathError(error, attempt: attempt)
      }
    }
    do {
      try await connection.waitUntilOpen(attempt)
    } catch {
      await connection.abort()
      throw error
    }
    return (connection, taken)
  }

  /// Writes what did not go with the SYN.
  private func writeFirst(_ data: ByteSlice) async throws {
    guard !data.isEmpty else { return }
    do {
      try await write(data)
    } catch {
      abort()
      throw error
    }
  }

  private func waitUntilOpen(_ attempt: String) async throws {
    while true {
      switch phase {
      case .open: return
      case .closed(let reason): throw MultipathError(reason, attempt: attempt)
      case .opening: try await wait(for: .opening)
      }
    }
  }

  // MARK: Reading and writing

  /// The next bytes, at most `limit` of them, without a copy; nil at the end of the peer's stream.
  ///
  /// - Throws: ``MultipathError`` when the connection ended in any other way; `CancellationError`.
  public func read(upTo limit: Int = 1 << 20) async throws -> ByteSlice? {
    while true {
      do throws(EndpointError) {
        if let slice = try host.endpoint.read(from: id, upTo: limit, at: host.now) {
          return slice.isEmpty ? nil : slice
        }
      } catch {
        throw MultipathError(error, attempt: "read")
      }
      try await wait(for: .reading)
    }
  }

  /// All bytes that are there, at most `limit` of them, in the pieces in which they arrived, without a copy; nil at the
  /// end of the peer's stream. It waits only while there are none.
  ///
  /// A task on another thread than the stack's goes there and back once for all of them.
  ///
  /// - Throws: as ``read(upTo:)``.
  public func readPieces(upTo limit: Int = 1 << 20) async throws -> [ByteSlice]? {
    guard let first = try await read(upTo: limit) else { return nil }
    var pieces = [first]
    var left = limit - first.count
    // An end, good or bad, is the next call's to tell.
    while left > 0, let piece = try? host.endpoint.read(from: id, upTo: left, at: host.now), !piece.isEmpty {
      pieces.append(piece)
      left -= piece.count
    }
    return pieces
  }

  /// The next bytes, at most `limit` of them, as an array; nil at the end of the peer's stream.
  ///
  /// - Throws: as ``read(upTo:)``.
  public func readBytes(upTo limit: Int = 1 << 16) async throws -> [UInt8]? {
    try await read(upTo: limit)?.array
  }

  /// Writes bytes without copying them, and returns when the send buffer has taken them all. Their memory must not
  /// change afterwards. What several tasks write at a time is not mixed.
  ///
  /// - Throws: ``MultipathError`` when the connection has ended; `CancellationError`, when a part may have been taken.
  public func write(_ bytes: ByteSlice) async throws {
    while isWriting { try await wait(for: .turnToWrite) }
    isWriting = true
    defer {
      isWriting = false
      waits[.turnToWrite].wakeAll()
    }
    var rest = bytes
    while true {
      do throws(EndpointError) {
        rest = rest.dropFirst(try host.endpoint.write(rest, to: id, at: host.now))
      } catch {
        throw MultipathError(error, attempt: "write")
      }
      if rest.isEmpty { return }
      try await wait(for: .writing)
    }
  }

  /// Writes a copy of `bytes`; otherwise as ``write(_:)-(ByteSlice)``.
  public func write(_ bytes: [UInt8]) async throws { try await write(ByteSlice(bytes)) }

  /// Writes a text in UTF-8; otherwise as ``write(_:)-(ByteSlice)``.
  public func write(_ text: String) async throws { try await write(Array(text.utf8)) }

  /// Ends our stream after what was written; reading goes on. A task whose write still waits for room gets
  /// ``MultipathError``: only a part of it was written.
  public func finish() {
    host.endpoint.finish(id, at: host.now)
    waits[.writing].wakeAll()
  }

  // MARK: Closing

  /// Closes the connection: what was written still goes out, what arrives is refused. It does not wait for that; see
  /// ``closed()``, to be asked for before, and ``MultipathStack/shutdown(within:)``.
  public func close() {
    guard !isReleased else { return }
    host.endpoint.close(id, at: host.now)
    release(.finished)
  }

  /// Ends the connection at once, for both sides: MP_FASTCLOSE (RFC 8684 §3.5), or RST for plain TCP.
  public func abort() {
    guard !isReleased else { return }
    host.endpoint.abort(id, at: host.now)
    release(.aborted)
  }

  /// Waits until the connection is over: both streams ended and acknowledged, or it failed.
  ///
  /// - Throws: `CancellationError`.
  public func closed() async throws -> CloseReason {
    while true {
      if case .closed(let reason) = phase { return reason }
      try await wait(for: .closing)
    }
  }

  private func release(_ reason: CloseReason) {
    isReleased = true
    host.stopObserving(id)
    end(reason)
  }

  private func end(_ reason: CloseReason) {
    if case .closed = phase { return }
    phase = .closed(reason)
    publish(.closed(reason))
    for stream in streams.values { stream.finish() }
    streams.removeAll()
    waits[.opening].wakeAll()
    waits[.reading].wakeAll()
    waits[.writing].wakeAll()
    waits[.closing].wakeAll()
  }

  // MARK: Looking and steering

  /// What happens to the connection from now on; the first to ask also gets what happened before. It ends with
  /// `.closed`. A reader that falls far behind loses the oldest events.
  public var events: AsyncStream<ConnectionEvent> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: ConnectionEvent.self, bufferingPolicy: .bufferingNewest(Self.eventLimit))
    for event in earlyEvents ?? [] { continuation.yield(event) }
    earlyEvents = nil
    if case .closed = phase {
      continuation.finish()
      return stream
    }
    let number = nextStream
    nextStream += 1
    streams[number] = continuation
    continuation.onTermination = { [weak self] _ in
      guard let self else { return }
      Task { await self.dropStream(number) }
    }
    return stream
  }

  /// The connection as it is now; nil once it is closed here.
  public var info: ConnectionDescription? { host.endpoint.description(of: id) }

  /// The live subflows, in the order of their IDs.
  public var subflows: [SubflowDescription] { info?.subflows ?? [] }

  /// Opens a further subflow on `path`, to `remote` or, if that is nil, to the address of the initial subflow.
  ///
  /// - Throws: ``MultipathError``.
  public func openSubflow(
    on path: PathID, to remote: TransportAddress? = nil, isBackup: Bool = false
  ) throws -> SubflowID {
    try steer("open a subflow") { endpoint throws(EndpointError) in
      try endpoint.openSubflow(id, on: path, to: remote, isBackup: isBackup, at: host.now)
    }
  }

  /// Closes a subflow; its data goes over the others.
  ///
  /// - Throws: ``MultipathError``.
  public func closeSubflow(_ subflow: SubflowID) throws {
    try steer("close subflow \(subflow.rawValue)") { endpoint throws(EndpointError) in
      try endpoint.closeSubflow(id, subflow, at: host.now)
    }
  }

  /// Asks the peer to use a subflow only when no other works, or again like the others (MP_PRIO, RFC 8684 §3.3.8).
  ///
  /// - Throws: ``MultipathError``.
  public func setBackup(_ subflow: SubflowID, _ isBackup: Bool) throws {
    try steer("change the priority of subflow \(subflow.rawValue)") { endpoint throws(EndpointError) in
      try endpoint.setBackup(id, subflow, isBackup, at: host.now)
    }
  }

  private func steer<R>(_ attempt: String, _ body: (Endpoint) throws(EndpointError) -> R) throws -> R {
    do throws(EndpointError) { return try body(host.endpoint) } catch { throw MultipathError(error, attempt: attempt) }
  }

  // MARK: Parts

  private func wait(for reason: Reason) async throws {
    let ticket = waits[reason].draw()
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { waits[reason].add($0, ticket: ticket) }
    } onCancel: {
      Task { await self.cancelWait(ticket, for: reason) }
    }
  }

  private func cancelWait(_ ticket: WaitList.Ticket, for reason: Reason) { waits[reason].cancel(ticket) }

  private func publish(_ event: ConnectionEvent) {
    for stream in streams.values { stream.yield(event) }
    if let count = earlyEvents?.count {
      if count >= Self.earlyEventLimit { earlyEvents?.removeFirst() }
      earlyEvents?.append(event)
    }
  }

  private func dropStream(_ number: Int) { streams[number] = nil }

  private func take(_ event: ConnectionEvent) {
    switch event {
    case .readable: waits[.reading].wakeAll()
    case .writable: waits[.writing].wakeAll()
    case .closed(let reason): end(reason)
    case .established:
      if case .opening = phase { phase = .open }
      waits[.opening].wakeAll()
      publish(event)
    case .subflowEstablished, .subflowClosed, .addressAnnounced, .addressRemoved, .priorityChanged, .pathStalled,
      .pathRecovered, .fellBack, .softError:
      publish(event)
    }
  }
}

extension MultipathConnection: ConnectionObserver {
  package nonisolated func handle(_ event: ConnectionEvent) { assumeIsolated { $0.take(event) } }
}
