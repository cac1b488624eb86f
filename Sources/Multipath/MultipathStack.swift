import MPTCPCore
import MPTCPStack

/// A Multipath TCP stack of our own in this process, with its paths and its thread.
///
/// ```swift
/// let stack = try MultipathStack(paths: [
///   .tun("mp0", addresses: [IPPrefix("10.0.1.2/24")!], hosts: [IPAddress("10.0.1.1")!]),
///   .packet("eth0", addresses: [IPPrefix("192.168.1.77/24")!], gateways: [IPAddress("192.168.1.1")!]),
/// ])
/// ```
///
/// Devices that it made go with it, however the process ends. The stack lives until ``shutdown(within:)``, or until
/// neither it nor a connection or listener of it is held any more.
public final class MultipathStack: Sendable {
  let host: Stack

  /// Opens the devices, in the network namespace of the calling thread, and starts the thread.
  ///
  /// - Parameters:
  ///   - paths: the paths to begin with.
  ///   - configuration: the limits.
  ///   - capture: a file that gets what crosses each path, as pcapng with an interface for each; nil: none.
  /// - Throws: ``MultipathError`` that says which device, permission or file is missing, and what to do.
  public init(
    paths: [MultipathPath] = [], configuration: EndpointConfiguration = EndpointConfiguration(), capture: String? = nil
  ) throws {
    do {
      host = try Stack(configuration: configuration, paths: paths.map { try $0.open() }, capture: capture)
    } catch {
      throw MultipathError(error, attempt: "start the stack")
    }
  }

  deinit { host.stop() }

  /// The stack's thread as an executor: tasks that prefer it call connections without changing threads. They must not
  /// block.
  public var executor: any TaskExecutor { host.loop.tasks }

  // MARK: Paths

  /// Adds a path; connections may use it at once.
  ///
  /// - Throws: ``MultipathError``, as `init`.
  public func addPath(_ path: MultipathPath) async throws -> PathID {
    do {
      let prepared = try path.open()
      return try await host.isolated { try $0.attach(prepared) }
    } catch {
      throw MultipathError(error, attempt: "add a path")
    }
  }

  /// Takes a path away, with its subflows; a device that was made for it goes too.
  public func removePath(_ path: PathID) async { await host.isolated { $0.detach(path) } }

  /// Cuts a shaped path's links, silently, or brings them back. False for a path that is not shaped.
  @discardableResult
  public func setLinks(of path: PathID, isUp: Bool) async -> Bool {
    await host.isolated { $0.setLinks(of: path, isUp: isUp) }
  }

  /// The paths, in the order in which they were added.
  public var paths: [MultipathPathDescription] {
    get async {
      await host.isolated { host in
        host.endpoint.pathConfigurations.map { path in
          MultipathPathDescription(
            id: path.id, name: path.configuration.name, addresses: path.configuration.addresses,
            maximumTransmissionUnit: path.configuration.maximumTransmissionUnit,
            isBackup: path.configuration.isBackup, isUp: path.isUp, droppedPacketCount: host.droppedPackets(on: path.id)
          )
        }
      }
    }
  }

  /// Counters since the start.
  public var statistics: EndpointStatistics { get async { await host.isolated { $0.endpoint.statistics } } }

  /// How long what has been sent may take through a modelled link when the stack ends.
  private static let drainTime = Duration.milliseconds(500)

  /// Waits until all closed connections are really over, or `limit` has passed, and ends the stack: devices that it
  /// made go, the capture is complete. Connections that are still open are aborted, for both sides: whoever waits for
  /// one gets ``CloseReason/aborted``. Listeners end.
  ///
  /// - Returns: why the capture is not whole, such as a full disk; nil if it is, or none was asked for. Packets went on
  ///   without it.
  @discardableResult
  public func shutdown(within limit: Duration = .seconds(5)) async -> (any Error)? {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline, await host.isolated({ $0.endpoint.connectionCount }) > 0 {
      try? await Task.sleep(for: .milliseconds(2))
    }
    await host.isolated { $0.abortAll() }
    // The last words, resets among them, may still be on a modelled link.
    let patience = ContinuousClock.now + Self.drainTime
    while ContinuousClock.now < patience, await host.isolated(\.hasQueuedPackets) {
      try? await Task.sleep(for: .milliseconds(2))
    }
    let failure = await host.isolated { host in
      host.detachAll()
      return host.endCapture()
    }
    host.stop()
    return failure
  }
}

/// A path of a stack as it was at one moment.
public struct MultipathPathDescription: Hashable, Sendable {
  /// The number of the path.
  public var id: PathID
  /// The device's name.
  public var name: String
  /// Our addresses on it.
  public var addresses: [IPPrefix]
  /// The largest IP packet in bytes.
  public var maximumTransmissionUnit: Int
  /// Whether its subflows are used only when no others work.
  public var isBackup: Bool
  /// Whether its link is up.
  public var isUp: Bool
  /// Packets that the device did not take.
  public var droppedPacketCount: Int
}
