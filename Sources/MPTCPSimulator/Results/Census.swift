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

  /// What the tables take that say whose an engine's connection is, and from which address a client came: of all that
  /// grows while connections open, the part that is not the engine's. In bytes, by the capacity of the tables.
  public var tableByteCount: Int {
    var byteCount = 0
    for host in hosts { byteCount += host.talkerOfSlot.capacity * MemoryLayout<Int32>.stride }
    // A dictionary has a power of two of places, at most three quarters of them in use, and a bit for each.
    var placeCount = 1
    while placeCount / 4 * 3 < connectionOfClient.capacity { placeCount *= 2 }
    let place = MemoryLayout<ClientAddress>.stride + MemoryLayout<Int>.stride
    return byteCount + placeCount * place + placeCount / 8
  }
}
