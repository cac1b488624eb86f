import MPTCPTools
import Multipath

/// `mptcp nc` at work.
struct Netcat {
  private let plan: NetcatPlan
  private let inputThread = BlockingThread("input")
  private let outputThread = BlockingThread("output")

  init(_ plan: NetcatPlan) { self.plan = plan }

  func run() async -> ExitStatus {
    do {
      let stack = try MultipathStack(paths: MultipathPath.paths(plan.paths), capture: plan.capture)
      // From here on an interruption ends the stack in order, so that the capture is whole.
      let interruption = Interruption()
      let status = await withTaskGroup(of: ExitStatus?.self) { group in
        group.addTask { await serve(stack) }
        group.addTask { await interruption.status() }
        group.addTask { await watchPaths(of: stack) }
        defer { group.cancelAll() }
        for await status in group { if let status { return status } }
        return .success
      }
      // The transfer went on without the capture; its user hears of it now.
      guard let failure = await stack.shutdown(within: status.isSignal ? .zero : .seconds(5)) else { return status }
      StandardError.say("\(failure)")
      return status == .success ? .inputOutput : status
    } catch {
      return report(error)
    }
  }

  private func serve(_ stack: MultipathStack) async -> ExitStatus {
    do {
      switch plan.role {
      case .connect(let host, let ports):
        return plan.scans ? try await scan(host, ports, stack) : try await connect(host, ports.lowerBound, stack)
      case .listen(let address, let port):
        return try await listen(address, port, stack)
      }
    } catch {
      return report(error)
    }
  }

  /// Tells of paths that are lost, and ends when there is none left: nothing brings one back.
  private func watchPaths(of stack: MultipathStack) async -> ExitStatus? {
    for await loss in stack.lostPaths {
      StandardError.say(loss.error.description)
      if await stack.paths.isEmpty { return .system }
    }
    return nil
  }

  private func connect(_ host: String, _ port: UInt16, _ stack: MultipathStack) async throws -> ExitStatus {
    let connection = try await open(addresses(of: host), port, stack)
    return await NetcatSession(connection, plan, inputThread, outputThread).run()
  }

  /// Where HOST is, of the family asked for and in as long as -w allows.
  private func addresses(of host: String) async throws -> [IPAddress] {
    if let address = IPAddress(host) {
      if let family = plan.family, address.family != family { throw ArgumentProblem.otherFamily(host, family) }
      return [address]
    }
    if plan.isNumeric { throw ArgumentProblem("-n: '\(host)' is no address; leave -n out to have the name looked up") }
    if host.contains("%") {
      throw ArgumentProblem("'\(host)': a path is an interface already; leave the '%' and what follows it out")
    }
    return try await withThrowingTaskGroup(of: [IPAddress].self) { group in
      group.addTask { try await HostName.addresses(of: host, family: plan.family) }
      group.addTask {
        try await Task.sleep(for: plan.timeLimit ?? .seconds(3_600))
        throw MultipathError(
          .timedOut, attempt: "find the address of '\(host)'", reason: "no name server answered in time")
      }
      defer { group.cancelAll() }
      return try await group.next() ?? []
    }
  }

  /// Connects to the first of a host's addresses that answers.
  private func open(
    _ addresses: [IPAddress], _ port: UInt16, _ stack: MultipathStack
  ) async throws -> MultipathConnection {
    var failure: any Error = MultipathError(.unknownHost, attempt: "connect", reason: "the name has no address")
    for address in addresses {
      let remote = TransportAddress(address, Port(port))
      do {
        plan.log.info("connecting to \(remote)")
        return try await .connect(to: remote, options: plan.options, on: stack)
      } catch let error as MultipathError {
        failure = error
      }
    }
    throw failure
  }

  private func listen(_ address: IPAddress?, _ port: Port, _ stack: MultipathStack) async throws -> ExitStatus {
    var options = ListenerOptions()
    options.connection = plan.options
    if plan.acceptsFastOpen { options.fastOpenBacklog = 256 }
    let families: [IPAddress] = plan.family.map { [$0 == .v4 ? .anyV4 : .anyV6] } ?? [.anyV4, .anyV6]
    let addresses = (address.map { [$0] } ?? families).map { TransportAddress($0, port) }
    let listener = try await MultipathListener.listen(on: addresses, options: options, stack: stack)
    plan.log.info("listening on port \(port)")
    var status = ExitStatus.success
    while let connection = try await listener.accept() {
      if !plan.keepsListening { await listener.close() }
      status = await NetcatSession(connection, plan, inputThread, outputThread).run()
      // Without its output it has nothing to go on for.
      if !plan.keepsListening || status == .inputOutput { break }
    }
    return status
  }

  /// Tries port after port; success if at least one answers, as netcat has it.
  private func scan(_ host: String, _ ports: ClosedRange<UInt16>, _ stack: MultipathStack) async throws -> ExitStatus {
    var status = ExitStatus.notConnected
    let addresses = try await addresses(of: host)
    for port in ports {
      do {
        let connection = try await open(addresses, port, stack)
        let isMultipath = await connection.info?.isMultipath == true
        plan.log.info("\(host) port \(port) answers, with \(isMultipath ? "Multipath TCP" : "plain TCP")")
        await connection.close()
        status = .success
      } catch let error as MultipathError where [.refused, .timedOut, .unreachable].contains(error.kind) {
        plan.log.info("\(error.description)")
      }
    }
    return status
  }

  private func report(_ error: any Error) -> ExitStatus {
    switch error {
    case let error as MultipathError:
      StandardError.say(error.description)
      return ExitStatus(error)
    case let problem as ArgumentProblem:
      StandardError.say(problem.description)
      return .usage
    case is CancellationError:
      return .interrupted
    default:
      StandardError.say("\(error)")
      return .system
    }
  }
}
