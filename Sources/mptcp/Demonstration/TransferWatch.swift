import MPTCPTools
import Multipath

/// Looks at a transfer while it runs: keeps samples for the report and draws both paths on a terminal.
actor TransferWatch {
  private(set) var samples: [DemonstrationReport.Sample] = []
  private let connection: MultipathConnection
  private let direction: DemonstrationReport.Transfer.Direction
  private let paths: [PathID]
  private let names: [String]
  private let byteCount: Int
  private let started: Double
  private let isDrawing: Bool
  private let accounts = PathAccounts()
  private var meters: [RateMeter]
  private var fastPathRemark: String?
  private var fastest = 1.0

  init(
    _ connection: MultipathConnection, direction: DemonstrationReport.Transfer.Direction, paths: [PathID],
    names: [String], byteCount: Int, started: Double, isQuiet: Bool
  ) {
    self.connection = connection
    self.direction = direction
    self.paths = paths
    self.names = names
    self.byteCount = byteCount
    self.started = started
    isDrawing = !isQuiet && StandardError.isTerminal
    meters = paths.map { _ in RateMeter() }
  }

  /// How much of the file has arrived.
  var share: Double { Double(samples.last?.byteCounts.reduce(0, +) ?? 0) / Double(max(byteCount, 1)) }

  /// Shows a remark beside the fast path, and returns the time since the transfer began.
  func note(_ remark: String?) -> Double {
    fastPathRemark = remark
    return secondsNow() - started
  }

  /// Looks until all of the file is accounted for. Call it before our direction ends: with the connection go its
  /// counts.
  func settle() async {
    // What is acknowledged at the data level is so on a subflow, too, at once or one acknowledgement later.
    var patience = 100
    while patience > 0, !Task.isCancelled, let info = await connection.info {
      await look()
      if (direction == .upload ? info.acknowledgedByteCount : info.receivedByteCount) >= byteCount {
        if share >= 1 { return }
        patience -= 1
      }
      try? await Task.sleep(for: .milliseconds(5))
    }
  }

  /// Looks 20 times a second until it is cancelled.
  func run() async {
    let events = Task {
      for await event in await connection.events {
        if case .subflowClosed(let subflow, _) = event { accounts.close(subflow) }
      }
    }
    while !Task.isCancelled {
      await look()
      if isDrawing { draw() }
      try? await Task.sleep(for: .milliseconds(50))
    }
    if isDrawing { StandardError.clear() }
    events.cancel()
  }

  private func look() async {
    accounts.update(await connection.subflows)
    let counts = paths.map { path in
      let account = accounts.path(path).account
      return direction == .upload ? account.acknowledgedByteCount : account.receivedByteCount
    }
    samples.append(.init(time: secondsNow() - started, byteCounts: counts))
  }

  private func draw() {
    guard let counts = samples.last?.byteCounts else { return }
    let width = StandardError.width
    let nameWidth = names.map(\.count).max() ?? 0
    let now = secondsNow()
    var entries: [PathProgress] = []
    for (index, path) in paths.enumerated() {
      let rate = meters[index].rate(at: now, byteCount: counts[index])
      fastest = max(fastest, rate)
      let subflows = accounts.path(path).subflows
      let remark = index == 0 ? fastPathRemark : nil
      entries.append(
        PathProgress(
          name: names[index], byteCount: counts[index], bitsPerSecond: rate,
          roundTripTime: subflows.compactMap(\.smoothedRoundTripTime).min()?.seconds,
          remark: remark ?? (subflows.isEmpty ? "unused" : nil)))
    }
    let percent = decimal(min(share, 1) * 100, places: 0)
    let lines =
      ["\(direction.rawValue)  \(bar(share, width: 30)) \(percent) %"]
      + entries.map { $0.line(fullScale: fastest, nameWidth: nameWidth, width: width) }
    StandardError.draw(lines)
  }
}
