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

  /// What ends a session, or a part of it.
  private enum End: Sendable {
    case inputEnded
    case inputFailed(ExitStatus)
    case streamEnded
    case quitDelayOver
    case closed(CloseReason)
    case gaveUp(ExitStatus)
    case observed
  }

  /// How long the peer may take to end the connection when it has everything.
  private static let closingTime = Duration.seconds(3)

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
    var tasks: [Task<Void, Never>] = [
      Task(executorPreference: outputThread) { _ = report.yield(await receive()) },
      Task { _ = report.yield(await watchIdleTime()) }, Task { _ = report.yield(await watchQuitDelay()) },
    ]
    if !plan.ignoresInput { tasks.append(Task(executorPreference: inputThread) { _ = report.yield(await send()) }) }
    defer { for task in tasks { task.cancel() } }
    var isSending = !plan.ignoresInput
    var isReceiving = true
    var isSettling = false
    for await end in ends {
      switch end {
      case .inputEnded: isSending = false
      case .inputFailed(let status):
        if isSending { return status }
      case .streamEnded:
        isReceiving = false
        // Nobody answers a terminal that stays open; a pipe is read to its end.
        if isSending && isatty(STDIN_FILENO) == 1 { isSending = false }
        if !isSending {
          traffic.inputEnded.store(true, ordering: .relaxed)
          await connection.finish()
        }
      case .quitDelayOver: (isSending, isReceiving) = (false, false)
      case .closed(.finished): return .success
      case .closed:
        StandardError.say("the connection broke off before the peer had acknowledged everything")
        return .cutShort
      case .gaveUp(let status): return status
      case .observed: continue
      }
      guard !isSending, !isReceiving, !isSettling else { continue }
      isSettling = true
      tasks.append(Task { if let reason = try? await connection.closed() { _ = report.yield(.closed(reason)) } })
      tasks.append(Task { _ = report.yield(await settle()) })
    }
    return .interrupted
  }

  /// Waits until the peer has acknowledged all that was written: nobody sends it again once this process has ended.
  /// Patience runs out when nothing more is acknowledged, not while the transfer gets on.
  private func settle() async -> End {
    let patience = Duration.nanoseconds(plan.options.userTimeout.count)
    var acknowledged = -1
    var lastMove = ContinuousClock.now
    while !Task.isCancelled {
      if let info = await connection.info {
        if info.acknowledgedByteCount != acknowledged {
          (acknowledged, lastMove) = (info.acknowledgedByteCount, .now)
        }
        let left = info.writtenByteCount - acknowledged
        if left == 0, plan.quitDelay != nil || .now - lastMove >= Self.closingTime { return .gaveUp(.success) }
        if left > 0, .now - lastMove >= patience {
          StandardError.say(
            "the peer took nothing for \(text(seconds: patience / .seconds(1))): the last \(left) bytes are lost")
          return .gaveUp(.cutShort)
        }
      }
      try? await Task.sleep(for: .milliseconds(20))
    }
    return .observed
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
        if Task.isCancelled { return .inputFailed(.interrupted) }
        await connection.finish()
        traffic.inputEnded.store(true, ordering: .relaxed)
        return .inputEnded
      } onCancel: {
        wakeUp.call()
      }
    } catch {
      // A terminal whose peer has ended: our direction was closed meanwhile.
      if traffic.inputEnded.load(ordering: .relaxed) { return .inputEnded }
      return .inputFailed(failed(error))
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
      return .gaveUp(failed(error))
    }
  }

  private func failed(_ error: any Error) -> ExitStatus {
    if error is CancellationError { return .interrupted }
    // Reading and writing fail together: the first says it for both.
    if !traffic.hasFailed.exchange(true, ordering: .relaxed) { StandardError.say("\(error)") }
    return error is MultipathError ? .cutShort : .inputOutput
  }

  /// The limit of -w.
  private func watchIdleTime() async -> End {
    guard let limit = plan.timeLimit else { return .observed }
    var lastTotal = -1
    var lastMove = ContinuousClock.now
    while !Task.isCancelled {
      let now = ContinuousClock.now
      // What the send buffer took says little: it is the peer's acknowledgement that shows a transfer getting on.
      let info = await connection.info
      let total = traffic.total + (info.map { $0.acknowledgedByteCount + $0.receivedByteCount } ?? 0)
      if total != lastTotal { (lastTotal, lastMove) = (total, now) }
      if now - lastMove >= limit {
        StandardError.say("nothing moved for \(text(seconds: limit / .seconds(1)))")
        return .gaveUp(.idle)
      }
      try? await Task.sleep(for: .milliseconds(20))
    }
    return .observed
  }

  /// The limit of -q.
  private func watchQuitDelay() async -> End {
    guard let delay = plan.quitDelay else { return .observed }
    while !Task.isCancelled {
      if traffic.inputEnded.load(ordering: .relaxed) {
        try? await Task.sleep(for: delay)
        return .quitDelayOver
      }
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
    case .softError(let id, let error): return "subflow \(id.rawValue): \(error.words)"
    case .established, .readable, .writable, .closed: return nil
    }
  }

  private func drawProgress() async {
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
      StandardError.draw(entries.map { $0.line(fullScale: fastest, nameWidth: nameWidth, width: width) })
      try? await Task.sleep(for: .milliseconds(200))
    }
    StandardError.leave()
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
