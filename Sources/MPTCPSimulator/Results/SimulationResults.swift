import MPTCPLink
import MPTCPPolicy
import MPTCPWire

/// What came of a simulation. Times are seconds since its start, rates bits in a second.
public struct SimulationResults: Hashable, Sendable, Codable {
  /// The scenario's title.
  public var title: String
  /// The seed that it ran with.
  public var seed: UInt64
  /// The time at its end.
  public var time: Double
  /// Whether each application got done.
  public var isFinished: Bool
  /// What must never happen and did; nil if nothing.
  public var failure: String?
  /// How many instants there were at which something happened.
  public var stepCount: Int
  /// How many wire packets hosts sent.
  public var packetCount: Int
  /// The connections in the order of the scenario.
  public var connections: [Connection]
  /// The paths in the order of the scenario.
  public var paths: [Path]
  /// Each direction of each link.
  public var links: [Link]
  /// What was sampled for plots; the last one is of the end.
  public var samples: [Sample]
  /// From when on, in seconds, no more samples were taken but the last; nil if none is missing.
  public var sampledUntil: Double?

  /// A connection.
  public struct Connection: Hashable, Sendable, Codable {
    /// Its transfer's name, and its number where there are several.
    public var name: String
    /// How it went.
    public var outcome: String
    /// When it was opened; nil: never.
    public var opened: Double?
    /// When the client knew that it was open.
    public var established: Double?
    /// When the last byte was read by an application.
    public var lastByte: Double?
    /// Bytes that the server's application read.
    public var uploaded: Int
    /// Bytes that the client's application read.
    public var downloaded: Int
    /// Uploaded bits in a second, from the opening to the last byte that arrived; 0 where no time passed.
    public var uploadRate: Double
    /// Downloaded bits in a second, likewise.
    public var downloadRate: Double
    /// The longest time between two reads of bytes, on either side.
    public var longestStall: Double
    /// Whether it was Multipath TCP when it opened.
    public var isMultipath: Bool
    /// Why it became plain TCP, where it did.
    public var fallback: String?
    /// How many subflows were established on the client's side.
    public var subflowCount: Int
  }

  /// A path.
  public struct Path: Hashable, Sendable, Codable {
    /// Its name.
    public var name: String
    /// What came out at its second end, and at its first.
    public var delivered: [Traffic]
    /// What got lost because the path was down.
    public var dropped: Traffic
    /// What got lost at either end because its host was off its processor and had no more room.
    public var overflowed: Traffic
  }

  /// One direction of a link.
  public struct Link: Hashable, Sendable, Codable {
    /// The link's name.
    public var name: String
    /// Whether it is the direction towards the first ends of paths.
    public var isBack: Bool
    /// Packets that entered.
    public var sent: Traffic
    /// Packets that came out.
    public var delivered: Traffic
    /// Packets that were lost, by cause.
    public var drops: [String: Int]
    /// The mean time that packets waited, and took on the line, in seconds.
    public var meanQueueDelay: Double
    /// The longest such time.
    public var longestQueueDelay: Double
    /// The share of the time since the start in which the line was sending; nil for one that never had a rate.
    public var utilisation: Double?
  }
}

extension Simulation {
  /// What came of it so far.
  public var results: SimulationResults {
    SimulationResults(
      title: scenario.title, seed: scenario.seed, time: (now - Self.start).seconds, isFinished: isFinished,
      failure: failure, stepCount: stepCount, packetCount: packetCount,
      connections: (0..<plan.connectionCount).map(connectionResult),
      paths: zip(plan.paths, paths).map {
        SimulationResults.Path(
          name: $0.name, delivered: $1.delivered, dropped: $1.dropped, overflowed: $1.overflowed)
      },
      links: wires.indices.map(linkResult), samples: samplesUntilNow, sampledUntil: sampledUntil)
  }

  private func connectionResult(_ number: Int) -> SimulationResults.Connection {
    let (client, server) = (talkers[2 * number], talkers[2 * number + 1])
    func time(_ instant: Instant) -> Double? {
      instant == .distantFuture ? nil : (instant - Self.start).seconds
    }
    func rate(_ receiver: Talker) -> Double {
      guard receiver.lastReadAt != .distantFuture, receiver.lastReadAt > client.startedAt else { return 0 }
      return Double(receiver.received) * 8 / (receiver.lastReadAt - client.startedAt).seconds
    }
    let lastRead = [client, server].map(\.lastReadAt).filter { $0 != .distantFuture }.max()
    return SimulationResults.Connection(
      name: name(ofConnection: number), outcome: outcome(client, server), opened: time(client.startedAt),
      established: time(client.establishedAt), lastByte: lastRead.flatMap(time), uploaded: server.received,
      downloaded: client.received, uploadRate: rate(server), downloadRate: rate(client),
      longestStall: max(client.longestReadGap, server.longestReadGap).seconds, isMultipath: client.isMultipath,
      fallback: (client.fallback ?? server.fallback).map { "\($0)" }, subflowCount: client.subflowCount)
  }

  private func outcome(_ client: Talker, _ server: Talker) -> String {
    if let refusal = client.refusal { return "not opened: \(refusal)" }
    if client.startedAt == .distantFuture { return "not started" }
    for talker in [client, server] {
      if let reason = talker.closeReason, reason != .finished {
        return "\(talker.isClient ? "client" : "server"): \(reason)"
      }
    }
    let isWhole = client.received == client.receiveByteCount && server.received == server.receiveByteCount
    if client.isOver, server.isOver { return isWhole ? "complete" : "ended early" }
    return isWhole ? "complete, not closed" : "under way"
  }

  private func linkResult(_ index: Int) -> SimulationResults.Link {
    let wire = wires[index]
    let counters = wire.link.counters
    var drops: [String: Int] = [:]
    for cause in LinkDropCause.allCases where counters.dropped(cause).packetCount > 0 {
      drops["\(cause)"] = counters.dropped(cause).packetCount
    }
    let elapsed = (now - Self.start).seconds
    var utilisation: Double?
    if wire.link.isEverLimited, elapsed > 0 { utilisation = wire.link.busyTime(until: now).seconds / elapsed }
    return SimulationResults.Link(
      name: plan.wires[index].name, isBack: index % 2 == 1,
      sent: Traffic(counters.sent), delivered: Traffic(counters.delivered), drops: drops,
      meanQueueDelay: wire.deliveredPacketCount > 0
        ? wire.totalQueueDelay.seconds / Double(wire.deliveredPacketCount) : 0,
      longestQueueDelay: wire.longestQueueDelay.seconds, utilisation: utilisation)
  }
}

extension Traffic {
  init(_ tally: PacketTally) {
    packetCount = tally.packetCount
    byteCount = tally.byteCount
  }
}
