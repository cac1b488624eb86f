import MPTCPWire

/// A local address that subflows may start from, on its path.
public struct LocalAddress: Sendable, Hashable {
  /// The path.
  public var path: PathID
  /// The address.
  public var address: IPAddress
  /// The ID that this connection gives it (RFC 8684 §3.4).
  public var id: AddressID
  /// Whether its path is up.
  public var isUp: Bool
  /// Whether its path is meant as a backup.
  public var isBackup: Bool
  /// The networks that its path leads to; nil: everywhere.
  public var reach: [IPPrefix]?

  /// Makes a description of a local address; see the properties.
  public init(
    path: PathID, address: IPAddress, id: AddressID, isUp: Bool, isBackup: Bool, reach: [IPPrefix]? = nil
  ) {
    self.path = path
    self.address = address
    self.id = id
    self.isUp = isUp
    self.isBackup = isBackup
    self.reach = reach
  }

  /// Whether a subflow from here to `remote` can exist: they are of one family, and the path leads there.
  public func leads(to remote: IPAddress) -> Bool {
    address.family == remote.family && reach?.contains { $0.contains(remote) } ?? true
  }
}

/// An address of the peer that joins may go to.
public struct RemoteAddress: Sendable, Hashable {
  /// The ID that the peer gave it; 0 is the address of the initial subflow.
  public var id: AddressID
  /// The address and port.
  public var address: TransportAddress

  /// Makes a description of a remote address; see the properties.
  public init(id: AddressID, address: TransportAddress) {
    self.id = id
    self.address = address
  }
}

/// What a policy may look at when it decides.
public struct PolicyView: Sendable {
  /// Now.
  public var now: Instant
  /// Whether this host opened the connection.
  public var isInitiator: Bool
  /// Our addresses, by path.
  public var localAddresses: [LocalAddress]
  /// The peer's addresses, the initial one first where the peer allows joins to it (RFC 8684 §3.1, flag C).
  public var remoteAddresses: [RemoteAddress]
  /// The subflows, closing ones left out.
  public var subflows: [SubflowDescription]
  /// The IDs of our addresses that have been announced.
  public var announced: [AddressID]

  /// Makes a view; see the properties.
  public init(
    now: Instant, isInitiator: Bool, localAddresses: [LocalAddress], remoteAddresses: [RemoteAddress],
    subflows: [SubflowDescription], announced: [AddressID]
  ) {
    self.now = now
    self.isInitiator = isInitiator
    self.localAddresses = localAddresses
    self.remoteAddresses = remoteAddresses
    self.subflows = subflows
    self.announced = announced
  }
}

/// What makes a policy look again.
public enum PolicyEvent: Sendable, Hashable {
  /// The connection is fully established: joins are possible.
  case established
  /// A subflow came to be.
  case subflowEstablished(SubflowID)
  /// A subflow, or an attempt at one, ended.
  case subflowClosed(FourTuple, PathID, SubflowCloseReason)
  /// The peer announced or took back an address.
  case remoteAddressesChanged
  /// A local path came, went, or changed its state.
  case localPathsChanged
  /// The time asked for by `.wake` has come.
  case wake
}

/// What a policy wants done.
public enum PathCommand: Sendable, Hashable {
  /// Open a subflow from a local address to a remote one.
  case openSubflow(from: LocalAddress, to: RemoteAddress, isBackup: Bool)
  /// Close a subflow.
  case closeSubflow(SubflowID)
  /// Tell the peer to use a subflow as a backup, or no longer (MP_PRIO).
  case setBackup(SubflowID, Bool)
  /// Announce one of our addresses (ADD_ADDR). One that is announced already, and was a second ago or longer, is said
  /// again: an invitation to a peer that has no subflow there.
  case announce(LocalAddress, port: Port?)
  /// Take an announced address back (REMOVE_ADDR).
  case withdraw(AddressID)
  /// Call again at this time with ``PolicyEvent/wake``.
  case wake(at: Instant)
}

/// Decides which subflows a connection has: events go in, commands come out. It does no I/O and keeps its own memory.
public protocol PathPolicy: Sendable {
  /// Takes note of an event and appends what should be done now to `commands`.
  mutating func handle(_ event: PolicyEvent, in view: PolicyView, commands: inout [PathCommand])
}

/// The policies that a connection can have: the built-in ones, or one of your own.
public enum Policy: Sendable {
  /// One subflow from each of our addresses to each of the peer's.
  case fullMesh(FullMesh = FullMesh())
  /// The initial subflow and what the peer opens; nothing of our own.
  case passive
  /// A policy of your own.
  case custom(any PathPolicy)

  /// Passes the event on to the policy.
  public mutating func handle(_ event: PolicyEvent, in view: PolicyView, commands: inout [PathCommand]) {
    switch self {
    case .fullMesh(var mesh):
      self = .passive
      mesh.handle(event, in: view, commands: &commands)
      self = .fullMesh(mesh)
    case .passive: break
    case .custom(var policy):
      policy.handle(event, in: view, commands: &commands)
      self = .custom(policy)
    }
  }
}
