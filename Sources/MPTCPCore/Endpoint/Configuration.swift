import MPTCPPolicy
import MPTCPWire

/// Where the engine takes unpredictable numbers from: keys, nonces, ports, secrets. The host injects it.
public protocol EntropySource: Sendable {
  /// The next 64 unpredictable bits.
  mutating func next() -> UInt64
}

/// Entropy from a seed, for simulations and tests: the same seed gives the same run. Never for real traffic.
public struct SeededEntropy: EntropySource {
  private var state: UInt64

  /// Starts the sequence of `seed`.
  public init(seed: UInt64) { state = seed }

  /// The next number (SplitMix64).
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

/// A device, or a way out of the host, as the engine has to know it.
public struct PathConfiguration: Sendable, Hashable {
  /// A name for people: the device's.
  public var name: String
  /// Our addresses on it. Packets for any of our addresses are accepted on every path.
  public var addresses: [IPPrefix]
  /// The largest IP packet that it carries, in bytes; at least 576 (IPv4) or 1,280 (IPv6).
  public var maximumTransmissionUnit: Int
  /// Whether the device finishes TCP checksums.
  public var offersChecksumOffload: Bool
  /// Whether the device cuts super-segments of up to 65,535 bytes.
  public var offersSegmentationOffload: Bool
  /// Whether its subflows are to be used only when no others work.
  public var isBackup: Bool
  /// The networks that it leads to; nil: everywhere. An interface without a gateway leads to its own network alone.
  public var reach: [IPPrefix]?

  /// Describes a path; see the properties.
  public init(
    name: String, addresses: [IPPrefix], maximumTransmissionUnit: Int = 1500, offersChecksumOffload: Bool = false,
    offersSegmentationOffload: Bool = false, isBackup: Bool = false, reach: [IPPrefix]? = nil
  ) {
    self.name = name
    self.addresses = addresses
    self.maximumTransmissionUnit = maximumTransmissionUnit
    self.offersChecksumOffload = offersChecksumOffload
    self.offersSegmentationOffload = offersSegmentationOffload
    self.isBackup = isBackup
    self.reach = reach
  }

