import MPTCPLink
import Multipath
import Testing

@Suite(.timeLimit(.minutes(5)))
struct ConnectionTests {
  @Test("Bytes go both ways, and each direction ends by itself", arguments: [false, true])
  func bothWays(isVersion6: Bool) async throws {
    let (near, far) = try await PairedStacks(isVersion6: isVersion6).connect(isVersion6: isVersion6)
    try await near.write("ping")
    await near.finish()
    #expect(try await far.readAll() == Array("ping".utf8))
    try await far.write("pong")
    await far.finish()
    #expect(try await near.readAll() == Array("pong".utf8))
    #expect(try await near.closed() == .finished)
    await near.close()
    await far.close()
  }

  @Test("Data given with the opening arrives; with a cookie it does on the SYN, as much as a segment holds")
  func fastOpen() async throws {
    let stacks = try PairedStacks(pathCount: 1)
    var listening = ListenerOptions()
    listening.fastOpenBacklog = 1
    let listener = try await MultipathListener.listen(port: 80, options: listening, on: stacks.server)
    var options = ConnectionOptions()
    options.fastOpen = true
    // Without a cookie, with one, and with more than the send buffer takes at once.
    for (index, count) in [100, 100, 300_000].enumerated() {
      options.sendBufferByteCount = 65_536
      let received = Task {
        let far = try #require(try await listener.accept())
        defer { Task { await far.close() } }
        return try await far.readAll()
      }
      let near = try await MultipathConnection.connect(
        to: "10.70.1.1", port: 80, sending: ByteSlice(pattern(count)), options: options, on: stacks.client)
      await near.finish()
      #expect(try await received.value == pattern(count))
      #expect(await stacks.client.statistics.fastOpens == index)
      #expect(await stacks.server.statistics.fastOpens == index)
      await near.close()
    }
    await listener.close()
  }

  @Test("A reset leaves a stack that ends at once, through a slow link too")
  func lastWords() async throws {
    let link = LinkConfiguration(bitsPerSecond: 5_000_000, delay: .milliseconds(30))
    let stacks = try PairedStacks(pathCount: 1, shaping: link)
    let (near, far) = try await stacks.connect()
    try await near.write("hi")
    #expect(try await far.readBytes() == Array("hi".utf8))
    await near.abort()
    await stacks.client.shutdown(within: .zero)
    #expect(try await far.closed() == .resetByPeer)
  }

  @Test("A stack that ends aborts what is open, and nobody waits for it in vain", arguments: [false, true])
  func endsWithTheStack(isMultipath: Bool) async throws {
    let stacks = try PairedStacks(pathCount: 1)
    var options = ConnectionOptions()
    options.multipath = isMultipath ? .enabled : .disabled
    let listener = try await MultipathListener.listen(port: 81, on: stacks.client)
    let (near, far) = try await stacks.connect(options: options)
    let reading = Task { try await near.read() }
    let closing = Task { try await near.closed() }
    let accepting = Task { try await listener.accept() }
    let watching = Task {
      for await _ in await near.events {}
    }
    try await Task.sleep(for: .milliseconds(20))
    await stacks.client.shutdown(within: .zero)
    await #expect(throws: MultipathError.self) { try await reading.value }
    #expect(try await closing.value == .aborted)
    #expect(try await accepting.value == nil)
    await watching.value
    #expect(try await far.closed() == .resetByPeer)
    // Nor afterwards.
    await #expect(throws: MultipathError.self) { try await near.read() }
    await #expect(throws: MultipathError.self) { try await near.write("late") }
    await near.close()
  }

  @Test("A write that waits for room learns that another task has finished the stream")
  func finishWakesWriters() async throws {
    let (near, far) = try await PairedStacks(pathCount: 1).connect()
    let writer = Task { try await near.write([UInt8](repeating: 7, count: 64 << 20)) }
    try await Task.sleep(for: .milliseconds(100))
    await near.finish()
    await #expect(throws: MultipathError.self) { try await writer.value }
    await near.abort()
    await far.close()
  }

  @Test("A long stream arrives whole over two paths")
  func longStream() async throws {
    let (near, far) = try await PairedStacks().connect()
    let count = 2 << 20
    async let received = far.readAll()
    let bytes = pattern(count)
    for start in stride(from: 0, to: count, by: 300_000) {
      try await near.write(Array(bytes[start..<min(start + 300_000, count)]))
    }
    #expect(await near.subflows.count >= 2)
    await near.finish()
    #expect(try await received == bytes)
  }

  @Test("Writing waits while nobody reads, and goes on when somebody does")
  func backPressure() async throws {
    let (near, far) = try await PairedStacks(pathCount: 1).connect()
    let bytes = [UInt8](repeating: 7, count: 20 << 20)
    let writer = Task {
      try await near.write(bytes)
      await near.finish()
    }
    try await Task.sleep(for: .milliseconds(300))
    let written = try #require(await near.info).writtenByteCount
    #expect(written < bytes.count)
    #expect(try await far.readAll().count == bytes.count)
    try await writer.value
  }

