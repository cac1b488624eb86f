import FoundationEssentials
import Glibc
import MPTCPTools
import Multipath
import Synchronization

/// All connections of one run, and their totals.
final class PeerRun: Sendable {
  private let workload: Workload
  private let isServer: Bool
  private let totals = Mutex(Totals())

  private struct Totals {
    var opened = 0
    var finished = 0
    var failed = 0
    var multipath = 0
    var sent = 0
    var received = 0
    var longestGap = 0.0
  }

  init(_ workload: Workload, isServer: Bool) {
    self.workload = workload
    self.isServer = isServer
  }

  private func makeStack() throws -> MultipathStack {
    // A deadline for everything: whoever waits for this process must not wait for ever.
    let seconds = workload.deadline
    Task {
      try await Task.sleep(for: .seconds(seconds))
      print(#"{"event":"late"}"#)
      exit(124)
    }
    return try MultipathStack(paths: MultipathPath.paths(workload.paths), capture: workload.pcap)
  }

  /// Opens connections, so many at a time.
  func connect(to servers: [TransportAddress]) async throws -> Bool {
    let stack = try makeStack()
    let options = try workload.options
    writeLine(#"{"event":"ready"}"#)
    if workload.holdSeconds > 0 { return try await hold(stack, servers, options) }
    let started = seconds()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<min(workload.inFlight, workload.connections) {
        group.addTask(executorPreference: stack.executor) {
          while let number = self.nextNumber() {
            await self.open(number, servers[number % servers.count], options, stack)
          }
        }
      }
    }
    return await end(stack, since: started)
  }

  private func nextNumber() -> Int? {
    totals.withLock { totals in
      guard totals.opened < workload.connections else { return nil }
      defer { totals.opened += 1 }
      return totals.opened
    }
  }

  private func open(
    _ number: Int, _ server: TransportAddress, _ options: ConnectionOptions, _ stack: MultipathStack
  ) async {
    do {
      let opening = PeerConnection.opening(workload, number: number)
      let connection = try await MultipathConnection.connect(
        to: server, sending: opening, options: options, on: stack)
      await drive(connection, number, openingByteCount: opening.count)
    } catch {
      count(PeerOutcome(failure: "\(error)"), number)
    }
  }

  /// Accepts connections until enough have ended.
  func serve(_ port: Port) async throws -> Bool {
    let stack = try makeStack()
    var options = ListenerOptions()
    options.connection = try workload.options
    options.backlog = 4096
    if workload.fastOpen { options.fastOpenBacklog = 256 }
    let listener = try await MultipathListener.listen(port: port, options: options, on: stack)
    writeLine(#"{"event":"listening"}"#)
    let limit = workload.connections
    var started = seconds()
    await withTaskGroup(of: Void.self) { group in
      var number = 0
      while limit == 0 || number < limit, let connection = try? await listener.accept() {
        if number == 0 { started = seconds() }
        let current = number
        group.addTask(executorPreference: stack.executor) { await self.drive(connection, current) }
        number += 1
      }
    }
    await listener.close()
    return await end(stack, since: started)
  }

  private func drive(_ connection: MultipathConnection, _ number: Int, openingByteCount: Int = 0) async {
    let outcome = await PeerConnection(
      connection, workload, isServer: isServer, number: number, openingByteCount: openingByteCount
    ).run()
    count(outcome, number)
  }

  private func count(_ outcome: PeerOutcome, _ number: Int) {
    totals.withLock { totals in
      totals.finished += 1
      if !outcome.succeeded { totals.failed += 1 }
      if outcome.multipath { totals.multipath += 1 }
      totals.sent += outcome.sent
      totals.received += outcome.received
      totals.longestGap = max(totals.longestGap, outcome.longestGap)
      if !outcome.succeeded && totals.failed <= 5 {
        writeLine(
          "stack-peer: connection \(number) failed: \(outcome.error ?? "wrong bytes or too few")", to: STDERR_FILENO)
      }
    }
    if workload.each || workload.connections <= 1 { emit(outcome: outcome) }
  }

  private func end(_ stack: MultipathStack, since started: Double) async -> Bool {
    let elapsed = seconds() - started
    let statistics = await stack.statistics
    await stack.shutdown(within: .seconds(2))
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return totals.withLock { totals in
      writeLine(
        """
        {"event":"done","connections":\(totals.finished),"failed":\(totals.failed),"unfinished":0,"seconds":\(elapsed),\
        "connectionsPerSecond":\(Double(totals.finished) / max(elapsed, 1e-9)),"sent":\(totals.sent),\
        "received":\(totals.received),"multipathConnections":\(totals.multipath),"longestGap":\(totals.longestGap),\
        "userSeconds":\(seconds(usage.ru_utime)),"systemSeconds":\(seconds(usage.ru_stime)),\
        "retransmittedSegments":\(statistics.retransmittedSegments),"sentPackets":\(statistics.sentPackets),\
        "receivedPackets":\(statistics.receivedPackets),"duplicateByteCount":\(statistics.duplicateByteCount),\
        "reinjectedByteCount":\(statistics.reinjectedByteCount),"joins":\(statistics.joins),\
        "malformed":\(statistics.malformedPackets + statistics.malformedOptions)}
        """)
      return totals.failed == 0
    }
  }

  /// Opens all connections and holds them, for a look at what an idle one takes.
  private func hold(
    _ stack: MultipathStack, _ servers: [TransportAddress], _ options: ConnectionOptions
  ) async throws -> Bool {
    let before = residentByteCount()
    var held: [MultipathConnection] = []
    for number in 0..<workload.connections {
      held.append(try await .connect(to: servers[number % servers.count], options: options, on: stack))
    }
    try await Task.sleep(for: .seconds(workload.holdSeconds))
    let grown = residentByteCount() - before
    writeLine(
      """
      {"event":"held","connections":\(held.count),"residentByteCount":\(grown),\
      "byteCountEach":\(grown / max(held.count, 1))}
      """)
    for connection in held { await connection.abort() }
    await stack.shutdown(within: .seconds(1))
    return true
  }

  private func residentByteCount() -> Int {
    let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
    return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
  }

  private func emit(outcome: PeerOutcome) {
    guard let data = try? JSONEncoder().encode(outcome) else { return }
    writeLine(String(decoding: data, as: UTF8.self), to: STDOUT_FILENO)
  }
}

/// Writes a line at once: who waits for it reads a file.
func writeLine(_ line: String, to descriptor: Int32 = STDOUT_FILENO) {
  let bytes = Array((line + "\n").utf8)
  _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
}

/// The monotonic clock.
func seconds() -> Double {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}

private func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
