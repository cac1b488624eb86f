import MPTCPCore
import MPTCPStack

/// Why a call failed: what was tried, what went wrong, and the way out.
public struct MultipathError: Error, Hashable, Sendable {
  /// What went wrong, for programs.
  public enum Kind: Hashable, Sendable {
    /// The peer's host answered that nobody listens there.
    case refused
    /// Nobody answered in time, or the peer fell silent for good.
    case timedOut
    /// The network says that the destination cannot be reached.
    case unreachable
    /// The peer ended the connection without finishing it.
    case reset
    /// The connection was closed or aborted on this side.
    case closed
    /// No path is up that leads to a destination of this family.
    case noPath
    /// The destination is no single other host.
    case notAnotherHost
    /// The local port is taken, or none is free.
    case portInUse
    /// A limit of the stack is reached.
    case limitReached
    /// The name has no address.
    case unknownHost
    /// A permission is missing.
    case permissionDenied
    /// A device cannot be had as it was asked for.
    case device
    /// The peer broke the protocol.
    case protocolViolation
    /// The operation needs Multipath TCP, and the connection is plain TCP.
    case notMultipath
    /// There is no such subflow.
    case unknownSubflow
  }

  /// What went wrong.
  public var kind: Kind
  /// What was tried, as a phrase that fits behind "cannot": `connect to 10.0.0.1:80`.
  public var attempt: String
  /// What went wrong, for people.
  public var reason: String
  /// What to do about it, where that is known.
  public var remedy: String?

  /// Makes an error.
  public init(_ kind: Kind, attempt: String, reason: String, remedy: String? = nil) {
    self.kind = kind
    self.attempt = attempt
    self.reason = reason
    self.remedy = remedy
  }
}

extension MultipathError: CustomStringConvertible {
  /// One line: what failed, why, and what to do about it.
  public var description: String { "cannot \(attempt): \(reason)" + (remedy.map { "; \($0)" } ?? "") }
}

extension MultipathError {
  /// What the engine refused.
  init(_ error: EndpointError, attempt: String) {
    switch error {
    case .unknownConnection, .alreadyFinished:
      self.init(.closed, attempt: attempt, reason: "this side of the connection is closed already")
    case .unknownListener:
      self.init(.closed, attempt: attempt, reason: "the listener is closed already")
    case .unknownSubflow:
      self.init(.unknownSubflow, attempt: attempt, reason: "the connection has no such subflow")
    case .noPath:
      self.init(
        .noPath, attempt: attempt, reason: "no path is up that has an address of the destination's family",
        remedy: "add one with such an address, or bring its device up")
    case .noRoute:
      self.init(
        .noPath, attempt: attempt, reason: "no path that may be used leads there",
        remedy: "give one a gateway (gateway=ADDRESS), or bring up one that has one")
    case .notAnotherHost:
      self.init(
        .notAnotherHost, attempt: attempt,
        reason: "it is no other host's address but this machine's own, a group's, or a network's",
        remedy: "give an address that the peer has on a path, such as host= or one of its network")
    case .portInUse:
      self.init(.portInUse, attempt: attempt, reason: "the port is taken", remedy: "choose another")
    case .noFreePort:
      self.init(
        .portInUse, attempt: attempt, reason: "all ephemeral ports towards this destination are taken",
        remedy: "close connections, or widen EndpointConfiguration.ephemeralPorts")
    case .tooManyConnections:
      self.init(
        .limitReached, attempt: attempt, reason: "the stack has as many connections or subflows as it may have",
        remedy: "close some, or raise the limit in EndpointConfiguration")
    case .notMultipath:
      self.init(.notMultipath, attempt: attempt, reason: "the connection is plain TCP and has but one subflow")
    case .refusedByPeer:
      self.init(
        .refused, attempt: attempt, reason: "the peer allows no more subflows to its first address and port",
        remedy: "use an address that it announced")
    case .closed(let reason):
      self.init(reason, attempt: attempt)
    }
  }

  /// How a connection ended.
  init(_ reason: CloseReason, attempt: String) {
    switch reason {
    case .finished: self.init(.closed, attempt: attempt, reason: "the connection has ended")
    case .aborted: self.init(.closed, attempt: attempt, reason: "the connection was aborted on this side")
    case .resetByPeer: self.init(.reset, attempt: attempt, reason: "the peer reset the connection")
    case .connectTimedOut: self.init(.timedOut, attempt: attempt, reason: "nobody answered in time")
    case .refused: self.init(.refused, attempt: attempt, reason: "the connection was refused: nobody listens there")
    case .timedOut: self.init(.timedOut, attempt: attempt, reason: "the peer did not acknowledge data in time")
    case .noSubflows: self.init(.unreachable, attempt: attempt, reason: "the last subflow failed and no path is left")
    case .unreachable: self.init(.unreachable, attempt: attempt, reason: "the network says that it cannot be reached")
    case .lackOfResources: self.init(.limitReached, attempt: attempt, reason: "the stack had no room for it")
    case .protocolError: self.init(.protocolViolation, attempt: attempt, reason: "the peer broke the protocol")
    }
  }

  /// What the system refused.
  init(_ error: any Error, attempt: String) {
    switch error {
    case let error as MultipathError: self = error
    case let error as SystemError:
      self.init(
        error.isPermission ? .permissionDenied : .device, attempt: error.attempt, reason: error.reason,
        remedy: error.remedy)
    case let error as DeviceError: self.init(.device, attempt: "use \(error.device)", reason: error.reason)
    default: self.init(.device, attempt: attempt, reason: "\(error)")
    }
  }
}
