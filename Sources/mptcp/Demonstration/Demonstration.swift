import MPTCPStack
import MPTCPTools
import Multipath
import Synchronization

/// The demonstration: four transfers over two shaped paths, and what they show.
final class Demonstration: Sendable {
  /// Long enough that a path can die and come back on the way, short enough for people who watch.
  static let byteCount = 48_000_000

  let source: SourceFile
  /// Whether the file was made for the purpose: nobody minds if less of it is moved.
  let isTemporary: Bool
  let usesKernel: Bool
  let capture: String?
  let isQuiet: Bool
  /// Ours, while it runs.
  private let stack = Mutex<MultipathStack?>(nil)

  init(source: SourceFile, isTemporary: Bool, usesKernel: Bool, capture: String?, isQuiet: Bool) {
    self.source = source
    self.isTemporary = isTemporary
    self.usesKernel = usesKernel
    self.capture = capture
    self.isQuiet = isQuiet
  }

  /// A path as it is shaped.
  struct Plan: Sendable {
    var name: String
    var bitsPerSecond: Int
    /// Each way: half of the round-trip time.
    var delay: Nanoseconds
    var ours: String
    var theirs: String

    /// A queue of about a round trip and a half at this rate, as home routers have it.
    var link: LinkConfiguration {
      LinkConfiguration(
        bitsPerSecond: bitsPerSecond, delay: delay,
        queueByteCount: max(96_000, Int(Double(bitsPerSecond) / 8 * 2 * delay.seconds * 1.5)))
    }
  }

  static let plans = [
    Plan(
      name: "fast", bitsPerSecond: 40_000_000, delay: .milliseconds(10), ours: "10.99.1.2/24", theirs: "10.99.1.1/24"),
    Plan(
      name: "slow", bitsPerSecond: 20_000_000, delay: .milliseconds(30), ours: "10.99.2.2/24", theirs: "10.99.2.1/24"),
  ]

  /// How long the fast path stays dead.
  private static let outage = Duration.milliseconds(800)
  /// In seconds: on a busy machine the download moves less of the file, so that people do not wait for longer.
  private static let patience = 42.0
  /// One that analyzers know no other protocol for.
  private static let port: Port = 5100

  /// The report, and why the capture is not whole, if it is not.
  func run() async throws -> (report: DemonstrationReport, captureFailure: (any Error)?) {
    let (stack, peer) = try await setting()
    self.stack.withLock { $0 = stack }
    say("Peer: \(peer.name). Paths: " + Self.plans.map(describe).joined(separator: ", ") + ".")
    let before = peer.counters()
    var report = DemonstrationReport(
      peer: peer.name, peerIsKernel: peer.isKernel,
      paths: Self.plans.map { .init(name: $0.name, bitsPerSecond: $0.bitsPerSecond, delay: $0.delay.seconds) },
      transfers: [], kernelCounters: [:])
    let started = secondsNow()
    for isMultipath in [false, true] {
      report.transfers.append(try await transfer(.upload, isMultipath, source, stack, peer, report))
    }
    let part = try affordable(after: secondsNow() - started)
    for isMultipath in [false, true] {
      report.transfers.append(try await transfer(.download, isMultipath, part, stack, peer, report))
    }
    report.kernelCounters = peer.counters().merging(before) { $0 - $1 }.filter { $0.value != 0 }
    let failure = await stack.shutdown(within: .seconds(1))
    await peer.stop()
    return (report.concluded(), failure)
  }

  /// As much of the file as can be downloaded in good time, twice, going by what the uploads took.
  private func affordable(after seconds: Double) throws -> SourceFile {
    let share = max((Self.patience - seconds) / seconds, 0.1)
    guard isTemporary && share < 1 else { return source }
    let byteCount = Int(Double(source.byteCount) * share)
    say("This machine is busy: the download is of the first \(text(byteCount: byteCount)).")
    return try SourceFile(startOf: source, byteCount: byteCount)
  }

  /// Ends the stack whatever it is at, so that the capture is whole.
  func interrupt() async { await stack.withLock({ $0 })?.shutdown(within: .zero) }

  private func describe(_ plan: Plan) -> String {
    "\(plan.name) (\(text(bitsPerSecond: Double(plan.bitsPerSecond))), \(text(seconds: 2 * plan.delay.seconds)))"
  }

  private func say(_ line: String) {
    if !isQuiet { StandardError.write(line + "\n") }
  }

  // MARK: The two ends

  private func setting() async throws -> (MultipathStack, any DemonstrationPeer) {
    guard usesKernel else { return try await processSetting() }
    do {
      return try await kernelSetting()
    } catch {
      StandardError.say("\(error). Both ends run in this process instead.")
      return try await processSetting()
    }
  }

  private func kernelSetting() async throws -> (MultipathStack, any DemonstrationPeer) {
    let routes = try RouteSocket()
    try routes.setLink("lo", isUp: true)
    // First what may be missing: a stack that is given up writes the end of its capture some time later.
    let peer = try KernelPeer(on: TransportAddress(try prefix(Self.plans[0].theirs).address, Self.port))
    let stack: MultipathStack
    do {
      stack = try MultipathStack(
        paths: try Self.plans.map { plan in
          MultipathPath.tun(plan.name, addresses: [try prefix(plan.ours)], hosts: [try prefix(plan.theirs).address])
            .shaped(outgoing: plan.link, incoming: plan.link)
        }, capture: capture)
    } catch let error as MultipathError where error.kind == .permissionDenied || error.kind == .device {
      // Ordinary users may often not open /dev/net/tun: Ethernet pairs and packet sockets need no device file.
      say("No TUN device (\(error.reason)): Ethernet pairs and packet sockets instead.")
      for plan in Self.plans {
        try routes.addEthernetPair(plan.name, plan.name + "-kernel")
        try routes.addAddress(try prefix(plan.theirs), to: plan.name + "-kernel")
        for name in [plan.name, plan.name + "-kernel"] { try routes.setLink(name, isUp: true) }
      }
      stack = try MultipathStack(
        paths: try Self.plans.map { plan in
          // The kernel's address on the first path is reached over the second too: by way of its address there.
          MultipathPath.packet(
            plan.name, addresses: [try prefix(plan.ours)], gateways: [try prefix(plan.theirs).address]
          ).shaped(outgoing: plan.link, incoming: plan.link)
        }, capture: capture)
    }
    return (stack, peer)
  }

