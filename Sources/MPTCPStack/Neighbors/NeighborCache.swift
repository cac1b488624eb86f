import MPTCPWire

/// The link-layer addresses of the hosts on a link: one state machine for ARP (RFC 826) and for IPv6 neighbour
/// discovery (RFC 4861 §7.3), without I/O.
///
/// Ask ``resolve(_:at:)`` before each packet; hand unresolved packets to ``hold(_:for:)``; tell it of every answer and,
/// at ``nextDeadline``, of time; it says which solicitations to send and which packets to let go.
struct NeighborCache<Held> {
  /// RETRANS_TIMER (RFC 4861 §10).
  static var retransmitInterval: Nanoseconds { .seconds(1) }
  /// MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT.
  static var solicitationLimit: Int { 3 }
  /// REACHABLE_TIME.
  static var reachableTime: Nanoseconds { .seconds(30) }
  /// DELAY_FIRST_PROBE_TIME.
  static var probeDelay: Nanoseconds { .seconds(5) }
  /// How long a host that did not answer is left alone before it is asked again.
  static var failureTime: Nanoseconds { .seconds(1) }
  /// Packets held for one host while it is asked; more push out the oldest.
  static var heldLimit: Int { 16 }
  /// Hosts remembered. For a new one is forgotten who was never used, or else is longest unused.
  static var entryLimit: Int { 1_024 }

  /// What to do with a packet.
  enum Resolution: Equatable {
    /// Send it there.
    case known(MACAddress)
    /// Hold it; and, if so told, ask the link first.
    case pending(solicit: Bool)
    /// Drop it: the host does not answer.
    case unreachable
  }

  /// A question to put on the link.
  struct Solicitation: Equatable {
    var target: IPAddress
    /// Whom to ask; nil: everyone (the broadcast address, or the solicited-node group).
    var destination: MACAddress?
  }

  private enum State {
    case incomplete(asked: Int, deadline: Instant, held: [Held])
    case reachable(MACAddress, until: Instant)
    case stale(MACAddress)
    case delayed(MACAddress, until: Instant)
    case probing(MACAddress, asked: Int, deadline: Instant)
    case failed(until: Instant)

    var deadline: Instant? {
      switch self {
      case .incomplete(_, let deadline, _), .probing(_, _, let deadline): deadline
      case .delayed(_, let until): until
      case .reachable, .stale, .failed: nil
      }
    }

    var address: MACAddress? {
      switch self {
      case .reachable(let address, _), .stale(let address), .delayed(let address, _), .probing(let address, _, _):
        address
      case .incomplete, .failed: nil
      }
    }
  }

  private struct Entry {
    var state: State
    /// Whether we ever had a packet for it. Others are there because they asked for us, as anybody may.
    var isWanted = false
    var lastUse: Instant
  }

  /// Uses closer together than this count as one.
  private static var useInterval: Nanoseconds { .seconds(1) }

  private var entries: [IPAddress: Entry] = [:]

  /// When ``advance(to:)`` has something to do; nil: never.
  private(set) var nextDeadline: Instant?

  /// Where a packet to `address` goes.
  mutating func resolve(_ address: IPAddress, at now: Instant) -> Resolution {
    guard let entry = entries[address] else { return ask(address, at: now) }
    if !entry.isWanted || now - entry.lastUse >= Self.useInterval {
      entries[address]?.isWanted = true
      entries[address]?.lastUse = now
    }
    switch entry.state {
    case .reachable(let hardware, let until):
      if now < until { return .known(hardware) }
      set(address, .delayed(hardware, until: now + Self.probeDelay), at: now)
      return .known(hardware)
    case .stale(let hardware):
      set(address, .delayed(hardware, until: now + Self.probeDelay), at: now)
      return .known(hardware)
    case .delayed(let hardware, _), .probing(let hardware, _, _):
      return .known(hardware)
    case .incomplete:
      return .pending(solicit: false)
    case .failed(let until):
      return now < until ? .unreachable : ask(address, at: now)
    }
  }

