import MPTCPLink
import MPTCPWire

/// One path of a setting.
struct PathSetting {
  var bitsPerSecond: Double
  var roundTripMilliseconds: Double
  var lossRate: Double
  var queueMilliseconds: Double

  /// The direction that carries the data. Its queue holds two full packets at least.
  var forward: LinkConfiguration {
    let bytes = bitsPerSecond / 8 * queueMilliseconds / 1000
    return LinkConfiguration(
      bitsPerSecond: Int(bitsPerSecond), delay: .microseconds(Int64(roundTripMilliseconds * 500)),
      queueByteCount: max(Int(bytes), 3000), lossRate: Probability(lossRate))
  }

  /// The direction of the acknowledgements: as fast, without loss.
  var backward: LinkConfiguration {
    LinkConfiguration(bitsPerSecond: Int(bitsPerSecond), delay: .microseconds(Int64(roundTripMilliseconds * 500)))
  }

  /// About what one TCP gets, in bytes a second: the line, or 1.22 segments in a round trip over the root of the loss.
  var expectedRate: Double {
    let line = bitsPerSecond / 8 * 1400 / 1500
    guard lossRate > 0 else { return line }
    return min(line, 1.22 * 1400 / (max(roundTripMilliseconds, 1) / 1000 * lossRate.squareRoot()))
  }

  /// The longest that a packet may take there and its acknowledgement back, in seconds.
  var longestRoundTrip: Double { (roundTripMilliseconds + queueMilliseconds) / 1000 }
}

/// Two paths, and the buffers that fit them.
struct Setting {
  var index: Int
  var paths: [PathSetting]

  /// What RFC 6182 §5.3 asks for, twice the sum of the rates times the longest round-trip time, queues included.
  var largeBuffer: Int { max(Int(2 * sum * (paths.map(\.longestRoundTrip).max() ?? 0)), 1 << 20) }

  /// The least with which it can be done at all: the sum of the rates times the longest round-trip time without queues.
  /// With less the window stops the connection even if nothing is lost and nothing waits.
  var smallBuffer: Int {
    max(Int(sum * (paths.map { $0.roundTripMilliseconds / 1000 }.max() ?? 0)), 64 << 10)
  }

  private var sum: Double { paths.reduce(0) { $0 + $1.bitsPerSecond / 8 } }

  /// How long to measure, in seconds: twelve, or twenty of the longest round trips, or as long as the better path needs
  /// for `packets`, and for two hundred losses (a million packets at most), so that chance evens out. Half as long
  /// again goes before, in which windows find their size.
  func duration(packets: Double) -> Double {
    guard let best = paths.max(by: { $0.expectedRate < $1.expectedRate }) else { return 12 }
    let longest = paths.map(\.longestRoundTrip).max() ?? 0
    let enough = best.lossRate > 0 ? max(packets, min(200 / best.lossRate, 1e6)) : packets
    return min(max(12, 20 * longest, enough * 1400 / best.expectedRate), 1500)
  }

  var text: String {
    paths.map {
      "\(rounded($0.bitsPerSecond / 1e6)) Mbit/s \(rounded($0.roundTripMilliseconds)) ms "
        + "\(rounded($0.lossRate * 100)) % +\(rounded($0.queueMilliseconds)) ms"
    }.joined(separator: " | ")
  }
}

func rounded(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }

/// Points of the unit cube that fill it evenly: Wootton, Sergent and Phan-Tan-Luu's selection, as in Paasch, Khalili
/// and Bonaventure, "On the Benefits of Applying Experimental Design to Improve Multipath TCP", CoNEXT 2013. From many
/// random points it keeps the one nearest to the last that is at least so far from all kept ones; the distance is
/// searched for that leaves `count`.
func spaceFilling(count: Int, dimensions: Int, seed: UInt64) -> [[Double]] {
  var generator = SplitMix(seed: seed)
  let candidates = (0..<(count * 20)).map { _ in (0..<dimensions).map { _ in generator.unit() } }
  func distance(_ left: [Double], _ right: [Double]) -> Double {
    zip(left, right).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
  }
  func select(_ least: Double) -> [[Double]] {
    var left = candidates
    var chosen: [[Double]] = []
    var current = left.removeFirst()
    while true {
      chosen.append(current)
      left.removeAll { distance($0, current) < least }
      guard let next = left.indices.min(by: { distance(left[$0], current) < distance(left[$1], current) }) else {
        break
      }
      current = left.remove(at: next)
    }
    return chosen
  }
  var low = 0.0
  var high = 2.0
  var best = candidates
  for _ in 0..<24 {
    let middle = (low + high) / 2
    let chosen = select(middle)
    if chosen.count >= count {
      best = chosen
      low = middle
    } else {
      high = middle
    }
  }
  return Array(best.prefix(count))
}

/// The grid: the study's four environments, low and high bandwidth-delay products with and without loss.
func grid(perEnvironment count: Int) -> [Setting] {
  var settings: [Setting] = []
  for environment in 0..<4 {
    let isHigh = environment % 2 == 1
    let isLossy = environment >= 2
    let points = spaceFilling(count: count, dimensions: isLossy ? 8 : 6, seed: UInt64(environment) + 1)
    for point in points {
      let paths = (0..<2).map { path in
        let at = path * (isLossy ? 4 : 3)
        return PathSetting(
          bitsPerSecond: (0.1 + point[at] * 99.9) * 1e6, roundTripMilliseconds: point[at + 1] * (isHigh ? 400 : 50),
          lossRate: isLossy ? point[at + 3] * 0.025 : 0, queueMilliseconds: point[at + 2] * (isHigh ? 2000 : 100))
      }
      settings.append(Setting(index: settings.count, paths: paths))
    }
  }
  return settings
}

struct SplitMix: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
  mutating func unit() -> Double { Double(next() >> 11) / 9_007_199_254_740_992 }
}