  @Test("A read that is cancelled throws, and the connection lives on")
  func cancelledRead() async throws {
    let (near, far) = try await PairedStacks(pathCount: 1).connect()
    let reader = Task { try await near.read() }
    try await Task.sleep(for: .milliseconds(20))
    reader.cancel()
    await #expect(throws: CancellationError.self) { try await reader.value }
    try await far.write("later")
    #expect(try await near.readBytes() == Array("later".utf8))
  }

  @Test("All pieces that are there come in one read, and the end comes after them")
  func piecesTogether() async throws {
    let (near, far) = try await PairedStacks(pathCount: 1).connect()
    let bytes = pattern(100_000)
    for start in stride(from: 0, to: bytes.count, by: 1_000) {
      try await near.write(Array(bytes[start..<start + 1_000]))
    }
    await near.finish()
    while try #require(await far.info).receivedByteCount < bytes.count { try await Task.sleep(for: .milliseconds(1)) }
    let first = try #require(try await far.readPieces(upTo: 60_000))
    #expect(first.flatMap(\.array) == Array(bytes[..<60_000]))
    let second = try #require(try await far.readPieces())
    #expect(second.flatMap(\.array) == Array(bytes[60_000...]))
    #expect(try await far.readPieces() == nil)
  }

  @Test("A connection that nobody answers is refused")
  func refused() async throws {
    let stacks = try PairedStacks(pathCount: 1)
    let error = await #expect(throws: MultipathError.self) {
      try await MultipathConnection.connect(to: "10.70.1.1", port: 81, on: stacks.client)
    }
    #expect(error?.kind == .refused)
    #expect(error?.description.contains("10.70.1.1:81") == true)
    withExtendedLifetime(stacks) {}
  }

  @Test("An attempt that is cancelled is taken back")
  func cancelledConnect() async throws {
    let stack = try MultipathStack(paths: [
      try MultipathPath.pair(
        ("near", [try #require(IPPrefix("10.70.1.2/24"))]), ("nobody", [try #require(IPPrefix("10.70.1.1/24"))])
      ).0
    ])
    let attempt = Task { try await MultipathConnection.connect(to: "10.70.1.1", port: 80, on: stack) }
    try await Task.sleep(for: .milliseconds(20))
    attempt.cancel()
    await #expect(throws: CancellationError.self) { try await attempt.value }
  }

  @Test("Without a path of the family the error says so")
  func noPath() async throws {
    let stacks = try PairedStacks(pathCount: 1)
    let error = await #expect(throws: MultipathError.self) {
      try await MultipathConnection.connect(to: "fd00::1", port: 80, on: stacks.client)
    }
    #expect(error?.kind == .noPath)
  }

  @Test("An aborted connection is reset for the peer")
  func aborted() async throws {
    let (near, far) = try await PairedStacks().connect()
    try await near.write("x")
    #expect(try await far.readBytes() == Array("x".utf8))
    await near.abort()
    let error = await #expect(throws: MultipathError.self) { try await far.read() }
    #expect(error?.kind == .reset)
    await #expect(throws: MultipathError.self) { try await near.write("y") }
  }

  @Test("Events tell of the second subflow, and end with the connection")
  func events() async throws {
    let (near, far) = try await PairedStacks().connect()
    var seen: [ConnectionEvent] = []
    let events = await near.events
    try await near.write("x")
    _ = try await far.read()
    await far.finish()
    await near.finish()
    for await event in events { seen.append(event) }
    #expect(seen.contains { if case .established(isMultipath: true) = $0 { true } else { false } })
    #expect(seen.last == .closed(.finished))
  }

  @Test("A connection that nobody holds any more closes itself")
  func dropped() async throws {
    let stacks = try PairedStacks(pathCount: 1)
    let far = try await stacks.connect().1
    #expect(try await far.readBytes() == nil)
    withExtendedLifetime(stacks) {}
  }

  @Test("Many connections at once, each with its own answer")
  func many() async throws {
    let stacks = try PairedStacks()
    let listener = try await MultipathListener.listen(port: 7, on: stacks.server)
    let server = Task {
      try await withThrowingDiscardingTaskGroup { group in
        for try await connection in listener {
          group.addTask {
            try await connection.write(try await connection.readAll())
            await connection.close()
          }
        }
      }
    }
    try await withThrowingTaskGroup { group in
      for number in 0..<200 {
        group.addTask {
          let connection = try await MultipathConnection.connect(to: "10.70.1.1", port: 7, on: stacks.client)
          let question = pattern(1_000, from: number)
          try await connection.write(question)
          await connection.finish()
          #expect(try await connection.readAll() == question)
          await connection.close()
        }
      }
      try await group.waitForAll()
    }
    await listener.close()
    try await server.value
    await stacks.client.shutdown()
    await stacks.server.shutdown()
  }
}