  /// Keeps a packet until `address` has answered. Gives back the packet that had to go for it.
  mutating func hold(_ packet: Held, for address: IPAddress) -> Held? {
    guard case .incomplete(let asked, let deadline, var held) = entries[address]?.state else { return packet }
    held.append(packet)
    let displaced = held.count > Self.heldLimit ? held.removeFirst() : nil
    entries[address]?.state = .incomplete(asked: asked, deadline: deadline, held: held)
    return displaced
  }

  /// `address` answered a solicitation of ours: gives the packets that waited for it.
  mutating func confirm(_ address: IPAddress, is hardware: MACAddress, at now: Instant) -> [Held] {
    guard let entry = entries[address] else { return [] }
    set(address, .reachable(hardware, until: now + Self.reachableTime), at: now)
    if case .incomplete(_, _, let held) = entry.state { return held }
    return []
  }

  /// `address` was heard of without having been asked: by its own question, or an announcement. That it hears us is
  /// not proven, so it is believed and, on use, probed.
  ///
  /// - Parameter isNew: whether an unknown host is remembered. It is when it asked for us, since we are about to
  ///   answer it.
  mutating func learn(_ address: IPAddress, is hardware: MACAddress, isNew: Bool, at now: Instant) -> [Held] {
    guard let entry = entries[address] else {
      if isNew { set(address, .stale(hardware), at: now) }
      return []
    }
    if entry.state.address != hardware { set(address, .stale(hardware), at: now) }
    if case .incomplete(_, _, let held) = entry.state { return held }
    return []
  }

  /// Repeats questions that are due and gives up on hosts that do not answer.
  mutating func advance(to now: Instant) -> (solicitations: [Solicitation], dropped: [Held]) {
    guard let nextDeadline, nextDeadline <= now else { return ([], []) }
    var solicitations: [Solicitation] = []
    var dropped: [Held] = []
    for (address, entry) in entries {
      guard let deadline = entry.state.deadline, deadline <= now else { continue }
      let next = now + Self.retransmitInterval
      switch entry.state {
      case .incomplete(let asked, _, let held) where asked < Self.solicitationLimit:
        entries[address]?.state = .incomplete(asked: asked + 1, deadline: next, held: held)
        solicitations.append(Solicitation(target: address, destination: nil))
      case .incomplete(_, _, let held):
        entries[address]?.state = .failed(until: now + Self.failureTime)
        dropped += held
      case .delayed(let hardware, _):
        entries[address]?.state = .probing(hardware, asked: 1, deadline: next)
        solicitations.append(Solicitation(target: address, destination: hardware))
      case .probing(let hardware, let asked, _) where asked < Self.solicitationLimit:
        entries[address]?.state = .probing(hardware, asked: asked + 1, deadline: next)
        solicitations.append(Solicitation(target: address, destination: hardware))
      case .probing:
        entries[address] = nil
      case .reachable, .stale, .failed:
        continue
      }
    }
    self.nextDeadline = entries.values.compactMap(\.state.deadline).min()
    return (solicitations, dropped)
  }

  private mutating func ask(_ address: IPAddress, at now: Instant) -> Resolution {
    set(address, .incomplete(asked: 1, deadline: now + Self.retransmitInterval, held: []), at: now)
    entries[address]?.isWanted = true
    return .pending(solicit: true)
  }

  private mutating func set(_ address: IPAddress, _ state: State, at now: Instant) {
    if entries.count >= Self.entryLimit, entries[address] == nil,
      let oldest = entries.min(by: {
        ($0.value.isWanted ? 1 : 0, $0.value.lastUse) < ($1.value.isWanted ? 1 : 0, $1.value.lastUse)
      })?.key
    {
      entries[oldest] = nil
    }
    if entries[address] == nil {
      entries[address] = Entry(state: state, lastUse: now)
    } else {
      entries[address]?.state = state
    }
    // May be earlier than anything is due; then `advance` finds the right one.
    if let deadline = state.deadline { nextDeadline = min(nextDeadline ?? deadline, deadline) }
  }
}
