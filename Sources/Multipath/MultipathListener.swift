import MPTCPCore
import MPTCPStack

/// Accepts connections: a sequence of them, in the order in which they were established.
///
/// ```swift
/// let listener = try await MultipathListener.listen(port: 8080, on: stack)
/// for try await connection in listener {
///   Task { while let bytes = try await connection.read() { try await connection.write(bytes) } }
/// }
/// ```
///
/// Connections beyond the backlog (`ListenerOptions`) are not accepted until the application takes some. A listener
/// that nobody holds any more, and no task waits for, closes itself.
public actor MultipathListener: AsyncSequence {
  /// What the sequence gives.
  public typealias Element = MultipathConnection

  /// The stack that it listens on.
  public nonisolated let stack: MultipathStack
  /// The addresses that it listens on.
  public nonisolated let addresses: [TransportAddress]

  private let host: Stack
  private var ids: [ListenerID] = []
  private var accepted: [MultipathConnection] = []
  private var takers = WaitList()
  private var isClosed = false

  private init(_ addresses: [TransportAddress], on stack: MultipathStack) {
    self.addresses = addresses
    self.stack = stack
    host = stack.host
  }

  deinit {
    guard !isClosed else { return }
    host.later { [ids] host in
      for id in ids { host.stopListening(id) }
    }
    for connection in accepted { Task { await connection.abort() } }
  }

  /// The stack's thread.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { host.loop.asUnownedSerialExecutor() }

  /// Listens on addresses; the wildcard address of a family stands for all of ours.
  ///
  /// - Throws: ``MultipathError`` when a port is taken.
  public static func listen(
    on addresses: [TransportAddress], options: ListenerOptions = ListenerOptions(), stack: MultipathStack
  ) async throws -> MultipathListener {
    let listener = MultipathListener(addresses, on: stack)
    try await listener.open(options)
    return listener
  }

  /// Listens on a port of all our addresses, IPv4 and IPv6.
  ///
  /// - Throws: ``MultipathError`` when the port is taken.
  public static func listen(
    port: Port, options: ListenerOptions = ListenerOptions(), on stack: MultipathStack
  ) async throws -> MultipathListener {
    try await listen(
      on: [TransportAddress(.anyV4, port), TransportAddress(.anyV6, port)], options: options, stack: stack)
  }

  /// The next connection; nil once the listener is closed.
  ///
  /// - Throws: `CancellationError`.
  public func accept() async throws -> MultipathConnection? {
    while true {
      if !accepted.isEmpty {
        let connection = accepted.removeFirst()
        host.endpoint.accept(connection.id)
        return connection
      }
      if isClosed { return nil }
      let ticket = takers.draw()
      try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { takers.add($0, ticket: ticket) }
      } onCancel: {
        Task { await self.cancelWait(ticket) }
      }
    }
  }

  /// Stops listening. Connections that nobody has taken are aborted; the others live on.
  public func close() async {
    guard !isClosed else { return }
    isClosed = true
    for id in ids { host.stopListening(id) }
    let left = accepted
    accepted.removeAll()
    takers.wakeAll()
    for connection in left { await connection.abort() }
  }

  /// An iterator; several share the connections among them.
  public nonisolated func makeAsyncIterator() -> Iterator { Iterator(listener: self) }

  /// Gives the listener's connections one after another.
  public struct Iterator: AsyncIteratorProtocol {
    let listener: MultipathListener

    /// The next connection; nil once the listener is closed.
    public mutating func next() async throws -> MultipathConnection? { try await listener.accept() }

    /// The next connection; nil once the listener is closed.
    public mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(any Error) -> MultipathConnection? { try await listener.accept() }
  }

  private func open(_ options: ListenerOptions) throws {
    for address in addresses {
      do throws(EndpointError) {
        ids.append(try host.listen(on: address, options: options, observer: self))
      } catch {
        for id in ids { host.stopListening(id) }
        isClosed = true
        throw MultipathError(error, attempt: "listen on \(address)")
      }
    }
  }

  private func end() {
    isClosed = true
    takers.wakeAll()
  }

  private func cancelWait(_ ticket: WaitList.Ticket) { takers.cancel(ticket) }

  private func add(_ id: ConnectionID) {
    let connection = MultipathConnection(id, on: stack, isOpen: true)
    host.observe(id, by: connection)
    accepted.append(connection)
    takers.wakeAll()
  }
}

extension MultipathListener: ListenerObserver {
  package nonisolated func accept(_ connection: ConnectionID, isMultipath: Bool) {
    assumeIsolated { $0.add(connection) }
  }

  package nonisolated func listenerEnded() {
    assumeIsolated { $0.end() }
  }
}
