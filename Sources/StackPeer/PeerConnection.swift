import MPTCPTools
import Multipath
import Synchronization

/// What became of one connection, in the words of `mptcp-peer`.
struct PeerOutcome: Codable, Sendable {
  struct Subflow: Codable, Sendable {
    var local, remote: String
    var bytesSent, bytesReceived, retransmittedBytes, reinjectedBytes: Int
    /// The words that the kernel's reports have and ours do not count by subflow.
    var retransmittedSegments = 0
    var sentSegments = 0
    var receivedSegments = 0
    var duplicates = 0
  }

  var event = "connection"
  var number = 0
  var sent = 0
  var received = 0
  var seconds = 0.0
  var succeeded = false
  var firstDifference = -1
  var longestGap = 0.0
  var longestGapAt = 0
  var error: String?
  var multipath = false
  var fallback = false
  var checksum = false
  var subflowsTotal = 0
  var subflows: [Subflow] = []
  var duplicateByteCount = 0

  init() {}

  init(failure: String) { error = failure }
}

/// One connection at work: pattern out, pattern in, in both directions at once.
final class PeerConnection: Sendable {
  private let connection: MultipathConnection
  private let workload: Workload
  private let sendPattern: SeededPattern
  private let receivePattern: SeededPattern
  private let sendByteCount: Int
  private let expectedByteCount: Int
  /// What of the pattern went with the opening.
  private let openingByteCount: Int
  private let started = seconds()
  private let state = Mutex(State())

  private struct State {
    var outcome = PeerOutcome()
    var stalls = StallMeter()
    /// Each subflow as it was last seen.
    var subflows: [SubflowID: SubflowDescription] = [:]
  }

  /// What a client gives to its connection as it opens it: with --fast-open the first kilobyte.
  static func opening(_ workload: Workload, number: Int) -> ByteSlice {
    let count = workload.fastOpen && !workload.echo ? min(1000, max(workload.bytes, workload.send)) : 0
    let chunk = Chunk(capacity: max(count, 0))
    let seed = (workload.sendSeed ?? 1) &+ (workload.bytes >= 0 ? UInt64(number) : 0)
    SeededPattern(seed: seed).fill(UnsafeMutableRawBufferPointer(start: chunk.base, count: chunk.capacity), from: 0)
    return ByteSlice(chunk, offset: 0, count: chunk.capacity)
  }

  init(
    _ connection: MultipathConnection, _ workload: Workload, isServer: Bool, number: Int, openingByteCount: Int = 0
  ) {
    self.connection = connection
    self.workload = workload
    self.openingByteCount = openingByteCount
    // The seeds of mptcp-peer: a client sends 1 and expects 2; against an echo (--bytes) each connection has its own.
    let offset = workload.bytes >= 0 ? UInt64(number) : 0
    let sendSeed = workload.sendSeed ?? (isServer ? 2 : 1)
    let receiveSeed = workload.receiveSeed ?? (workload.bytes >= 0 ? sendSeed : isServer ? 1 : 2)
    sendPattern = SeededPattern(seed: sendSeed &+ offset)
    receivePattern = SeededPattern(seed: receiveSeed &+ offset)
    sendByteCount = workload.bytes >= 0 ? workload.bytes : workload.send
    expectedByteCount = workload.bytes >= 0 ? workload.bytes : workload.receive
    state.withLock { $0.outcome.number = number }
  }

  func run() async -> PeerOutcome {
    var failure: (any Error)?
    do {
      if workload.echo {
        try await echo()
      } else if sendByteCount == 0 {
        try await receive()
        await connection.finish()
      } else if workload.sendAfterEof {
        try await receive()
        try await send()
      } else if (0...16_384).contains(sendByteCount) {
        // What fits into any window needs no second task.
        try await send()
        try await receive()
      } else {
        try await withThrowingTaskGroup(of: Void.self) { group in
          group.addTask(executorPreference: connection.stack.executor) { try await self.send() }
          group.addTask(executorPreference: connection.stack.executor) { try await self.receive() }
          // Not waitForAll: it lets the other direction run on after the first error.
          while try await group.next() != nil {}
        }
      }
    } catch {
      failure = error
    }
    await takeFacts()
    let aborts = failure is AbortDue
    if aborts { await connection.abort() } else { await connection.close() }
    return state.withLock { state in
      var outcome = state.outcome
      outcome.seconds = seconds() - started
      outcome.longestGap = state.stalls.longest
      outcome.longestGapAt = state.stalls.position
      outcome.error = aborts ? nil : failure.map { "\($0)" }
      let isReset = (failure as? MultipathError)?.kind == .reset
      let isComplete = expectedByteCount < 0 || outcome.received == expectedByteCount
      outcome.succeeded =
        outcome.firstDifference < 0
        && (aborts || (workload.expectReset ? isReset : failure == nil && isComplete))
      return outcome
    }
  }

