import MPTCPStack
import Testing

@testable import Multipath

@Suite(.timeLimit(.minutes(5)))
struct ListenerTests {
  /// What must go when nobody holds it any more.
  private struct Remains {
    weak var stack: MultipathStack?
    /// The thread keeps it, and it the devices.
    weak var host: Stack?

    init(of stack: MultipathStack) {
      self.stack = stack
      host = stack.host
    }

    var isEmpty: Bool { stack == nil && host == nil }
  }

  /// Whether `condition` becomes true within five seconds.
  private func becomesTrue(_ condition: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(5)
    while try await !condition() {
      if ContinuousClock.now > deadline { return false }
      try await Task.sleep(for: .milliseconds(2))
    }
    return true
  }

  private func isRefused(_ port: Port, on stack: MultipathStack) async throws -> Bool {
    do {
      try await MultipathConnection.connect(to: "10.70.1.1", port: port, on: stack).abort()
      return false
    } catch let error as MultipathError {
      return error.kind == .refused
    }
  }

  @Test("A listener that is dropped without being closed lets its stack go")
  func letsStackGo() async throws {
    func listenAndForget() async throws -> Remains {
      let stack = try MultipathStack()
      let listener = try await MultipathListener.listen(port: 80, on: stack)
      return withExtendedLifetime(listener) { Remains(of: stack) }
    }
    let remains = try await listenAndForget()
    #expect(try await becomesTrue { remains.isEmpty })
  }

  @Test("A listener that is dropped stops listening, and its port is free")
  func stopsListening() async throws {
    let stacks = try PairedStacks(pathCount: 1)
    var listener: MultipathListener? = try await .listen(port: 80, on: stacks.server)
    #expect(try await !isRefused(80, on: stacks.client))
    withExtendedLifetime(listener) {}
    listener = nil
    #expect(try await becomesTrue { try await isRefused(80, on: stacks.client) })
    listener = try await .listen(port: 80, on: stacks.server)
    await listener?.close()
  }

  @Test("Connections that nobody took are aborted with the listener that is dropped")
  func abortsUntaken() async throws {
    let stacks = try PairedStacks(pathCount: 1)
    var listener: MultipathListener? = try await .listen(port: 80, on: stacks.server)
    let near = try await MultipathConnection.connect(to: "10.70.1.1", port: 80, on: stacks.client)
    withExtendedLifetime(listener) {}
    listener = nil
    let error = await #expect(throws: MultipathError.self) { try await near.read() }
    #expect(error?.kind == .reset)
    withExtendedLifetime(stacks) {}
  }

  @Test("A connection that was accepted makes room in the backlog, whatever is done with it")
  func acceptingTakes() async throws {
    let stacks = try PairedStacks(pathCount: 1)
    var options = ListenerOptions()
    options.backlog = 1
    let listener = try await MultipathListener.listen(port: 80, options: options, on: stacks.server)
    var held: [MultipathConnection?] = []
    for _ in 0..<3 {
      let near = try await MultipathConnection.connect(to: "10.70.1.1", port: 80, on: stacks.client)
      held += [near, try await listener.accept()]
    }
    #expect(held.allSatisfy { $0 != nil })
    await listener.close()
  }

  @Test("A task that waits for connections keeps its listener")
  func waitingKeeps() async throws {
    let stacks = try PairedStacks(pathCount: 1)
    func serve() async throws -> Task<MultipathConnection?, any Error> {
      let listener = try await MultipathListener.listen(port: 80, on: stacks.server)
      return Task { try await listener.accept() }
    }
    let server = try await serve()
    let near = try await MultipathConnection.connect(to: "10.70.1.1", port: 80, on: stacks.client)
    let far = try #require(try await server.value)
    try await near.write("x")
    #expect(try await far.readBytes() == Array("x".utf8))
    withExtendedLifetime(stacks) {}
  }
}
