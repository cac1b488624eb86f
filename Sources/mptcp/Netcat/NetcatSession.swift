import Glibc
import MPTCPTools
import Multipath
import Synchronization

/// One connection of `mptcp nc`, from its establishment to its end.
struct NetcatSession {
  private let connection: MultipathConnection
  private let plan: NetcatPlan
  private let inputThread: BlockingThread
  private let outputThread: BlockingThread
  private let traffic = Traffic()
  private let accounts = PathAccounts()

  /// What has moved, for the idle limit and the totals.
  private final class Traffic: Sendable {
    let sent = Atomic<Int>(0)
    let received = Atomic<Int>(0)
    let inputEnded = Atomic<Bool>(false)
    let hasFailed = Atomic<Bool>(false)
    let started = secondsNow()

    var total: Int { sent.load(ordering: .relaxed) + received.load(ordering: .relaxed) }
  }

  /// What ends a session.
  private enum End: Sendable {
    case inputEnded
    case streamEnded
    case gaveUp(ExitStatus)
    case observed
  }

  init(
    _ connection: MultipathConnection, _ plan: NetcatPlan, _ inputThread: BlockingThread,
    _ outputThread: BlockingThread
  ) {
    self.connection = connection
    self.plan = plan
    self.inputThread = inputThread
    self.outputThread = outputThread
  }

  func run() async -> ExitStatus {
    let display = Task { await show() }
    let status = await exchange()
    accounts.update(await connection.subflows)
    if status == .success { await connection.close() } else { await connection.abort() }
    display.cancel()
    await display.value
    logTotals(status)
    return status
  }

  private func exchange() async -> ExitStatus {
    // No task group: it would wait for a write to an output that nobody reads any more.
    let (ends, report) = AsyncStream<End>.makeStream()
    var tasks = [
      Task(executorPreference: outputThread) { report.yield(await receive()) }, Task { report.yield(await watch()) },
    ]
    if !plan.ignoresInput { tasks.append(Task(executorPreference: inputThread) { report.yield(await send()) }) }
    defer { for task in tasks { task.cancel() } }
    var isSending = !plan.ignoresInput
    var isReceiving = true
    for await end in ends {
      switch end {
      case .inputEnded:
        isSending = false
        traffic.inputEnded.store(true, ordering: .relaxed)
      case .streamEnded:
        isReceiving = false
        // Nobody answers a terminal that stays open; a pipe is read to its end.
        if isSending && isatty(STDIN_FILENO) == 1 { isSending = false }
        if plan.ignoresInput { await connection.finish() }
      case .gaveUp(let status): return status
      case .observed: continue
      }
      if !isSending && !isReceiving {
        // What was written last is acknowledged before the totals are drawn up.
        let reason = await finalReason()
        return reason == nil || reason == .finished ? .success : .cutShort
      }
    }
    return .interrupted
  }

  /// Waits for the end of the connection, but not for a peer that has stopped to answer.
  private func finalReason() async -> CloseReason? {
    await withTaskGroup(of: CloseReason?.self) { group in
      group.addTask { try? await connection.closed() }
      group.addTask {
        try? await Task.sleep(for: .seconds(3))
        return nil
      }
      defer { group.cancelAll() }
      return await group.next() ?? nil
    }
  }

  private func send() async -> End {
    do {
      let wakeUp = try WakeUp()
      return try await withTaskCancellationHandler {
        var input = InputStream(STDIN_FILENO, until: wakeUp)
        while let slice = try input.next() {
          try await connection.write(slice)
          traffic.sent.add(slice.count, ordering: .relaxed)
        }
        if Task.isCancelled { return .gaveUp(.interrupted) }
        await connection.finish()
        return .inputEnded
      } onCancel: {
        wakeUp.call()
      }
    } catch {
      return failed(error)
    }
  }

  private func receive() async -> End {
    do {
      while let pieces = try await connection.readPieces() {
        for piece in pieces {
          traffic.received.add(piece.count, ordering: .relaxed)
          try writeAll(piece, to: STDOUT_FILENO)
        }
      }
      return .streamEnded
    } catch {
      return failed(error)
    }
  }

  private func failed(_ error: any Error) -> End {
    if error is CancellationError { return .gaveUp(.interrupted) }
    // Reading and writing fail together: the first says it for both.
    if !traffic.hasFailed.exchange(true, ordering: .relaxed) { StandardError.say("\(error)") }
    return .gaveUp(error is MultipathError ? .cutShort : .inputOutput)
  }