  /// The connection has moved as much as it should before it is cut.
  private struct AbortDue: Error {}

  private func checkAbort() throws {
    guard workload.abortAfter >= 0 else { return }
    let moved = state.withLock { $0.outcome.sent + $0.outcome.received }
    if moved >= workload.abortAfter { throw AbortDue() }
  }

  private func send() async throws {
    var offset = openingByteCount
    let constant = workload.raw ? ByteSlice([UInt8](repeating: 0x5a, count: workload.writeSize)) : nil
    while sendByteCount < 0 || offset < sendByteCount {
      let count = sendByteCount < 0 ? workload.writeSize : min(workload.writeSize, sendByteCount - offset)
      if let constant {
        try await connection.write(constant.prefix(count))
      } else {
        let chunk = Chunk(capacity: count)
        sendPattern.fill(UnsafeMutableRawBufferPointer(start: chunk.base, count: count), from: offset)
        try await connection.write(ByteSlice(chunk, offset: 0, count: count))
      }
      offset += count
      state.withLock { $0.outcome.sent = offset }
      if isReported, isDue(offset - count, offset) { await takeFacts() }
      try checkAbort()
      if workload.writePauseUs > 0 { try await Task.sleep(for: .microseconds(workload.writePauseUs)) }
    }
    await takeFacts()
    if !workload.keepWritingOpen { await connection.finish() }
  }

  private func receive() async throws {
    if workload.readDelayUs > 0 { try await Task.sleep(for: .microseconds(workload.readDelayUs)) }
    while let slice = try await connection.read(upTo: workload.readSize) {
      let received = note(slice)
      if isReported, isDue(received - slice.count, received) { await takeFacts() }
      try checkAbort()
      let isComplete = state.withLock { expectedByteCount >= 0 && $0.outcome.received >= expectedByteCount }
      if workload.keepWritingOpen && isComplete { return }
      if workload.readPauseUs > 0 { try await Task.sleep(for: .microseconds(workload.readPauseUs)) }
    }
    await takeFacts()
  }

  private func echo() async throws {
    while let slice = try await connection.read(upTo: workload.readSize) {
      state.withLock { state in
        state.stalls.arrival(at: seconds(), after: state.outcome.received)
        state.outcome.received += slice.count
      }
      try await connection.write(slice)
      state.withLock { $0.outcome.sent += slice.count }
      try checkAbort()
    }
    await connection.finish()
  }

  /// Whether this connection has a line of its own in the report.
  private var isReported: Bool { workload.each || workload.connections <= 1 }

  /// A look at the subflows each mebibyte: at the end some may be gone.
  private func isDue(_ before: Int, _ after: Int) -> Bool { before >> 20 != after >> 20 }

  /// Takes arrived bytes into the account; gives the sum so far.
  private func note(_ slice: ByteSlice) -> Int {
    let (received, report): (Int, String?) = state.withLock { state in
      let before = state.outcome.received
      state.stalls.arrival(at: seconds(), after: before)
      if !workload.raw && state.outcome.firstDifference < 0,
        let difference = slice.withUnsafeBytes({ receivePattern.firstDifference(in: $0, from: before) })
      {
        state.outcome.firstDifference = before + difference
      }
      state.outcome.received += slice.count
      let received = state.outcome.received
      guard workload.reportEvery > 0, before / workload.reportEvery != received / workload.reportEvery
      else { return (received, nil) }
      return (received, #"{"event":"progress","received":\#(received),"seconds":\#(seconds() - started)}"#)
    }
    if let report { writeLine(report) }
    return received
  }

  /// A connection that has ended has no subflows to ask about, nor one that has lost them, so they are asked on the
  /// way.
  private func takeFacts() async {
    guard let info = await connection.info else { return }
    state.withLock { state in
      state.outcome.multipath = info.isMultipath
      state.outcome.fallback = info.fallback != nil
      state.outcome.checksum = info.usesChecksum
      state.outcome.duplicateByteCount = info.duplicateByteCount
      guard isReported else { return }
      state.outcome.subflowsTotal = max(state.outcome.subflowsTotal, info.subflows.count)
      for subflow in info.subflows { state.subflows[subflow.id] = subflow }
      state.outcome.subflows = state.subflows.values.sorted { $0.id.rawValue < $1.id.rawValue }.map { subflow in
        PeerOutcome.Subflow(
          local: "\(subflow.tuple.local)", remote: "\(subflow.tuple.remote)", bytesSent: subflow.sentByteCount,
          bytesReceived: subflow.receivedByteCount, retransmittedBytes: subflow.retransmittedByteCount,
          reinjectedBytes: subflow.reinjectedByteCount)
      }
    }
  }
}