  /// Whether packets to `address` have a way over this path.
  public func leads(to address: IPAddress) -> Bool { reach?.contains { $0.contains(address) } ?? true }
}

/// Whether a connection asks for Multipath TCP, and which version of it. A listener takes any but ``disabled`` as leave
/// to answer with the versions of ``ListenerOptions/versions``.
public enum MultipathMode: Sendable, Hashable {
  /// Multipath TCP version 1 (RFC 8684), TCP where the peer does not speak it. A host that knows only version 0 ignores
  /// the offer, as RFC 8684 §3.1 has it, and the connection stays TCP: to try again would let anyone on the path who
  /// takes the option out of a SYN/ACK bring the connection down to the weaker version (RFC 8684 §5).
  case enabled
  /// Multipath TCP version 0 (RFC 6824), TCP where the peer does not speak it.
  case version0
  /// Version 1; where the peer's SYN/ACK shows that it ignores that, the connection is reset before any data, and
  /// opened anew with version 0 (RFC 8684 §3.1). The application sees one connection, and the endpoint remembers the
  /// outcome for the next ones to the same destination (``PeerMemory``). Not for two hosts that open one connection
  /// towards each other: the answer to a SYN that crossed another shows nothing, and looks the same.
  case version1Then0
  /// Plain TCP.
  case disabled
}

/// How Multipath TCP ends a connection at once (RFC 8684 §3.5). Plain TCP, and a connection whose peer has not proved
/// that it speaks Multipath TCP, knows only the RST.
public enum FastCloseForm: Sendable, Hashable {
  /// Option R: RST with MP_FASTCLOSE on every subflow, and everything is forgotten.
  case reset
  /// Option A: MP_FASTCLOSE on an ACK of the best subflow, RST on the others. It goes again after each retransmission
  /// time-out, three times, until the peer answers with RST; then a RST with MP_FASTCLOSE ends it.
  case acknowledged
}

/// Versions of Multipath TCP.
public struct MultipathVersions: OptionSet, Sendable, Hashable {
  /// A bit for each version: 1 << its number.
  public var rawValue: UInt16
  /// Makes a set from its bits.
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// Version 0 (RFC 6824).
  public static let v0 = MultipathVersions(rawValue: 1 << 0)
  /// Version 1 (RFC 8684).
  public static let v1 = MultipathVersions(rawValue: 1 << 1)
}

/// How addresses are announced under version 0, whose ADD_ADDR nothing authenticates (RFC 6824 §3.4.1).
public enum Version0Announcements: Sendable, Hashable {
  /// As RFC 6824 has it. What comes as ADD_ADDR2 counts if its HMAC is right.
  case plain
  /// As ADD_ADDR2, with an HMAC (see ``AddAddress/hmac``); without a right one none is believed. Both hosts have to
  /// know it.
  case authenticated
}

/// What may be said of a connection before it opens; a listener gives it to the connections that it accepts.
public struct ConnectionOptions: Sendable {
  /// Whether to ask for Multipath TCP.
  public var multipath: MultipathMode = .enabled
  /// How the congestion windows grow.
  public var congestionControl: CongestionAlgorithm {
    get { strategies?.congestionControl ?? .cubic }
    set { strategies = Strategies(newValue, scheduler, policy) }
  }
  /// Which subflow carries the next data.
  public var scheduler: Scheduler {
    get { strategies?.scheduler ?? .standard }
    set { strategies = Strategies(congestionControl, newValue, policy) }
  }
  /// Which subflows there are.
  public var policy: Policy {
    get { strategies?.policy ?? .fullMesh() }
    set { strategies = Strategies(congestionControl, scheduler, newValue) }
  }
  /// Those three, where one of them is not the default. A connection looks at them when it begins, and keeps its
  /// options for good: here they are a word instead of some twenty.
  private var strategies: Strategies?
  /// The path of the initial subflow; nil takes the first that is up and has an address of the right family.
  public var path: PathID?
  /// Our port; nil takes a free ephemeral one.
  public var localPort: Port?
  /// Whether small writes leave at once (Nagle's algorithm off, RFC 9293 §3.7.4).
  /// Requirement 9293-3.7.4-02
  public var noDelay = false
  /// Whether to ask for DSS checksums (RFC 8684 §3.3.1).
  /// Requirement 8684-3.1-34
  public var checksum = false
  /// Whether not to compute DSS checksums: where the peer asks for them the connection is plain TCP (RFC 8684 §3.1;
  /// version 0 has no such choice, RFC 6824 §3.1). Without meaning beside ``checksum``.
  /// Requirement 8684-3.1-46
  public var refusesChecksum = false
  /// TCP Fast Open (RFC 7413): whether the data given to ``Endpoint/connect(to:sending:options:at:)`` may leave on the
  /// SYN.
  ///
  /// Whoever sets it says that the application bears it when that data comes to its peer's twice: a SYN that the
  /// network repeats late, when the first connection is over, makes another one. It takes a cookie, which the first
  /// connection to a host asks for; plain TCP and version 1 of Multipath TCP have it.
  public var fastOpen = false
  /// How addresses are announced under version 0.
  public var version0Announcements = Version0Announcements.plain
  /// Whether to refuse joins to the initial address and port (flag C, RFC 8684 §3.1; version 0 has no such flag, and
  /// the peer hears of it by RST).
  /// Requirement 8684-3.1-38
  public var refusesJoinsToInitialAddress = false
  /// Whether to ask for ECN (RFC 3168 §6.1.1); a listener always agrees to it.
  public var explicitCongestionNotification = false
  /// The differentiated services code point of the connection's segments, 0 to 63 (RFC 2474 §3); higher bits are left
  /// out.
  /// Requirement 9293-3.9.1-07
  public var differentiatedServicesCodePoint: UInt8 = 0
  /// The hop limit (IPv4: time to live) of the connection's segments; 0 would reach nobody and counts as 1.
  /// Requirement 9293-3.9.2-01
  public var hopLimit: UInt8 = 64
  /// Idle time before a keep-alive probe (RFC 9293 §3.8.4); nil sends none.
  /// Requirement 9293-3.8.4-01, 9293-3.8.4-02, 9293-3.8.4-04, 9293-3.8.4-05
  public var keepAlive: Nanoseconds?
  /// How long data may stay unacknowledged before the connection is given up.
  /// Requirement 9293-3.8.3-03
  public var userTimeout: Nanoseconds = .seconds(300)
  /// How long a connection whose subflows are all gone waits for another one, ours or the peer's, before it is given up
  /// (break before make; RFC 8684 §3.3.3 leaves the time open).
  public var breakBeforeMakeTimeout: Nanoseconds = .seconds(60)
  /// How long data without a mapping waits on a subflow before that is reset with the reason "middlebox interference",
  /// but no less than eight retransmission time-outs of the subflow, up to a minute (RFC 8684 §3.3.1 leaves the time
  /// open).
  /// Requirement 8684-3.3.1-15
  public var mappingTimeout: Nanoseconds = .seconds(10)
  /// How long to wait for an answer to the SYN (RFC 9293 §3.8.3 wants three minutes at least, where the application
  /// does not say otherwise).
  /// Requirement 9293-3.8.3-05
  public var connectTimeout: Nanoseconds = .seconds(180)
  /// The most bytes that the application may have written and the peer not yet acknowledged.
  /// Requirement 8684-3.3.5-05
  public var sendBufferByteCount = 16 << 20
  /// The largest receive window. It starts at 256 KiB and grows with what the application reads in a round trip. Twice
  /// as many bytes are the most that a peer can make the connection keep.
  public var receiveBufferByteCount = 16 << 20