  /// The limits of -w and -q.
  private func watch() async -> End {
    guard plan.timeLimit != nil || plan.quitDelay != nil else { return .observed }
    var lastTotal = -1
    var lastMove = ContinuousClock.now
    var inputEnd: ContinuousClock.Instant?
    while !Task.isCancelled {
      let now = ContinuousClock.now
      if traffic.total != lastTotal { (lastTotal, lastMove) = (traffic.total, now) }
      if inputEnd == nil, traffic.inputEnded.load(ordering: .relaxed) { inputEnd = now }
      if let limit = plan.timeLimit, now - lastMove >= limit {
        StandardError.say("nothing moved for \(text(seconds: limit / .seconds(1)))")
        return .gaveUp(.idle)
      }
      if let delay = plan.quitDelay, let inputEnd, now - inputEnd >= delay { return .gaveUp(.success) }
      try? await Task.sleep(for: .milliseconds(20))
    }
    return .observed
  }

  // MARK: What people see

  private func show() async {
    let names = await Dictionary(uniqueKeysWithValues: connection.stack.paths.map { ($0.id, $0.name) })
    if let info = await connection.info {
      let remote = info.subflows.first.map { " with \($0.tuple.remote)" } ?? ""
      plan.log.info("connected\(remote), \(info.isMultipath ? "Multipath TCP" : "plain TCP")")
    }
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        for await event in await connection.events {
          if case .subflowClosed(let subflow, _) = event { accounts.close(subflow) }
          if let line = line(event, names) { plan.log.info("\(line)") }
        }
      }
      if plan.showsProgress {
        group.addTask { await drawProgress() }
      }
      await group.waitForAll()
    }
  }

  private func line(_ event: ConnectionEvent, _ names: [PathID: String]) -> String? {
    func name(_ subflow: SubflowDescription) -> String {
      "subflow \(subflow.id.rawValue) on \(names[subflow.path] ?? "a path that is gone"), "
        + "\(subflow.tuple.local) to \(subflow.tuple.remote)"
    }
    switch event {
    case .subflowEstablished(let subflow): return "\(name(subflow)): up" + (subflow.isBackup ? ", as a backup" : "")
    case .subflowClosed(let subflow, let reason):
      return
        "\(name(subflow)): gone, \(reason.words); sent \(subflow.sentByteCount), received \(subflow.receivedByteCount)"
    case .addressAnnounced(let id, let address): return "the peer has another address: \(address), ID \(id.rawValue)"
    case .addressRemoved(let id): return "the peer takes back the address with ID \(id.rawValue)"
    case .priorityChanged(let id, let isBackup):
      return "the peer wants subflow \(id.rawValue) \(isBackup ? "only as a backup" : "used again")"
    case .pathStalled(let id): return "subflow \(id.rawValue): stalled"
    case .pathRecovered(let id): return "subflow \(id.rawValue): recovered"
    case .fellBack(let reason): return "plain TCP from now on: \(reason.words)"
    case .established, .readable, .writable, .closed: return nil
    }
  }

  private func drawProgress() async {
    var block = LiveBlock()
    var meters: [PathID: RateMeter] = [:]
    var fastest = 1.0
    while !Task.isCancelled {
      accounts.update(await connection.subflows)
      let paths = await connection.stack.paths
      let entries = paths.map { path in
        let now = accounts.path(path.id)
        let byteCount = now.account.acknowledgedByteCount + now.account.receivedByteCount
        let rate = meters[path.id, default: RateMeter()].rate(at: secondsNow(), byteCount: byteCount)
        fastest = max(fastest, rate)
        let remark =
          !path.isUp ? "down" : now.subflows.isEmpty ? "unused" : now.subflows.allSatisfy(\.isStalled) ? "stalled" : nil
        return PathProgress(
          name: path.name, byteCount: byteCount, bitsPerSecond: rate,
          roundTripTime: now.subflows.compactMap(\.smoothedRoundTripTime).min()?.seconds, remark: remark)
      }
      let nameWidth = entries.map(\.name.count).max() ?? 0
      let width = StandardError.width
      StandardError.write(
        block.drawing(entries.map { $0.line(fullScale: fastest, nameWidth: nameWidth, width: width) }))
      try? await Task.sleep(for: .milliseconds(200))
    }
  }

  private func logTotals(_ status: ExitStatus) {
    let seconds = secondsNow() - traffic.started
    let sent = traffic.sent.load(ordering: .relaxed)
    let received = traffic.received.load(ordering: .relaxed)
    let rate = seconds > 0 ? Double(sent + received) * 8 / seconds : 0
    let outcome = status == .success ? "" : "; not complete"
    plan.log.info(
      "sent \(sent) bytes, received \(received) bytes in \(text(seconds: seconds)) (\(text(bitsPerSecond: rate)))\(outcome)"
    )
  }
}
