import MPTCPCore

/// What a host's engine holds at one moment, and has counted so far.
public struct HostCensus: Hashable, Sendable {
  /// The host's name.
  public var name: String
  /// The connections that exist, closing ones included.
  public var connectionCount: Int
  /// The engine's counters.
  public var statistics: EndpointStatistics
}

extension Simulation {
  /// The hosts in the order of the scenario: cheap, however many connections there are.
  public var census: [HostCensus] {
    hosts.map {
      HostCensus(name: $0.name, connectionCount: $0.endpoint.connectionCount, statistics: $0.endpoint.statistics)
    }
  }

  /// How many of the scenario's connections both applications know to be open as Multipath TCP.
  public var establishedMultipathCount: Int {
    var count = 0
    for index in stride(from: 0, to: talkers.count, by: 2)
    where talkers[index].isMultipath && talkers[index + 1].isMultipath { count += 1 }
    return count
  }
}