  private final class Strategies: Sendable {
    let congestionControl: CongestionAlgorithm
    let scheduler: Scheduler
    let policy: Policy

    init(_ congestionControl: CongestionAlgorithm, _ scheduler: Scheduler, _ policy: Policy) {
      self.congestionControl = congestionControl
      self.scheduler = scheduler
      self.policy = policy
    }
  }

  /// The defaults.
  public init() {}
}

/// What may be said of a listener.
public struct ListenerOptions: Sendable {
  /// What the accepted connections are given.
  public var connection = ConnectionOptions()
  /// The versions that are accepted, where ``ConnectionOptions/multipath`` does not say ``MultipathMode/disabled``. To
  /// a version 1 SYN without version 1, and the other way round, the answer is TCP.
  public var versions: MultipathVersions = [.v0, .v1]
  /// The most connections that are open but not yet taken by the application (`accept`).
  public var backlog = 1024
  /// TCP Fast Open (RFC 7413): the most connections whose SYN brought data with a right cookie and whose handshake is
  /// not done. Beyond it, and while SYN cookies answer, data of SYNs is not taken; the peer sends it again after the
  /// handshake.
  ///
  /// 0 gives out no cookies and takes no data. Whoever sets another number says that the application bears it when a
  /// connection, with the data of its SYN, comes twice. It has such connections before their third ACK, and with
  /// Multipath TCP before it is certain that they will be: `.fellBack` may follow `.established`.
  ///
  /// What the application answers before the third ACK has a mapping and no DATA_ACK (RFC 8684 §B.3, erratum 6609).
  /// Linux as client goes back to TCP at that. An application that prefers a second path to a round trip waits with its
  /// answer until `.subflowEstablished`.
  /// Requirement 7413-4.2-01
  public var fastOpenBacklog = 0

  /// The defaults.
  public init() {}
}

/// The limits of one endpoint. Each bounds what a peer or an attacker can make it keep.
public struct EndpointConfiguration: Sendable {
  /// The most connections, half-open ones included.
  public var maximumConnectionCount = 1 << 20
  /// The most handshakes under way as listener; beyond it SYN cookies answer (RFC 4987 §3.6).
  public var maximumHalfOpenCount = 1024
  /// The most subflows of a connection.
  public var maximumSubflowCount = 32
  /// The most entries in TIME-WAIT; the oldest go first.
  public var maximumTimeWaitCount = 1 << 16
  /// How long TIME-WAIT lasts: twice the maximum segment lifetime (RFC 9293 §3.4.2).
  /// Requirement 9293-3.6.1-03
  public var timeWait: Nanoseconds = .seconds(60)
  /// The ports that connections without a port of their own take.
  public var ephemeralPorts: ClosedRange<UInt16> = 32_768...60_999
  /// The least retransmission time-out. RFC 6298 §2.4 says 1 s; like all common stacks we take 200 ms.
  public var minimumRetransmissionTimeout: Nanoseconds = .milliseconds(200)
  /// The longest delay of an acknowledgement. RFC 9293 §3.8.6.3 allows 500 ms; more counts as that.
  /// Requirement 9293-3.8.6.3-02
  public var acknowledgmentDelay: Nanoseconds = .milliseconds(40)
  /// What is remembered of destinations and paths where Multipath TCP failed (RFC 8684 §3.9.3).
  public var peerMemory = PeerMemoryLimits()
  /// What is kept for TCP Fast Open as a client (RFC 7413 §4.1.3).
  public var fastOpenMemory = FastOpenMemoryLimits()
  /// After which time listeners give out Fast Open cookies of another key; those of the last one are good for as long
  /// again (RFC 7413 §4.1.2).
  public var fastOpenKeyLifetime: Nanoseconds = .seconds(3600)
  /// Challenge ACKs in a second (RFC 5961 §7), and as many resets, answers from TIME-WAIT and echo replies, each
  /// counted apart. Between half and one and a half times as many are allowed, drawn anew each second.
  public var challengeAcknowledgmentsPerSecond = 1000

