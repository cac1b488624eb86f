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
      let stack = try MultipathStack(paths: plan.paths.map { MultipathPath($0) }, capture: plan.capture)
      // From here on an interruption ends the stack in order, so that the capture is whole.
      let interruption = Interruption()
      let status = await withTaskGroup(of: ExitStatus.self) { group in
        group.addTask { await serve(stack) }
        group.addTask { await interruption.status() }
        defer { group.cancelAll() }
        return await group.next() ?? .success
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

  private func connect(_ host: String, _ port: UInt16, _ stack: MultipathStack) async throws -> ExitStatus {
    let connection = try await open(host, port, stack)
    return await NetcatSession(connection, plan, inputThread, outputThread).run()
  }

  private func open(_ host: String, _ port: UInt16, _ stack: MultipathStack) async throws -> MultipathConnection {
    guard let family = plan.family else {
      return try await .connect(to: host, port: Port(port), options: plan.options, on: stack)
    }
    guard let address = try IPAddress(host) ?? HostLookup.address(of: host, family: family) else {
      throw MultipathError(.unknownHost, attempt: "find \(host)", reason: "it has no address of the family asked for")
    }
    guard address.family == family else {
      let option = family == .v4 ? "-4" : "-6"
      throw ArgumentProblem("\(option): \(host) is an address of the other family; leave \(option) out")
    }
    return try await .connect(to: TransportAddress(address, Port(port)), options: plan.options, on: stack)
  }

  private func listen(_ address: IPAddress?, _ port: Port, _ stack: MultipathStack) async throws -> ExitStatus {
    var options = ListenerOptions()
    options.connection = plan.options
    let families: [IPAddress] = plan.family.map { [$0 == .v4 ? .anyV4 : .anyV6] } ?? [.anyV4, .anyV6]
    let addresses = (address.map { [$0] } ?? families).map { TransportAddress($0, port) }
    let listener = try await MultipathListener.listen(on: addresses, options: options, stack: stack)
    plan.log.info("listening on port \(port)")
    var status = ExitStatus.success
    while let connection = try await listener.accept() {
      if !plan.keepsListening { await listener.close() }
      status = await NetcatSession(connection, plan, inputThread, outputThread).run()
      if !plan.keepsListening { break }
    }
    return status
  }

  /// Tries port after port; success if at least one answers, as netcat has it.
  private func scan(_ host: String, _ ports: ClosedRange<UInt16>, _ stack: MultipathStack) async throws -> ExitStatus {
    var status = ExitStatus.notConnected
    for port in ports {
      do {
        let connection = try await open(host, port, stack)
        let isMultipath = await connection.info?.isMultipath == true
        plan.log.info("\(host) port \(port) answers, with \(isMultipath ? "Multipath TCP" : "plain TCP")")
        await connection.close()
        status = .success
      } catch let error as MultipathError {
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
