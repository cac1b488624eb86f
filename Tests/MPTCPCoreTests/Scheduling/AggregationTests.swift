import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// What two unlike paths give together: a few settings of the kind that `aggregation-bench` measures by the hundred
/// (docs/schedulers.md), with bounds that fail if the default scheduler gets worse.
@Suite struct AggregationTests {
  /// Two paths, and the least benefit with large and with small receive buffers.
  struct Setting: Sendable, CustomTestStringConvertible {
    var name: String
    var paths: [LinkConfiguration]
    var large: Double
    var small: Double

    var testDescription: String { name }

    /// The sum of the rates, in octets a second.
    private var rate: Int { paths.reduce(0) { $0 + ($1.bitsPerSecond ?? 0) / 8 } }

    func bufferByteCount(isLarge: Bool) -> Int {
      let longest = paths.map { path in
        let queue = Double(path.queueByteCount ?? 0) * 8 / Double(path.bitsPerSecond ?? 1)
        return 2 * path.delay.seconds + (isLarge ? queue : 0)
      }
      return Int(Double(rate) * (longest.max() ?? 0)) * (isLarge ? 2 : 1)
    }
  }

  private static func path(_ kilobits: Int, _ roundTrip: Int64, queue milliseconds: Int, loss: Double = 0)
    -> LinkConfiguration
  {
    LinkConfiguration(
      bitsPerSecond: kilobits * 1000, delay: .microseconds(roundTrip * 500),
      queueByteCount: max(kilobits * milliseconds / 8, 3000), lossRate: Probability(loss))
  }

  static let settings = [
    Setting(
      name: "alike", paths: [path(5000, 40, queue: 60), path(4000, 50, queue: 80)], large: 0.9, small: 0.6),
    Setting(
      name: "the fast one far", paths: [path(8000, 60, queue: 60), path(2000, 30, queue: 60)], large: 0.9, small: 0),
    Setting(
      name: "the fast one near", paths: [path(8000, 20, queue: 60), path(2000, 100, queue: 60)], large: 0.9, small: 0.45
    ),
    Setting(
      name: "deep queues", paths: [path(4000, 50, queue: 500), path(2000, 100, queue: 300)], large: 0.85, small: 0.6),
    // With small buffers the window has nothing to spare here.
    Setting(
      name: "one ten times slower", paths: [path(20000, 80, queue: 200), path(1500, 40, queue: 100)], large: 0.5,
      small: 0.5),
    Setting(
      name: "one of crumbs", paths: [path(20000, 15, queue: 40), path(200, 4, queue: 80)], large: -0.1, small: -0.05),
    Setting(
      name: "both lose", paths: [path(6000, 40, queue: 60, loss: 0.01), path(4000, 30, queue: 60, loss: 0.01)],
      large: 0.9, small: 0.6),
  ]

  /// Octets that the application reads in the last four of six seconds.
  private func goodput(_ paths: [LinkConfiguration], only: Int?, buffer: Int) throws -> Int {
    let backward = paths.map { LinkConfiguration(bitsPerSecond: $0.bitsPerSecond, delay: $0.delay) }
    let pair = Pair(paths, backward: backward, areApart: true)
    var options = ConnectionOptions()
    options.multipath = only == nil ? .enabled : .disabled
    options.receiveBufferByteCount = buffer
    options.sendBufferByteCount = buffer * 2
    let bulk = try Bulk(pair, to: only ?? 0, options: options)
    pair.run(for: .seconds(2))
    let before = bulk.receivedByteCount
    pair.run(for: .seconds(4))
    return bulk.receivedByteCount - before
  }

  @Test(arguments: settings, [true, false]) func theDefaultSchedulerUsesBothPaths(setting: Setting, isLarge: Bool)
    throws
  {
    let buffer = setting.bufferByteCount(isLarge: isLarge)
    let alone = try (0..<2).map { try goodput(setting.paths, only: $0, buffer: buffer) }
    let together = try goodput(setting.paths, only: nil, buffer: buffer)
    let (better, other) = (max(alone[0], alone[1]), min(alone[0], alone[1]))
    let benefit = Double(together - better) / Double(together >= better ? other : better)
    #expect(benefit >= (isLarge ? setting.large : setting.small), "\(together) of \(alone)")
  }
}

/// Side 0 writes without end, side 1 reads whatever comes.
private final class Bulk {
  private let pair: Pair
  private let client: ConnectionID
  private var server: ConnectionID?
  private var seen = [0, 0]
  private var mayWrite = false
  private let data = ByteSlice(Chunk(capacity: 262_144), offset: 0, count: 262_144)
  private(set) var receivedByteCount = 0

  init(_ pair: Pair, to path: Int, options: ConnectionOptions) throws {
    self.pair = pair
    var listen = ListenerOptions()
    listen.connection = options
    _ = try pair.endpoints[1].listen(on: TransportAddress(.anyV4, 80), options: listen, at: pair.now)
    var options = options
    options.path = PathID(Int32(path))
    client = try pair.endpoints[0].connect(
      to: TransportAddress(Pair.address(path, 1, .v4), 80), options: options, at: pair.now)
    pair.onStep = { [unowned self] in step() }
  }

  private func step() {
    for side in 0..<2 {
      for event in pair.events[side][seen[side]...] {
        switch event.event {
        case .established: if side == 0 { mayWrite = true } else { server = event.connection }
        case .writable: mayWrite = mayWrite || side == 0
        default: break
        }
      }
      seen[side] = pair.events[side].count
    }
    if let server {
      while let slice = try? pair.endpoints[1].read(from: server, upTo: .max, at: pair.now), !slice.isEmpty {
        receivedByteCount += slice.count
      }
    }
    while mayWrite {
      mayWrite = (try? pair.endpoints[0].write(data, to: client, at: pair.now)) == data.count
    }
  }
}