  /// The defaults.
  public init() {}
}

/// A listener as the engine numbers it. Numbers are not used again.
public struct ListenerID: Hashable, Sendable {
  /// The number.
  public var rawValue: Int
  /// Makes a listener ID.
  public init(_ rawValue: Int) { self.rawValue = rawValue }
}

/// Something that happened to a connection, for the host to pass on.
public struct EndpointEvent: Sendable {
  /// The connection.
  public var connection: ConnectionID
  /// The listener that accepted it; nil for connections that we opened.
  public var listener: ListenerID?
  /// What happened.
  public var event: ConnectionEvent
  /// When.
  public var at: Instant
}

/// Why the engine refused a call of the application. Each case says what to do.
public enum EndpointError: Error, Hashable, Sendable {
  /// There is no such connection (any more): forget the number.
  case unknownConnection
  /// There is no such listener.
  case unknownListener
  /// There is no such subflow.
  case unknownSubflow
  /// No path is up with an address of the destination's family: add one, or bring one up.
  case noPath
  /// No path that may be used leads to the destination: give one a gateway, add one, or bring one up that does.
  case noRoute
  /// The destination is no single other host: a group, a broadcast or unspecified address, loopback, or an address of
  /// our own (RFC 9293 MUST-46, RFC 1122 §3.2.1.3).
  /// Requirement 9293-3.9.1-02
  case notAnotherHost
  /// The port is taken: choose another.
  case portInUse
  /// All ephemeral ports towards this destination are taken: close connections or widen the range.
  case noFreePort
  /// The limit of connections, or of subflows, is reached.
  case tooManyConnections
  /// The application has closed this direction already.
  case alreadyFinished
  /// The connection is plain TCP, or not yet fully established as Multipath TCP: it has no subflows to control.
  case notMultipath
  /// The peer allows no further subflows to its initial address and port (flag C, RFC 8684 §3.1): use another one.
  case refusedByPeer
  /// The connection ended, for this reason.
  case closed(CloseReason)
}

/// Counters of an endpoint since its start. None of them ever shrinks.
public struct EndpointStatistics: Sendable, Hashable {
  /// Packets taken in.
  public var receivedPackets = 0
  /// Packets handed out.
  public var sentPackets = 0
  /// Packets dropped because a header was malformed.
  public var malformedPackets = 0
  /// Packets dropped because a checksum was wrong.
  public var badChecksums = 0
  /// Packets for an address or a port that is not ours, or that we may not take (``IPHeader/mustBeDiscardedByHost``).
  public var strayPackets = 0
  /// Multipath TCP options that were malformed and ignored.
  public var malformedOptions = 0
  /// RSTs sent.
  public var sentResets = 0
  /// Challenge ACKs sent (RFC 5961).
  public var challengeAcknowledgments = 0
  /// SYNs answered by a cookie.
  public var cookiesSent = 0
  /// Connections made from a cookie.
  public var cookiesAccepted = 0
  /// Connections that opened with data on the SYN (RFC 7413), as either side.
  public var fastOpens = 0
  /// SYNs with a Fast Open cookie that is none of ours.
  public var badFastOpenCookies = 0
  /// SYNs with a right cookie whose data was not taken: too many handshakes of that kind were under way.
  public var refusedFastOpens = 0
  /// Joins refused: unknown token.
  public var unknownTokens = 0
  /// Joins refused: wrong HMAC.
  public var badJoinAuthentications = 0
  /// ADD_ADDR ignored: wrong HMAC.
  public var badAddressAuthentications = 0
  /// ADD_ADDR, REMOVE_ADDR and MP_PRIO that were not looked at: a connection's peer sent too many in a second.
  public var ignoredSignals = 0
  /// DSS checksums that failed.
  public var badDataChecksums = 0
  /// Segments sent again.
  public var retransmittedSegments = 0
  /// Retransmission time-outs.
  public var retransmissionTimeouts = 0
  /// Tail loss probes (RFC 8985 §7).
  public var tailLossProbes = 0
  /// Bytes sent again on another subflow.
  public var reinjectedByteCount = 0
  /// Bytes that a redundant scheduler sent on more than one subflow.
  public var redundantByteCount = 0
  /// Bytes received twice at the data level.
  public var duplicateByteCount = 0
  /// Connections that became plain TCP.
  public var fallbacks = 0
  /// Joins that were completed, as either side.
  public var joins = 0
}
