import MPTCPCore
import MPTCPPolicy
import MPTCPWire

/// What a simulation looked like at one moment, for plots.
public struct Sample: Hashable, Sendable, Codable {
  /// Seconds since the start.
  public var time: Double
  /// For each path, the bytes of packets that came out so far, from its first end to its second and back.
  public var pathByteCounts: [[Int]]
  /// For each direction of each link, the bytes that wait.
  public var queuedByteCounts: [Int]
  /// The subflows of the first connections, on the side that has sent more.
  public var subflows: [Subflow]

  /// A subflow at one moment.
  public struct Subflow: Hashable, Sendable, Codable {
    /// The connection's number.
    public var connection: Int
    /// The subflow's number within it.
    public var subflow: Int
    /// The path that it uses.
    public var path: Int
    /// Its congestion window in bytes.
    public var congestionWindow: Int
    /// Its smoothed round-trip time in seconds, once there is one.
    public var roundTripTime: Double?
    /// What is in flight, in bytes.
    public var inFlight: Int
  }
}

extension Simulation {
  /// So many connections are looked at for plots.
  package static let sampledConnectionCount = 16

  func takeSample() { if samples.count < mostSamples { samples.append(sampleOfThisMoment()) } }

  /// What was sampled so far, and this moment.
  var samplesUntilNow: [Sample] {
    guard scenario.sampleInterval != nil, (now - Self.start).seconds > samples.last?.time ?? 0 else { return samples }
    return samples + [sampleOfThisMoment()]
  }

  /// When the last sample was taken, if there were to be others since.
  var sampledUntil: Double? {
    guard samples.count >= mostSamples, let last = samples.last, let interval = scenario.sampleInterval,
      (now - Self.start).seconds > last.time + interval.seconds
    else { return nil }
    return last.time
  }

  private func sampleOfThisMoment() -> Sample {
    var sample = Sample(
      time: (now - Self.start).seconds, pathByteCounts: paths.map { $0.delivered.map(\.byteCount) },
      queuedByteCounts: wires.map(\.link.queuedByteCount), subflows: [])
    for connection in 0..<min(plan.connectionCount, Self.sampledConnectionCount) {
      let sender = talkers[2 * connection].sent >= talkers[2 * connection + 1].sent ? 0 : 1
      let talker = talkers[2 * connection + sender]
      let host = hosts[talker.host]
      guard let id = talker.connection, let description = host.endpoint.description(of: id) else { continue }
      for subflow in description.subflows {
        guard let path = path(of: subflow.tuple, on: host, subflow.path) else { continue }
        sample.subflows.append(
          Sample.Subflow(
            connection: connection, subflow: Int(subflow.id.rawValue), path: path,
            congestionWindow: subflow.congestionWindowByteCount,
            roundTripTime: subflow.smoothedRoundTripTime?.seconds, inFlight: subflow.inFlightByteCount))
      }
    }
    return sample
  }

  private func path(of tuple: FourTuple, on host: SimulatedHost, _ id: PathID) -> Int? {
    let interface = host.interfaceOfPath[Int(id.rawValue)]
    return host.interfaces[interface].route(to: tuple.remote.address).map { plan.routes[$0].path }
  }
}