  private func processSetting() async throws -> (MultipathStack, any DemonstrationPeer) {
    var ours: [MultipathPath] = []
    var theirs: [MultipathPath] = []
    for plan in Self.plans {
      let (left, right) = try MultipathPath.pair(
        (plan.name, [try prefix(plan.ours)]), (plan.name + "-peer", [try prefix(plan.theirs)]))
      ours.append(left.shaped(outgoing: plan.link, incoming: plan.link))
      theirs.append(right)
    }
    let peer = try await InProcessPeer(
      theirs, address: TransportAddress(try prefix(Self.plans[0].theirs).address, Self.port))
    return (try MultipathStack(paths: ours, capture: capture), peer)
  }

  private func prefix(_ text: String) throws(ArgumentProblem) -> IPPrefix {
    guard let prefix = IPPrefix(text) else { throw ArgumentProblem("'\(text)' is no address") }
    return prefix
  }

  // MARK: One transfer

  private func transfer(
    _ direction: DemonstrationReport.Transfer.Direction, _ isMultipath: Bool, _ source: SourceFile,
    _ stack: MultipathStack, _ peer: any DemonstrationPeer, _ report: DemonstrationReport
  ) async throws -> DemonstrationReport.Transfer {
    let paths = await stack.paths.map(\.id)
    async let peerOutcome = peer.serve(direction, source)
    var options = ConnectionOptions()
    options.multipath = isMultipath ? .enabled : .disabled
    options.path = paths[0]
    let started = secondsNow()
    let connection = try await MultipathConnection.connect(to: peer.address, options: options, on: stack)
    let watch = TransferWatch(
      connection, direction: direction, paths: paths, names: report.paths.map(\.name), byteCount: source.byteCount,
      started: started, isQuiet: isQuiet)
    let watching = Task { await watch.run() }
    let cutting = Task { isMultipath ? await cutFastPath(stack, paths[0], watch) : nil }
    let outcome: PeerOutcome
    do {
      outcome =
        direction == .upload ? try await upload(source, connection, watch) : try await download(connection, watch)
      _ = try await peerOutcome
    } catch {
      cutting.cancel()
      watching.cancel()
      await connection.abort()
      throw error
    }
    let theirs = try await peerOutcome
    cutting.cancel()
    let outage = await cutting.value
    watching.cancel()
    await watching.value
    await connection.close()
    let samples = await watch.samples
    let ended = direction == .upload ? theirs.ended : outcome.ended
    let result = DemonstrationReport.Transfer(
      direction: direction, isMultipath: isMultipath, byteCount: source.byteCount, seconds: ended - started,
      byteCounts: samples.last?.byteCounts ?? [], longestStall: max(outcome.longestStall, theirs.longestStall),
      digest: outcome.digest, peerDigest: theirs.digest, outage: outage, samples: samples)
    say(
      "\(report.title(of: result)): \(text(seconds: result.seconds)), \(text(bitsPerSecond: result.goodput)), "
        + (result.isIntact ? "every byte the same" : "BYTES DIFFER"))
    return result
  }

  private func upload(
    _ source: SourceFile, _ connection: MultipathConnection, _ watch: TransferWatch
  ) async throws -> PeerOutcome {
    var offset = 0
    while offset < source.byteCount {
      let slice = try source.slice(from: offset, upTo: 256 << 10)
      try await connection.write(slice)
      offset += slice.count
    }
    await watch.settle()
    await connection.finish()
    while try await connection.read() != nil {}
    return PeerOutcome(digest: source.digest, byteCount: offset, ended: secondsNow(), longestStall: 0)
  }

  private func download(_ connection: MultipathConnection, _ watch: TransferWatch) async throws -> PeerOutcome {
    var digest = StreamDigest()
    var stalls = StallMeter()
    while let slice = try await connection.read() {
      slice.withUnsafeBytes { digest.update($0) }
      stalls.arrival(at: secondsNow(), after: digest.byteCount)
    }
    let ended = secondsNow()
    await watch.settle()
    await connection.finish()
    return PeerOutcome(
      digest: digest.hexadecimal, byteCount: digest.byteCount, ended: ended, longestStall: stalls.longest)
  }

  /// Takes the fast path down when half has arrived, and up again later, or at the end of the transfer.
  private func cutFastPath(
    _ stack: MultipathStack, _ path: PathID, _ watch: TransferWatch
  ) async -> DemonstrationReport.Outage? {
    while await watch.share < 0.5 {
      do { try await Task.sleep(for: .milliseconds(10)) } catch { return nil }
    }
    await stack.setLinks(of: path, isUp: false)
    let start = await watch.note("down")
    try? await Task.sleep(for: Self.outage)
    await stack.setLinks(of: path, isUp: true)
    let end = await watch.note(nil)
    return DemonstrationReport.Outage(path: 0, start: start, end: Task.isCancelled ? nil : end)
  }
}
